"""The exam on real goods: damage and shams put into captures that never trained, the shortcut audit, and a model's figures on them.

Products and scenes are those that `splits.csv` gives to the test. The injector is the exam's own (`intact booth inject`, crate
`injection`); training's is `inject.py`, and they share no code."""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

from prepare import listed

HERE = Path(__file__).resolve().parent
# What the figures in docs/measured.md were taken with.
SEED, COPIES = 1, 9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--intact", default=str(HERE.parent / "target" / "debug" / "intact"))
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data", help="real captures")
    parser.add_argument("--out", type=Path, default=HERE.parent / "out" / "real-exam", help="folder; what is there is made anew")
    parser.add_argument("--copies", type=int, default=COPIES, help="pairs a capture")
    parser.add_argument("--no-audit", action="store_true")
    parser.add_argument("eval", nargs="*", help="after --: arguments for `intact eval`")
    args = parser.parse_args()
    if not args.data.is_dir():
        raise SystemExit(f"{args.data} is absent: this exam needs real captures; name their folder with --data")
    shutil.rmtree(args.out, ignore_errors=True)
    args.out.mkdir(parents=True)
    rows = listed(args.data)
    (args.out / "real.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    pairs = args.out / "pairs"
    subprocess.run([args.intact, "booth", "inject", str(args.out / "real.jsonl"), "--splits", str(HERE / "splits.csv"), "--part", "test",
                    "--copies", str(args.copies), "--seed", str(SEED), "--out", str(pairs), "--sheet", str(args.out / "sheet.png")], check=True)
    if not args.no_audit:
        subprocess.run([sys.executable, str(HERE / "audit.py"), str(pairs)], check=True)
    subprocess.run([args.intact, "eval", str(pairs), "--format", "booth", "--report", str(args.out / "report"), *args.eval], check=True)


if __name__ == "__main__":
    main()
