#!/usr/bin/env bash
# ./dev fuzz [name …] [seconds]: runs tests/fuzz/fuzz_<name>.c under libFuzzer and the sanitizers, for 60 seconds each;
# without a name, all of them. Everything is kept in build/fuzz: inputs worth another try in corpus/<name>, with which
# the next run begins, and inputs that fail in failures/<name>, each of which can be given to the program.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/install.sh
source tools/install.sh

seconds=60
names=()
for argument in "$@"; do
    if [[ $argument =~ ^[0-9]+$ ]]; then
        seconds=$argument
    else
        names+=("${argument#fuzz_}")
    fi
done

there=()
for path in tests/fuzz/fuzz_*.c; do
    name=${path##*/fuzz_}
    there+=("${name%.c}")
done
if [ ${#names[@]} -eq 0 ]; then names=("${there[@]}"); fi
for name in "${names[@]}"; do
    if [ ! -f "tests/fuzz/fuzz_$name.c" ]; then
        echo "./dev fuzz: there is no '$name'; there are: ${there[*]}" >&2
        exit 2
    fi
done

install_packages build fuzz
cmake -S . -B build/fuzz -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=Debug -DSANITIZE=ON -DFUZZ=ON >/dev/null
cmake --build build/fuzz --target "${names[@]/#/fuzz_}"

failed=()
for name in "${names[@]}"; do
    echo "== $name, $seconds s"
    corpus=build/fuzz/corpus/$name
    failures=build/fuzz/failures/$name
    mkdir -p "$corpus" "$failures"
    "build/fuzz/bin/fuzz_$name" -max_total_time="$seconds" -timeout=10 -verbosity=0 -print_final_stats=1 \
        -artifact_prefix="$failures/" "$corpus" \
        schemas/examples schemas/examples/invalid schemas/examples/invalid-events 2>&1 |
        sed '/^###### Recommended/,/^###### End/d' || failed+=("$name")
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "./dev fuzz: failed: ${failed[*]}; the inputs are in build/fuzz/failures" >&2
    exit 1
fi
