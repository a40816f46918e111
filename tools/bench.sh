#!/usr/bin/env bash
# ./dev bench [name …]: runs tests/bench/<name>, each an executable of its own; without a name, all of them. What the
# first one is to be told follows its name after `--`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/install.sh
source tools/install.sh

names=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    names+=("$1")
    shift
done
[ $# -eq 0 ] || shift

there=()
for path in tests/bench/*; do
    if [ -f "$path" ] && [ -x "$path" ]; then there+=("$(basename "$path")"); fi
done
if [ ${#names[@]} -eq 0 ]; then names=("${there[@]}"); fi
for name in "${names[@]}"; do
    if [ ! -x "tests/bench/$name" ]; then
        echo "./dev bench: there is no '$name'; there are: ${there[*]:-none yet}" >&2
        exit 2
    fi
done

install_packages build test kafka bench
targets=(all)
# Only where its Lua is, which is elsewhere than Debian a matter of luck.
if pkg-config --exists lua5.1; then targets+=(limit_simulation); fi
tools/build.sh release "${targets[@]}" >&2
BUILD_BIN=$PWD/build/release/bin
export BUILD_BIN
for name in "${names[@]}"; do
    echo "== $name"
    "tests/bench/$name" "$@"
done
