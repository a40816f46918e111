# shellcheck shell=bash
# install_packages <set>…: makes sure that the Debian packages of these sets are there; sourced by its neighbours.
# Does nothing when all of them are. Otherwise installs them, as root or through sudo; where neither goes, says what to
# install and fails.

packages_of() {
    case $1 in
    build)
        echo build-essential pkg-config cmake ninja-build librdkafka-dev libcurl4-openssl-dev libhiredis-dev \
            libssl-dev libcjson-dev libuv1-dev libmicrohttpd-dev zlib1g-dev uthash-dev libcmocka-dev python3
        ;;
    # curl: what the demo says to try next.
    demo) echo python3 python3-confluent-kafka redis-server curl ;;
    test)
        packages_of demo
        echo openssl python3-pytest python3-jsonschema python3-redis python3-venv python3-yaml
        # The validator of asyncapi.yaml is a Node module; a Node of another source is as good as Debian's.
        { command -v node && command -v npm; } >/dev/null || echo nodejs npm
        ;;
    prometheus) echo prometheus ;;
    bench) echo liblua5.1-0-dev ;;
    kafka) echo python3 default-jre-headless maven ;;
    fuzz) echo clang ;;
    lint) echo git python3 clang clang-format clang-tidy shellcheck ;;
    esac
}

install_packages() {
    local set name missing=()
    # Word by word on purpose: names of packages have no spaces.
    for name in $(for set in "$@"; do packages_of "$set"; done); do
        package_installed "$name" || missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0

    if ! command -v apt-get >/dev/null; then
        echo "This is no Debian, so nothing was installed. Needed, under Debian's names: ${missing[*]}" >&2
        echo "Going on in the hope that they are there." >&2
        return 0
    fi
    if ! can_be_root; then
        echo "Packages are missing, and this is neither root nor allowed to sudo. As root, run:" >&2
        echo "  apt-get install --no-install-recommends ${missing[*]}" >&2
        return 1
    fi
    echo "Installing: ${missing[*]}" >&2
    # The lists are asked for only where they are not there or too old to know these packages.
    apt-get install --simulate "${missing[@]}" >/dev/null 2>&1 || as_root apt-get update
    apt_install "${missing[@]}" || { as_root apt-get update && apt_install "${missing[@]}"; }
}

package_installed() {
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

can_be_root() {
    [ "$(id -u)" -eq 0 ] || { command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; }
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Debian starts a server when its package is installed, and at every boot from then on. Nobody who wants to try this
# project asked for a Redis on port 6379 or a Prometheus on 9090: Debian's hook for that says no while we install, and
# the service stays disabled. `systemctl enable --now redis-server` brings it back. A hook or a server of the machine's
# own is left alone.
# A subshell, so that its trap takes the hook away also on a Ctrl-C.
apt_install() (
    hook=/usr/sbin/policy-rc.d
    servers=()
    for name in "$@"; do
        case $name in redis-server | prometheus) servers+=("$name") ;; esac
    done
    if [ ${#servers[@]} -gt 0 ] && [ ! -e "$hook" ]; then
        trap 'as_root rm -f "$hook"' EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root install -m 755 /dev/stdin "$hook"
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@" || exit 1
    if [ ${#servers[@]} -gt 0 ] && [ -d /run/systemd/system ]; then
        as_root systemctl disable --quiet "${servers[@]}" || true
    fi
)
