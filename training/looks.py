"""The looks of items that `intact looks` cut out: how they are read, varied, and put together for the network that tells products apart.

A look is a thing's picture in its tight box, colour and mask, all else grey. What is varied is what a cell varies: the turn, the light,
tilt, tape and labels, slight damage, and what the mask got wrong. The hue of a print and its handedness stay: they tell products apart.
"""

import csv
from pathlib import Path

import cv2
import numpy as np
import torch

# Side of the stored looks and of what the network sees; the longer side of the thing is 7/8 of either.
STORED, SIDE = 160, 128
FILLED = SIDE * 7 // 8
GREY = 128
# Of a batch's products, shares that are photographed goods, of one family and alike in colour, and alike in colour only. The rest: any.
REAL, FAMILY, COLOUR = 1 / 6, 1 / 3, 1 / 5
# Chance that the next view of a product is another capture of it, where there is one.
OTHER = 0.5
# Places of the pixels, -1 … 1.
ROWS, COLUMNS = (g.astype(np.float32) / (SIDE / 2) - 1 for g in np.mgrid[:SIDE, :SIDE])


class Set:
    """The looks of some folders of `intact looks`."""

    def __init__(self, folders: list[Path]):
        self.tables = [f / "looks.csv" for f in folders]
        self.looks = [np.load(f / "looks.npy", mmap_mode="r") for f in folders]
        self.rows = [(n, k, row) for n, f in enumerate(folders) for k, row in enumerate(csv.DictReader((f / "looks.csv").open()))]
        # Booths of other seeds use the same names again.
        names = [(n, row["product"]) for n, _, row in self.rows]
        number = {name: i for i, name in enumerate(dict.fromkeys(names))}
        self.product = np.array([number[name] for name in names], dtype=int)
        self.members = [np.flatnonzero(self.product == i) for i in range(len(number))]
        self.reference = np.array([row["kind"] == "reference" for _, _, row in self.rows], dtype=bool)
        self.damaged = np.array([row["damaged"] == "1" for _, _, row in self.rows], dtype=bool)
        firsts = [self.rows[members[0]] for members in self.members]
        # Photographed goods have no family: those of a source count as one.
        self.family = np.array([row["family"] or folders[n].name for n, _, row in firsts])
        self.real = np.array([not row["family"] for _, _, row in firsts], dtype=bool)

    def get(self, i: int) -> np.ndarray:
        n, k, _ = self.rows[i]
        return np.asarray(self.looks[n][k])

    def colours(self) -> np.ndarray:
        """A mean Lab colour for each product, of its first look."""
        out = []
        for members in self.members:
            look = self.get(members[0])
            lab = cv2.cvtColor(np.ascontiguousarray(look[:3].transpose(1, 2, 0)), cv2.COLOR_RGB2LAB)
            out.append(lab[look[3] > 127].mean(0) if look[3].any() else np.zeros(3))
        return np.array(out)


def plain(look: np.ndarray) -> np.ndarray:
    """A stored look at the side that the network sees, as the product makes it: uint8 [4, 128, 128]."""
    small = cv2.resize(np.ascontiguousarray(look.transpose(1, 2, 0)), (SIDE, SIDE), interpolation=cv2.INTER_AREA).transpose(2, 0, 1)
    return np.concatenate([small[:3], np.where(small[3:] > 127, 255, 0).astype(np.uint8)])


def finished(rgb: np.ndarray, share: np.ndarray) -> np.ndarray:
    """On grey; `share` of each pixel, float32 [128, 128], is the thing's. At its rim the grey is averaged in, as in the product."""
    out = np.empty((4, SIDE, SIDE), np.uint8)
    out[:3] = (GREY + (np.clip(rgb, 0, 255) - GREY) * share[..., None] + 0.5).astype(np.uint8).transpose(2, 0, 1)
    out[3] = (share > 0.5) * np.uint8(255)
    return out


def misjudged(thing: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The mask as perception may have it: too small, too large, or without a side of the thing."""
    chance = rng.random()
    if chance < 0.55:
        return thing
    if chance < 0.85:
        size = int(rng.integers(1, 6)) * 2 + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        # The rim of the picture is nothing: the kernel takes from there, too.
        out = cv2.erode(thing, kernel, borderValue=0) if rng.random() < 0.4 else cv2.dilate(thing, kernel)
    else:
        angle, rows = rng.uniform(0, 2 * np.pi), np.arange(STORED, dtype=np.float32)
        along = np.cos(angle) * rows[None] + np.sin(angle) * rows[:, None]
        inside = along[thing > 0]
        low, high = inside.min(), inside.max()
        out = thing * (along < high - rng.uniform(0.05, 0.35) * (high - low)).astype(np.uint8)
    return out if np.count_nonzero(out) > 0.4 * np.count_nonzero(thing) else thing


def rotation(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def posed(seen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Homography from the stored look: any turn in the plane, some tilt, and what is then seen in its tight box again."""
    # The first and the last pixel of each row hold all corners of the hull.
    rows = np.flatnonzero(seen.any(1))
    ends = np.concatenate([seen[rows].argmax(1), STORED - 1 - seen[rows, ::-1].argmax(1)])
    hull = np.stack([ends, np.tile(rows, 2)], 1).reshape(-1, 1, 2).astype(np.float64)
    turn, axis, stretch = rng.uniform(0, 2 * np.pi), rng.uniform(0, np.pi), np.exp(rng.uniform(-0.285, 0.285) / 2)
    linear = rotation(turn + axis) @ np.diag([stretch, 1 / stretch]) @ rotation(-axis)
    centre = np.array([[1, 0, -STORED / 2], [0, 1, -STORED / 2], [0, 0, 1]])
    tilted = np.eye(3)
    tilted[:2, :2] = linear
    if rng.random() < 0.5:
        tilted[2, :2] = rng.uniform(-0.12, 0.12, 2) / (STORED / 2)
    matrix = tilted @ centre
    box = cv2.perspectiveTransform(hull, matrix).reshape(-1, 2)
    low, high = box.min(0), box.max(0)
    scale = FILLED * rng.uniform(0.9, 1.05) / max(1e-3, (high - low).max() + 1)
    place = SIDE / 2 + rng.uniform(-2, 2, 2) - scale * (low + high) / 2
    return np.array([[scale, 0, place[0]], [0, scale, place[1]], [0, 0, 1]]) @ matrix


def rectangle(centre: np.ndarray, angle: float, length: float, width: float) -> np.ndarray:
    """Corners for `draw`, with four bits behind the point."""
    along, across = np.array([np.cos(angle), np.sin(angle)]) * length / 2, np.array([-np.sin(angle), np.cos(angle)]) * width / 2
    return np.round(16 * (centre + np.array([along + across, along - across, -along - across, -along + across]))).astype(np.int32)


def draw(picture: np.ndarray, corners: np.ndarray, colour: np.ndarray) -> None:
    cv2.fillPoly(picture, [corners], [float(c) for c in colour], cv2.LINE_AA, 4)


def covered(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Something lies on the thing: tape, a shipping label, a dark strap, or it is torn or stained."""
    kind, angle, centre = rng.choice(4, p=[0.35, 0.35, 0.15, 0.15]), rng.uniform(0, np.pi), SIDE / 2 + rng.uniform(-40, 40, 2)
    over = rgb.copy()
    if kind == 0:
        # Brown, white or nearly clear.
        colour = np.array([[176, 130, 80], [235, 235, 230], [200, 190, 160]], np.float32)[rng.integers(3)] + rng.uniform(-25, 20, 3)
        draw(over, rectangle(centre, angle, 240, rng.uniform(6, 20)), colour)
        return cv2.addWeighted(over, (share := rng.uniform(0.3, 1.0)), rgb, 1 - share, 0)
    if kind == 1:
        length, width = rng.uniform(24, 62), rng.uniform(18, 42)
        draw(over, rectangle(centre, angle, length, width), np.full(3, rng.uniform(215, 252)))
        across = np.array([-np.sin(angle), np.cos(angle)])
        for at in np.arange(-0.4, 0.41, rng.uniform(0.1, 0.22)):
            if rng.random() < 0.8:
                short = rng.uniform(0.4, 0.9) * length
                draw(over, rectangle(centre + at * width * across, angle, short, rng.uniform(0.6, 3)), np.full(3, rng.uniform(10, 90)))
        return over
    if kind == 2:
        draw(over, rectangle(centre, angle, 240, rng.uniform(4, 11)), rng.uniform(10, 60) + rng.uniform(-8, 8, 3))
        return over
    turns = np.sort(rng.uniform(0, 2 * np.pi, 9))
    spokes = rng.uniform(3, 14, 9)
    corners = np.round(16 * (centre + np.stack([np.cos(turns), np.sin(turns)], 1) * spokes[:, None])).astype(np.int32)
    draw(over, corners, rng.uniform(20, 230) + rng.uniform(-20, 20, 3))
    return cv2.addWeighted(over, (share := rng.uniform(0.4, 1.0)), rgb, 1 - share, 0)


def relit(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another light: float32 [128, 128, 3] of 0 … 255 in and out."""
    gain = np.exp(rng.uniform(-0.45, 0.35)) * rng.uniform(0.85, 1.15, 3)
    levels = 255 * (np.arange(256)[:, None] / 255) ** np.exp(rng.uniform(-0.3, 0.3)) * gain
    table = np.clip(levels, 0, 255).astype(np.float32)
    picture = np.clip(rgb, 0, 255).astype(np.uint8)
    out = np.stack([table[:, k][picture[..., k]] for k in range(3)], 2)
    angle = rng.uniform(0, 2 * np.pi)
    slope = np.float32(np.cos(angle)) * COLUMNS + np.float32(np.sin(angle)) * ROWS
    if rng.random() < 0.6:
        out *= (1 + np.float32(rng.uniform(0, 0.3)) * slope)[..., None]
    if rng.random() < 0.4:
        out += (np.float32(rng.uniform(0, 25)) * slope)[..., None]
    if rng.random() < 0.25:
        x, y, spread = *rng.uniform(-0.7, 0.7, 2), rng.uniform(0.08, 0.45)
        blob = np.exp(((COLUMNS - np.float32(x)) ** 2 + (ROWS - np.float32(y)) ** 2) * np.float32(-0.5 / spread**2))
        out += (np.float32(rng.uniform(40, 190)) * blob)[..., None]
    return np.clip(out, 0, 255, out=out)


def sensed(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As a camera takes it: coarse where the thing is small in its picture, blurred, with noise, through JPEG."""
    if rng.random() < 0.25:
        size = int(rng.uniform(40, 110))
        rgb = cv2.resize(cv2.resize(rgb, (size, size), interpolation=cv2.INTER_AREA), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.35:
        rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.4, 1.6))
    if rng.random() < 0.5:
        rgb = rgb + rng.standard_normal(rgb.shape, np.float32) * np.float32(rng.uniform(1, 9))
    if rng.random() < 0.25:
        picture = np.clip(rgb, 0, 255).astype(np.uint8)
        rgb = cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 92))])[1], cv2.IMREAD_COLOR)
    return rgb


def varied(look: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another view of a stored look: uint8 [4, 128, 128]."""
    picture = np.ascontiguousarray(look.transpose(1, 2, 0))
    thing = (look[3] > 127).astype(np.uint8)
    if not thing.any():
        return plain(look)
    seen = misjudged(thing, rng)
    matrix = posed(seen, rng)
    warped = cv2.warpPerspective(picture, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderValue=(GREY, GREY, GREY, 0)).astype(np.float32)
    shown = cv2.warpPerspective(seen * np.float32(1), matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
    # What the thing lies on, in place of the grey: it shows where the mask is too large.
    ground = np.clip(rng.uniform(15, 245) + rng.uniform(-35, 35, 3), 0, 255).astype(np.float32)
    share = warped[..., 3:] / 255
    rgb = warped[..., :3] + (1 - share) * (ground - GREY)
    for _ in range(rng.choice(4, p=[0.5, 0.3, 0.14, 0.06])):
        rgb = covered(rgb, rng)
    if rng.random() < 0.9:
        rgb = relit(rgb, rng)
    return finished(sensed(rgb, rng), shown)


class Batches(torch.utils.data.Dataset):
    """Batches of some products with some views each; the n-th is the same whenever it is asked for."""

    def __init__(self, looks: Set, seed: int, first: int, end: int, products: int, views: int):
        self.looks, self.seed, self.first, self.end = looks, seed, first, end
        self.products, self.views = min(products, len(looks.members)), views
        self.colours, self.real = looks.colours(), np.flatnonzero(looks.real)

    def __len__(self) -> int:
        return max(0, self.end - self.first)

    def alike(self, anchor: int, among: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """`n` of the products that are most like the anchor in colour."""
        order = among[np.argsort(((self.colours[among] - self.colours[anchor]) ** 2).sum(1), kind="stable")]
        return rng.permutation(order[: 2 * n])[:n]

    def draw(self, rng: np.random.Generator) -> list[int]:
        every = np.arange(len(self.looks.members))
        anchor, other = rng.choice(every, 2)
        family = np.flatnonzero(self.looks.family == self.looks.family[anchor])
        parts = [rng.permutation(self.real)[: round(REAL * self.products)], self.alike(anchor, family, round(FAMILY * self.products), rng),
                 self.alike(other, every, round(COLOUR * self.products), rng), rng.permutation(every)]
        return list(dict.fromkeys(np.concatenate(parts).tolist()))[: self.products]

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        cv2.setNumThreads(0)
        rng = np.random.default_rng((self.seed, self.first + i))
        products = self.draw(rng)
        images = np.empty((len(products) * self.views, 4, SIDE, SIDE), np.uint8)
        for k, product in enumerate(products):
            members = self.looks.members[product]
            one = rng.choice(members)
            for view in range(self.views):
                if view and len(members) > 1 and rng.random() < OTHER:
                    images[k * self.views + view] = varied(self.looks.get(rng.choice(members[members != one])), rng)
                else:
                    images[k * self.views + view] = varied(self.looks.get(one), rng)
        return torch.from_numpy(images), torch.from_numpy(np.repeat(products, self.views))
