#!/usr/bin/env bash
# Installs Debian's Chromium, for `npm run browser` and `npm run runtimes` alone. It has to be run as root, unless there
# is a Chromium already or CHROMIUM names one.
set -euo pipefail
if [ -n "${CHROMIUM:-}" ] || command -v chromium >/dev/null || command -v google-chrome >/dev/null; then exit 0; fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "Install Chromium, or name it in the environment variable CHROMIUM." >&2
  exit 1
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium >/dev/null
