"""Trains the damage network. Seeded, resumable, with a bar; stops after --samples or --minutes, whichever is first."""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from tqdm import tqdm

import checkpoint
import crops
from net import TYPES, DamageNet
from prepare import splits
from ranks import auroc_of

HERE = Path(__file__).resolve().parent
# How much more a pixel counts that was edited.
EDITED_WEIGHT = 8


class Stream(IterableDataset):
    """Samples of a mixture, a few a draw, from a draw on; workers take turns."""

    def __init__(self, mixture: crops.Mixture, seed: int, first: int):
        self.mixture, self.seed, self.first = mixture, seed, first

    def __iter__(self):
        import cv2
        cv2.setNumThreads(0)
        worker = get_worker_info()
        k, step = (self.first + worker.id, worker.num_workers) if worker else (self.first, 1)
        while True:
            for sample in self.mixture.draw(self.seed * 1_000_003 + k):
                yield sample.image, sample.bits, sample.scores, np.float32(sample.masked)
            k += step


def targets(bits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Maps [N, 7, h, w]: where a type covers a good part of a cell."""
    planes = torch.stack([(bits >> k & 1).float() for k in range(len(TYPES))], 1)
    return (F.adaptive_avg_pool2d(planes, size) > 0.3).float()


def loss_of(maps: torch.Tensor, scores: torch.Tensor, bits: torch.Tensor, wanted: torch.Tensor, masked: torch.Tensor) -> torch.Tensor:
    """Cross entropy and overlap of the maps where the damaged pixels are known (`masked` [N], 1 or 0), cross entropy of the scores.

    What was edited, for damage or for a sham, weighs most: there the two must be told apart.
    """
    truth = targets(bits, maps.shape[-2:])
    edited = F.adaptive_max_pool2d((bits > 0).float()[:, None], maps.shape[-2:])
    weight = (1 + EDITED_WEIGHT * edited) * (1 + truth) * masked[:, None, None, None]
    pixel = F.binary_cross_entropy_with_logits(maps, truth, reduction="none")
    pixel = (pixel * weight).sum() / weight.sum().clamp(min=1)
    chance = torch.sigmoid(maps)
    both = (chance * truth).sum((2, 3))
    overlap = 1 - (2 * both + 1) / (chance.sum((2, 3)) + truth.sum((2, 3)) + 1)
    shown = truth.amax((2, 3))
    overlap = (overlap * shown).sum() / shown.sum().clamp(min=1)
    overall = F.binary_cross_entropy_with_logits(scores[:, 0], wanted[:, 0])
    types = F.binary_cross_entropy_with_logits(scores[:, 1:], wanted[:, 1:])
    return 3 * pixel + 0.3 * overlap + overall + 1.5 * types


@torch.no_grad()
def judge(net: DamageNet, folders: list[crops.Folder], side: int, each: int | None = None, colour_alone: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Overall logits and labels of stored crops, `each` of a folder, spread evenly; with all that depth tells left out when asked."""
    net.eval()
    device = next(net.parameters()).device
    logits, damaged = [], []
    for folder in folders:
        n = len(folder.rows)
        picked = range(n) if each is None else sorted({k * n // each for k in range(min(each, n))})
        batch: list[crops.Sample] = []
        for k in picked:
            sample = crops.load(folder, k)
            crops.fit(sample, side)
            if colour_alone:
                crops.without_depth(sample.image)
            batch.append(sample)
            if len(batch) == 16 or k == picked[-1]:
                images = torch.from_numpy(np.stack([s.image for s in batch]))
                logits.append(net(images.to(device, memory_format=torch.channels_last))[1][:, 0].float().cpu().numpy())
                damaged.append(np.array([s.scores[0] > 0 for s in batch]))
                batch = []
    net.train()
    return np.concatenate(logits), np.concatenate(damaged)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crops", type=Path, default=HERE.parent / "out" / "training")
    parser.add_argument("--out", type=Path, default=HERE.parent / "out" / "training" / "model")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--samples", type=int, default=3_000_000, help="windows and whole crops together")
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--batch", type=int, default=160, help="windows a step; of whole crops an eighth")
    parser.add_argument("--side", type=int, default=96, help="side of the windows that most of the run learns from")
    parser.add_argument("--final-side", type=int, default=256, help="side of the whole crops in the last share of the run")
    parser.add_argument("--final-share", type=float, default=0.3, help="1: whole crops only, as for fine-tuning")
    parser.add_argument("--final-windows", type=float, default=0.0, help="share of the steps of the last part of the run that still learn from windows")
    parser.add_argument("--real-share", type=float, default=0.6)
    parser.add_argument("--no-sham", action="store_true", help="ablation: damaged edits only")
    parser.add_argument("--with-depth", action="store_true", help="whole crops as they are, for a model that is asked about items with depth, too")
    parser.add_argument("--lost", type=float, help="share of the items that lose their depth; of windows 0.4, of whole crops 0.8, with depth 0.4")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--workers", type=int, default=1, help="processes that draw samples, as many for windows as for whole crops")
    parser.add_argument("--threads", type=int, default=1, help="of the training itself; more than the other cores slow both down")
    parser.add_argument("--start", type=Path, help="weights to start from: fine-tuning")
    return parser.parse_args()


def batches(args: argparse.Namespace, booth: list[crops.Folder], real: list[crops.Folder], seen: int, final: bool):
    """Endless batches: windows, or in the last part of the run whole crops with windows between them; each with whether it is of windows."""
    def stream(windowed: bool):
        side, batch = (args.side, args.batch) if windowed else (args.final_side, max(1, args.batch // 8))
        mixture = crops.Mixture(booth, real, splits(), side, args.real_share, not args.no_sham, windowed, args.with_depth, args.lost)
        drawn = seen // (2 * crops.WINDOWS if windowed else 2)
        return iter(DataLoader(Stream(mixture, args.seed, drawn), batch_size=batch, num_workers=args.workers,
                               prefetch_factor=3 if args.workers else None))

    whole, parts = stream(False) if final else None, stream(True) if args.final_windows or not final else None
    due = 0.0
    while True:
        due += args.final_windows if final else 1
        windowed = due >= 1
        due -= windowed
        yield windowed, next(parts if windowed else whole)


def main() -> None:
    args = arguments()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generated = sorted(args.crops.glob("train-*/done"))
    photographed = [args.crops / name / "done" for name in ("real", "wide") if (args.crops / name / "done").exists()]
    booth, real = ([crops.Folder.open(p.parent) for p in done] for done in (generated, photographed))
    held = crops.held_back(args.crops, args.with_depth)
    assert booth and held, f"{args.crops} holds no crops: run prepare.py first"
    if (args.final_windows or args.final_share < 1) and not real and not any(folder.damage[k].any() for folder in booth for k in range(len(folder.rows))):
        raise SystemExit(f"{args.crops}: no damage is marked there, so no windows can be cut around it; learn of whole crops (--final-share 1 --final-windows 0)")
    net = DamageNet().to(device, memory_format=torch.channels_last)
    if args.start:
        net.load_state_dict(torch.load(args.start, map_location=device)["net"])
    mean = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998), use_buffers=True)
    normalised = [layer for layer in net.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    optimiser = torch.optim.AdamW(net.parameters(), lr=args.rate, weight_decay=1e-2)
    args.out.mkdir(parents=True, exist_ok=True)
    state, seen, spent = args.out / "state.pt", 0, 0.0
    asked = checkpoint.asked(args, [*(p.with_name("crops.csv") for p in generated + photographed), HERE / "splits.csv"])
    if saved := checkpoint.resume(state, asked, device):
        net.load_state_dict(saved["net"])
        mean.load_state_dict(saved["mean"])
        optimiser.load_state_dict(saved["optimiser"])
        seen, spent = saved["seen"], saved["spent"]
    log = (args.out / "log.jsonl").open("a")
    bar = tqdm(total=args.samples, initial=seen, unit="crop", smoothing=0.05, mininterval=5)
    begun = time.monotonic() - spent

    def keep() -> None:
        spent = time.monotonic() - begun
        checkpoint.save({"net": net.state_dict(), "mean": mean.state_dict(), "optimiser": optimiser.state_dict(), "seen": seen,
                         "spent": spent, "asked": asked}, state)

    def progress() -> float:
        return min(1.0, max(seen / args.samples, (time.monotonic() - begun) / 60 / args.minutes))

    while progress() < 1:
        final = progress() >= 1 - args.final_share
        step, total = 0, 0.0
        for windowed, (image, bits, wanted, masked) in batches(args, booth, real, seen, final):
            done = progress()
            if done >= 1 or (not final and done >= 1 - args.final_share):
                break
            for group in optimiser.param_groups:
                group["lr"] = args.rate * min(1.0, (seen + len(image)) / 3000) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
            image = image.to(device, memory_format=torch.channels_last)
            # What is asked for in the end are whole crops: windows between them leave the running means alone.
            for layer in normalised:
                layer.momentum = 0.0 if final and windowed else 0.1
            with torch.autocast(device, torch.bfloat16):
                maps, scores = net(image)
            loss = loss_of(maps.float(), scores.float(), bits.to(device), wanted.to(device), masked.to(device))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
            optimiser.step()
            mean.update_parameters(net)
            seen, step, total = seen + len(image), step + 1, total + loss.item()
            bar.update(len(image))
            if step % 200 == 0:
                bar.set_postfix(loss=f"{total / step:.3f}", side=image.shape[-1])
                keep()
                line = {"seen": seen, "minutes": round((time.monotonic() - begun) / 60, 2), "loss": round(total / step, 4)}
                if step % 800 == 0:
                    logits, damaged = judge(mean.module, held, args.final_side, 60, colour_alone=not args.with_depth)
                    line["validation_auroc"] = round(auroc_of(logits, damaged), 4)
                step, total = (0, 0.0) if step % 800 == 0 else (step, total)
                log.write(json.dumps(line) + "\n")
                log.flush()
    bar.close()
    keep()
    minutes = round((time.monotonic() - begun) / 60, 1)
    checkpoint.save({"net": mean.module.state_dict(), "seen": seen, "minutes": minutes, "seed": args.seed}, args.out / "final.pt")


if __name__ == "__main__":
    main()
