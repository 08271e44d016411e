"""Trains the network that finds items by colour, and by what a depth camera missed; measures it and writes it as ONNX.

It says of each place whether it is an item's, and whether another item is near: what is an item's and no border are the items' insides,
from which they grow (after the U-Net of Ronneberger et al., MICCAI 2015, which told touching cells apart so).
"""

import argparse
import json
import math
import os
import time
import warnings
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

import checkpoint
import scenes
from net import Residual, conv

HERE = Path(__file__).resolve().parent
CHANNELS, MAPS = 4, 2
# A border's pixels are few.
BORDER_WEIGHT = 3.0
# Samples that are held to tell how it goes: captures as they are, and scenes put together.
HELD = 400
# What PyTorch and ONNX Runtime may differ by.
EQUAL = 1e-4


class ItemsNet(nn.Module):
    """A residual encoder whose last level sees the whole picture, and a pyramid (Lin et al., CVPR 2017) up to half of its side."""

    def __init__(self, widths: tuple[int, ...] = (16, 24, 40, 64, 96), pyramid: int = 32):
        super().__init__()
        a, b, c, d, e = widths
        self.stem = conv(CHANNELS, a, 2)
        self.quarter = nn.Sequential(conv(a, b, 2), Residual(b))
        self.eighth = nn.Sequential(conv(b, c, 2), Residual(c), Residual(c))
        self.sixteenth = nn.Sequential(conv(c, d, 2), Residual(d), Residual(d))
        self.last = nn.Sequential(conv(d, e, 2), Residual(e), Residual(e))
        # What is a ground can be told only from all of the picture.
        self.whole = nn.Linear(e, e)
        self.lateral = nn.ModuleList(nn.Conv2d(width, pyramid, 1) for width in (b, c, d, e))
        self.smooth = nn.ModuleList(conv(pyramid, pyramid) for _ in range(3))
        self.fine = conv(pyramid + a, 24)
        self.maps = nn.Conv2d(24, MAPS, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [N, 2, H/2, W/2]: an item's, and near another's."""
        half = self.stem(x)
        quarter = self.quarter(half)
        eighth = self.eighth(quarter)
        sixteenth = self.sixteenth(eighth)
        last = self.last(sixteenth)
        last = last + self.whole(last.mean((2, 3)))[:, :, None, None]
        top = self.lateral[3](last)
        for k, features in ((2, sixteenth), (1, eighth), (0, quarter)):
            top = self.smooth[k](self.lateral[k](features) + F.interpolate(top, scale_factor=2.0, mode="nearest"))
        return self.maps(self.fine(torch.cat([F.interpolate(top, scale_factor=2.0, mode="nearest"), half], 1)))


class Released(nn.Module):
    """The network as it leaves: probabilities."""

    def __init__(self, net: ItemsNet):
        super().__init__()
        self.net = net

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.net(image))


def loss_of(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Cross entropy of both maps, of the border where items are, and the overlap of the items of each picture."""
    item, border = logits[:, 0], logits[:, 1]
    pixel = F.binary_cross_entropy_with_logits(item, truth[:, 0])
    chance = torch.sigmoid(item)
    overlap = 1 - (2 * (chance * truth[:, 0]).sum((1, 2)) + 20) / (chance.sum((1, 2)) + truth[:, 0].sum((1, 2)) + 20)
    within = F.max_pool2d(truth[:, :1], 5, 1, 2)[:, 0]
    weight = within * (1 + BORDER_WEIGHT * truth[:, 1])
    near = F.binary_cross_entropy_with_logits(border, truth[:, 1], reduction="none")
    return 2 * pixel + 0.5 * overlap.mean() + (near * weight).sum() / weight.sum().clamp(min=1)


class Stream(torch.utils.data.IterableDataset):
    """Samples from a draw on; workers take turns."""

    def __init__(self, bank: scenes.Bank, seed: int, first: int):
        self.bank, self.seed, self.first = bank, seed, first

    def __iter__(self):
        cv2.setNumThreads(0)
        worker = torch.utils.data.get_worker_info()
        k, step = (self.first + worker.id, worker.num_workers) if worker else (self.first, 1)
        while True:
            yield scenes.sample(self.bank, self.seed * 1_000_003 + k)
            k += step


class Held:
    """Booth captures, real ones and scenes put together of a part that never trained."""

    def __init__(self, bank: scenes.Bank):
        images, truth, groups = [], [], []
        for k in range(len(bank.color)):
            color = cv2.resize(bank.color[k], (scenes.WIDTH, scenes.HEIGHT), interpolation=cv2.INTER_AREA)
            labels = cv2.resize(bank.labels[k], (scenes.WIDTH, scenes.HEIGHT), interpolation=cv2.INTER_NEAREST)
            images.append(np.concatenate([color.transpose(2, 0, 1), np.zeros((1, scenes.HEIGHT, scenes.WIDTH), np.uint8)]))
            truth.append(cv2.resize((labels > 0).astype(np.float32), (scenes.WIDTH // 2, scenes.HEIGHT // 2), interpolation=cv2.INTER_AREA) > 0.5)
            groups.append("real" if k < bank.real else "booth")
        for k in range(HELD):
            image, maps = scenes.sample(bank, k)
            images.append(image)
            truth.append(maps[0] > 127)
            groups.append("scenes")
        self.images, self.truth, self.groups = np.stack(images), np.stack(truth), np.array(groups)

    def measure(self, net: nn.Module) -> dict:
        """Mean IoU of all items of a picture with what is found; of pictures without any, how many stay empty but for one in 200 pixels."""
        net.eval()
        found = np.concatenate([maps_of(net, self.images[k : k + 32])[:, 0] > 0 for k in range(0, len(self.images), 32)])
        net.train()
        both, any_ = (found & self.truth).sum((1, 2)), (found | self.truth).sum((1, 2))
        empty = self.truth.sum((1, 2)) == 0
        out = {"empty": round(float((found[empty].mean((1, 2)) < 0.005).mean()), 4) if empty.any() else None}
        for group in sorted(set(self.groups)):
            of = (self.groups == group) & ~empty
            iou = both[of] / any_[of]
            out[group] = {"n": int(of.sum()), "iou": round(float(iou.mean()), 4), "above_0.9": round(float((iou > 0.9).mean()), 4)}
        return out


@torch.no_grad()
def maps_of(net: nn.Module, images: np.ndarray) -> np.ndarray:
    return net(torch.from_numpy(images).float().div(255).contiguous(memory_format=torch.channels_last)).float().numpy()


def fit(args: argparse.Namespace, bank: scenes.Bank, held: Held) -> tuple[nn.Module, int, float]:
    """The averaged weights, the number of samples, and the seconds of all its sessions; goes on where an interrupted run left its state."""
    net = ItemsNet().to(memory_format=torch.channels_last)
    if args.start:
        net.load_state_dict(torch.load(args.start, map_location="cpu")["net"])
    mean = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998), use_buffers=True)
    optimiser = torch.optim.AdamW(net.parameters(), lr=args.rate, weight_decay=1e-2)
    state, seen, step, spent, total = args.out.with_suffix(".state.pt"), 0, 0, 0.0, 0.0
    asked = checkpoint.asked(args, [args.items / "train" / "grounds.npz", HERE / "splits.csv"])
    if saved := checkpoint.resume(state, asked):
        net.load_state_dict(saved["net"])
        mean.load_state_dict(saved["mean"])
        optimiser.load_state_dict(saved["optimiser"])
        seen, step, spent, total = (saved[name] for name in ("seen", "step", "spent", "total"))
    loader = torch.utils.data.DataLoader(Stream(bank, args.seed, seen), batch_size=args.batch, num_workers=args.workers,
                                         prefetch_factor=4 if args.workers else None)
    begun = time.monotonic() - spent
    bar = tqdm(total=args.samples, initial=seen, unit="scene", smoothing=0.05, mininterval=5)
    for image, truth in loader:
        done = max(seen / args.samples, (time.monotonic() - begun) / 60 / args.minutes)
        if done >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = args.rate * min(1.0, (step + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        with torch.autocast("cpu", torch.bfloat16):
            logits = net(image.float().div(255).contiguous(memory_format=torch.channels_last))
        loss = loss_of(logits.float(), truth.float().div(255))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step()
        mean.update_parameters(net)
        seen, step, total = seen + len(image), step + 1, loss.item() if step == 0 else 0.97 * total + 0.03 * loss.item()
        bar.update(len(image))
        bar.set_postfix(loss=f"{total:.3f}", refresh=False)
        if step % args.every == 0:
            checkpoint.save({"net": net.state_dict(), "mean": mean.state_dict(), "optimiser": optimiser.state_dict(), "seen": seen, "step": step,
                             "total": total, "spent": time.monotonic() - begun, "asked": asked}, state)
            bar.write(f"{seen} scenes, loss {total:.3f}, {json.dumps(held.measure(mean.module))}")
    bar.close()
    return mean.module.eval(), seen, time.monotonic() - begun


def release(net: nn.Module, held: Held, out: Path) -> float:
    """The network as ONNX, once ONNX Runtime has said the same; the weights to go on from; and a picture with its maps, for the tests.

    parity.png has the picture's channels one below the other. Gives how far the two engines were apart at most.
    """
    released = Released(net.eval().to(memory_format=torch.contiguous_format)).eval()
    unfinished = out.with_name(f"unfinished-{out.name}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(released, (torch.zeros(1, CHANNELS, scenes.HEIGHT, scenes.WIDTH),), str(unfinished), input_names=["image"],
                          output_names=["items"], opset_version=17, dynamo=False)
    onnx.checker.check_model(onnx.load(unfinished))
    session, apart = onnxruntime.InferenceSession(str(unfinished), providers=["CPUExecutionProvider"]), 0.0
    for image in held.images[:: max(1, len(held.images) // 32)]:
        maps = session.run(None, {"image": image[None].astype(np.float32) / 255})[0]
        apart = max(apart, float(np.abs(maps - maps_of(released, image[None])).max()))
    if apart > EQUAL:
        raise SystemExit(f"PyTorch and ONNX Runtime differ by {apart:.2e}, more than {EQUAL:.0e}: nothing was released; {unfinished} is kept to look at")
    os.replace(unfinished, out)
    torch.save({"net": {k: v.half() if v.is_floating_point() else v for k, v in net.state_dict().items()}}, out.with_suffix(".pt"))
    image = held.images[-1]
    cv2.imwrite(str(out.with_name("parity.png")), image.reshape(-1, scenes.WIDTH))
    # Every eighth number says enough.
    maps = maps_of(released, image[None])[0][:, ::8, ::8]
    out.with_name("parity.json").write_text(json.dumps({"every": 8, "items": [round(float(v), 6) for v in maps.ravel()]}) + "\n")
    return apart


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=Path, default=HERE.parent / "out" / "items", help="what prepare_items.py made")
    parser.add_argument("--out", type=Path, default=HERE.parent / "models" / "items" / "items.onnx")
    parser.add_argument("--start", type=Path, help="weights to go on from, as an earlier run left them (items.pt)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--samples", type=int, default=250_000)
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--every", type=int, default=400, help="steps between looks at what never trained")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch; two wait for one another beside other work")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    for part in ("train", "validation"):
        if not (args.items / part / "grounds.npz").exists():
            raise SystemExit(f"{args.items / part} holds nothing to learn from: run prepare_items.py first")
    bank, held = scenes.Bank.open(args.items / "train"), Held(scenes.Bank.open(args.items / "validation"))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    net, seen, seconds = fit(args, bank, held)
    apart = release(net, held, args.out)
    plainly = {name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items() if value != math.inf}
    figures = {"arguments": plainly, "samples": seen, "seconds": round(seconds), "parameters": sum(p.numel() for p in net.parameters()),
               "learnt_from": {"captures": len(bank.color), "of_them_real": bank.real, "things": len(bank.shapes), "grounds": len(bank.grounds)},
               "validation": held.measure(net), "engines_apart": float(f"{apart:.1e}")}
    args.out.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")
    args.out.with_suffix(".state.pt").unlink(missing_ok=True)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
