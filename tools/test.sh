#!/usr/bin/env bash
# Everything that must hold, in the order in which it fails fastest.
source "$(dirname "$0")/lib.sh"
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto}

step "system packages" "run as root or with sudo, and check that the package mirror answers" tools/setup.sh system
step "Python peers" "delete .venv and run again; PyPI must answer" tools/setup.sh peers
step "format" "run: cargo fmt --all" cargo fmt --all --check
step "dependencies" "crates.io must answer" cargo fetch --locked
step "lints" "each warning is an error; mend the lines named above" cargo clippy --workspace --all-targets --locked -- -D warnings
step "r2r carrier, types only" "crates/transport/src/carriers/r2r must fit r2r's interfaces" \
    cargo check -p transport --features r2r-doc-only --locked
step "tests" "run the failing test alone: cargo test -p CRATE NAME" cargo test --workspace --locked
step_table
