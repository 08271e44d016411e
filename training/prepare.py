"""Makes what the network learns from: booth captures and real goods, cut into what the model sees of each item."""

import argparse
import csv
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The exam's seeds stand in exam.json; parts never share a product, whatever the seed.
TRAIN_SEEDS, VALIDATION_SEEDS = range(100, 116), range(200, 204)
# Booths with three cameras, which look from the side, too; of these so many in a hundred of the others' captures, each by every camera.
OBLIQUE_SEEDS, OBLIQUE_PERCENT = range(116, 120), 64
# Booths whose items are found by colour alone, as they are where the network is asked; so are the validation's.
COLOUR_SEEDS = range(120, 150)
# Further booths whose items are found by depth, for the network that is asked beside the trees, and their validation.
DEPTH_SEEDS, DEPTH_VALIDATION_SEEDS = range(150, 172), range(204, 208)

# Shares of an item's size that wide crops keep around it, in turn.
WIDE = (0.15, 0.3, 0.6, 1.0)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def is_done(folder: Path, recipe: list[str]) -> bool:
    """Whether the folder is there, made by the same recipe: crops of two recipes in one training would go unnoticed."""
    done = folder / "done"
    if not done.exists():
        return False
    if done.read_text().split("\n") != recipe:
        raise SystemExit(f"{folder} was made otherwise (another size, number or way of finding items): delete it to make it anew")
    return True


def finish(folder: Path, recipe: list[str]) -> None:
    (folder / "done").write_text("\n".join(recipe))


def booth(intact: str, out: Path, split: str, seeds: range, items: int, side: int, *more: str, cameras: int = 1) -> None:
    """One folder of crops a seed; finished ones are kept."""
    for seed in seeds:
        crops, captures = out / f"{split}-{seed}", out / f"captures-{split}-{seed}"
        recipe = [f"items {items}", f"side {side}", f"cameras {cameras}", *more]
        if is_done(crops, recipe):
            continue
        shutil.rmtree(crops, ignore_errors=True)
        shutil.rmtree(captures, ignore_errors=True)
        say(f"booth {split} {seed}: {items} captures")
        subprocess.run([intact, "booth", "generate", "--seed", str(seed), "--items", str(items), "--split", split,
                        "--damaged", "0.5", "--no-references", "--cameras", str(cameras), "--out", str(captures)], check=True)
        subprocess.run([intact, "crops", str(captures), "--format", "booth", "--split", split, "--side", str(side),
                        "--out", str(crops), *more], check=True)
        shutil.rmtree(captures)
        finish(crops, recipe)


def listed(data: Path) -> list[dict]:
    """Every capture of undamaged goods in the shared data, hazelnut and TAMPAR left out."""
    rows = []

    def add(source: str, item: str, color: Path, **more) -> None:
        rows.append({"id": f"{source}/{item}/{color.stem}", "item": f"{source}/{item}", "color": str(color), **more})

    for folder in sorted((data / "retail_arc2017").iterdir()):
        for picture in sorted(folder.glob("*.jpg")) if folder.is_dir() else []:
            top = picture.stem == "top"
            add("arc", folder.name, picture, one_item=top, references=[] if top else [str(folder / "top.jpg")])
    for part in ("gallery", "query"):
        for picture in sorted((data / "retail_grocery" / part).glob("*.jpg")):
            product = picture.stem.rsplit("_", 1)[0]
            packshot = data / "retail_grocery" / "gallery" / f"{product}_Iconic.jpg"
            add("grocery", product, picture, one_item=True, references=[] if part == "gallery" else [str(packshot)])
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
    rows = listed(data)
    recipe = [f"side {side}", "items found by the network"]
    if is_done(out / "real", recipe):
        return
    shutil.rmtree(out / "real", ignore_errors=True)
    (out / "real.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    say(f"real goods: {len(rows)} captures")
    subprocess.run([intact, "crops", str(out / "real.jsonl"), "--side", str(side), "--out", str(out / "real")], check=True)
    finish(out / "real", recipe)


def wide(out: Path, side: int) -> None:
    """The real goods once more, smaller, with more of what surrounds them; the place is where the item was found."""
    import cv2
    import numpy as np

    folder = out / "wide"
    found = np.load(out / "real" / "inputs.npy", mmap_mode="r")
    outlines = hashlib.sha256(np.ascontiguousarray(found[:, 5])).hexdigest()
    recipe = [f"side {side}", f"margins {WIDE}", hashlib.sha256((out / "real" / "crops.csv").read_bytes()).hexdigest(), outlines]
    if is_done(folder, recipe):
        return
    folder.mkdir(exist_ok=True)
    captures = {row["id"]: row for row in map(json.loads, (out / "real.jsonl").read_text().splitlines()) if "depth" not in row}
    with (out / "real" / "crops.csv").open() as file:
        reader = csv.DictReader(file)
        # A capture that is there with and without depth counts once.
        rows = [(k, row) for k, row in enumerate(reader) if row["id"] in captures and not row["classical"]]
        names = list(reader.fieldnames or [])
    inputs = np.lib.format.open_memmap(folder / "inputs.npy", "w+", np.uint8, (len(rows), 6, side, side))
    for k, (at, row) in enumerate(rows):
        color = cv2.cvtColor(cv2.imread(captures[row["id"]]["color"]), cv2.COLOR_BGR2RGB)
        x, y, w, h = (int(row[name]) for name in "xywh")
        dx, dy = (int(size * WIDE[k % len(WIDE)]) for size in (w, h))
        left, top, right, low = max(0, x - dx), max(0, y - dy), min(color.shape[1], x + w + dx), min(color.shape[0], y + h + dy)
        place = np.zeros(color.shape[:2], np.uint8)
        place[y : y + h, x : x + w] = cv2.resize(np.array(found[at, 5]), (w, h), interpolation=cv2.INTER_NEAREST)
        planes = cv2.split(color[top:low, left:right])
        inputs[k, :3] = [cv2.resize(plane, (side, side), interpolation=cv2.INTER_AREA) for plane in planes]
        inputs[k, 5] = cv2.resize(place[top:low, left:right], (side, side), interpolation=cv2.INTER_NEAREST)
    np.save(folder / "damage.npy", np.zeros((len(rows), side, side), np.uint8))
    with (folder / "crops.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(row for _, row in rows)
    finish(folder, recipe)


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
    parser.add_argument("--side", type=int, default=320)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    booth(args.intact, args.out, "train", TRAIN_SEEDS, args.items, args.side)
    booth(args.intact, args.out, "train", OBLIQUE_SEEDS, max(1, args.items * OBLIQUE_PERCENT // 100), args.side, "--colour-alone", cameras=3)
    booth(args.intact, args.out, "train", COLOUR_SEEDS, args.items, args.side, "--colour-alone")
    booth(args.intact, args.out, "train", DEPTH_SEEDS, args.items, args.side)
    booth(args.intact, args.out, "validation", VALIDATION_SEEDS, args.items, args.side, "--colour-alone")
    booth(args.intact, args.out, "validation", DEPTH_VALIDATION_SEEDS, args.items, args.side)
    if args.data.is_dir():
        real(args.intact, args.out, args.data, args.side)
        wide(args.out, args.side)
    else:
        say(f"{args.data} is absent: training goes on with the booth alone")


if __name__ == "__main__":
    main()
