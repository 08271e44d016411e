"""Parity: the same encoded file through PyTorch, ONNX Runtime and intact, preprocessing included: PNG to 1e-3, JPEG to 1e-2.

Colour alone: the crop and the mask come from `intact inspect`; the picture is decoded, cut and stretched here once more."""

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import torch

from net import CHANNELS, DamageNet, Released

HERE = Path(__file__).resolve().parent
MARGIN = 0.15


def taps(start: int, size: int, n: int, length: int) -> np.ndarray:
    """Rows of a triangle filter that widens where it shrinks, [n, length]."""
    scale = size / n
    reach = max(scale, 1.0)
    centre = start + (np.arange(n)[:, None] + 0.5) * scale
    weights = np.maximum(0, 1 - np.abs(np.arange(length)[None] + 0.5 - centre) / reach)
    return weights / weights.sum(1, keepdims=True)


def crop_of(box: list[int], width: int, height: int) -> tuple[int, int, int, int]:
    """The item's box with its margin, cut to the picture."""
    x, y, w, h = box
    mx, my = int(np.float32(w) * np.float32(MARGIN) + 0.5), int(np.float32(h) * np.float32(MARGIN) + 0.5)
    left, top = max(0, x - mx), max(0, y - my)
    return left, top, min(width, x + w + mx) - left, min(height, y + h + my) - top


def model_input(picture: np.ndarray, mask: np.ndarray, item: int, box: list[int], side: int) -> np.ndarray:
    height, width = mask.shape
    x, y, w, h = crop_of(box, width, height)
    rows, columns = taps(y, h, side, height), taps(x, w, side, width)
    image = np.zeros((CHANNELS, side, side), np.float32)
    image[:3] = np.einsum("ij,jkc,lk->cil", rows, picture[:, :, ::-1] / 255.0, columns, optimize=True)
    nearest = mask[y + (2 * np.arange(side) + 1) * h // (2 * side)][:, x + (2 * np.arange(side) + 1) * w // (2 * side)]
    image[5] = nearest == item
    return image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--intact", default=str(HERE.parent / "target" / "debug" / "intact"))
    parser.add_argument("--weights", type=Path, default=HERE.parent / "out" / "training" / "model" / "released.pt", help="as export.py left them")
    parser.add_argument("--model", type=Path, default=HERE.parent / "models" / "damage" / "damage.onnx")
    parser.add_argument("--record", action="store_true", help="write what PyTorch says of the last picture beside the model, for the tests")
    args = parser.parse_args()
    figures = json.loads(args.model.with_suffix(".json").read_text())["calibration"]
    library = next(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so*"))
    session = onnxruntime.InferenceSession(str(args.model), providers=["CPUExecutionProvider"])
    side = session.get_inputs()[0].shape[2]
    trained = None
    if args.weights.exists():
        net = DamageNet()
        net.load_state_dict(torch.load(args.weights, map_location="cpu")["net"])
        trained = Released(net.eval(), figures["scale"], figures["shift"]).eval()
    # JPEG decoders differ in how they spread chroma; training reads its pictures through intact's own.
    worst, n = {True: 0.0, False: 0.0}, 0
    for path in args.pictures:
        recorded = []
        with tempfile.TemporaryDirectory() as folder:
            reports = []
            for engine in ("tract", "ort"):
                command = [args.intact, "inspect", str(path), "--model", str(args.model), "--engine", engine, "--out", folder, "--json"]
                done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "ORT_DYLIB_PATH": str(library)})
                reports.append(json.loads(done.stdout))
            mask = cv2.imread(f"{folder}/mask.png", cv2.IMREAD_UNCHANGED)
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR).astype(np.float64)
        for k, item in enumerate(reports[0]["items"]):
            image = model_input(picture, mask, k + 1, item["bbox"], side)[None]
            found = [item["damage_score"], reports[1]["items"][k]["damage_score"], float(session.run(["scores"], {"image": image})[0][0, 0])]
            if trained is not None:
                with torch.no_grad():
                    found.append(float(trained(torch.from_numpy(image))[1][0, 0]))
                recorded.append(found[-1])
            spread = max(found) - min(found)
            lossless = path.suffix == ".png"
            worst[lossless], n = max(worst[lossless], spread), n + 1
            print(f"{path.name} item {k + 1}: tract, ort, onnxruntime, pytorch = {[round(f, 5) for f in found]}, apart by {spread:.1e}")
    if args.record:
        args.model.with_name(f"parity{args.model.stem.removeprefix('damage')}.json").write_text(json.dumps({"picture": args.pictures[-1].name, "scores": recorded}) + "\n")
    print(f"{n} items, worst {worst[True]:.1e} of lossless files, {worst[False]:.1e} of JPEG")
    assert n and worst[True] < 1e-3 and worst[False] < 1e-2, "parity is lost"


if __name__ == "__main__":
    main()
