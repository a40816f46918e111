#!/usr/bin/env bash
# ./dev lint: everything that can be said about the code without running it. Goes through all checks, then fails if
# any of them did.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/install.sh
source tools/install.sh
install_packages build lint

failed=()
jobs=$(nproc)
# Also what is not committed yet, so that lint is of use before a commit.
mapfile -t sources < <(git ls-files --cached --others --exclude-standard '*.c')
mapfile -t headers < <(git ls-files --cached --others --exclude-standard '*.h')
mapfile -t scripts < <(git grep --untracked -lE '^#!.*\bbash|^# shellcheck shell=bash' -- ':!*.md')

check() {
    local name=$1
    shift
    echo "== $name"
    "$@" || failed+=("$name")
}

each_header_alone() {
    local compiler=$1 header status=0 cflags
    cflags=$(pkg-config --cflags rdkafka libcurl hiredis libuv libmicrohttpd libcjson libcrypto cmocka)
    for header in "${headers[@]}"; do
        # shellcheck disable=SC2086 # pkg-config prints several words
        "$compiler" -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-unused-function -fsyntax-only -x c \
            -I. -Itests $cflags -include common/banned.h -include "$header" /dev/null || status=1
    done
    return $status
}

clang_build() {
    cmake -S . -B build/clang -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=Debug -DFUZZ=ON >/dev/null &&
        cmake --build build/clang
}

tidy() {
    # Only what the build knows how to compile.
    local source known=()
    for source in "${sources[@]}"; do
        if grep -qF "\"file\": \"$PWD/$source\"" build/clang/compile_commands.json; then known+=("$source"); fi
    done
    printf '%s\0' "${known[@]}" |
        xargs -0 -n 4 -P "$jobs" clang-tidy -p build/clang --quiet 2> >(grep -vE '^[0-9]+ warnings? (generated|treated)|^Suppressed|^Use -header-filter' >&2)
}

# clang-format leaves comments and long words as they are.
short_lines() {
    ! LC_ALL=C.UTF-8 grep -nE '^.{101,}$' "$@"
}

check "clang-format" clang-format --dry-run -Werror "${sources[@]}" "${headers[@]}"
check "100 columns" short_lines "${sources[@]}" "${headers[@]}"
check "gcc, no warnings" tools/build.sh dev
check "clang, no warnings" clang_build
check "headers alone, gcc" each_header_alone gcc
check "headers alone, clang" each_header_alone clang
check "layers" /usr/bin/python3 -B tools/check_layers.py
check "shellcheck" shellcheck -x "${scripts[@]}"
check "clang-tidy" tidy

if [ ${#failed[@]} -gt 0 ]; then
    printf 'lint: failed: %s\n' "${failed[@]}" >&2
    exit 1
fi
echo "lint: nothing to say"
