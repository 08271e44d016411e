"""Pictures of things on grounds, with the item of each pixel known: what the network that finds items is shown."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

Array = np.ndarray
# What the network sees: columns, rows; its maps have half of each.
WIDTH, HEIGHT = 256, 192
# So near to another item's pixels an item's pixels are its border.
BORDER_PX = 3
# Less of a thing in view is no item.
LEAST_PX = 40
# Shares of the samples: captures as they are (some with things laid into them); the rest is put together.
CAPTURED, LAID_INTO = 0.4, 0.3
# Of the captures and of the things those that are photographed come so often, where there are any, and things that are drawn.
REAL, DRAWN = 0.35, 0.15
# A thing that lies alone fills much of the picture so often.
CLOSE = 0.35
# So many samples come from a camera with depth.
WITH_DEPTH = 0.5


@dataclass
class Bank:
    """What `prepare_items.py` gathered of one part."""

    color: Array
    missed: Array
    labels: Array
    real: int
    pixels: Array
    ends: Array
    shapes: Array
    real_things: int
    grounds: Array
    textures: Array

    @staticmethod
    def open(folder: Path) -> "Bank":
        captures, things, grounds = (np.load(folder / f"{name}.npz") for name in ("captures", "things", "grounds"))
        shapes = things["shapes"]
        return Bank(captures["color"], captures["missed"], captures["labels"], int(captures["real"]), things["pixels"],
                    np.concatenate([[0], np.cumsum(shapes.prod(1))]), shapes, int(things["real"]), grounds["color"], grounds["textures"])

    def thing(self, rng: np.random.Generator) -> Array:
        """[h, w, 4]: RGB, and 255 where the thing is."""
        is_real = self.real_things > 0 and rng.random() < REAL
        k = int(rng.integers(self.real_things)) if is_real else int(rng.integers(self.real_things, len(self.shapes)))
        return self.pixels[self.ends[k] : self.ends[k + 1]].reshape(*self.shapes[k], 4)


@dataclass
class Scene:
    """A picture being made: colour as float32 in [0, 255], what depth missed, the item of each pixel."""

    color: Array
    missed: Array
    labels: Array
    last: tuple[float, float, float] | None = None


def noise(rng: np.random.Generator, cells: float, stretch: float = 1.0) -> Array:
    """Smooth noise of some `cells` along the picture, mean 0, deviation about 1."""
    rows, columns = max(2, round(cells * 0.75)), max(2, round(cells / stretch))
    return cv2.resize(rng.standard_normal((rows, columns), np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def colour(rng: np.random.Generator) -> Array:
    """What grounds are painted in: mostly greys and browns, some bright."""
    grey = rng.uniform(10, 250)
    return np.clip(grey + rng.normal(0, rng.choice([4, 15, 60]), 3), 0, 255).astype(np.float32)


def drawn_ground(rng: np.random.Generator) -> Array:
    """Plain, mottled, grained like wood, or chequered."""
    base, kind = np.empty((HEIGHT, WIDTH, 3), np.float32), rng.random()
    base[:] = colour(rng)
    if kind < 0.3:
        return base + rng.normal(0, 2) * noise(rng, 3)[..., None]
    if kind < 0.55:
        strength = rng.uniform(2, 22)
        for cells in (rng.uniform(3, 8), rng.uniform(15, 60), 150):
            base += rng.uniform(0.2, 1) * strength * noise(rng, cells)[..., None] * rng.uniform(0.7, 1.3, 3).astype(np.float32)
        return base
    if kind < 0.85:
        grain = sum(rng.uniform(3, 16) * noise(rng, cells, stretch=rng.uniform(6, 20)) for cells in (12, 40, 110))
        base += grain[..., None] * np.array([1, 0.85, 0.65], np.float32)
        if rng.random() < 0.5:
            for at in rng.integers(0, HEIGHT, int(rng.integers(1, 5))):
                base[at : at + int(rng.integers(1, 3))] *= rng.uniform(0.5, 0.8)
        return turned(rng, base)
    ys, xs = np.mgrid[:HEIGHT, :WIDTH]
    step, angle = rng.uniform(6, 40), rng.uniform(0, np.pi)
    along = (xs * np.cos(angle) + ys * np.sin(angle)) // step + (0 if rng.random() < 0.5 else (ys * np.cos(angle) - xs * np.sin(angle)) // step)
    base[along % 2 == 0] = base[0, 0] + rng.normal(0, 20, 3).astype(np.float32)
    return base


def turned(rng: np.random.Generator, picture: Array) -> Array:
    """Turned about the middle by any angle, what lies beyond its border mirrored in."""
    matrix = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), rng.uniform(0, 360), rng.uniform(0.9, 2.0))
    return cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def textured_ground(rng: np.random.Generator, bank: Bank) -> Array:
    """A small part of a photograph, enlarged: real matter without a whole thing in it."""
    picture = bank.textures[rng.integers(len(bank.textures))]
    h, w = picture.shape[:2]
    share = rng.uniform(0.06, 0.22)
    y, x = (int(rng.uniform(0, 1 - share) * side) for side in (h, w))
    part = picture[y : y + int(share * h), x : x + int(share * w)]
    out = cv2.resize(part, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    return cv2.GaussianBlur(out, (0, 0), rng.uniform(1, 12)) if rng.random() < 0.5 else out


def tray(rng: np.random.Generator, ground: Array) -> Array:
    """A tray or tote around the middle: a floor of its own, walls in other shades."""
    h, w = HEIGHT * rng.uniform(0.55, 1.3), WIDTH * rng.uniform(0.55, 1.3)
    middle, angle = np.array([WIDTH, HEIGHT]) * rng.uniform(0.42, 0.58, 2), rng.normal(0, 6)
    wall, floor = rng.uniform(3, 24), drawn_ground(rng) * 0.35 + 0.65 * colour(rng)
    for grown, shade in ((wall, rng.uniform(0.5, 1.4)), (0.0, 1.0)):
        corners = cv2.boxPoints(((float(middle[0]), float(middle[1])), (w + grown, h + grown), angle)).astype(np.int32)
        inside = cv2.fillConvexPoly(np.zeros((HEIGHT, WIDTH), np.uint8), corners, 1) > 0
        ground[inside] = np.clip(shade * floor[inside], 0, 255)
    return ground


def ground_of(rng: np.random.Generator, bank: Bank) -> Array:
    kind = rng.random()
    if kind < 0.2:
        picture = bank.grounds[rng.integers(len(bank.grounds))]
        out = framed(picture, cv2.INTER_LINEAR, placement(rng, picture.shape)).astype(np.float32)
    elif kind < 0.5 and len(bank.textures):
        out = textured_ground(rng, bank)
    else:
        out = drawn_ground(rng)
    if kind >= 0.2 and rng.random() < 0.35:
        # The edge of a table: what lies beyond is another ground.
        beyond, angle = drawn_ground(rng), rng.uniform(0, 2 * np.pi)
        ys, xs = np.mgrid[:HEIGHT, :WIDTH]
        side = (xs - WIDTH / 2) * np.cos(angle) + (ys - HEIGHT / 2) * np.sin(angle)
        out = np.where((side > rng.uniform(0.2, 0.45) * WIDTH)[..., None], beyond, out)
    if kind >= 0.2 and rng.random() < 0.35:
        out = tray(rng, out)
    if rng.random() < 0.3:
        stain = noise(rng, rng.uniform(4, 16)) > rng.uniform(1.3, 2.2)
        out[stain] *= rng.uniform(0.6, 0.95)
    if rng.random() < 0.15:
        a, b = (rng.uniform(0, 1, 2) * (WIDTH, HEIGHT) for _ in range(2))
        cv2.line(out, [int(v) for v in a], [int(v) for v in b], [float(v) for v in colour(rng)], int(rng.integers(1, 6)))
    # Light falls off to one side.
    return np.clip(out * (1 + rng.uniform(0, 0.15) * noise(rng, 2)[..., None]), 0, 255).astype(np.float32)


def placement(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """How a capture becomes what the network sees: mirrored, zoomed, tilted a little."""
    h, w = shape[:2]
    scale = WIDTH / w * np.exp(rng.uniform(-0.1, 0.7)) * (0.75 if rng.random() < 0.2 else 1)
    angle = np.radians(rng.normal(0, 5) + (180 if rng.random() < 0.5 else 0))
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[c, -s], [s, c]]) @ np.diag([1 if rng.random() < 0.5 else -1, 1])
    slack = max(0.0, scale * w / WIDTH - 1) / 2
    middle = np.array([WIDTH, HEIGHT]) / 2 * (1 + rng.uniform(-1, 1, 2) * slack)
    return np.hstack([linear, (middle - linear @ (w / 2, h / 2))[:, None]])


def framed(picture: Array, how: int, matrix: Array) -> Array:
    # Mirrored beyond its border: a copied line of an item would be an item nobody has seen.
    return cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT), flags=how, borderMode=cv2.BORDER_REFLECT)


def shape_of_glass(rng: np.random.Generator) -> Array:
    """Bottles, glasses, bowls and bags, seen from the side or above: [h, w] bool."""
    canvas = np.zeros((160, 160), np.uint8)
    kind = rng.random()
    if kind < 0.6:
        # Halves of a profile, mirrored.
        heights, wide = np.linspace(4, 156, 7), rng.uniform(14, 60)
        widths = wide * np.clip(np.cumsum(rng.normal(0, 0.25, 7)) + 1, 0.25, 1.3)
        widths[: int(rng.integers(1, 3))] *= rng.uniform(0.3, 0.8)
        ys = np.arange(4, 157)
        half = np.interp(ys, heights, widths)
        outline = np.concatenate([np.stack([80 - half, ys], 1), np.stack([80 + half, ys], 1)[::-1]])
        cv2.fillPoly(canvas, [outline.astype(np.int32)], 1)
    elif kind < 0.8:
        cv2.ellipse(canvas, (80, 80), (int(rng.integers(30, 78)), int(rng.integers(30, 78))), 0, 0, 360, 1, -1)
    else:
        corners = np.array([[20, 30], [140, 30], [140, 130], [20, 130]]) + rng.normal(0, 9, (4, 2))
        cv2.fillPoly(canvas, [corners.astype(np.int32)], 1)
    return canvas > 0


def drawn_thing(rng: np.random.Generator) -> Array:
    """A mug, bowl, bottle or sack of no particular make: one colour or a pattern, round by its shading, [h, w, 4]."""
    place = shape_of_glass(rng)
    h, w = place.shape
    paint = (drawn_ground(rng) if rng.random() < 0.5 else np.tile(colour(rng), (HEIGHT, WIDTH, 1)))[:h, :w]
    depth = np.sqrt(cv2.distanceTransform(place.astype(np.uint8), cv2.DIST_L2, 3))
    slope = np.gradient(cv2.GaussianBlur(depth, (0, 0), 3))
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + rng.uniform(0.3, 2.5) * (np.cos(angle) * slope[0] + np.sin(angle) * slope[1])
    pixels = np.clip(paint * light[..., None], 0, 255).astype(np.uint8)
    return np.dstack([pixels, np.uint8(255) * place])


def lay(rng: np.random.Generator, scene: Scene, bank: Bank, count: int, large: bool) -> None:
    """Lays one more thing into the picture: before the others, and often against the last one."""
    is_glass = rng.random() < 0.15
    if is_glass:
        place = shape_of_glass(rng)
        thing = np.dstack([np.zeros((*place.shape, 3), np.uint8), np.uint8(255) * place])
    else:
        thing = drawn_thing(rng) if rng.random() < DRAWN else bank.thing(rng)
    h, w = thing.shape[:2]
    least, most = (0.45, 1.05) if large else (0.09, max(0.14, 0.6 / np.sqrt(count)))
    size = np.exp(rng.uniform(np.log(least), np.log(most))) * WIDTH
    linear = size / np.sqrt(h * w) * tilted(rng)
    radius = size / 2
    if scene.last is not None and rng.random() < 0.6:
        x, y, other = scene.last
        angle, near = rng.uniform(0, 2 * np.pi), (other + radius) * rng.uniform(0.55, 1.0)
        at = np.array([x + near * np.cos(angle), y + near * np.sin(angle)])
    else:
        margin = 0.0 if rng.random() < 0.25 else min(0.45, 0.7 * radius / HEIGHT)
        at = rng.uniform(margin, 1 - margin, 2) * (WIDTH, HEIGHT)
    matrix = np.hstack([linear, (at - linear @ (w / 2, h / 2))[:, None]])
    warped = cv2.warpAffine(thing, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
    alpha = warped[..., 3].astype(np.float32) / 255
    place = alpha > 0.5
    if place.sum() < LEAST_PX:
        return
    cast_shadow(rng, scene, alpha, 0.4 if is_glass else 1.0)
    if is_glass:
        seen = glass(rng, scene.color, alpha)
    else:
        seen = warped[..., :3] * rng.uniform(0.75, 1.2) * rng.uniform(0.92, 1.08, 3).astype(np.float32)
        seen = seen * (1 + rng.uniform(0, 0.18) * noise(rng, 3)[..., None])
    scene.color = scene.color * (1 - alpha[..., None]) + np.clip(seen, 0, 255) * alpha[..., None]
    scene.labels[place] = int(scene.labels.max()) + 1
    scene.last = (float(at[0]), float(at[1]), float(radius))
    lose_depth(rng, scene, place, is_glass or scene.color[place].mean() < 35)


def tilted(rng: np.random.Generator) -> Array:
    """Turned, mirrored and seen at a slant, [2, 2]."""
    angle, slant = rng.uniform(0, 2 * np.pi), rng.uniform(0, 2 * np.pi)
    squeeze = np.array([[1.0, 0], [0, rng.uniform(0.6, 1.0)]])

    def turn(a: float) -> Array:
        return np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])

    return turn(slant) @ squeeze @ turn(-slant) @ turn(angle)


def cast_shadow(rng: np.random.Generator, scene: Scene, alpha: Array, strength: float) -> None:
    """A soft shadow to one side and a dark line where it touches the ground; some lamps cast none."""
    if rng.random() < 0.25:
        return
    reach, angle = rng.uniform(0, 9), rng.uniform(0, 2 * np.pi)
    matrix = np.array([[1, 0, reach * np.cos(angle)], [0, 1, reach * np.sin(angle)]], np.float32)
    soft = cv2.GaussianBlur(cv2.warpAffine(alpha, matrix, (WIDTH, HEIGHT)), (0, 0), rng.uniform(0.8, 6))
    touch = cv2.GaussianBlur(alpha, (0, 0), 1.2)
    dark = 1 - strength * (rng.uniform(0, 0.55) * soft + rng.uniform(0, 0.4) * touch)
    scene.color *= np.clip(dark, 0.1, 1)[..., None]


def glass(rng: np.random.Generator, behind: Array, alpha: Array) -> Array:
    """Clear matter: what lies behind, bent; a rim; lights."""
    bend = rng.uniform(1, 7)
    ys, xs = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    seen = cv2.remap(behind, xs + bend * noise(rng, 14), ys + bend * noise(rng, 14), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    inside = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(1.5, 4))
    rim = np.clip(1 - np.abs(inside - 0.62) / 0.2, 0, 1) * (alpha > 0.5)
    veil = rng.uniform(0, 0.25) * (1 + 0.5 * noise(rng, 6))
    seen = seen * (rng.uniform(0.75, 1.02) - rng.uniform(0, 0.45) * rim[..., None])
    lights = np.clip(noise(rng, rng.uniform(10, 30), rng.choice([1, 4])) - rng.uniform(1.2, 2.2), 0, 1)
    edge = np.roll(inside, rng.integers(-3, 4, 2), (0, 1)) - inside
    bright = np.clip(veil, 0, 0.4) + rng.uniform(0.3, 1) * np.clip(lights, 0, 1) + rng.uniform(0.3, 2) * np.clip(edge, 0, 1) * (rng.random() < 0.8)
    bright = np.clip(bright, 0, 1)[..., None]
    out = seen * (1 - bright) + rng.uniform(190, 255) * bright
    if rng.random() < 0.35:
        # A cap or a label that is not clear.
        ys = np.flatnonzero(alpha.max(1) > 0.5)
        low = int(rng.choice(ys))
        out[low : low + int(rng.integers(4, 25))] = colour(rng)
    return out


def lose_depth(rng: np.random.Generator, scene: Scene, place: Array, is_hard: bool) -> None:
    """What a depth camera misses of a thing: all but fragments of glass and black, a shadow beside others."""
    if is_hard:
        lost = place & (noise(rng, rng.uniform(6, 30)) < rng.uniform(0.2, 2.5))
        scene.missed[place] = 0
        scene.missed[lost] = 255
        if rng.random() < 0.5:
            beside = cv2.dilate(lost.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
            scene.missed[beside & (noise(rng, 20) > 0)] = 255
        return
    scene.missed[place] = 0
    reach = int(rng.integers(0, 7)) * int(rng.choice([-1, 1]))
    shadow = np.roll(place, reach, 1) & ~place
    scene.missed[shadow & (noise(rng, 60) > -0.8)] = 255
    scene.missed[place & (noise(rng, 50) > rng.uniform(1.6, 3.5))] = 255


def captured(rng: np.random.Generator, bank: Bank) -> Scene:
    is_real = bank.real > 0 and rng.random() < REAL
    k = int(rng.integers(bank.real)) if is_real else int(rng.integers(bank.real, len(bank.color)))
    matrix = placement(rng, bank.color[k].shape)
    color, missed, labels = (framed(plane[k], how, matrix) for plane, how in
                             ((bank.color, cv2.INTER_LINEAR), (bank.missed, cv2.INTER_NEAREST), (bank.labels, cv2.INTER_NEAREST)))
    return Scene(color.astype(np.float32), missed, labels)


def made(rng: np.random.Generator, bank: Bank) -> Scene:
    scene = Scene(ground_of(rng, bank), np.zeros((HEIGHT, WIDTH), np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8))
    if rng.random() < 0.3:
        scene.missed[noise(rng, rng.uniform(5, 40)) > rng.uniform(1.8, 3)] = 255
    if rng.random() < 0.3:
        scene.missed[:, : int(rng.integers(2, 20))] = 255
    count = int(rng.choice([0, 1, 2, 3, 4, 6], p=[0.06, 0.44, 0.2, 0.14, 0.1, 0.06]))
    for _ in range(count):
        lay(rng, scene, bank, count, count == 1 and rng.random() < CLOSE)
    return scene


def expose(rng: np.random.Generator, color: Array) -> Array:
    """What cameras and lamps do: exposure, white balance, contrast, blur, noise, JPEG. Bytes."""
    color = color / 255 * rng.uniform(0.65, 1.35) * rng.uniform(0.85, 1.15, 3).astype(np.float32)
    color = np.power(np.clip(color, 0, 1), np.float32(rng.uniform(0.7, 1.4)))
    if rng.random() < 0.1:
        color = np.repeat(color.mean(2, keepdims=True), 3, 2)
    if rng.random() < 0.3:
        color = cv2.GaussianBlur(color, (0, 0), rng.uniform(0.4, 1.6))
    if rng.random() < 0.5:
        color = color + rng.standard_normal(color.shape, np.float32) * np.float32(rng.uniform(0.004, 0.035))
    out = (np.clip(color, 0, 1) * 255).astype(np.uint8)
    if rng.random() < 0.3:
        out = cv2.imdecode(cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 95))])[1], cv2.IMREAD_COLOR)
    return out


def border_of(labels: Array) -> Array:
    """True where another item is near."""
    around = np.ones((2 * BORDER_PX + 1, 2 * BORDER_PX + 1), np.uint8)
    high, low = cv2.dilate(labels, around), cv2.erode(np.where(labels == 0, 255, labels).astype(np.uint8), around)
    return (labels > 0) & (high != low)


def sample(bank: Bank, seed: int) -> tuple[Array, Array]:
    """Bytes: what the network sees [4, H, W] (red, green, blue, missed depth), and what is true [2, H/2, W/2] (item, border)."""
    rng = np.random.default_rng(seed)
    if rng.random() < CAPTURED:
        scene = captured(rng, bank)
        if rng.random() < LAID_INTO:
            lay(rng, scene, bank, 2, False)
    else:
        scene = made(rng, bank)
    missed = scene.missed if rng.random() < WITH_DEPTH else np.zeros_like(scene.missed)
    image = np.concatenate([expose(rng, scene.color).transpose(2, 0, 1), missed[None]])
    maps = [cv2.resize(np.where(plane, np.float32(255), np.float32(0)), (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA)
            for plane in (scene.labels > 0, border_of(scene.labels))]
    return image, np.stack(maps).astype(np.uint8)
