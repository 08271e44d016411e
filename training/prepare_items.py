"""What the network that finds items learns from: booth captures, real captures whose items are marked, and things cut out of both.

A folder a part, `train` and `validation`: `captures.npz` (colour, what the depth camera missed, item of each pixel; the `real` ones first), `things.npz`
(cut-outs with their outlines) and `grounds.npz` (pictures without any item, and photographs of which small parts serve as grounds).
"""

import argparse
import json
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet

from prepare import say, splits

HERE = Path(__file__).resolve().parent
# Seeds of the booths; no other training and no exam has them.
SEEDS = {"train": range(600, 640), "validation": range(660, 666)}
# Booths with three cameras, which look from the side, too.
OBLIQUE_SEEDS = {"train": range(640, 652), "validation": range(666, 668)}
# What splits.csv calls each part.
PHOTOGRAPHED = {"train": "train", "validation": "tune"}
# Of what the network sees: columns, rows. Captures are kept a little larger, so that cutting and turning cost no sharpness.
WIDTH, HEIGHT = 320, 240
# Longer side of a cut-out, pixels.
THING = 192
# A cut-out's outline is sharp to within a pixel; so far inside it begins.
INSIDE_PX = 1

Array = np.ndarray


class Part:
    """What is gathered for one part."""

    def __init__(self) -> None:
        self.captures: list[tuple[Array, Array, Array]] = []
        # So many of the captures and of the things, the first, are photographed.
        self.real = (0, 0)
        self.things: list[Array] = []
        self.grounds: list[Array] = []
        self.textures: list[Array] = []

    def capture(self, color: Array, missed: Array, labels: Array) -> None:
        """`color` [h, w, 3] RGB, `missed` 255 where depth was asked for and not given, `labels` the item of each pixel, 0 none."""
        small = cv2.resize(color, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        nearest = [cv2.resize(plane, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST) for plane in (missed, labels)]
        self.captures.append((small, *nearest))

    def thing(self, color: Array, place: Array) -> None:
        """Cuts out what lies where `place` is true."""
        place = cv2.erode(place.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=INSIDE_PX)
        rows, columns = np.flatnonzero(place.any(1)), np.flatnonzero(place.any(0))
        if len(rows) < 12 or len(columns) < 12:
            return
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        cut = np.dstack([color[box], 255 * place[box]])
        scale = THING / max(cut.shape[:2])
        if scale < 1:
            cut = cv2.resize(cut, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        self.things.append(cut)

    def texture(self, color: Array) -> None:
        self.textures.append(cv2.resize(color, (640, 480), interpolation=cv2.INTER_AREA))

    def ground(self, color: Array) -> None:
        self.grounds.append(cv2.resize(color, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA))

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        color, missed, labels = (np.stack(planes) for planes in zip(*self.captures))
        np.savez(folder / "captures.npz", color=color, missed=missed, labels=labels, real=self.real[0])
        shapes = np.array([thing.shape[:2] for thing in self.things], np.int32)
        np.savez(folder / "things.npz", shapes=shapes, pixels=np.concatenate([thing.reshape(-1, 4) for thing in self.things]),
                 real=self.real[1])
        textures = np.stack(self.textures) if self.textures else np.zeros((0, 480, 640, 3), np.uint8)
        np.savez(folder / "grounds.npz", color=np.stack(self.grounds), textures=textures)


def read(path: Path) -> Array:
    picture = cv2.imread(str(path))
    assert picture is not None, f"{path} cannot be read"
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def booth(part: Part, args: argparse.Namespace, split: str, seed: int, items: int, cameras: int) -> None:
    scene = args.out / f"booth-{seed}"
    if not (scene / "booth.json").exists():
        shutil.rmtree(scene, ignore_errors=True)
        say(f"booth {seed}, {split}: {items} captures")
        subprocess.run([args.intact, "booth", "generate", "--seed", str(seed), "--items", str(items), "--split", split, "--no-references",
                        "--cameras", str(cameras), "--size", args.size, "--out", str(scene)], check=True, stdout=subprocess.DEVNULL)
    for n, row in enumerate(pyarrow.parquet.read_table(scene / f"query-{split}.parquet").to_pylist()):
        image, mask, depth = (scene / row[name] for name in ("query_image", "query_mask", "query_depth"))
        color, labels = read(image), cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
        missed = np.uint8(255) * (cv2.imread(str(depth), cv2.IMREAD_UNCHANGED) == 0)
        part.capture(color, missed.astype(np.uint8), labels.astype(np.uint8))
        if n % cameras == 0:
            part.thing(color, labels > 0)
    for camera in json.loads((scene / "booth.json").read_text())["cameras"]:
        part.ground(read(scene / camera["background"]))


def photographs(part: Part, data: Path, split: str) -> None:
    of = splits()
    for folder, source in (("retail_arc2017/*/capture_*.jpg", "arc"), ("retail_grocery/query/*.jpg", "grocery")):
        for picture in sorted(data.glob(folder)):
            product = picture.parent.name if source == "arc" else picture.stem.rsplit("_", 1)[0]
            if of.get(f"{source}/{product}") == split:
                part.texture(read(picture))
    for top in sorted((data / "retail_arc2017").glob("*/top.jpg")):
        if of.get(f"arc/{top.parent.name}") == split:
            color = read(top)
            part.thing(color, biggest(color.max(2) > 24))
    for packshot in sorted((data / "retail_grocery" / "gallery").glob("*.jpg")):
        if of.get(f"grocery/{packshot.stem.rsplit('_', 1)[0]}") == split:
            color = read(packshot)
            part.thing(color, biggest(color.min(2) < 246))
    for marked in sorted((data / "rgbd_mosd").glob("*_label.png")):
        name = marked.stem.removesuffix("_label")
        if of.get(f"mosd/{name}") != split:
            continue
        labels = cv2.imread(str(marked), cv2.IMREAD_UNCHANGED)
        color, depth = read(marked.with_name(f"{name}_color.png")), cv2.imread(str(marked.with_name(f"{name}_depth_mm.png")), cv2.IMREAD_UNCHANGED)
        # Tens are items, units their parts; 1 to 9 is the table. Depth sees less than colour: outlines are closed.
        items = np.where(labels >= 20, labels // 10, 0).astype(np.uint8)
        items = cv2.morphologyEx(items, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
        part.capture(color, np.where(depth == 0, 255, 0).astype(np.uint8), items)
        for item in np.unique(items)[1:]:
            part.thing(color, items == item)
    part.real = (len(part.captures), len(part.things))


def biggest(place: Array) -> Array:
    """The largest piece, without holes."""
    place = cv2.morphologyEx(place.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    outlines, _ = cv2.findContours(place, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    out = np.zeros_like(place)
    cv2.drawContours(out, [max(outlines, key=cv2.contourArea)], -1, 1, cv2.FILLED)
    return out > 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--intact", default=str(HERE.parent / "target" / "debug" / "intact"))
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data", help="real captures; passed over when absent")
    parser.add_argument("--out", type=Path, default=HERE.parent / "out" / "items")
    parser.add_argument("--items", type=int, default=32, help="captures a booth; of those with three cameras a third of it, each by every camera")
    parser.add_argument("--size", default="480x360", help="of the captures")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in SEEDS:
        if (args.out / name / "grounds.npz").exists():
            continue
        part = Part()
        if args.data.is_dir():
            photographs(part, args.data, PHOTOGRAPHED[name])
        else:
            say(f"{args.data} is absent: {name} has the booth alone")
        for seed in SEEDS[name]:
            booth(part, args, name, seed, args.items, cameras=1)
        for seed in OBLIQUE_SEEDS[name]:
            booth(part, args, name, seed, max(1, args.items // 3), cameras=3)
        part.save(args.out / name)
        say(f"{name}: {len(part.captures)} captures, {len(part.things)} things, {len(part.grounds)} grounds")
    for seeds in (SEEDS, OBLIQUE_SEEDS):
        for seed in (seed for of in seeds.values() for seed in of):
            shutil.rmtree(args.out / f"booth-{seed}", ignore_errors=True)


if __name__ == "__main__":
    main()
