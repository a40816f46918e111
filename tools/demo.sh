#!/usr/bin/env bash
# ./dev demo [--once]: see tools/demo.py.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/install.sh
source tools/install.sh

case ${1:-} in
"" | --once) ;;
*)
    echo "./dev demo: the only option is --once" >&2
    exit 2
    ;;
esac
install_packages build demo
tools/build.sh release terra-connect terra-sandbox
BUILD_BIN=$PWD/build/release/bin exec /usr/bin/python3 -B tools/demo.py "$@"
