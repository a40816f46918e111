#!/usr/bin/env bash
# ./dev test [--preset asan|dev|release] [name …]: builds, runs ctest, prints what each program counted. A name is a
# regular expression over the names of the test programs (ctest -N lists them).
#
# Suites that need a real Apache Kafka are skipped, and counted so, where it cannot be had; with REQUIRE_KAFKA=1 they fail.
# The same goes for DuckDB and REQUIRE_DUCKDB=1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/install.sh
source tools/install.sh

preset=asan
patterns=()
while [ $# -gt 0 ]; do
    case $1 in
    --preset)
        preset=${2:?--preset needs a name}
        shift
        ;;
    -k)
        patterns+=("${2:?-k needs a pattern}")
        shift
        ;;
    -*)
        echo "./dev test: unknown option $1; see ./dev help" >&2
        exit 2
        ;;
    *) patterns+=("$1") ;;
    esac
    shift
done

install_packages build test kafka
install_packages prometheus || echo "Alerts and dashboards are not tried with a real Prometheus." >&2
tools/build.sh "$preset"

# Before the tests, so that a slow download is no test's time-out.
if ! /usr/bin/python3 -B tools/local_kafka.py --fetch; then
    if [ "${REQUIRE_KAFKA:-0}" != 0 ]; then
        echo "REQUIRE_KAFKA is set, and there is no Kafka." >&2
        exit 1
    fi
    echo "Suites that need a real Kafka are skipped." >&2
fi
if ! /usr/bin/python3 -B tools/local_duckdb.py --fetch; then
    if [ "${REQUIRE_DUCKDB:-0}" != 0 ]; then
        echo "REQUIRE_DUCKDB is set, and there is no DuckDB." >&2
        exit 1
    fi
    echo "The SQL of docs/analytics.md is not run with DuckDB." >&2
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
only=()
if [ ${#patterns[@]} -gt 0 ]; then
    joined=$(printf '|%s' "${patterns[@]}")
    only=(--tests-regex "${joined#|}")
fi

# Where nobody can look and start again: a suite with bounds on time gets a second go on a machine that had other things
# to do. What fails twice has failed.
again=()
if [ "${CI:-}" = true ]; then again=(--repeat until-pass:2); fi

# ctest's closing lines are held back until after the table, so that they are the last ones here too.
status=0
# Four on two cores: most of a test is waiting for others.
ctest --test-dir "build/$preset" --parallel 4 --output-on-failure --no-tests=error --no-label-summary \
    --output-junit "$work/results.xml" --test-output-size-passed 10000000 --test-output-size-failed 10000000 \
    "${only[@]}" "${again[@]}" 2>"$work/errors" |
    awk -v closing="$work/closing" '/% tests passed, /{held = 1} held {print > closing; next} {print; fflush()}' ||
    status=$?
/usr/bin/python3 -B tools/test_counts.py "$work/results.xml"
cat "$work/errors" >&2
if [ -f "$work/closing" ]; then cat "$work/closing"; fi
exit $status
