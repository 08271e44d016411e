"""The damage network: six channels of one item in, maps and scores of Kaputt's seven types out."""

import torch
from torch import nn
from torch.nn import functional as F

TYPES = ["penetration", "deformation", "actuation", "deconstruction", "spillage", "superficial", "missing_unit"]
CHANNELS = 6
# Share of a map whose mean is its pooled logit.
TOP_SHARE = 0.005


def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """Two convolutions around which the input also runs (He et al., CVPR 2016)."""

    def __init__(self, width: int):
        super().__init__()
        self.first = conv(width, width)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(x + self.second(self.first(x)))


class DamageNet(nn.Module):
    """A residual encoder with a feature pyramid (Lin et al., CVPR 2017) for the maps and a pooled head for the scores."""

    def __init__(self, widths: tuple[int, ...] = (24, 32, 64, 96, 128), pyramid: int = 32):
        super().__init__()
        a, b, c, d, e = widths
        self.stem = conv(CHANNELS, a, 2)
        self.quarter = nn.Sequential(conv(a, b, 2), Residual(b), Residual(b))
        self.eighth = nn.Sequential(conv(b, c, 2), Residual(c), Residual(c))
        self.sixteenth = nn.Sequential(conv(c, d, 2), Residual(d), Residual(d))
        self.last = nn.Sequential(conv(d, e, 2), Residual(e))
        self.lateral = nn.ModuleList(nn.Conv2d(width, pyramid, 1) for width in (b, c, d, e))
        self.smooth = nn.ModuleList(conv(pyramid, pyramid) for _ in range(3))
        self.maps = nn.Conv2d(pyramid, len(TYPES), 1)
        self.head = nn.Sequential(nn.Linear(2 * e + len(TYPES), 64), nn.ReLU(inplace=True), nn.Dropout(0.1), nn.Linear(64, 1 + len(TYPES)))
        nn.init.constant_(self.maps.bias, -4.0)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits: maps [N, 7, H/4, W/4], and any damage followed by the seven types [N, 8]."""
        quarter = self.quarter(self.stem(x))
        eighth = self.eighth(quarter)
        sixteenth = self.sixteenth(eighth)
        last = self.last(sixteenth)
        top = self.lateral[3](last)
        for k, features in ((2, sixteenth), (1, eighth), (0, quarter)):
            top = self.smooth[k](self.lateral[k](features) + F.interpolate(top, scale_factor=2.0, mode="nearest"))
        maps = self.maps(top)
        flat = maps.flatten(2)
        pooled = flat.topk(max(1, int(TOP_SHARE * flat.shape[2])), dim=2).values.mean(2)
        return maps, self.head(torch.cat([last.mean((2, 3)), last.amax((2, 3)), pooled], 1))


class Released(nn.Module):
    """The network as it leaves: probabilities, with the calibration of the overall score inside."""

    def __init__(self, net: DamageNet, scale: float, shift: float):
        super().__init__()
        self.net = net
        self.scale, self.shift = scale, shift

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maps, scores = self.net(image)
        overall = scores[:, :1] * self.scale + self.shift
        return torch.sigmoid(maps), torch.sigmoid(torch.cat([overall, scores[:, 1:]], 1))
