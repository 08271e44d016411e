"""Hazelnut and TAMPAR, every score: what a change of the product moves shows here, not how good it is.

Both are too few and hazelnut is too easy for more: a rule of colour solves it, and its AUROC is told beside. Three sets: `hazelnut`, as
`intact eval --format mvtec` has it; `tampar`, the anomaly of sides that were really taped, labelled or written on and of those that were
not, beside the pristine ones (`tampar.py`); `pristine`, perception's worst score on each pristine side. Nothing here ever trains.

    training/regression.py --out out/before        # and, after a change,
    training/regression.py --out out/after --against out/before/scores.jsonl
"""

import argparse
import csv
import json
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import cv2
import numpy as np

import goods
import tampar
from exam import interval
from ranks import auroc

HERE = Path(__file__).resolve().parent
# A score that moved by more is named; an AUROC that fell by more fails, and so do fewer changed ones that are compared.
MOVED, FELL = 0.05, 0.02
# The rule of colour: the share of a picture's pixels that are darker than all but this share of those of `good/`.
DARK = 0.001
# Folders of MVTec's layout, and where the shared data have them.
LAYOUT = {"train/good": "good", "test/good": "test_good", "test/stain": "test_stain", "ground_truth/stain": "mask_stain"}


def lay_out(data: Path, root: Path) -> None:
    for name, folder in LAYOUT.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to((data / folder).resolve(), target_is_directory=True)


def hazelnut(args: argparse.Namespace) -> list[dict]:
    root, scores = args.out / "hazelnut", args.out / "hazelnut.csv"
    lay_out(args.data / "defect_hazelnut", root)
    subprocess.run([args.intact, "eval", str(root), "--format", "mvtec", "--model", args.model, "--submission", str(scores)], check=True,
                   stdout=subprocess.DEVNULL)
    dark = darkness(root)
    with scores.open() as file:
        found = [(row["capture_id"], float(row["pred"])) for row in csv.DictReader(file)]
    return [{"set": "hazelnut", "id": i, "changed": not i.startswith("good/"), "score": score, "dark": dark[i]} for i, score in found]


def darkness(root: Path) -> dict[str, float]:
    """What the rule of colour says of each picture to be judged."""
    def grey(kind: str) -> dict[str, np.ndarray]:
        return {f"{p.parent.name}/{p.stem}": cv2.imread(str(p), cv2.IMREAD_GRAYSCALE) for p in sorted((root / kind).glob("*.jpg"))}

    level = np.quantile(np.stack(list(grey("train/good").values())), DARK)
    return {name: round(float((g < level).mean()), 6) for name, g in (grey("test/good") | grey("test/stain")).items()}


def parcels(args: argparse.Namespace) -> list[dict]:
    own = argparse.Namespace(intact=args.intact, data=args.data / "parcel_tampar", out=args.out / "tampar")
    sides = tampar.lay_out(own.data, own.out)
    with redirect_stdout(sys.stderr):
        seen = tampar.really_changed(own)
    rows = [{"set": "tampar", "id": name, "changed": changed, "score": score} for name, changed, score in seen]
    # The worst item's, where a side fell into several; none where no item was found.
    return rows + [{"set": "pristine", "id": s["id"], "changed": False, "score": max(goods.inspect(args, s), default=None)} for s in sides]


def figures(rows: list[dict]) -> dict[str, dict]:
    """AUROC of each set that has both kinds, changed against unchanged, and how many of each; sides that were not compared are left out."""
    found = {}
    for name, kind, key in (("hazelnut", "hazelnut", "score"), ("rule of colour", "hazelnut", "dark"), ("tampar", "tampar", "score")):
        known = [row for row in rows if row["set"] == kind and row[key] is not None]
        bad, good = (np.array([row[key] for row in known if row["changed"] == which]) for which in (True, False))
        if len(bad) and len(good):
            value, between = round(auroc(bad, good), 4), interval(bad, good, auroc)
            found[name] = {"changed": len(bad), "unchanged": len(good), "auroc": value, "auroc_95": between}
    return found


def told(score: float | None) -> str:
    return "none" if score is None else f"{score:.3f}"


def compare(before: list[dict], now: list[dict]) -> bool:
    """Prints what moved; whether it got worse: an AUROC fell or went, or fewer changed sides are compared, which no AUROC shows.

    A score that came or went has moved."""
    earlier, later = ({(row["set"], row["id"]): row["score"] for row in rows} for rows in (before, now))
    pairs = [(key, earlier.get(key), later.get(key)) for key in sorted(earlier.keys() | later.keys())]
    moved = [(key, a, b) for key, a, b in pairs if (a is None) != (b is None) or (a is not None and abs(a - b) > MOVED)]
    for (kind, name), a, b in moved:
        print(f"moved: {kind:9} {name:32} {told(a)} -> {told(b)}")
    print(f"{len(moved)} of {len(later)} scores moved by more than {MOVED}")
    was, is_now = figures(before), figures(now)
    fallen = [name for name in was if name not in is_now or was[name]["auroc"] - is_now[name]["auroc"] > FELL]
    for name in fallen:
        print(f"fell by more than {FELL}: {name}, {was[name]['auroc']} -> {is_now.get(name, {}).get('auroc')}")
    fewer = [name for name in was if name in is_now and is_now[name]["changed"] < was[name]["changed"]]
    for name in fewer:
        print(f"fewer changed ones are compared: {name}, {was[name]['changed']} -> {is_now[name]['changed']}")
    return bool(fallen or fewer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--intact", default=str(HERE.parent / "target" / "debug" / "intact"))
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data", help="real captures")
    parser.add_argument("--model", default="builtin", help="for hazelnut and the pristine sides")
    parser.add_argument("--out", type=Path, default=HERE.parent / "out" / "regression", help="folder of scores.jsonl; made anew")
    parser.add_argument("--against", type=Path, help="scores.jsonl of an earlier run")
    args = parser.parse_args()
    if not args.data.is_dir():
        raise SystemExit(f"{args.data} is absent: this needs real captures; name their folder with --data")
    # Read first: it may lie where the new ones are written.
    before = [json.loads(line) for line in args.against.read_text().splitlines()] if args.against else []
    shutil.rmtree(args.out, ignore_errors=True)
    args.out.mkdir(parents=True)
    rows = hazelnut(args) + parcels(args)
    (args.out / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for row in rows:
        dark = f"  dark {row['dark']:.4f}" if "dark" in row else ""
        print(f"{row['set']:9} {row['id']:32} {'changed' if row['changed'] else 'unchanged':9} {told(row['score'])}{dark}")
    for name, f in figures(rows).items():
        print(f"{name}: AUROC {f['auroc']:.3f} ({f['auroc_95'][0]:.3f} … {f['auroc_95'][1]:.3f}), {f['changed']} against {f['unchanged']}")
    if args.against and compare(before, rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
