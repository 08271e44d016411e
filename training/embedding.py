"""Trains the network of looks: an item's cut-out in, a vector out by which products are told apart; measures it and writes it as ONNX.

`intact looks` makes what it learns from. Two looks of one product shall lie near one another, whatever the turn, the light, tape and
labels, slight damage or a bad mask, and those of two products apart, also of one family and alike in colour.
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
from looks import SIDE, Batches, Set, plain, relit
from net import Residual, conv
from ranks import auroc_of

HERE = Path(__file__).resolve().parent
WIDTHS, DIMENSIONS = (16, 32, 64, 96), 128
# Of the cosines, in either loss.
TEMPERATURE = 0.08
# Bins a channel of the colour histograms that the network is measured beside.
BINS = 8
# Resampled sets of products for the intervals of AUROC.
RESAMPLED = 300
# What PyTorch and ONNX Runtime may differ by.
EQUAL = 1e-4


class EmbeddingNet(nn.Module):
    """A residual encoder; the mean and the strongest answer of each channel become the vector, whose length is one."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS):
        super().__init__()
        a, b, c, d = widths
        self.encoder = nn.Sequential(conv(4, a, 2), conv(a, b, 2), Residual(b), conv(b, c, 2), Residual(c), conv(c, d, 2), Residual(d))
        self.head = nn.Linear(2 * d, DIMENSIONS)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = self.encoder(image)
        out = self.head(torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1))
        # The length in full precision; asked first, so that ONNX has no cast.
        out = out.float() if out.dtype != torch.float32 else out
        return out / torch.sqrt((out * out).sum(1, keepdim=True) + 1e-9)


def contrast(vectors: torch.Tensor, product: torch.Tensor) -> torch.Tensor:
    """Each view among all others shall find those of its product (Khosla et al., NeurIPS 2020)."""
    itself = torch.eye(len(product), dtype=torch.bool)
    same = (product[:, None] == product) & ~itself
    chance = F.log_softmax((vectors @ vectors.T / TEMPERATURE).masked_fill(itself, -1e4), 1)
    return -((chance * same).sum(1) / same.sum(1)).mean()


def by_proxies(vectors: torch.Tensor, proxies: torch.Tensor, product: torch.Tensor) -> torch.Tensor:
    """Each view shall lie nearest to the learnt vector of its product, of all that there are."""
    return F.cross_entropy(vectors @ F.normalize(proxies, dim=1).T / TEMPERATURE, product)


@torch.no_grad()
def averaged(means: list[torch.Tensor], now: list[torch.Tensor], steps: torch.Tensor) -> None:
    """Moving averages of the weights, of few steps at first: what the network was made with shall soon be forgotten."""
    share = 1 - min(0.995, (1 + int(steps)) / (10 + int(steps)))
    for mean, value in zip(means, now):
        mean.lerp_(value, share) if mean.is_floating_point() else mean.copy_(value)


@torch.no_grad()
def vectors_of(net: nn.Module, images: np.ndarray) -> np.ndarray:
    net.eval()
    parts = [torch.from_numpy(images[k:k + 128]).float() / 255 for k in range(0, len(images), 128)]
    out = [net(part.contiguous(memory_format=torch.channels_last)).numpy() for part in parts]
    net.train()
    return np.concatenate(out)


def histograms_of(images: np.ndarray) -> np.ndarray:
    """Roots of Lab histograms of the things: their products are Bhattacharyya's coefficients."""
    out = []
    for image in images:
        lab = cv2.cvtColor(np.ascontiguousarray(image[:3].transpose(1, 2, 0)), cv2.COLOR_RGB2LAB)
        # Of a and b only the middle is in use.
        counts = cv2.calcHist([lab], [0, 1, 2], image[3], [BINS, 2 * BINS, 2 * BINS], [0, 256, 64, 192, 64, 192]).ravel()
        out.append(np.sqrt(counts / max(1.0, counts.sum())))
    return np.array(out, np.float32)


class Held:
    """Looks of products that never trained: the references are a gallery, the items are looked for in it, as they are and in another light."""

    def __init__(self, looks: Set, seed: int):
        self.looks = looks
        images = np.stack([plain(looks.get(i)) for i in range(len(looks.rows))])
        self.query = np.flatnonzero(~looks.reference & np.isin(looks.product, looks.product[looks.reference]))
        # By product, so that each one's looks are neighbours.
        self.kept = np.flatnonzero(looks.reference)
        self.kept = self.kept[np.argsort(looks.product[self.kept], kind="stable")]
        self.products, self.starts = np.unique(looks.product[self.kept], return_index=True)
        self.right = np.searchsorted(self.products, looks.product[self.query])
        self.gallery, self.images = images[self.kept], images[self.query]
        self.relit = np.stack([self.in_other_light(image, np.random.default_rng((seed, k))) for k, image in enumerate(self.images)])
        real, damaged = looks.real[looks.product[self.query]], looks.damaged[self.query]
        family = looks.family[looks.product[self.query]]
        self.groups = {"all": np.ones(len(real), bool), "booth": ~real, "damaged": damaged, "photographs": real,
                       **{f"family_{name}": ~real & (family == name) for name in sorted(set(family[~real]))}}

    @staticmethod
    def in_other_light(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        thing = image[3:].transpose(1, 2, 0) > 127
        rgb = np.where(thing, relit(image[:3].transpose(1, 2, 0), rng), 128)
        return np.concatenate([rgb.round().astype(np.uint8).transpose(2, 0, 1), image[3:]])

    def nearness(self, gallery: np.ndarray, queries: np.ndarray) -> np.ndarray:
        """The best cosine of each query with each product [queries, products]."""
        return np.maximum.reduceat(queries @ gallery.T, self.starts, axis=1)


def wilson(right: np.ndarray, z: float = 1.96) -> list[float]:
    n, share = len(right), float(right.mean())
    middle, wide = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return [round((middle - wide) / (1 + z * z / n), 4), round((middle + wide) / (1 + z * z / n), 4)]


def figures_of(near: np.ndarray, right: np.ndarray) -> dict:
    """How often the right product is first or among five, and how well the cosines with it and with the best wrong one are told apart."""
    rows = np.arange(len(right))
    own = near[rows, right]
    others = near.copy()
    others[rows, right] = -np.inf
    wrong = others.max(1)
    place = (others >= own[:, None]).sum(1)

    def told(which: np.ndarray) -> float:
        return auroc_of(np.concatenate([own[which], wrong[which]]), np.arange(2 * len(which)) < len(which))

    # Queries of one product are alike: products are resampled, not queries.
    rng, members = np.random.default_rng(1), [np.flatnonzero(right == p) for p in np.unique(right)]
    again = [told(np.concatenate([members[k] for k in rng.integers(0, len(members), len(members))])) for _ in range(RESAMPLED)]
    return {"n": len(right), "products": len(members),
            "recall_at_1": round(float((place < 1).mean()), 4), "recall_at_1_interval": wilson(place < 1),
            "recall_at_5": round(float((place < 5).mean()), 4), "recall_at_5_interval": wilson(place < 5),
            "auroc": round(told(rows), 4), "auroc_interval": [round(float(v), 4) for v in np.quantile(again, (0.025, 0.975))]}


def calibrate(near: np.ndarray, right: np.ndarray) -> dict:
    """Logistic regression, by Newton's method, of whether the nearest product is the right one on its cosine and its lead over the second."""
    two = -np.partition(-near, 1, axis=1)[:, :2].astype(np.float64)
    x = np.stack([two[:, 0], two[:, 0] - two[:, 1], np.ones(len(two))], 1)
    is_right = near.argmax(1) == right
    # Targets a little inside of 0 and 1, as Platt has them; a weak pull to nothing, for where all are right.
    n, m = is_right.sum(), (~is_right).sum()
    wanted, w, pull = np.where(is_right, (n + 1) / (n + 2), 1 / (m + 2)), np.zeros(3), np.diag([1e-2, 1e-2, 1e-6])

    def loss(w: np.ndarray) -> float:
        return float((np.logaddexp(0, x @ w) - wanted * (x @ w)).sum() + w @ pull @ w / 2)

    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(x @ w, -500, 500)))
        step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + pull, x.T @ (p - wanted) + pull @ w)
        while loss(w - step) > loss(w) and np.abs(step).max() > 1e-9:
            step /= 2
        w -= step
        if np.abs(step).max() < 1e-9:
            break
    p = 1 / (1 + np.exp(-x @ w))
    return {"cosine": round(float(w[0]), 4), "margin": round(float(w[1]), 4), "shift": round(float(w[2]), 4), "n": len(right),
            "right": round(float(is_right.mean()), 4), "products": near.shape[1], "brier": round(float(((p - is_right) ** 2).mean()), 4)}


def measure(net: nn.Module, held: Held) -> tuple[dict, dict]:
    """Figures of every group, of the network's and beside them of the histograms; and the calibration."""
    out, both = {}, []
    for name, make in (("network", lambda images: vectors_of(net, images)), ("histogram", histograms_of)):
        gallery = make(held.gallery)
        for light, images in (("", held.images), ("_in_other_light", held.relit)):
            near = held.nearness(gallery, make(images))
            out[f"{name}{light}"] = {g: figures_of(near[of], held.right[of]) for g, of in held.groups.items() if of.any()}
            both += [near] if name == "network" else []
    return out, calibrate(np.concatenate(both), np.concatenate([held.right, held.right]))


def glance(net: nn.Module, held: Held) -> str:
    gallery = vectors_of(net, held.gallery)
    firsts = [held.nearness(gallery, vectors_of(net, images)).argmax(1) == held.right for images in (held.images, held.relit)]
    kinds = " ".join(f"{g} {firsts[0][of].mean():.3f}" for g, of in held.groups.items() if of.any() and not g.startswith("family"))
    return f"first of {len(held.products)}: {kinds}, in other light {firsts[1].mean():.3f}"


def fit(args: argparse.Namespace, learnt: Set, held: Held) -> tuple[EmbeddingNet, int, float]:
    """The averaged weights, the number of views, and the seconds of all its sessions; goes on where an interrupted run left its state."""
    net = EmbeddingNet().to(memory_format=torch.channels_last)
    if args.start:
        net.load_state_dict(torch.load(args.start, map_location="cpu")["net"])
    mean = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=averaged, use_buffers=True)
    proxies = nn.Parameter(0.1 * torch.randn(len(learnt.members), DIMENSIONS))
    optimiser = torch.optim.AdamW([{"params": net.parameters()}, {"params": [proxies], "weight_decay": 0.0}], lr=args.rate, weight_decay=2e-2)
    state, seen, step, spent, total = args.out.with_suffix(".state.pt"), 0, 0, 0.0, 0.0
    asked = checkpoint.asked(args, learnt.tables)
    if saved := checkpoint.resume(state, asked):
        net.load_state_dict(saved["net"])
        mean.load_state_dict(saved["mean"])
        proxies.data.copy_(saved["proxies"])
        optimiser.load_state_dict(saved["optimiser"])
        seen, step, spent, total = (saved[name] for name in ("seen", "step", "spent", "total"))
    batches = Batches(learnt, args.seed, step, 1 << 40, args.products, args.views)
    loader = torch.utils.data.DataLoader(batches, batch_size=None, num_workers=args.workers, sampler=range(len(batches)))
    begun = time.monotonic() - spent
    bar = tqdm(total=args.samples, initial=seen, unit="view", smoothing=0.05, mininterval=5)
    for image, product in loader:
        done = max(seen / args.samples, (time.monotonic() - begun) / 60 / args.minutes)
        if done >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = args.rate * min(1.0, (step + 1) / 60) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        with torch.autocast("cpu", torch.bfloat16):
            vectors = net((image.float() / 255).contiguous(memory_format=torch.channels_last))
        loss = contrast(vectors, product)
        if args.proxies:
            loss = loss + args.proxies * by_proxies(vectors, proxies, product)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step()
        mean.update_parameters(net)
        seen, step, total = seen + len(image), step + 1, loss.item() if step == 0 else 0.97 * total + 0.03 * loss.item()
        bar.update(len(image))
        bar.set_postfix(loss=f"{total:.3f}", refresh=False)
        if step % args.every == 0:
            checkpoint.save({"net": net.state_dict(), "mean": mean.state_dict(), "proxies": proxies.data, "optimiser": optimiser.state_dict(),
                             "seen": seen, "step": step, "total": total, "spent": time.monotonic() - begun, "asked": asked}, state)
            bar.write(f"{seen} views, loss {total:.3f}, {glance(mean.module, held)}")
    bar.close()
    return mean.module.eval(), seen, time.monotonic() - begun


def release(net: EmbeddingNet, held: Held, out: Path) -> float:
    """The network as ONNX, once ONNX Runtime has said the same; the weights to go on from; and a look with its vector, for the tests.

    parity.png has the look's channels one below the other. Gives how far the two engines were apart at most.
    """
    net = net.eval().to(memory_format=torch.contiguous_format)
    unfinished = out.with_name(f"unfinished-{out.name}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (torch.zeros(1, 4, SIDE, SIDE),), str(unfinished), input_names=["image"], output_names=["embedding"],
                          opset_version=17, dynamo=False)
    onnx.checker.check_model(onnx.load(unfinished))
    session, apart = onnxruntime.InferenceSession(str(unfinished), providers=["CPUExecutionProvider"]), 0.0
    for image in held.images[:32]:
        vector = session.run(None, {"image": image[None].astype(np.float32) / 255})[0]
        apart = max(apart, float(np.abs(vector - vectors_of(net, image[None])).max()))
    if apart > EQUAL:
        raise SystemExit(f"PyTorch and ONNX Runtime differ by {apart:.2e}, more than {EQUAL:.0e}: nothing was released; {unfinished} is kept to look at")
    os.replace(unfinished, out)
    torch.save({"net": {k: v.half() if v.is_floating_point() else v for k, v in net.state_dict().items()}}, out.with_suffix(".pt"))
    image = held.images[int(np.flatnonzero(held.groups["damaged"] if held.groups["damaged"].any() else held.groups["all"])[0])]
    cv2.imwrite(str(out.with_name("parity.png")), image.reshape(-1, SIDE))
    out.with_name("parity.json").write_text(json.dumps({"embedding": vectors_of(net, image[None])[0].tolist()}) + "\n")
    return apart


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--looks", type=Path, default=HERE.parent / "out" / "looks", help="folders train-* and validation-* of `intact looks`")
    parser.add_argument("--out", type=Path, default=HERE.parent / "models" / "embedding" / "embedding.onnx")
    parser.add_argument("--start", type=Path, help="weights to go on from, as an earlier run left them (embedding.pt)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--samples", type=int, default=600_000, help="views")
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--products", type=int, default=48, help="products a batch")
    parser.add_argument("--views", type=int, default=3, help="views of each product in a batch")
    parser.add_argument("--proxies", type=float, default=0.25, help="weight of the loss by learnt vectors of the products; 0 leaves it out")
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--every", type=int, default=200, help="steps between looks at the validation products")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch; two wait for one another beside other work")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    sets = [Set(sorted(p.parent for p in args.looks.glob(f"{part}-*/looks.csv"))) for part in ("train", "validation")]
    assert all(s.rows for s in sets), f"{args.looks} holds no looks: run prepare_embedding.py first"
    learnt, held = sets[0], Held(sets[1], args.seed)
    assert len(held.query), f"the validation of {args.looks} holds no item whose product has references"
    args.out.parent.mkdir(parents=True, exist_ok=True)
    net, seen, seconds = fit(args, learnt, held)
    found, calibration = measure(net, held)
    apart = release(net, held, args.out)
    plainly = {name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items() if value != math.inf}
    figures = {
        "arguments": plainly, "samples": seen, "seconds": round(seconds), "parameters": sum(p.numel() for p in net.parameters()),
        "learnt_from": {"looks": len(learnt.rows), "products": len(learnt.members), "photographed": int(learnt.real.sum())},
        "gallery": {"looks": len(held.kept), "products": len(held.products)},
        "validation": found, "calibration": calibration, "engines_apart": float(f"{apart:.1e}"),
    }
    args.out.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")
    args.out.with_suffix(".state.pt").unlink(missing_ok=True)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
