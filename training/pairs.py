"""Trains the comparing network: an item and the reference laid over it in, damage out; calibrates it and writes it as ONNX.

`intact pairs` makes what it learns from. What is on the item and not on its reference may be damage, or tape, a label, another light,
a corner that the registration missed; what perception took for damage may be on the pristine print, too. The network learns which.
"""

import argparse
import csv
import json
import math
import time
import warnings
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

import checkpoint
import inject
from export import platt, prior_of
from net import Residual, conv
from ranks import auroc_of

HERE = Path(__file__).resolve().parent
# Of `intact pairs`, and one more: perception's score, the same everywhere.
CHANNELS, SIDE = 10, 256
DIFFERENCE, COMPARED, HEAT, SCORE = 6, 7, 8, 9
# Share of the samples in which an undamaged pair is edited: with damage, or with a sham.
EDITED = 0.35
# Perception's score where it said nothing: between those of whole and of damaged items.
SILENT = 0.3
# Share of a map whose mean is its pooled logit.
TOP_SHARE = 0.005
# Good items of the validation that may be sidelined at the threshold of one half.
ALARMS = 0.02


class PairNet(nn.Module):
    """A residual encoder with a feature pyramid over both pictures at once; its first layer also sees their plain difference."""

    def __init__(self, widths: tuple[int, ...] = (24, 32, 48, 64), pyramid: int = 24):
        super().__init__()
        a, b, c, d = widths
        self.stem = conv(SCORE + 3, a, 2)
        self.quarter = nn.Sequential(conv(a, b, 2), Residual(b))
        self.eighth = nn.Sequential(conv(b, c, 2), Residual(c), Residual(c))
        self.sixteenth = nn.Sequential(conv(c, d, 2), Residual(d), Residual(d))
        self.lateral = nn.ModuleList(nn.Conv2d(width, pyramid, 1) for width in (b, c, d))
        self.smooth = nn.ModuleList(conv(pyramid, pyramid) for _ in range(2))
        self.maps = nn.Conv2d(pyramid, 1, 1)
        self.head = nn.Sequential(nn.Linear(2 * d + 4, 32), nn.ReLU(inplace=True), nn.Dropout(0.2), nn.Linear(32, 1))
        nn.init.constant_(self.maps.bias, -3.0)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits: map [N, 1, 64, 64] and the item's [N, 1]."""
        change = 3 * (x[:, :3] - x[:, 3:6]) * x[:, COMPARED:COMPARED + 1]
        quarter = self.quarter(self.stem(torch.cat([x[:, :SCORE], change], 1)))
        eighth = self.eighth(quarter)
        sixteenth = self.sixteenth(eighth)
        top = self.lateral[2](sixteenth)
        for k, features in ((1, eighth), (0, quarter)):
            top = self.smooth[k](self.lateral[k](features) + F.interpolate(top, scale_factor=2.0, mode="nearest"))
        maps = self.maps(top)
        flat = maps.flatten(1)
        pooled = flat.topk(max(1, int(TOP_SHARE * flat.shape[1])), dim=1).values.mean(1, keepdim=True)
        heat = x[:, HEAT].flatten(1)
        heat = heat.topk(int(TOP_SHARE * heat.shape[1]), dim=1).values.mean(1, keepdim=True)
        wide = flat.topk(flat.shape[1] // 25, dim=1).values.mean(1, keepdim=True)
        told = x[:, SCORE].mean((1, 2))[:, None].clamp(0.005, 0.995)
        told = torch.log(told) - torch.log(1 - told)
        return maps, self.head(torch.cat([sixteenth.mean((2, 3)), sixteenth.amax((2, 3)), pooled, wide, heat, told], 1)) + pooled


class Released(nn.Module):
    """As it leaves: probabilities, with the calibration of the score inside."""

    def __init__(self, net: PairNet, scale: float, shift: float):
        super().__init__()
        self.net, self.scale, self.shift = net, scale, shift

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maps, score = self.net(image)
        score = torch.sigmoid(score * self.scale + self.shift)
        return torch.sigmoid(maps), torch.cat([score, score], 1)


class Set:
    """The pairs of some folders of `intact pairs`."""

    def __init__(self, folders: list[Path]):
        self.tables = [f / "pairs.csv" for f in folders]
        self.inputs = [np.load(f / "inputs.npy", mmap_mode="r") for f in folders]
        self.damage = [np.load(f / "damage.npy", mmap_mode="r") for f in folders]
        self.rows = [(n, k, row) for n, f in enumerate(folders) for k, row in enumerate(csv.DictReader((f / "pairs.csv").open()))]
        self.damaged = np.array([row["damaged"] == "1" for _, _, row in self.rows])
        self.good = np.flatnonzero(~self.damaged)
        # The booth's families are named, photographs have none.
        self.photographs = np.array([i for i, (_, _, row) in enumerate(self.rows) if not row["family"]], dtype=int)

    def get(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        n, k, row = self.rows[i]
        told = np.full((1, SIDE, SIDE), float(row["damage"]), np.float32)
        return np.concatenate([self.inputs[n][k].astype(np.float32) / 255, told]), (self.damage[n][k] > 0).astype(np.float32)


def varied(image: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Another pose and light of the pair, the reference a little off, perception silent or wrong at times."""
    k, mirrored = rng.integers(4), rng.random() < 0.5
    image, truth = np.rot90(image, k, (1, 2)), np.rot90(truth, k)
    if mirrored:
        image, truth = image[:, :, ::-1], truth[:, ::-1]
    image = np.ascontiguousarray(image)
    order = rng.permutation(3) if rng.random() < 0.5 else np.arange(3)
    image[:6] = image[[*order, *(order + 3)]]
    gain, level, power = rng.uniform(0.75, 1.3, (3, 1, 1)), rng.uniform(-0.06, 0.06), np.exp(rng.uniform(-0.25, 0.25))
    there = image[:3].max(0) > 0
    for part in (slice(0, 3), slice(3, 6)):
        other = rng.uniform(0.96, 1.04, (3, 1, 1)) if part.start else 1.0
        image[part] = np.clip(np.clip(image[part], 0, 1) ** power * gain * other + level, 0, 1) * (image[part].max(0) > 0)
    if rng.random() < 0.3:
        image[3:6] = np.roll(image[3:6], rng.integers(-2, 3, 2), (1, 2))
    if rng.random() < 0.3:
        image[:3] = np.clip(image[:3] + rng.normal(0, rng.uniform(0, 0.03), image[:3].shape), 0, 1) * there
    if rng.random() < 0.25:
        silence(image[None])
    return image, np.ascontiguousarray(truth)


def opponent(rgb: np.ndarray) -> np.ndarray:
    """Luminance and two of colour, as crates/matching/src/difference.rs has them; rgb float32 [3, S, S] in [0, 1]."""
    soft = cv2.GaussianBlur((rgb.transpose(1, 2, 0) * 255).astype(np.uint8), (0, 0), 0.8, borderType=cv2.BORDER_REPLICATE).astype(np.int32)
    r, g, b = soft[..., 0], soft[..., 1], soft[..., 2]
    planes = [(77 * r + 150 * g + 29 * b) >> 8, 128 + ((179 * (r - g)) >> 8), 128 + ((179 * ((r + g) // 2 - b)) >> 8)]
    return np.clip(np.stack(planes, 2), 0, 255).astype(np.uint8)


def difference(image: np.ndarray) -> np.ndarray:
    """How far each picture lies outside what the other shows within two pixels, as that file has it."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    first, second = opponent(image[:3]), opponent(image[3:6])
    out = 0
    for a, b in ((first, second), (second, first)):
        high, low = cv2.dilate(b, kernel), cv2.erode(b, kernel)
        out = np.maximum(out, np.maximum(cv2.subtract(a, high), cv2.subtract(low, a)).max(2))
    # Under labels nothing is compared, and the map is kept.
    return cv2.blur(np.clip((out.astype(np.float32) - 9) / 55, 0, 1), (3, 3)) * ((image[COMPARED] > 0) | (image[DIFFERENCE] > 0))


def edited(image: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, bool]:
    """Damage, or a sham that is as strong, put into an undamaged item; perception has not seen either."""
    place = cv2.morphologyEx((image[COMPARED] > 0).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8)).astype(np.float32)
    crop = np.concatenate([image[:3], np.zeros((2, SIDE, SIDE), np.float32), place[None]])
    stranger = np.concatenate([other[:3], np.zeros((2, SIDE, SIDE), np.float32), (other[COMPARED:COMPARED + 1] > 0).astype(np.float32)])
    chance, truth = rng.random(), np.zeros((SIDE, SIDE), np.float32)
    if chance < 0.5:
        truth = (inject.damage(rng, crop, stranger) > 0).astype(np.float32)
    elif chance < 0.7:
        inject.neat_twin(rng, crop, stranger)
    else:
        inject.sham(rng, crop, stranger)
    image = image.copy()
    image[:3] = np.clip(crop[:3], 0, 1)
    image[DIFFERENCE] = difference(image)
    silence(image[None])
    # Damage that changes hardly anything cannot be asked for.
    is_seen = bool(truth.sum() > 20)
    return image, truth * is_seen, is_seen


def silence(images: np.ndarray) -> None:
    """Perception says nothing: no map, and a score as undecided as it gets."""
    images[:, HEAT], images[:, SCORE] = 0, SILENT


class Varied(torch.utils.data.Dataset):
    """Samples from the `first` on; which they are depends on seed and number only."""

    def __init__(self, pairs: Set, seed: int, first: int, end: int):
        self.pairs, self.seed, self.first, self.end = pairs, seed, first, end

    def __len__(self) -> int:
        return max(0, self.end - self.first)

    def __getitem__(self, i: int):
        rng = np.random.default_rng((self.seed, self.first + i))
        if rng.random() < EDITED:
            # Photographs are few: as often as all the booth's together.
            good = self.pairs.photographs if len(self.pairs.photographs) and rng.random() < 0.5 else self.pairs.good
            image, _ = self.pairs.get(rng.choice(good))
            other, _ = self.pairs.get(rng.choice(good))
            image, truth, damaged = edited(image, other, rng)
        else:
            k = rng.choice(np.flatnonzero(self.pairs.damaged == (rng.random() < 0.5)))
            (image, truth), damaged = self.pairs.get(k), self.pairs.damaged[k]
        image, truth = varied(image, truth, rng)
        return image.astype(np.float32), truth.astype(np.float32), np.float32(damaged)


def loss_of(maps: torch.Tensor, score: torch.Tensor, truth: torch.Tensor, damaged: torch.Tensor) -> torch.Tensor:
    wanted = (F.adaptive_avg_pool2d(truth[:, None], maps.shape[-2:]) > 0.25).float()
    weight = 1 + 4 * wanted
    pixel = (F.binary_cross_entropy_with_logits(maps, wanted, reduction="none") * weight).sum() / weight.sum()
    return 3 * pixel + F.binary_cross_entropy_with_logits(score[:, 0], damaged)


@torch.no_grad()
def judge(net: nn.Module, pairs: Set, with_heat: bool = True) -> np.ndarray:
    net.eval()
    out = []
    for first in range(0, len(pairs.rows), 16):
        image = np.stack([pairs.get(i)[0] for i in range(first, min(first + 16, len(pairs.rows)))])
        if not with_heat:
            silence(image)
        out.append(net(torch.from_numpy(image).contiguous(memory_format=torch.channels_last))[1][:, 0].float().numpy())
    net.train()
    return np.concatenate(out)


def fit(args: argparse.Namespace, learnt: Set, held: Set) -> tuple[PairNet, int, float]:
    """The averaged weights, the number of samples, and the minutes of all its sessions; goes on where an interrupted run left its
    state beside `--out`."""
    net = PairNet().to(memory_format=torch.channels_last)
    if args.start:
        net.load_state_dict(torch.load(args.start, map_location="cpu")["net"])
    mean = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995), use_buffers=True)
    optimiser = torch.optim.AdamW(net.parameters(), lr=args.rate, weight_decay=2e-2)
    state, seen, spent, total = args.out.with_suffix(".state.pt"), 0, 0.0, 0.0
    asked = checkpoint.asked(args, learnt.tables)
    if saved := checkpoint.resume(state, asked):
        net.load_state_dict(saved["net"])
        mean.load_state_dict(saved["mean"])
        optimiser.load_state_dict(saved["optimiser"])
        seen, spent = saved["seen"], saved["spent"]
    pairs = Varied(learnt, args.seed, seen, args.samples)
    loader = torch.utils.data.DataLoader(pairs, batch_size=args.batch, num_workers=args.workers)
    begun = time.monotonic() - spent
    bar = tqdm(total=args.samples, initial=seen, unit="pair", smoothing=0.05, mininterval=5)
    for step, (image, truth, damaged) in enumerate(loader, 1):
        done = max(seen / args.samples, (time.monotonic() - begun) / 60 / args.minutes)
        if done >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = args.rate * min(1.0, (seen + args.batch) / 1000) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        with torch.autocast("cpu", torch.bfloat16):
            maps, score = net(image.contiguous(memory_format=torch.channels_last))
        loss = loss_of(maps.float(), score.float(), truth, damaged)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step()
        mean.update_parameters(net)
        seen, total = seen + len(image), 0.98 * total + 0.02 * loss.item()
        bar.update(len(image))
        if step % args.every == 0:
            args.out.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.save({"net": net.state_dict(), "mean": mean.state_dict(), "optimiser": optimiser.state_dict(), "seen": seen,
                             "spent": time.monotonic() - begun, "asked": asked}, state)
            bar.write(f"{seen} pairs, loss {total:.3f}, validation {auroc_of(judge(mean.module, held), held.damaged):.4f}, "
                      f"without perception {auroc_of(judge(mean.module, held, False), held.damaged):.4f}")
    bar.close()
    return mean.module.eval(), seen, (time.monotonic() - begun) / 60


@torch.no_grad()
def record(released: Released, held: Set, folder: Path) -> None:
    """A pair of the booth's, and what the network says of it, for the tests: parity.png has its channels one below the other."""
    k = int(np.flatnonzero(held.damaged)[0])
    n, row, about = held.rows[k]
    cv2.imwrite(str(folder / "parity.png"), np.asarray(held.inputs[n][row]).reshape(-1, SIDE))
    image = held.get(k)[0][None]
    silent = image.copy()
    silence(silent)
    (maps, score), (_, alone) = released(torch.from_numpy(image)), released(torch.from_numpy(silent))
    said = {"damage_score": float(about["damage"]), "score": score[0, 0].item(), "score_without_perception": alone[0, 0].item(),
            "map_mean": maps.mean().item(), "map_max": maps.max().item()}
    (folder / "parity.json").write_text(json.dumps(said) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=Path, default=HERE.parent / "out" / "pairs", help="folders train-* and validation-* of `intact pairs`")
    parser.add_argument("--out", type=Path, default=HERE.parent / "models" / "comparison" / "comparison.onnx")
    parser.add_argument("--start", type=Path, help="weights to go on from, as an earlier run left them (comparison.pt)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--samples", type=int, default=120_000)
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--every", type=int, default=300, help="steps between looks at the validation pairs")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    sets = [Set(sorted(p.parent for p in args.pairs.glob(f"{part}-*/pairs.csv"))) for part in ("train", "validation")]
    assert all(s.rows for s in sets), f"{args.pairs} holds no pairs: run `intact pairs` first"
    learnt, held = sets
    net, seen, minutes = fit(args, learnt, held)
    logits = judge(net, held)
    scale, shift = platt(logits, held.damaged)
    calibrated = scale * logits + shift
    # The threshold stays at one half: the prior moves until it lets ALARMS of the good items through to a person.
    limit = float(np.quantile(calibrated[~held.damaged], 1 - ALARMS))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"net": {k: v.half() if v.is_floating_point() else v for k, v in net.state_dict().items()}}, args.out.with_suffix(".pt"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        released = Released(net, scale, shift - limit).eval()
        torch.onnx.export(released, (torch.zeros(1, CHANNELS, SIDE, SIDE),), str(args.out),
                          input_names=["image"], output_names=["damage", "scores"], opset_version=17, dynamo=False)
    record(released, held, args.out.parent)
    perception = np.array([float(row["damage"]) for _, _, row in held.rows])
    difference = np.array([float(row["anomaly"]) for _, _, row in held.rows])
    figures = {
        "seed": args.seed, "samples": seen, "minutes": round(minutes, 1), "learnt_from": len(learnt.rows),
        "validation": {"n": len(held.rows), "damaged": int(held.damaged.sum()), "auroc": round(auroc_of(logits, held.damaged), 4),
                       "auroc_without_perception": round(auroc_of(judge(net, held, False), held.damaged), 4),
                       "auroc_of_perception": round(auroc_of(perception, held.damaged), 4), "auroc_of_the_difference": round(auroc_of(difference, held.damaged), 4),
                       "found_at_threshold": round(float((calibrated[held.damaged] > limit).mean()), 4)},
        "calibration": {"scale": round(scale, 4), "shift": round(shift - limit, 4), "prior": prior_of(-limit, float(held.damaged.mean()))},
        "parameters": sum(p.numel() for p in net.parameters()),
    }
    args.out.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")
    args.out.with_suffix(".state.pt").unlink(missing_ok=True)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
