#!/usr/bin/env bash
# Says where Chromium is, and installs Debian's package where it is not (as root).
set -eu
if [ -n "${CHROMIUM:-}" ]; then
  echo "Chromium: $CHROMIUM (as CHROMIUM says)"
  exit 0
fi
if ! command -v chromium >/dev/null; then
  if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
    echo "There is no chromium on the path. Install one, or name it in CHROMIUM." >&2
    exit 1
  fi
  echo "Installing Debian's chromium."
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-liberation >/dev/null
fi
echo "Chromium: $(command -v chromium)"
