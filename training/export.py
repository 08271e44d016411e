"""Calibrates a trained network on booth validation and writes it as ONNX, with the figures of its card."""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch

import crops
from net import CHANNELS, DamageNet, Released
from prepare import splits
from ranks import auroc_of
from train import judge

HERE = Path(__file__).resolve().parent
# Good items of booth validation that may be sidelined at the threshold of one half, and real good ones of the products that `splits.csv` keeps to tune:
# of those 5 % are allowed, but they are a few dozen crops, and other products alarm more.
ALARMS, REAL_ALARMS = 0.01, 0.03


def platt(logits: np.ndarray, damaged: np.ndarray) -> tuple[float, float]:
    """Scale and shift of the logits that make their sigmoid a probability (Platt 1999), by Newton's method."""
    # Targets a little inside of 0 and 1, as Platt has them.
    n, m = damaged.sum(), (~damaged).sum()
    wanted = np.where(damaged, (n + 1) / (n + 2), 1 / (m + 2))
    x = np.stack([logits, np.ones_like(logits)], 1).astype(np.float64)

    def loss(w: np.ndarray) -> float:
        z = x @ w
        return float((np.logaddexp(0, z) - wanted * z).sum())

    w = np.array([1.0, 0.0])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(x @ w, -500, 500)))
        gradient = x.T @ (p - wanted)
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 1e-6 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        # Far from the answer a whole step overshoots.
        while loss(w - step) > loss(w) and np.abs(step).max() > 1e-9:
            step /= 2
        w -= step
        if np.abs(step).max() < 1e-9:
            break
    return float(w[0]), float(w[1])


def prior_of(shift: float, share: float) -> float:
    """Share of damaged items for which a shift of the log odds makes the score a probability, of a set with `share`."""
    odds = share / (1 - share) * np.exp(shift)
    return float(odds / (1 + odds))


def real_goods(folder: Path, with_depth: bool) -> crops.Folder | None:
    """Crops of undamaged real goods that neither train nor test, those that the trees score by depth or the others; `None` where there are none."""
    if not (folder / "real" / "done").exists():
        return None
    part, real = splits(), crops.Folder.open(folder / "real")
    kept = [k for k, row in enumerate(real.rows) if part.get(row["item"]) == "tune" and bool(row["classical"]) == with_depth]
    return crops.Folder(real.inputs[kept], real.damage[kept], [real.rows[k] for k in kept]) if kept else None


# How much the log odds of the network with depth count beside those of the trees. Logistic regression on booth validation says 3.6, but that has the
# families that the network learnt from; what it gains there over the sum of two opinions is small, and the trees know other things.
BESIDE_TREES = 1.5
# Good items of booth validation that may be sidelined by both together.
ALARMS_TOGETHER = 0.02
# Share of damaged items for which their score is calibrated: the exam's.
CALIBRATED_SHARE = 1 / 3


def log_odds(score: np.ndarray) -> np.ndarray:
    """As `together` in crates/inspection/src/scorer.rs takes them."""
    p = np.clip(score.astype(np.float64), 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


def calibration_error(score: np.ndarray, damaged: np.ndarray) -> float:
    """Mean distance of score and share of damaged items over ten bins, as `intact eval` has it, were the share `CALIBRATED_SHARE` damaged."""
    bins, share = np.minimum((score * 10).astype(int), 9), damaged.mean()
    weight = np.where(damaged, CALIBRATED_SHARE / share, (1 - CALIBRATED_SHARE) / (1 - share)) / len(score)
    return float(sum(abs((weight * (score - damaged))[bins == k].sum()) for k in set(bins)))


def trees_of(folders: list[crops.Folder]) -> np.ndarray:
    """Log odds of the classical scorer's score of every crop."""
    return log_odds(np.array([float(row["classical"]) for folder in folders for row in folder.rows]))


def beside_trees(held: list[crops.Folder], network: np.ndarray, damaged: np.ndarray, real: crops.Folder | None, goods: np.ndarray) -> dict:
    """What makes one score of the trees' and the network's: the sum of their log odds, moved so that few good items of booth validation, and no more
    real goods than by the trees alone, exceed one half, and then scaled to be nearest to the share of damaged items (least calibration error: the
    likelihood shrinks from the many marks that nobody sees). `network`, `goods`: log odds of the released scores."""
    most = log_odds(np.array(1.0))
    trees, network = trees_of(held), np.clip(network, -most, most)
    both, trees_real = trees + BESIDE_TREES * network, trees_of([real]) if real else np.zeros(0)
    both_real = trees_real + BESIDE_TREES * np.clip(goods, -most, most)
    limit = float(np.quantile(both[~damaged], 1 - ALARMS_TOGETHER, method="higher"))
    if real:
        limit = max(limit, float(np.sort(both_real)[::-1][min(int((trees_real > 0).sum()), len(both_real) - 1)]))
    scales = np.linspace(0.2, 1.5, 27)
    errors = [calibration_error(1 / (1 + np.exp(-scale * (both - limit))), damaged) for scale in scales]
    figures = {"n": len(damaged), "weight": BESIDE_TREES, "shift": round(-limit, 3), "scale": round(float(scales[np.argmin(errors)]), 3),
               "calibration_error": round(min(errors), 4)}
    for name, scores, of_goods in (("trees", trees, trees_real), ("network", network, goods), ("together", both - limit, both_real - limit)):
        figures[name] = {"auroc": round(auroc_of(scores, damaged), 4), "alarms": round(float((scores[~damaged] > 0).mean()), 4),
                         "found": round(float((scores[damaged] > 0).mean()), 4), "real_alarms": int((of_goods > 0).sum())}
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crops", type=Path, default=HERE.parent / "out" / "training")
    parser.add_argument("--weights", type=Path, default=HERE.parent / "out" / "training" / "model" / "final.pt")
    parser.add_argument("--out", type=Path, default=HERE.parent / "models" / "damage" / "damage.onnx")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--average", type=Path, help="weights that training started from, to be averaged with: holds better on "
                        "pictures of other kinds than those learnt from (Wortsman et al., CVPR 2022)")
    parser.add_argument("--share", type=float, default=0.5, help="of the trained weights in that average")
    parser.add_argument("--with-depth", action="store_true", help="calibrate on crops with depth, and beside the classical scorer where it scored them all, too")
    args = parser.parse_args()
    saved = torch.load(args.weights, map_location="cpu")
    weights = saved["net"]
    if args.average:
        start = torch.load(args.average, map_location="cpu")["net"]
        weights = {k: args.share * v.float() + (1 - args.share) * start[k].float() if v.is_floating_point() else v for k, v in weights.items()}
    net = DamageNet()
    net.load_state_dict(weights)
    net.eval()
    held = crops.held_back(args.crops, args.with_depth)
    if args.with_depth and not any(folder.has_depth() for folder in held):
        raise SystemExit(f"{args.crops}: no crop of its validation has depth; cut them without --colour-alone, or leave --with-depth out")
    logits, damaged = judge(net, held, args.side, colour_alone=not args.with_depth)
    net.eval()
    scale, shift = platt(logits, damaged)
    calibrated = scale * logits + shift
    # The threshold stays at one half: the prior moves until no more than those go to a person for nothing.
    limit = float(np.quantile(calibrated[~damaged], 1 - ALARMS, method="higher"))
    real = real_goods(args.crops, args.with_depth)
    goods = scale * judge(net, [real], args.side, colour_alone=not args.with_depth)[0] + shift if real else np.zeros(0)
    net.eval()
    if len(goods):
        limit = max(limit, float(np.quantile(goods, 1 - REAL_ALARMS, method="higher")))
    released = Released(net, scale, shift - limit).eval()
    image = torch.zeros(1, CHANNELS, args.side, args.side)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(released, (image,), str(args.out), input_names=["image"], output_names=["damage", "scores"], opset_version=17, dynamo=False)
    model = onnx.load(args.out)
    onnx.checker.check_model(model)
    figures = {
        "seed": saved.get("seed"), "samples": saved.get("seen"), "minutes": saved.get("minutes"),
        "validation": {"n": len(damaged), "damaged": int(damaged.sum()), "auroc": round(auroc_of(logits, damaged), 4),
                       "found_at_threshold": round(float((calibrated[damaged] > limit).mean()), 4),
                       "alarms_at_threshold": round(float((calibrated[~damaged] > limit).mean()), 4)},
        "real_goods_to_tune": {"n": len(goods), "alarms_at_threshold": int((goods > limit).sum())},
        "calibration": {"scale": round(scale, 4), "shift": round(shift - limit, 4), "prior": prior_of(-limit, float(damaged.mean()))},
        "parameters": sum(p.numel() for p in net.parameters()), "side": args.side, "averaged": args.share if args.average else None, "colour_alone": not args.with_depth,
    }
    if args.with_depth and all(row["classical"] for folder in held for row in folder.rows):
        figures["beside_trees"] = beside_trees(held, calibrated - limit, damaged, real, goods - limit)
    # What the ONNX file was made of, for check.py.
    torch.save({"net": net.state_dict()}, args.weights.with_name("released.pt"))
    # Half precision is enough to start a fine-tuning from.
    torch.save({"net": {k: v.half() if v.is_floating_point() else v for k, v in net.state_dict().items()}}, args.out.with_suffix(".pt"))
    args.out.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
