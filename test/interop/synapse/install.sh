#!/usr/bin/env bash
# Installs Synapse from PyPI into .cache/synapse, for the interop suite alone: it needs Python 3.10 or later with
# venv and pip. Nothing of it is part of the package, of `npm start` or of `npm test`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
version=1.163.2
venv=.cache/synapse
if [ -x "$venv/bin/python" ] && "$venv/bin/python" -c "import synapse, sys; sys.exit(synapse.__version__ != '$version')" 2>/dev/null; then
  exit 0
fi
rm -rf "$venv"
mkdir -p .cache
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check "matrix-synapse==$version"
