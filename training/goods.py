"""False alarms on real undamaged goods, by source and by part of splits.csv, through `intact inspect` as a user runs it."""

import argparse
import json
import math
import subprocess
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from prepare import HERE, listed, splits


def wilson(k: int, n: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    z, p = 1.96, k / n
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def inspect(args: argparse.Namespace, row: dict) -> list[float]:
    command = [args.intact, "inspect", row["color"], "--model", args.model, "--json"]
    if "depth" in row:
        command += ["--depth", row["depth"], "--depth-unit", str(row["depth_unit_m"]), "--intrinsics", ",".join(map(str, row["camera"]))]
    if "background" in row:
        command += ["--background", ",".join(row["background"])]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{row['id']}: {done.stderr.strip()}")
    return [item["damage_score"] for item in json.loads(done.stdout)["items"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--intact", default=str(HERE.parent / "target" / "debug" / "intact"))
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--threshold", type=float, default=0.5)
    args = parser.parse_args()
    part = splits()
    rows = listed(args.data) + unseen(args.data)
    with ThreadPoolExecutor(2) as pool:
        scores = list(pool.map(lambda row: inspect(args, row), rows))
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    empty: dict[tuple[str, str], int] = defaultdict(int)
    for row, found in zip(rows, scores):
        source = row["item"].split("/")[0] + ("" if "depth" in row else ", colour alone" if row["item"].startswith(("mosd", "single")) else "")
        key = (source, part.get(row["item"], "test"))
        groups[key] += found
        empty[key] += not found
    print(f"{'source':24} {'part':6} {'items':>6} {'alarms':>7} {'share':>7}  95 %             pictures without an item")
    for (source, which), found in sorted(groups.items()):
        k, n = sum(s > args.threshold for s in found), len(found)
        low, high = wilson(k, n) if n else (0.0, 1.0)
        print(f"{source:24} {which:6} {n:6} {k:7} {k / max(n, 1):7.3f}  {low:.3f} … {high:.3f}  {empty[(source, which)]}")
    # The tote is of the part `trees`: they know it, the network does not.
    unseen_scores = [s for (_, which), found in groups.items() if which == "test" for s in found]
    k, n = sum(s > args.threshold for s in unseen_scores), len(unseen_scores)
    print(f"{'never learnt from, tote apart':31} {n:6} {k:7} {k / n:7.3f}  {wilson(k, n)[0]:.3f} … {wilson(k, n)[1]:.3f}")


def unseen(data: Path) -> list[dict]:
    """Sources that the network never learns from."""
    rows = []
    tote = data / "rgbd_tote_bg" / "parallel_jaw"
    for k in (0, 1):
        text = (tote / f"camera-{k}.intrinsics.txt").read_text().split()
        camera = [float(text[0]), float(text[4]), float(text[2]), float(text[5])]
        rows.append({"id": f"tote/{k}", "item": "tote/parallel_jaw", "color": str(tote / f"input-{k}.color.png"),
                     "depth": str(tote / f"input-{k}.depth.png"), "depth_unit_m": 0.0001, "camera": camera,
                     "background": [str(tote / f"background-{k}.color.png"), str(tote / f"background-{k}.depth.png")]})
    for picture in sorted((data / "parcel_tampar" / "uvmaps").glob("*.png")):
        rows.append({"id": f"tampar/{picture.stem}", "item": f"tampar/{picture.stem.removesuffix('_uvmap')}", "color": str(picture)})
    for picture in sorted((data / "defect_hazelnut" / "good").glob("*.jpg")):
        rows.append({"id": f"hazelnut/{picture.stem}", "item": "hazelnut/good", "color": str(picture)})
    return rows


if __name__ == "__main__":
    main()
