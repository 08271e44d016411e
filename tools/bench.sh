#!/usr/bin/env bash
# Times the parts (criterion) and the whole line, and holds masks of real captures against their truth; tables on the
# terminal, JSON in out/parts.json, out/bench.json and out/masks.json.
source "$(dirname "$0")/lib.sh"
mkdir -p out
step "the parts" "the compiler's first error above names what is missing" cargo bench --locked --profile dev --bench parts
step "the parts as JSON" "criterion left nothing: did the step before run to its end?" \
    python3 tools/parts_json.py "${CARGO_TARGET_DIR:-target}/criterion" out/parts.json
step "the whole line at 30 Hz" "is another program busy? the line needs two free cores" \
    cargo bench --locked --profile dev --bench line -- --frames "${FRAMES:-900}" --out "$PWD/out/bench.json"
step "masks of real captures" "see crates/inspection/examples/evaluate; without captures it says SKIPPED" \
    cargo run --locked -p inspection --example evaluate -- --json "$PWD/out/masks.json"
step_table
