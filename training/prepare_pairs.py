"""What the comparing network learns from: items of booths beside their references, and photographs of undamaged goods beside theirs."""

import argparse
import json
import shutil
import subprocess
from pathlib import Path

from prepare import listed, say, splits

HERE = Path(__file__).resolve().parent
# Seeds of the booths, for each part.
SEEDS = {"train": range(200, 219), "validation": range(250, 252)}
PRODUCTS_PER_ITEM = 0.25
DAMAGED = 0.5


def booth(intact: str, out: Path, part: str, seed: int, items: int) -> None:
    done = out / f"{part}-{seed}"
    if (done / "pairs.csv").exists():
        return
    scene, unfinished = out / f"booth-{seed}", out / f"unfinished-{seed}"
    for folder in (scene, unfinished):
        shutil.rmtree(folder, ignore_errors=True)
    say(f"booth {seed}, {part}: {items} captures")
    subprocess.run([intact, "booth", "generate", "--seed", str(seed), "--items", str(items), "--split", part, "--products",
                    str(round(items * PRODUCTS_PER_ITEM)), "--damaged", str(DAMAGED), "--out", str(scene)], check=True)
    subprocess.run([intact, "pairs", str(scene), "--format", "booth", "--split", part, "--out", str(unfinished)], check=True)
    shutil.rmtree(scene)
    unfinished.rename(done)


def photographs(intact: str, out: Path, data: Path) -> None:
    done, unfinished = out / "train-real", out / "unfinished-real"
    if (done / "pairs.csv").exists():
        return
    if not data.is_dir():
        say(f"{data} is absent: the network learns from the booth alone")
        return
    shutil.rmtree(unfinished, ignore_errors=True)
    part = splits()
    rows = [row for row in listed(data) if row.get("references") and part.get(row["item"]) == "train"]
    (out / "real.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    say(f"photographs of undamaged goods: {len(rows)}")
    subprocess.run([intact, "pairs", str(out / "real.jsonl"), "--out", str(unfinished)], check=True)
    unfinished.rename(done)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--intact", default=str(HERE.parent / "target" / "debug" / "intact"))
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data", help="real captures")
    parser.add_argument("--out", type=Path, default=HERE.parent / "out" / "pairs")
    parser.add_argument("--items", type=int, default=300, help="captures a booth")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for part, seeds in SEEDS.items():
        for seed in seeds:
            booth(args.intact, args.out, part, seed, args.items)
    photographs(args.intact, args.out, args.data)


if __name__ == "__main__":
    main()
