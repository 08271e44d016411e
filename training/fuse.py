"""Fits how the network's score joins the classical scorer's, on booth validation; prints what engine/mod.rs holds.

Logistic regression over both log odds; the shift then moves until one half lets one good item in a hundred go to a person."""

import argparse
from pathlib import Path

import numpy as np

import crops
from export import ALARMS
from train import auroc

HERE = Path(__file__).resolve().parent


def odds(p: np.ndarray) -> np.ndarray:
    p = np.clip(p, 1e-4, 1 - 1e-4)
    return np.log(p / (1 - p))


def network(folders: list[crops.Folder], model: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The released model's score, the classical one, and the truth, of crops with depth."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    side = session.get_inputs()[0].shape[2]
    own, classical, damaged = [], [], []
    for folder in folders:
        for k, row in enumerate(folder.rows):
            if not row["classical"]:
                continue
            sample = crops.load(folder, k)
            crops.fit(sample, side)
            own.append(float(session.run(["scores"], {"image": sample.image[None]})[0][0, 0]))
            classical.append(float(row["classical"]))
            damaged.append(row["damaged"] == "1")
    return np.array(own), np.array(classical), np.array(damaged)


def fit(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Logistic regression by Newton's method with a small ridge."""
    w = np.zeros(x.shape[1])
    for _ in range(60):
        p = 1 / (1 + np.exp(-x @ w))
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 1e-3 * np.eye(len(w))
        w -= np.linalg.solve(hessian, x.T @ (p - y) + 1e-3 * w)
    return w


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crops", type=Path, default=HERE.parent / "out" / "training")
    parser.add_argument("--model", type=Path, default=HERE.parent / "models" / "damage" / "damage.onnx")
    args = parser.parse_args()
    folders = [crops.Folder.open(p.parent) for p in sorted(args.crops.glob("validation-*/done"))]
    own, classical, damaged = network(folders, args.model)
    x = np.stack([odds(own), odds(classical), np.ones(len(own))], 1)
    w = fit(x, damaged)
    joined = x @ w
    limit = float(np.quantile(joined[~damaged], 1 - ALARMS))
    print(f"validation, {len(damaged)} items, {damaged.sum()} damaged: AUROC network {auroc(own, damaged):.4f}, classical {auroc(classical, damaged):.4f}, "
          f"joined {auroc(joined, damaged):.4f}; found at one half {np.mean(joined[damaged] > limit):.4f}, alarms {np.mean(joined[~damaged] > limit):.4f}")
    for name, s in (("network", odds(own)), ("classical", odds(classical))):
        print(f"  {name} alone at its own limit finds {np.mean(s[damaged] > np.quantile(s[~damaged], 1 - ALARMS)):.4f}")
    print(f"const BUILT_IN_FUSION: Fusion = Fusion {{ model: {w[0]:.4}, classical: {w[1]:.4}, shift: {w[2] - limit:.4} }};")


if __name__ == "__main__":
    main()
