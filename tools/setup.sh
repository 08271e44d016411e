#!/usr/bin/env bash
# Installs what is missing, and nothing else. `tools/setup.sh system` for Debian packages, `… peers` for the Python peers.
source "$(dirname "$0")/lib.sh"

# libopencv-dev: image filters and features. clang, libclang-dev: the opencv crate reads OpenCV's headers with them.
PACKAGES=(build-essential pkg-config libopencv-dev clang libclang-dev)

system_packages() {
    command -v dpkg-query >/dev/null || {
        echo "this is no Debian or Ubuntu; install the equivalents of: ${PACKAGES[*]}" >&2
        return 0
    }
    # Distributions' own cargo is older than the edition; rustup reads rust-toolchain.toml and brings the right one.
    local wanted=("${PACKAGES[@]}" "$@") needs_rust=""
    cargo --version 2>/dev/null | awk '{split($2, v, "."); exit !(v[1] > 1 || v[2] >= 85)}' || needs_rust=yes
    [ -z "$needs_rust" ] || wanted+=(curl ca-certificates)
    local missing=() package
    for package in "${wanted[@]}"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}" || return 1
    [ -z "$needs_rust" ] || install_rust
}

install_rust() {
    echo "installing Rust with rustup (rust-toolchain.toml picks the version)"
    curl --proto '=https' --tlsv1.2 -sSf https://static.rust-lang.org/rustup/rustup-init.sh | sh -s -- -y -q --no-modify-path --default-toolchain none || return 1
    "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" --version || return 1
    echo "Rust is in ${CARGO_HOME:-$HOME/.cargo}; to use cargo yourself: . \"${CARGO_HOME:-$HOME/.cargo}/env\""
}

install_packages() {
    echo "installing: $*"
    local as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    # `set -e` sleeps in functions whose status is asked for: each line says itself that it failed.
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq || return 1
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

python_peers() {
    # procps: tests stop programs with `kill`.
    system_packages python3-venv procps || return 1
    # The stamp holds the requirements that are installed: unchanged means nothing to do.
    cmp -s tests/requirements.txt .venv/requirements.installed && return 0
    echo "installing the Python peers of the tests into .venv"
    [ -x .venv/bin/pip ] || python3 -m venv .venv || return 1
    .venv/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt || return 1
    cp tests/requirements.txt .venv/requirements.installed
}

for part in "$@"; do
    case $part in
        system) system_packages || exit 1 ;;
        peers) python_peers || exit 1 ;;
        *) echo "unknown part: $part (system, peers)" >&2 && exit 2 ;;
    esac
done
