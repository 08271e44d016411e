#!/usr/bin/env bash
# Times the parts (criterion) and the whole line; tables on the terminal, JSON in out/parts.json and out/bench.json.
source "$(dirname "$0")/lib.sh"
mkdir -p out
step "the parts" "the compiler's first error above names what is missing" cargo bench --locked --profile dev --bench parts
step "the parts as JSON" "criterion left nothing: did the step before run to its end?" \
    python3 tools/parts_json.py "${CARGO_TARGET_DIR:-target}/criterion" out/parts.json
step "the whole line at 30 Hz" "is another program busy? the line needs two free cores" \
    cargo bench --locked --profile dev --bench line -- --frames "${FRAMES:-900}" --out "$PWD/out/bench.json"
step_table
