"""Makes what the network learns from: booth captures and real goods, cut into what the model sees of each item."""

import argparse
import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The exam's seeds stand in exam.json; parts never share a product, whatever the seed.
TRAIN_SEEDS, VALIDATION_SEEDS = range(100, 116), range(200, 204)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def booth(intact: str, out: Path, split: str, seeds: range, items: int, side: int) -> None:
    """One folder of crops a seed; finished ones are kept."""
    for seed in seeds:
        crops, captures = out / f"{split}-{seed}", out / f"captures-{split}-{seed}"
        if (crops / "done").exists():
            continue
        shutil.rmtree(crops, ignore_errors=True)
        shutil.rmtree(captures, ignore_errors=True)
        say(f"booth {split} {seed}: {items} captures")
        subprocess.run([intact, "booth", "generate", "--seed", str(seed), "--items", str(items), "--split", split,
                        "--damaged", "0.5", "--no-references", "--out", str(captures)], check=True)
        subprocess.run([intact, "crops", str(captures), "--format", "booth", "--split", split, "--side", str(side),
                        "--out", str(crops)], check=True)
        shutil.rmtree(captures)
        (crops / "done").touch()


def listed(data: Path) -> list[dict]:
    """Every capture of undamaged goods in the shared data, hazelnut and TAMPAR left out."""
    rows = []

    def add(source: str, item: str, color: Path, **more) -> None:
        rows.append({"id": f"{source}/{item}/{color.stem}", "item": f"{source}/{item}", "color": str(color), **more})

    for folder in sorted((data / "retail_arc2017").iterdir()):
        for picture in sorted(folder.glob("*.jpg")) if folder.is_dir() else []:
            add("arc", folder.name, picture, one_item=picture.stem == "top")
    for part in ("gallery", "query"):
        for picture in sorted((data / "retail_grocery" / part).glob("*.jpg")):
            add("grocery", picture.stem.rsplit("_", 1)[0], picture, one_item=True)
    for color in sorted((data / "rgbd_mosd").glob("*_color.png")):
        depth = color.with_name(color.name.replace("_color", "_depth_mm"))
        add("mosd", color.stem.removesuffix("_color"), color, depth=str(depth), depth_unit_m=0.001, camera=[525.0, 525.0, 319.5, 239.5])
        add("mosd", color.stem.removesuffix("_color"), color)
    for color in sorted((data / "rgbd_single_item").glob("*_color.png")):
        name = color.stem.removesuffix("_color")
        camera = json.loads(color.with_name(f"{name}_camera.json").read_text())
        add("single", name, color, depth=str(color.with_name(f"{name}_depth_0.1mm.png")), depth_unit_m=0.0001,
            camera=[camera[k] for k in ("fx", "fy", "cx", "cy")], one_item=True)
        add("single", name, color, one_item=True)
    return rows


def real(intact: str, out: Path, data: Path, side: int) -> None:
    if (out / "real" / "done").exists():
        return
    shutil.rmtree(out / "real", ignore_errors=True)
    rows = listed(data)
    (out / "real.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    say(f"real goods: {len(rows)} captures")
    subprocess.run([intact, "crops", str(out / "real.jsonl"), "--side", str(side), "--out", str(out / "real")], check=True)
    (out / "real" / "done").touch()


def splits() -> dict[str, str]:
    """Product or scene to train, tune or test."""
    with (HERE / "splits.csv").open() as file:
        return {row["item"]: row["part"] for row in csv.DictReader(line for line in file if not line.startswith("#"))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE.parent / "out" / "training")
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data", help="real captures; passed over when absent")
    parser.add_argument("--intact", default=str(HERE.parent / "target" / "debug" / "intact"))
    parser.add_argument("--items", type=int, default=250, help="captures a booth seed")
    parser.add_argument("--side", type=int, default=384)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    booth(args.intact, args.out, "train", TRAIN_SEEDS, args.items, args.side)
    booth(args.intact, args.out, "validation", VALIDATION_SEEDS, args.items, args.side)
    if args.data.is_dir():
        real(args.intact, args.out, args.data, args.side)
    else:
        say(f"{args.data} is absent: training goes on with the booth alone")


if __name__ == "__main__":
    main()
