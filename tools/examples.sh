#!/usr/bin/env bash
# ./dev examples [name …]: see tools/examples.py.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/install.sh
source tools/install.sh

install_packages build test kafka
tools/build.sh release terra-connect terra-sandbox
BUILD_BIN=$PWD/build/release/bin exec /usr/bin/python3 -B tools/examples.py "$@"
