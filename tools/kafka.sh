#!/usr/bin/env bash
# ./dev kafka [--port N]: a real Apache Kafka until Ctrl-C.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/install.sh
source tools/install.sh

install_packages kafka
exec /usr/bin/python3 -B tools/local_kafka.py "$@"
