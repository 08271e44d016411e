#!/usr/bin/env bash
# Times the parts (criterion) and the whole line; a table on the terminal, JSON in out/bench.json and target/criterion.
source "$(dirname "$0")/lib.sh"
mkdir -p out
step "the parts" "the compiler's first error above names what is missing" cargo bench --locked --profile dev --bench parts
step "the whole line at 30 Hz" "is another program busy? the line needs two free cores" \
    cargo bench --locked --profile dev --bench line -- --frames "${FRAMES:-900}" --out "$PWD/out/bench.json"
step_table
