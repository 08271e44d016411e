"""The released network in eight-bit integers, for ONNX Runtime: damage.onnx in, damage-int8.onnx out, and what it costs.

Weights per channel, activations with ranges seen on booth training crops (QDQ, static). The sigmoids and the pooled head stay in
float: they are cheap, and the ranking of the scores lives there."""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

import crops
from ranks import auroc_of

HERE = Path(__file__).resolve().parent


def samples(folders: list[crops.Folder], side: int, each: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Inputs with their depth left out, as the built-in weights are asked for them, and labels; spread evenly."""
    images, damaged = [], []
    for folder in folders:
        n = len(folder.rows)
        for k in sorted({j * n // each for j in range(min(each, n))}):
            sample = crops.load(folder, k)
            crops.fit(sample, side)
            crops.without_depth(sample.image)
            images.append(sample.image[None])
            damaged.append(sample.scores[0] > 0)
    return images, np.array(damaged)


class Reader(CalibrationDataReader):
    """Feeds the images once."""

    def __init__(self, images: list[np.ndarray]):
        self.left = iter(images)

    def get_next(self) -> dict | None:
        image = next(self.left, None)
        return None if image is None else {"image": image}


def judge(path: Path, images: list[np.ndarray], threads: int) -> tuple[np.ndarray, float]:
    """Overall scores, and the median of the milliseconds an item."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    scores, spent = [], []
    for image in images:
        begun = time.perf_counter()
        scores.append(session.run(["scores"], {"image": image})[0][0, 0])
        spent.append(1e3 * (time.perf_counter() - begun))
    return np.array(scores), float(np.median(spent))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crops", type=Path, default=HERE.parent / "out" / "training")
    parser.add_argument("--model", type=Path, default=HERE.parent / "models" / "damage" / "damage.onnx")
    parser.add_argument("--out", type=Path, default=HERE.parent / "out" / "training" / "damage-int8.onnx")
    parser.add_argument("--calibration", type=int, default=12, help="crops of each training folder that set the ranges")
    parser.add_argument("--each", type=int, default=125, help="crops of each validation folder that are judged")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    opened = lambda pattern: [crops.Folder.open(p.parent) for p in sorted(args.crops.glob(pattern))]
    held, seen = opened("validation-*/done"), opened("train-*/done")
    if not held or not seen:
        raise SystemExit(f"{args.crops} holds no crops: run prepare.py first")
    side = onnx.load(args.model).graph.input[0].type.tensor_type.shape.dim[2].dim_value
    ranges, _ = samples(seen, side, args.calibration)
    with tempfile.TemporaryDirectory() as folder:
        folded = Path(folder) / "folded.onnx"
        quant_pre_process(str(args.model), str(folded), skip_symbolic_shape=True)
        convolutions = [n.name for n in onnx.load(folded).graph.node if n.op_type == "Conv"]
        args.out.parent.mkdir(parents=True, exist_ok=True)
        quantize_static(str(folded), str(args.out), Reader(ranges), quant_format=QuantFormat.QDQ, per_channel=True,
                        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, nodes_to_quantize=convolutions)
    images, damaged = samples(held, side, args.each)
    (exact, exact_ms), (coarse, coarse_ms) = judge(args.model, images, args.threads), judge(args.out, images, args.threads)
    figures = {
        "n": len(damaged), "damaged": int(damaged.sum()), "bytes": args.out.stat().st_size,
        "auroc_fp32": round(auroc_of(exact, damaged), 4), "auroc_int8": round(auroc_of(coarse, damaged), 4),
        "score_apart_p99": round(float(np.quantile(np.abs(exact - coarse), 0.99)), 4),
        "ms_fp32": round(exact_ms, 2), "ms_int8": round(coarse_ms, 2), "ratio": round(exact_ms / coarse_ms, 2),
    }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
