#!/usr/bin/env bash
# Installs the drivers better-sqlite3 and pg and the server binaries of PostgreSQL, at the versions and with the hashes
# of package-lock.json beside this file, into .cache/databases: for the interop suite and the bench of storages alone.
# better-sqlite3 is compiled, so that what runs is what the lockfile covers: that takes a minute, a C++ compiler, make
# and Python. Nothing of it is part of the package, of `npm start` or of `npm test`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
target=.cache/databases
stamp="$(cat test/interop/package-lock.json | cksum) $(node -p 'process.version + " " + process.platform + " " + process.arch')"
if [ "$(cat "$target/stamp" 2>/dev/null)" = "$stamp" ]; then
  exit 0
fi
rm -rf "$target"
mkdir -p "$target"
cp test/interop/package.json test/interop/package-lock.json test/interop/.npmrc "$target"
if ! npm_config_build_from_source=true npm ci --prefix "$target" --no-audit --no-fund --loglevel=error; then
  echo "The databases for the interop suite could not be installed: it takes a C++ compiler, make and Python." >&2
  exit 1
fi
echo "$stamp" >"$target/stamp"
