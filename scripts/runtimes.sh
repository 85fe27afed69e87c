#!/usr/bin/env bash
# Installs Deno, Bun and workerd from npm below test/portable, and Chromium from Debian's packages, for
# `npm run runtimes` alone. Nothing of it is part of the package, of `npm start` or of `npm test`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
npm ci --prefix test/portable --no-audit --no-fund --loglevel=error
scripts/chromium.sh
