#!/usr/bin/env bash
# From nothing to a released damage model, from the released one to a user's own, or the frozen exam:
# `tools/train.sh [comparison | embedding | items | finetune DATASET FORMAT | exam ARGUMENTS… | real-exam ARGUMENTS…]`.
source "$(dirname "$0")/lib.sh"
VENV=.venv-train
PYTHON=$VENV/bin/python
OUT=${OUT:-out/training}

python_packages() {
    tools/setup.sh system || return 1
    cmp -s training/requirements.txt $VENV/requirements.installed && return 0
    [ -x $PYTHON ] || python3 -m venv $VENV || return 1
    $VENV/bin/pip install --quiet --disable-pip-version-check -r training/requirements.txt || return 1
    cp training/requirements.txt $VENV/requirements.installed
}

user_crops() { # DATASET FORMAT
    mkdir -p "$OF_USER"
    local part
    for part in train validation; do
        [ -e "$OF_USER/$part-user/done" ] && continue
        rm -rf "${OF_USER:?}/$part-user"
        target/debug/intact crops "$1" --format "$2" --split $part --out "$OF_USER/$part-user" || return 1
        touch "$OF_USER/$part-user/done"
    done
}

step "Python packages" "PyPI must answer; 6 GB of disk are needed" python_packages
step "intact" "the compiler's first error above names what is missing" cargo build --workspace --locked
if [ "${1:-}" = exam ]; then
    step "the frozen exam" "see the message above; captures are kept in out/exam" $PYTHON training/exam.py "${@:2}"
elif [ "${1:-}" = real-exam ]; then
    step "damage put into real captures" "see the message above; the captures lie in ../shared/data" $PYTHON training/real_exam.py "${@:2}"
elif [ "${1:-}" = comparison ]; then
    PAIRS=${PAIRS:-out/pairs}
    step "what it learns from" "start again to go on; delete $PAIRS to begin anew" $PYTHON training/prepare_pairs.py --out "$PAIRS"
    step "training" "see the message above" $PYTHON training/pairs.py --pairs "$PAIRS" --samples "${SAMPLES:-110000}"
    step "intact with the new weights" "the compiler's first error above names what is missing" cargo build --workspace --locked
elif [ "${1:-}" = embedding ]; then
    LOOKS=${LOOKS:-out/looks}
    step "what it learns from" "start again to go on; delete $LOOKS to begin anew" $PYTHON training/prepare_embedding.py --out "$LOOKS"
    step "training" "start again to go on where it stopped" $PYTHON training/embedding.py --looks "$LOOKS" --samples "${SAMPLES:-600000}"
    step "intact with the new weights" "the compiler's first error above names what is missing" cargo build --workspace --locked
elif [ "${1:-}" = items ]; then
    ITEMS_OUT=${ITEMS_OUT:-out/items}
    step "what it learns from" "start again to go on; delete $ITEMS_OUT to begin anew" $PYTHON training/prepare_items.py --out "$ITEMS_OUT"
    step "training" "start again to go on where it stopped" $PYTHON training/items.py --items "$ITEMS_OUT" --samples "${SAMPLES:-250000}"
    step "intact with the new weights" "the compiler's first error above names what is missing" cargo build --workspace --locked
elif [ "${1:-}" = finetune ]; then
    [ $# -eq 3 ] || { echo "give DATASET and FORMAT (kaputt or booth)" >&2 && exit 2; }
    # One folder a data set and length of training: another one starts anew, the same one goes on.
    OF_USER=$OUT/user-$(printf '%s|%s|%s' "$(realpath "$2")" "$3" "${SAMPLES:-20000}" | sha256sum | cut -c1-12)
    step "your captures as crops" "the data set needs a train and a validation part" user_crops "$2" "$3"
    step "training" "start again to go on where it stopped" \
        $PYTHON training/train.py --crops "$OF_USER" --start models/damage/damage.pt --rate 3e-4 --final-share 1 --with-depth --samples "${SAMPLES:-20000}" --out "$OF_USER/model"
    step "ONNX" "see the message above" \
        $PYTHON training/export.py --crops "$OF_USER" --weights "$OF_USER/model/final.pt" --with-depth --out "$OF_USER/damage.onnx"
    echo "use it: intact inspect … --model $OF_USER/damage.onnx, or the parameter perception.model"
else
    step "what it learns from" "start again to go on; delete $OUT to begin anew" $PYTHON training/prepare.py --out "$OUT" --items "${ITEMS:-250}"
    step "training" "start again to go on where it stopped" \
        $PYTHON training/train.py --crops "$OUT" --out "$OUT/model" --samples "${SAMPLES:-3000000}" --final-share 0.6 --final-windows 0.25
    step "ONNX" "see the message above" $PYTHON training/export.py --crops "$OUT" --weights "$OUT/model/final.pt"
    step "training, with depth" "start again to go on where it stopped" \
        $PYTHON training/train.py --crops "$OUT" --start "$OUT/model/final.pt" --out "$OUT/model-depth" --samples "${DEPTH_SAMPLES:-900000}" \
        --with-depth --lost 0.08 --final-side 192 --final-share 0.9 --final-windows 0.2 --real-share 0.35 --rate 1.5e-3
    step "ONNX, with depth" "see the message above" \
        $PYTHON training/export.py --crops "$OUT" --weights "$OUT/model-depth/final.pt" --with-depth --side 192 --out models/damage/damage-depth.onnx
    step "intact with the new weights" "the compiler's first error above names what is missing" cargo build --workspace --locked
fi
step_table
