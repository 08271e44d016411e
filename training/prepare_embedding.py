"""What the network of looks learns from: items of booths and photographs of undamaged goods, and their references, as `intact looks` cuts them out."""

import argparse
import json
import shutil
import subprocess
from pathlib import Path

from prepare import listed, say, splits

HERE = Path(__file__).resolve().parent
# Seeds of the booths, for each part; no other training and no exam has them.
SEEDS = {"train": range(400, 409), "validation": range(450, 452)}
# Booths with three cameras, which look from the side, too; of these so many in a hundred of the others' captures, each by every camera.
OBLIQUE_SEEDS, OBLIQUE_PERCENT = {"train": range(409, 411), "validation": range(452, 453)}, 34
# With four references a product has about eight looks.
PRODUCTS_PER_ITEM, REFERENCES = 0.25, 4
DAMAGED = 0.35
# What splits.csv calls each part.
PHOTOGRAPHED = {"train": "train", "validation": "tune"}


def booth(args: argparse.Namespace, part: str, seed: int, items: int, cameras: int = 1) -> None:
    done = args.out / f"{part}-{seed}"
    if (done / "looks.csv").exists():
        return
    scene, unfinished = args.out / f"booth-{seed}", args.out / f"unfinished-{seed}"
    for folder in (scene, unfinished):
        shutil.rmtree(folder, ignore_errors=True)
    say(f"booth {seed}, {part}: {items} captures")
    subprocess.run([args.intact, "booth", "generate", "--seed", str(seed), "--items", str(items), "--split", part, "--products",
                    str(round(items * PRODUCTS_PER_ITEM)), "--views", str(REFERENCES), "--damaged", str(DAMAGED), "--cameras", str(cameras),
                    "--size", args.size, "--out", str(scene)], check=True)
    subprocess.run([args.intact, "looks", str(scene), "--format", "booth", "--split", part, "--out", str(unfinished)], check=True)
    shutil.rmtree(scene)
    unfinished.rename(done)


def photographs(args: argparse.Namespace, part: str) -> None:
    done, unfinished = args.out / f"{part}-real", args.out / "unfinished-real"
    if (done / "looks.csv").exists():
        return
    if not args.data.is_dir():
        say(f"{args.data} is absent: {part} has the booth alone")
        return
    shutil.rmtree(unfinished, ignore_errors=True)
    of = splits()
    rows = [row for row in listed(args.data) if row.get("references") and of.get(row["item"]) == PHOTOGRAPHED[part]]
    table = args.out / f"{part}-real.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    say(f"photographs of undamaged goods, {part}: {len(rows)}")
    subprocess.run([args.intact, "looks", str(table), "--out", str(unfinished)], check=True)
    unfinished.rename(done)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--intact", default=str(HERE.parent / "target" / "debug" / "intact"))
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data", help="real captures")
    parser.add_argument("--out", type=Path, default=HERE.parent / "out" / "looks")
    parser.add_argument("--items", type=int, default=320, help="captures a booth")
    parser.add_argument("--size", default="480x360", help="of the captures")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for part in SEEDS:
        photographs(args, part)
        for seed in SEEDS[part]:
            booth(args, part, seed, args.items)
        for seed in OBLIQUE_SEEDS[part]:
            booth(args, part, seed, max(1, args.items * OBLIQUE_PERCENT // 100), cameras=3)


if __name__ == "__main__":
    main()
