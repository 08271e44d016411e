"""Parcels: damage and shams put into the sides of pristine texture maps, and every side that was really changed, beside the pristine one.

`../shared/data/parcel_tampar` never trains. A map holds the sides of a parcel in a grid of three by three; those that are empty are
white. The edits are the exam's own (`intact booth inject`); the real changes are tape, labels and writing: not damage, but not as the
pristine side either."""

import argparse
import csv
import json
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np

from ranks import auroc_of

HERE = Path(__file__).resolve().parent
# Row and column of each side in a map.
PLACES = {"top": (0, 1), "left": (1, 0), "center": (1, 1), "right": (1, 2), "bottom": (2, 1)}
# A cell that is white but for this share is empty.
EMPTY = 0.03


def sides(picture: Path) -> dict[str, np.ndarray]:
    """The sides that a map shows."""
    whole = cv2.imread(str(picture))
    n = whole.shape[0] // 3
    cells = {name: whole[r * n : (r + 1) * n, c * n : (c + 1) * n] for name, (r, c) in PLACES.items()}
    return {name: cell for name, cell in cells.items() if ((cell < 250).any(2) & (cell.max(2) > 0)).mean() > EMPTY}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--intact", default=str(HERE.parent / "target" / "debug" / "intact"))
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data" / "parcel_tampar")
    parser.add_argument("--out", type=Path, default=HERE.parent / "out" / "tampar", help="folder; what is there is made anew")
    parser.add_argument("--copies", type=int, default=32, help="pairs a side; 200 and more in all")
    args = parser.parse_args()
    if not args.data.is_dir():
        raise SystemExit(f"{args.data} is absent: this needs real captures; name their folder with --data")
    shutil.rmtree(args.out, ignore_errors=True)
    rows = lay_out(args.data, args.out)
    (args.out / "list.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    pairs = args.out / "pairs"
    subprocess.run([args.intact, "booth", "inject", str(args.out / "list.jsonl"), "--copies", str(args.copies), "--out", str(pairs),
                    "--sheet", str(args.out / "sheet.png")], check=True)
    subprocess.run([args.intact, "eval", str(pairs), "--format", "booth", "--report", str(args.out / "report")], check=True)
    really_changed(args)


def lay_out(data: Path, out: Path) -> list[dict]:
    """Each side of the pristine parcels as a product's folder with one picture."""
    rows = []
    for parcel in sorted((data / "uvmaps").glob("*.png")):
        for name, picture in sides(parcel).items():
            product = f"{parcel.stem.removesuffix('_uvmap')}-{name}"
            path = out / "pristine" / product / "0.png"
            path.parent.mkdir(parents=True)
            cv2.imwrite(str(path), picture)
            rows.append({"id": product, "item": product, "color": str(path), "references": [str(path)], "one_item": True})
    return rows


def really_changed(args: argparse.Namespace) -> list[tuple[str, bool, float | None]]:
    """Name, truth and anomaly of each side of the captures; prints a line of each, and leaves a picture beside the pristine side."""
    pristine, seen = args.out / "pristine", args.out / "seen"
    seen.mkdir()
    gallery = f"sqlite:{args.out / 'gallery.sqlite'}"
    subprocess.run([args.intact, "gallery", "import", str(pristine), "--gallery", gallery], check=True, stdout=subprocess.DEVNULL)
    found, sheet = [], []
    for row in csv.DictReader((args.data / "labels.csv").open()):
        capture = args.data / "validation" / f"{row['capture']}_uvmap_gt.png"
        picture = sides(capture).get(row["side"])
        product = f"{'_'.join(row['capture'].split('_')[:2])}-{row['side']}"
        if picture is None or not (pristine / product).is_dir():
            continue
        path = seen / f"{row['capture']}-{row['side']}.png"
        cv2.imwrite(str(path), picture)
        done = subprocess.run([args.intact, "gallery", "verify", "--product", product, str(path), "--gallery", gallery, "--json"],
                              capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{path.stem}: {done.stderr.strip()}")
        line = json.loads(done.stdout)
        kinds = ", ".join(f"{f['kind']} {f['score']:.2f}" for f in line["findings"][:3])
        score = line["anomaly_score"]
        found.append((path.stem, row["tampered"] == "True", score))
        told = "not compared" if score is None else f"{score:.2f}"
        print(f"{path.stem:40} {row['tampering'] or 'unchanged':9}  anomaly {told}  coverage {line['coverage']:.2f}  {kinds}")
        tile = [cv2.resize(p, (200, 200), interpolation=cv2.INTER_AREA) for p in (cv2.imread(str(pristine / product / "0.png")), picture)]
        sheet.append(cv2.putText(np.hstack(tile), told, (5, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 255), 2))
    if sheet:
        cv2.imwrite(str(args.out / "seen.png"), np.vstack(sheet))
    known = [(changed, score) for _, changed, score in found if score is not None]
    value = auroc_of(np.array([s for _, s in known]), np.array([c for c, _ in known]))
    print(f"{len(found)} sides, {len(known)} compared; AUROC of the anomaly, changed against unchanged: {value:.3f}")
    return found


if __name__ == "__main__":
    main()
