"""Crops as `intact crops` wrote them, and what is done to them on the way into the network."""

import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

import cartons
import inject
from net import TYPES

Array = np.ndarray
# Fewer pixels of a type in view are no sign of it.
SEEN_PX = 12
# Bit of the pixels that an injector changed, whether for a damage or for a sham.
EDITED = 1 << len(TYPES)


@dataclass
class Folder:
    """One output of `intact crops`, mapped into memory."""

    inputs: Array
    damage: Array
    rows: list[dict]

    @staticmethod
    def open(path: Path) -> "Folder":
        with (path / "crops.csv").open() as file:
            rows = list(csv.DictReader(file))
        return Folder(np.load(path / "inputs.npy", mmap_mode="r"), np.load(path / "damage.npy", mmap_mode="r"), rows)


    def has_depth(self) -> bool:
        """Whether any item of it was measured by depth."""
        return any(row["classical"] for row in self.rows)


def held_back(root: Path, with_depth: bool) -> list[Folder]:
    """The folders of booth validation: of items with depth, or of items found by colour alone; where there is one kind only, that one."""
    folders = [Folder.open(p.parent) for p in sorted(root.glob("validation-*/done"))]
    return [f for f in folders if f.has_depth() == with_depth] or folders


@dataclass
class Sample:
    """What the network is shown, and what it should say."""

    image: Array  # [6, S, S]: uint8 as stored until it has its size, then float32 in [0, 1]
    bits: Array  # uint8 [S, S], bit k for type k, the highest for what was edited
    scores: Array  # float32 [8]: damaged, then the seven types
    masked: bool  # the pixels of the damage are known


def scores_of(types: list[str], damaged: bool) -> Array:
    scores = np.zeros(1 + len(TYPES), np.float32)
    scores[0] = damaged
    for name in types:
        scores[1 + TYPES.index(name)] = 1
    return scores


def load(folder: Folder, k: int) -> Sample:
    row = folder.rows[k]
    types = [t for t in row["types"].split("+") if t]
    bits, damaged = np.array(folder.damage[k]), row["damaged"] == "1"
    # Kaputt says that an item is damaged, not where.
    return Sample(np.array(folder.inputs[k]), bits, scores_of(types, damaged), not damaged or bool(bits.any()))


def to_float(image: Array) -> Array:
    """Bytes to [0, 1]; the place is outside, beside or inside, nothing between."""
    image = image.astype(np.float32) * np.float32(1 / 255)
    image[5] = np.round(image[5] * 2) / 2
    return image


def seen_scores(bits: Array) -> Array:
    """Scores of a picture by what its pixels show."""
    found = [name for k, name in enumerate(TYPES) if (bits >> k & 1).sum() >= SEEN_PX]
    return scores_of(found, bool(found))


def move(rng: np.random.Generator, sample: Sample, side: int) -> None:
    """Turns, mirrors, zooms and resizes picture and truth alike."""
    size = sample.image.shape[1]
    zoom = side / size * rng.uniform(0.8, 1.15)
    aspect = rng.uniform(0.88, 1.12)
    angle = rng.integers(4) * 90 + rng.normal(0, 8)
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    linear = np.array([[c, -s], [s, c]]) @ np.diag([zoom * aspect * (1 if rng.random() < 0.5 else -1), zoom / aspect])
    centre = np.array([size / 2, size / 2]) + rng.uniform(-0.06, 0.06, 2) * size
    matrix = np.hstack([linear, (np.array([side / 2, side / 2]) - linear @ centre)[:, None]])
    # Plane by plane and in bytes: several times faster than interleaved floats.
    flags = {"flags": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_REPLICATE}
    sample.image = to_float(np.stack([cv2.warpAffine(plane, matrix, (side, side), **flags) for plane in sample.image]))
    sample.bits = cv2.warpAffine(sample.bits, matrix, (side, side), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)


def windows(rng: np.random.Generator, sample: Sample, side: int, count: int) -> list[Sample]:
    """Parts of a picture around what was edited or damaged, and around other places of the item; none where the damage is not marked."""
    if not sample.masked:
        return []
    size = sample.bits.shape[0]
    changed, item = np.flatnonzero(sample.bits), np.flatnonzero(sample.image[5] > 0.25)
    parts = []
    for _ in range(count):
        places = changed if len(changed) and rng.random() < 0.7 else item
        at = divmod(int(places[rng.integers(len(places))]), size) if len(places) else (size // 2, size // 2)
        y, x = (int(np.clip(v - side / 2 + rng.uniform(-0.35, 0.35) * side, 0, size - side)) for v in at)
        bits = sample.bits[y : y + side, x : x + side].copy()
        parts.append(Sample(sample.image[:, y : y + side, x : x + side].copy(), bits, seen_scores(bits), True))
    return parts


def fit(sample: Sample, side: int) -> None:
    """Resizes without any change of chance, as for validation."""
    if sample.image.shape[1] != side:
        sample.image = np.stack([cv2.resize(c, (side, side), interpolation=cv2.INTER_AREA) for c in sample.image])
        sample.bits = cv2.resize(sample.bits, (side, side), interpolation=cv2.INTER_NEAREST)
    sample.image = to_float(sample.image)


def expose(rng: np.random.Generator, image: Array) -> None:
    """What cameras and lamps do: exposure, white balance, contrast, blur, noise, JPEG."""
    color = image[:3]
    color *= rng.uniform(0.7, 1.3) * rng.uniform(0.88, 1.12, 3).astype(np.float32)[:, None, None]
    np.clip(color, 0, 1, out=color)
    np.power(color, np.float32(rng.uniform(0.75, 1.35)), out=color)
    if rng.random() < 0.1:
        color[:] = color.mean(0, keepdims=True)
    if rng.random() < 0.25:
        color[:] = cv2.GaussianBlur(color.transpose(1, 2, 0), (0, 0), rng.uniform(0.4, 1.4)).transpose(2, 0, 1)
    if rng.random() < 0.4:
        color += rng.standard_normal(color.shape, np.float32) * np.float32(rng.uniform(0.004, 0.03))
    np.clip(color, 0, 1, out=color)
    if rng.random() < 0.35:
        packed = cv2.imencode(".jpg", (color.transpose(1, 2, 0) * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 95))])[1]
        color[:] = cv2.imdecode(packed, cv2.IMREAD_COLOR).transpose(2, 0, 1).astype(np.float32) / 255


def without_depth(image: Array) -> None:
    """Takes away what only depth, or the empty tray, tells."""
    image[3:5] = 0
    image[5][image[5] == inject.BESIDE] = 0


def surround(rng: np.random.Generator, sample: Sample, other: Array) -> None:
    """Puts the item, smaller, before the intact picture `other` or a plain ground: what surrounds an item is no damage."""
    side = sample.image.shape[1]
    share = rng.uniform(0.65, 0.97)
    at = rng.uniform(0, 1 - share, 2) * side
    matrix = np.array([[share, 0, at[0]], [0, share, at[1]]])
    # Found outlines are ragged by a few pixels, and ragged is what torn looks like.
    kept = (cv2.GaussianBlur(((sample.image[5] > 0.75) | (sample.bits > 0)).astype(np.float32), (0, 0), side / 60) > 0.55).astype(np.float32)
    small = [cv2.warpAffine(plane, matrix, (side, side)) for plane in (*sample.image, kept)]
    alpha = np.clip(cv2.GaussianBlur(small[6], (0, 0), 0.8), 0, 1)
    if rng.random() < 0.4:
        falloff = inject.noise(rng, side, 1.5, 1)
        ground = rng.choice([rng.uniform(0.85, 1), rng.uniform(0.1, 0.9)]) + rng.normal(0, 0.03, 3)[:, None, None] + 0.06 * falloff
    else:
        ground = np.rot90(other[:3], rng.integers(4), (1, 2))
    sample.image[:3] = alpha * np.stack(small[:3]) + (1 - alpha) * np.clip(ground, 0, 1)
    sample.image[3:5] = alpha * np.stack(small[3:5])
    sample.image[5] = (small[5] > 0.75).astype(np.float32)
    sample.bits = cv2.warpAffine(sample.bits, matrix, (side, side), flags=cv2.INTER_NEAREST)


# Share of the items seen by colour alone whose place is wrong beyond what their crop already has.
MISPLACED = 0.15


def misplace(rng: np.random.Generator, image: Array) -> None:
    """What colour alone makes of an item now and then: the whole picture, a part of it, or more than it."""
    kind, side = rng.random() / MISPLACED, image.shape[1]
    if kind < 0.3:
        image[5] = 1
    elif kind < 0.6:
        x, y = sorted(rng.integers(0, side + 1, 2)), sorted(rng.integers(0, side + 1, 2))
        box = np.zeros_like(image[5])
        box[y[0] : y[1], x[0] : x[1]] = 1
        # Something is always found.
        if (image[5] * box).sum() > 0.1 * image[5].sum():
            image[5] *= box
    elif kind < 1:
        image[5] = np.maximum(image[5], inject.soft(inject.noise(rng, side, rng.uniform(1, 4)) - rng.uniform(0, 1), 0.05) > 0.5)


def imagine_depth(rng: np.random.Generator, image: Array) -> None:
    """Gives an item seen by colour alone the depth of a nearly flat thing: what is printed on it has none of its own."""
    side = image.shape[1]
    inside = cv2.GaussianBlur((image[5] > 0.75).astype(np.float32), (0, 0), 1.5)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
    lean = rng.normal(0, 0.3) * x + rng.normal(0, 0.3) * y
    uneven = noise_m(rng, side)
    height_m = rng.uniform(0.01, 0.22) * (1 + lean + 0.1 * inject.noise(rng, side, 2, 1))
    image[4] = np.clip((height_m - uneven) / inject.HEIGHT_RANGE_M, 0, 1) * inside
    # Behind the hull lies what is uneven, and what curves.
    curved = rng.choice([0.0, rng.uniform(0, 0.012)]) * np.clip(inject.noise(rng, side, 1.5, 1), 0, 2)
    image[3] = np.clip((uneven + curved) / inject.HULL_RANGE_M, 0, 1) * inside


def noise_m(rng: np.random.Generator, side: int) -> Array:
    """Unevenness of a whole surface as a depth camera sees it, metres, never negative."""
    smooth, grain = inject.noise(rng, side, rng.uniform(2, 6)), inject.noise(rng, side, rng.uniform(15, 40), 1)
    return np.abs(rng.uniform(0.0005, 0.003) * smooth + rng.uniform(0.0003, 0.0015) * grain).astype(np.float32)


def doubt(rng: np.random.Generator, image: Array, colour_alone: bool, lost: float) -> None:
    """What depth and segmentation do: no depth (a share of `lost`), bad depth, a mask that is too large, too small or the whole picture.

    `colour_alone`: placed as colour finds items.
    """
    if rng.random() < lost:
        without_depth(image)
        if colour_alone:
            misplace(rng, image)
            return
    elif rng.random() < 0.15:
        bad = inject.soft(inject.noise(rng, image.shape[1], rng.uniform(1, 5)) - rng.uniform(0.5, 2.0), 0.3)
        image[3] *= 1 - bad
        image[4] *= 1 - bad * rng.integers(2)
    if rng.random() < 0.08:
        image[5] = 1
    elif rng.random() < 0.2:
        kernel = np.ones((3, 3), np.uint8)
        times = int(rng.integers(1, 6))
        image[5] = cv2.dilate(image[5], kernel, iterations=times) if rng.random() < 0.5 else cv2.erode(image[5], kernel, iterations=times)


# Of the pictures that come twice so many are drawn boxes of board, with real print on some: no such box is among the real goods.
DRAWN = 0.35
# Windows are cut from pictures of this side, pixels: that of whole crops, and up to what they are stored in.
WINDOWED_SIDE = (230, 350)
# So many of a picture.
WINDOWS = 4


class Mixture:
    """An endless, seeded stream: booth captures, and real goods whole, with damage put in, and with its benign twin.

    `windowed`: not whole crops but windows of them, which tell torn from cut at a small part of the cost. `with_depth`: for a network that is
    asked about items with depth; real goods without it are given that of a nearly flat thing.
    """

    def __init__(self, booth: list[Folder], real: list[Folder], part: dict[str, str], side: int, real_share: float, sham: bool = True,
                 windowed: bool = False, with_depth: bool = False, lost: float | None = None):
        self.booth, self.side, self.sham, self.windowed = booth, side, sham, windowed
        # What the network will be asked about: whole crops mostly without depth, or with it.
        self.colour_alone = not (windowed or with_depth)
        self.with_depth = with_depth
        # So many lose their depth.
        self.lost = lost if lost is not None else 0.8 if self.colour_alone else 0.4
        if with_depth:
            booth = [f for f in booth if f.has_depth()] or booth
        self.places = [(f, k) for f in booth for k in range(len(f.rows))]
        self.intact = [(f, k) for f, k in self.places if f.rows[k]["damaged"] != "1"]
        # Sources and products alike, however many pictures they have.
        items: dict[str, dict[str, list[tuple[Folder, int]]]] = {}
        for folder in real:
            for k, row in enumerate(folder.rows):
                if part.get(row["item"]) == "train":
                    items.setdefault(row["item"].split("/")[0], {}).setdefault(row["item"], []).append((folder, k))
        self.goods = [list(group.values()) for group in items.values()]
        self.real_share = real_share if self.goods else 0.0

    def good(self, rng: np.random.Generator) -> Sample:
        source = self.goods[rng.integers(len(self.goods))]
        item = source[rng.integers(len(source))]
        return load(*item[rng.integers(len(item))])

    def draw(self, seed: int) -> list[Sample]:
        """Whole crops two at a time; of real goods the same picture twice, edited in two ways, so that only the edit tells them apart."""
        rng = np.random.default_rng(seed)
        side = int(rng.integers(*WINDOWED_SIDE)) if self.windowed else self.side
        is_real = rng.random() < self.real_share
        samples = list(self.twins(rng, side)) if is_real else [self.captured(rng, side), self.captured(rng, side)]
        if self.windowed:
            samples = [part for sample in samples for part in windows(rng, sample, self.side, WINDOWS)]
        for sample in samples:
            expose(rng, sample.image)
            doubt(rng, sample.image, self.colour_alone, self.lost)
        return samples

    def captured(self, rng: np.random.Generator, side: int) -> Sample:
        """A booth capture; some of the intact ones edited."""
        folder, k = self.places[rng.integers(len(self.places))]
        sample = load(folder, k)
        move(rng, sample, side)
        if sample.scores[0] == 0 and rng.random() < 0.25:
            other = load(*self.places[rng.integers(len(self.places))])
            fit(other, side)
            if rng.random() < 0.5:
                self.spoil(rng, sample, other)
            elif self.sham:
                edit(sample, lambda image: inject.sham(rng, image, other.image))
        # Where the damage is not marked, it may lie beside the item.
        if self.colour_alone and sample.masked and (self.intact or self.goods) and rng.random() < 0.3:
            surround(rng, sample, self.ground(rng, side))
        return sample

    def ground(self, rng: np.random.Generator, side: int) -> Array:
        """An intact picture to lie before: of real goods, or of the booth."""
        of_goods = self.goods and (not self.intact or rng.random() < 0.7)
        other = self.good(rng) if of_goods else load(*self.intact[rng.integers(len(self.intact))])
        fit(other, side)
        return other.image

    def carton(self, rng: np.random.Generator, size: int) -> Sample:
        """A drawn box; what is printed on it and lies behind it is real."""
        image = cartons.draw(rng, size, self.good(rng).image[:3] if rng.random() < 0.8 else None)
        return Sample(image, np.zeros((size, size), np.uint8), scores_of([], False), True)

    def twins(self, rng: np.random.Generator, side: int) -> tuple[Sample, Sample]:
        """A real picture, or a drawn box, with damage put in, and the same picture whole, with a sham, or with the damage's neat twin."""
        other = self.good(rng)
        sample = self.carton(rng, other.image.shape[1]) if rng.random() < DRAWN else self.good(rng)
        move(rng, sample, side)
        if self.with_depth and not inject.has_depth(sample.image) and rng.random() < 0.8:
            imagine_depth(rng, sample.image)
        fit(other, side)
        twin = Sample(sample.image.copy(), sample.bits.copy(), sample.scores.copy(), sample.masked)
        seed, kind = int(rng.integers(1 << 40)), rng.random()
        if self.sham and rng.random() < 0.15:
            # Labels and tape come on damaged goods too.
            state = int(rng.integers(1 << 40))
            for one in (sample, twin):
                edit(one, lambda image: inject.sham(np.random.default_rng(state), image, other.image))
        self.spoil(np.random.default_rng(seed), sample, other)
        if self.sham and kind < 0.5:
            # The same numbers are drawn: the same operator, place and content.
            edit(twin, lambda image: inject.neat_twin(np.random.default_rng(seed), image, other.image))
        elif self.sham and kind < 0.8:
            edit(twin, lambda image: inject.sham(rng, image, other.image))
        return sample, twin

    def spoil(self, rng: np.random.Generator, sample: Sample, other: Sample) -> None:
        edit(sample, lambda image: inject.damage(rng, image, other.image))
        sample.scores = seen_scores(sample.bits)
        sample.masked = True


def edit(sample: Sample, change) -> None:
    """Lets `change` edit the picture in place; marks what it changed, and the damaged pixels that it returns."""
    before = sample.image[:5].copy()
    damaged = change(sample.image)
    np.clip(sample.image, 0, 1, out=sample.image)
    changed = np.abs(sample.image[:5] - before).max(0) > 0.03
    sample.bits |= changed.astype(np.uint8) * np.uint8(EDITED)
    if damaged is not None:
        sample.bits |= damaged
