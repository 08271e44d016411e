# Shared by the scripts of this folder: steps with their minutes, and failures that say how to mend them.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Where rustup puts cargo; a shell that was open before it came does not know it.
export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
STEP_TABLE=""

# step NAME HINT COMMAND…: runs COMMAND, prints how long it took; on failure prints HINT and ends.
step() {
    local name=$1 hint=$2 from=$SECONDS
    shift 2
    printf '\n\033[1m── %s\033[0m\n' "$name"
    if ! "$@"; then
        STEP_TABLE+=$(minutes_of "$name (failed)" "$from")$'\n'
        step_table >&2
        printf '\n\033[1;31mfailed: %s\033[0m\n  how to mend it: %s\n' "$name" "$hint" >&2
        exit 1
    fi
    STEP_TABLE+=$(minutes_of "$name" "$from")$'\n'
}

minutes_of() {
    printf '  %5.1f min  %s' "$(awk "BEGIN{print ($SECONDS-$2)/60}")" "$1"
}

step_table() {
    printf '\n\033[1mMinutes a step\033[0m\n%s  %5.1f min  in all\n' "$STEP_TABLE" "$(awk "BEGIN{print $SECONDS/60}")"
}
