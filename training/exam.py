"""The frozen booth exam: makes it, proves that it is the frozen one, judges a model on it.

`exam.json` holds the seeds, and per seed a hash of its first captures with histograms of severity, type and size: of the exam's own
booths, written before any model was judged on them, and of the validation booths whose good items set the limit, added later from
the captures that the first published limit was taken with. A change of the booth that changes the exam shows here; it goes into the
changelog with the scores on both."""

import argparse
import csv
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet

from ranks import auroc

HERE = Path(__file__).resolve().parent
FROZEN = HERE / "exam.json"
# Three booths of each surface; `intact booth generate --split test` of these seeds.
SEEDS = [301, 302, 303, 304, 305, 306, 307, 308, 309]
ITEMS, DAMAGED = 800, 0.29
# Captures a seed that the hash covers: a seed gives the same first captures, however many are made.
HASHED = 40
# Ranges of the root of the damaged area, pixels.
SIZES_PX = (0, 8, 16, 32, 64, 128)
# What training never sees (crates/booth/src/part.rs).
HELD_FAMILIES = ("book", "tube")
# Booths of the part `validation`, whose good items set the threshold.
VALIDATION_SEEDS, VALIDATION_ITEMS = (260, 261, 262), 200


def generate(args: argparse.Namespace, seed: int, items: int, out: Path, views: int = 0, part: str = "test") -> None:
    # Written last: without it somebody stopped while the rest was made.
    if (out / "booth.json").exists():
        return
    if out.exists():
        print(f"{out} is half written: made anew", file=sys.stderr)
    shutil.rmtree(out, ignore_errors=True)
    subprocess.run([args.intact, "booth", "generate", "--seed", str(seed), "--items", str(items), "--split", part, "--products", "100",
                    "--damaged", str(DAMAGED), "--views", str(views), "--out", str(out)], check=True, stdout=sys.stderr)


def describe(folder: Path, part: str = "test") -> dict:
    """Hash and histograms of the first captures of a folder."""
    table = pyarrow.parquet.read_table(folder / f"query-{part}.parquet").to_pylist()[:HASHED]
    digest = hashlib.sha256()
    for row in table:
        for column in ("query_image", "query_depth", "query_mask", "query_damage"):
            if row[column]:
                digest.update((folder / row[column]).read_bytes())
    severity = Counter("major" if r["major_defect"] else "minor" if r["defect"] else "none" for r in table)
    types = Counter(t for r in table for t in (r["defect_types"] or "").split(",") if t)
    roots = [float(r["damage_px"]) for r in table if r["damage_px"]]
    counts = np.histogram(roots, [*SIZES_PX, np.inf])[0]
    return {"sha256": digest.hexdigest(), "severity": dict(sorted(severity.items())), "types": dict(sorted(types.items())),
            "sizes_px": {str(size): int(n) for size, n in zip(SIZES_PX, counts)},
            "families": dict(sorted(Counter(r["family"] for r in table).items()))}


def counts(text: str) -> list[int]:
    """Ascending: the gain is that of the last over the first, and the last says how many views the booths need."""
    found = sorted(int(n) for n in text.split(","))
    if found[0] < 1 or len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"`{text}`: numbers of references from 1 on, each once")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--intact", default=str(HERE.parent / "target" / "debug" / "intact"))
    parser.add_argument("--out", type=Path, default=HERE.parent / "out" / "exam")
    parser.add_argument("--items", type=int, default=ITEMS, help="captures a seed; fewer are a sample of the exam")
    parser.add_argument("--freeze", action="store_true", help="write exam.json")
    parser.add_argument("--check", action="store_true", help="only prove that the captures are the frozen ones")
    parser.add_argument("--colour-alone", action="store_true", help="leave the depth out")
    parser.add_argument("--references", choices=("none", "auto"), default="none", help="auto: judge items beside the references of their products")
    parser.add_argument("--most-references", type=int, help="use this many references of a product at most")
    parser.add_argument("--counts", type=counts, metavar="1,2,3,5,10",
                        help="judge beside so many references, one count after the other, and compare the figures pair by pair")
    parser.add_argument("eval", nargs="*", help="after --: arguments for `intact eval`")
    args = parser.parse_args()
    assert args.items >= HASHED, f"--items {args.items}: at least {HASHED}, what the hash covers"
    assert not (args.counts and (args.check or args.freeze)), "--counts judges without a limit: leave --check and --freeze out"
    held_items = VALIDATION_ITEMS
    if args.check:
        # Made anew: what lies there from before says nothing of the booth of today.
        args.out, args.items, held_items = Path(tempfile.mkdtemp(prefix="exam-")), HASHED, HASHED
    # The captures are the same however many views of the products there are.
    views = max(args.counts or [0])
    folders = {seed: args.out / (f"{seed}-{args.items}" + (f"-{views}-views" if views else "")) for seed in SEEDS}
    for seed, folder in folders.items():
        generate(args, seed, args.items, folder, views)
    held = {} if args.counts else {seed: args.out / f"validation-{seed}-{held_items}" for seed in VALIDATION_SEEDS}
    for seed, folder in held.items():
        generate(args, seed, held_items, folder, part="validation")
    found = {"seeds": {str(seed): describe(folder) for seed, folder in folders.items()},
             "validation": {str(seed): describe(folder, "validation") for seed, folder in held.items()}}
    if args.check:
        shutil.rmtree(args.out)
        compare(found)
        print(f"the frozen exam: {len(SEEDS)} booths and {len(held)} of validation, made anew", file=sys.stderr)
        return
    if args.freeze:
        more = {"items": ITEMS, "validation_items": VALIDATION_ITEMS, "damaged": DAMAGED, "hashed": HASHED}
        FROZEN.write_text(json.dumps({**found, **more}, indent=1) + "\n")
    compare(found)
    print(f"the frozen exam: {len(SEEDS)} booths, {args.items} captures each", file=sys.stderr)
    if args.counts:
        args.references = "auto"
        print(json.dumps(by_count(args, list(folders.values())), indent=1))
        return
    rows = [row for folder in folders.values() for row in judge(args, folder, args.most_references)]
    print(json.dumps(figures(rows, validated(args, held)), indent=1))


def validated(args: argparse.Namespace, held: dict[int, Path]) -> float:
    """The limit that 1 % of the good items of booth validation exceed."""
    good = []
    for folder in held.values():
        good += [row["score"] for row in judge(args, folder, args.most_references, "validation") if not row["defect"]]
    return float(np.sort(good)[::-1][int(0.01 * len(good))])


def by_count(args: argparse.Namespace, folders: list[Path]) -> dict:
    """AUROC beside 1, 2, … references, and what the most of them gain over the fewest, captures drawn pair by pair."""
    scores, found = {}, {}
    for count in args.counts:
        rows = [row for folder in folders for row in judge(args, folder, count)]
        scores[count], damaged = np.array([r["score"] for r in rows]), np.array([r["defect"] for r in rows])
        found[count] = {"auroc": round(auroc(scores[count][damaged], scores[count][~damaged]), 4)}
        print(count, found[count], file=sys.stderr)
    first, last = scores[args.counts[0]], scores[args.counts[-1]]
    bad, good = np.flatnonzero(damaged), np.flatnonzero(~damaged)
    rng, gains = np.random.default_rng(1), []
    for _ in range(1000):
        b, g = rng.choice(bad, len(bad)), rng.choice(good, len(good))
        gains.append(auroc(last[b], last[g]) - auroc(first[b], first[g]))
    gain = found[args.counts[-1]]["auroc"] - found[args.counts[0]]["auroc"]
    return {"n": len(damaged), "damaged": int(damaged.sum()), "references": found,
            "last_minus_first": {"auroc": round(gain, 4), "auroc_95": [round(float(v), 4) for v in np.percentile(gains, [2.5, 97.5])]}}


def compare(found: dict) -> None:
    """Ends with a sentence when these are not the frozen captures; beside counts of references no validation is made."""
    frozen = json.loads(FROZEN.read_text())
    changed = [seed for part in found if found[part] for seed in frozen[part] if found[part].get(seed) != frozen[part][seed]]
    if changed:
        raise SystemExit(f"this is not the frozen exam: seeds {', '.join(changed)} differ. Was the booth changed?")


def judge(args: argparse.Namespace, folder: Path, most: int | None = None, part: str = "test") -> list[dict]:
    """Truth and score of every capture, beside `most` references at most."""
    out = folder / "scores.csv"
    subprocess.run([args.intact, "eval", str(folder), "--format", "kaputt" if args.colour_alone else "booth", "--split", part,
                    "--references", args.references, "--submission", str(out),
                    *(["--most-references", str(most)] if most is not None else []), *args.eval], check=True, stdout=sys.stderr)
    with out.open() as file:
        scores = {row["capture_id"]: float(row["pred"]) for row in csv.DictReader(file)}
    return [{**row, "score": scores[row["capture_id"]]} for row in pyarrow.parquet.read_table(folder / f"query-{part}.parquet").to_pylist()]


def recall_at(bad: np.ndarray, good: np.ndarray, alarms: float) -> float:
    """Share of `bad` above the lowest limit that at most the share `alarms` of `good` exceeds, as `intact eval` has it."""
    if not len(bad) or not len(good):
        return float("nan")
    return float((bad > np.sort(good)[::-1][int(alarms * len(good))]).mean())


def interval(bad: np.ndarray, good: np.ndarray, of) -> list[float]:
    """95 % of 500 bootstrap draws."""
    rng = np.random.default_rng(1)
    drawn = [of(rng.choice(bad, len(bad)), rng.choice(good, len(good))) for _ in range(500)]
    return [round(float(v), 4) for v in np.percentile(drawn, [2.5, 97.5])]


def figures(rows: list[dict], validated_limit: float) -> dict:
    """Of all booths together; types against all intact items, families and look-alikes among themselves. `validated_limit`: above it
    lies 1 % of the good items of booth validation."""
    score = np.array([r["score"] for r in rows])
    damaged = np.array([r["defect"] for r in rows])
    major = np.array([r["major_defect"] for r in rows])
    good = score[~damaged]
    out: dict = {"n": len(rows), "damaged": int(damaged.sum()), "alarms_at_half": round(float((good > 0.5).mean()), 4)}
    for name, which in (("any", damaged), ("major", major)):
        bad = score[which]
        out[name] = {"auroc": round(auroc(bad, good), 4), "auroc_95": interval(bad, good, auroc),
                     "recall_at_1fpr": round(recall_at(bad, good, 0.01), 4), "recall_95": interval(bad, good, lambda b, g: recall_at(b, g, 0.01)),
                     "found_at_half": round(float((bad > 0.5).mean()), 4)}
    types = sorted({t for r in rows for t in (r["defect_types"] or "").split(",") if t})
    has = {t: np.array([t in (r["defect_types"] or "").split(",") for r in rows]) for t in types}
    out["types"] = {t: {"n": int(has[t].sum()), "auroc": round(auroc(score[has[t]], good), 4)} for t in types}
    out["weakest_type"] = min((v["auroc"], t) for t, v in out["types"].items() if t != "missing_unit")
    held = np.array([r["family"] in HELD_FAMILIES for r in rows])
    out["held_out_families"] = {"n": int(held.sum()), "auroc": round(auroc(score[held & damaged], score[held & ~damaged]), 4),
                                "recall_at_1fpr": round(recall_at(score[held & damaged], score[held & ~damaged], 0.01), 4)}
    family = np.array([r["family"] for r in rows])
    out["families"] = {f: {"n": int((family == f).sum()), "auroc": round(auroc(score[damaged & (family == f)], score[~damaged & (family == f)]), 4)}
                       for f in sorted(set(family))}
    alike = np.array([bool(r["lookalike"]) for r in rows])
    out["lookalikes"] = {"intact": int((alike & ~damaged).sum()), "damaged": int((alike & damaged).sum())}
    for name, limit in (("at_half", 0.5), ("at_1fpr_of_validation", validated_limit)):
        share = lambda which: round(float((score[which] > limit).mean()), 4)
        out["lookalikes"][name] = {"limit": round(limit, 4), "alarms": share(alike & ~damaged), "alarms_plain": share(~alike & ~damaged),
                                   "found": share(alike & damaged), "found_plain": share(~alike & damaged)}
    out["at_1fpr_of_validation"] = {"limit": round(validated_limit, 4), "alarms": round(float((good > validated_limit).mean()), 4),
                                    "found_any": round(float((score[damaged] > validated_limit).mean()), 4),
                                    "found_major": round(float((score[major] > validated_limit).mean()), 4)}
    return out


if __name__ == "__main__":
    main()
