"""A plain segmenter and a plain classifier that intact runs: a place to start from with a model of your own.

`plain.py segmenter|classifier --crops DIR… --out my.onnx` learns from folders that `intact crops` wrote of labelled captures, some minutes and from
nothing, and writes a file that keeps the contract (docs/model-contract.md): `image` [1, 3, S, S] in, `damage` out, the sigmoid inside. Then
`intact eval SET --format booth --model my.onnx`, or the parameter `perception.model`. Both are meant to be read, not to win: the network that intact
brings (train.py) learns from edited real goods and shams, too.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

import crops
from net import TYPES

SIDE, BATCH, RATE = 192, 16, 2e-3


def block(inside: int, outside: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside), nn.ReLU(inplace=True))


class Segmenter(nn.Module):
    """A small U-Net (Ronneberger et al., MICCAI 2015): one map of damage of any type, at half the side."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([block(3, 16, 2), block(16, 32, 2), block(32, 64, 2)])
        self.up = nn.ModuleList([block(64 + 32, 32), block(32 + 16, 16)])
        self.last = nn.Conv2d(16, 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        half = self.down[0](image)
        quarter = self.down[1](half)
        x = self.down[2](quarter)
        for layer, beside in zip(self.up, (quarter, half)):
            x = layer(torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), beside], 1))
        return self.last(x)

    def loss(self, said: torch.Tensor, bits: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        seen = (bits & (crops.EDITED - 1)) > 0
        truth = F.adaptive_avg_pool2d(seen.float()[:, None], said.shape[-2:])
        return F.binary_cross_entropy_with_logits(said, truth, pos_weight=torch.tensor(5.0))


class Classifier(nn.Module):
    """Convolutions, an average, a score a type."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(block(3, 16, 2), block(16, 32, 2), block(32, 64, 2), block(64, 96, 2))
        self.last = nn.Linear(96, len(TYPES))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.last(self.body(image).mean((2, 3)))

    def loss(self, said: torch.Tensor, _: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return F.binary_cross_entropy_with_logits(said, scores[:, 1:])


class Released(nn.Module):
    """The contract wants probabilities."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.net(image))


def drawn(rng: np.random.Generator, folders: list[crops.Folder], marked: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A batch: pictures [N, 3, S, S], bits of the damaged pixels [N, S, S], scores [N, 8]; `marked`: none whose damage is not marked."""
    samples = []
    while len(samples) < BATCH:
        folder = folders[rng.integers(len(folders))]
        sample = crops.load(folder, int(rng.integers(len(folder.rows))))
        if marked and not sample.masked:
            continue
        crops.move(rng, sample, SIDE)
        crops.expose(rng, sample.image)
        samples.append(sample)
    image, bits, scores = (np.stack(planes) for planes in zip(*((s.image[:3], s.bits, s.scores) for s in samples)))
    return torch.from_numpy(image), torch.from_numpy(bits), torch.from_numpy(scores)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("segmenter", "classifier"))
    parser.add_argument("--crops", type=Path, nargs="+", required=True, metavar="DIR", help="folders written by `intact crops`")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.onnx")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if missing := [str(path) for path in args.crops if not (path / "crops.csv").exists()]:
        parser.error(f"{', '.join(missing)}: no crops.csv there; write one with `intact crops SET --format booth --out DIR`")
    torch.manual_seed(args.seed)
    rng, folders = np.random.default_rng(args.seed), [crops.Folder.open(path) for path in args.crops]
    marked = args.kind == "segmenter"
    if marked and not any((folder.damage[k] & (crops.EDITED - 1)).any() for folder in folders for k in range(len(folder.rows))):
        parser.error("no crop has marked damage (Kaputt's tables have none): a segmenter needs it, a classifier does not")
    net = Segmenter() if marked else Classifier()
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE)
    bar, begun = tqdm(total=round(args.minutes * 60), unit="s", desc=args.kind), time.monotonic()
    while (spent := time.monotonic() - begun) < args.minutes * 60:
        for group in optimiser.param_groups:
            group["lr"] = RATE * (1 - spent / (args.minutes * 60))
        image, bits, scores = drawn(rng, folders, marked)
        loss = net.loss(net(image), bits, scores)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
        bar.update(int(time.monotonic() - begun) - bar.n)
    bar.close()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Released(net).eval(), (torch.zeros(1, 3, SIDE, SIDE),), str(args.out), input_names=["image"], output_names=["damage"],
                          opset_version=17, dynamo=False)
    print(f"{args.out}: judge it with `intact eval SET --format booth --model {args.out}`")


if __name__ == "__main__":
    main()
