#!/usr/bin/env bash
# ./dev build [preset [target …]]: configures and compiles into build/<preset>.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/install.sh
source tools/install.sh

preset=${1:-release}
shift || true
case $preset in
release | dev | asan) ;;
*)
    echo "./dev build: there is no preset '$preset'; there are release, dev and asan" >&2
    exit 2
    ;;
esac
install_packages build
cmake --preset "$preset" >/dev/null
cmake --build --preset "$preset" ${1:+--target "$@"}
