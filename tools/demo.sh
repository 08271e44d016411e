#!/usr/bin/env bash
# Builds intact, generates a scene with known damage, runs the whole cell on it, and says where to look.
source "$(dirname "$0")/lib.sh"
ITEMS=${ITEMS:-40}   # items in the scene
SEED=${SEED:-7}      # another seed, another scene
OUT=${OUT:-out}
INTACT=${CARGO_TARGET_DIR:-target}/debug/intact

run_cell() {
    rm -rf "$OUT/demo_bag"
    "$INTACT" run --bag "$OUT/scene" --references "$OUT/references" --lockstep \
        --rrd "$OUT/demo.rrd" --record "$OUT/demo_bag" --json >"$OUT/decisions.jsonl"
}

mkdir -p "$OUT"
step "build" "the first build takes some 15 minutes on two cores; the compiler's first error above names what is missing" \
    cargo build --locked --workspace --bins
step "scene: $ITEMS items, seed $SEED" "is the disk full? the scene takes some 2 MB an item under $OUT" \
    "$INTACT" booth bag --seed "$SEED" --items "$ITEMS" --out "$OUT/scene" --references "$OUT/references" --truth "$OUT/truth.json"
step "the cell" "run it again with INTACT_LOG=info; each node reports what it refuses" run_cell
step "what it got right" "$OUT/truth.json and $OUT/decisions.jsonl must be of the same run" \
    "$INTACT" booth score --truth "$OUT/truth.json" "$OUT/decisions.jsonl"
step_table
cat <<END

  $OUT/decisions.jsonl   one line a decision
  $OUT/demo.rrd          everything that was seen; look at it with: rerun $OUT/demo.rrd
                         (pip install rerun-sdk==0.36.3), or live in a browser: $INTACT run --source booth --serve
  $OUT/demo_bag          the recorded run, as ros2 bag writes it; replay it with:
                         $INTACT run --bag $OUT/demo_bag --references $OUT/references --lockstep
END
