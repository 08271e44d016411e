"""Damage, and its benign twin, put into crops of real goods.

A crop is float32 [6, S, S] in [0, 1] as `intact crops` writes it. Each operator changes colour, shading and depth together
and gives the pixels that a labeller would mark. A *sham* goes through the same warp, blend and re-encoding with content
that is no damage (a label, tape, print, a shadow, glare, the picture itself), so that traces of editing tell nothing. Half of
the shams are *neat twins*: the same operator in the same place with content and strength drawn alike, but in the clean shapes and even lines that
print and stickers have, flat, without a torn edge, a fold or a change of depth. The exam's injector is another one, in Rust: no code is shared.
"""

import cv2
import numpy as np

from net import TYPES

# How often each operator damages.
SHARES = {"deformation": 0.29, "hole": 0.14, "tear": 0.15, "actuation": 0.09, "spillage": 0.09, "superficial": 0.15, "deconstruction": 0.09}
# How many of the tears leave a tongue that is folded back.
PEELED = 0.45
# How many of the deformations are crushed corners, and how many buckle in facets, as board and stiff wrapping do.
CORNERS, FACETED = 0.35, 0.5
INSIDE, BESIDE = 1.0, 0.5
# What torn board shows: brown, grey, white.
BOARD = np.array([[0.72, 0.56, 0.4], [0.62, 0.58, 0.54], [0.93, 0.9, 0.86]], np.float32)
HULL_RANGE_M, HEIGHT_RANGE_M = 0.05, 0.25
Array = np.ndarray


def noise(rng: np.random.Generator, side: int, cells: float, octaves: int = 3) -> Array:
    """Smooth noise, about `cells` bumps across, zero mean, unit deviation."""
    total = np.zeros((side, side), np.float32)
    for k in range(octaves):
        n = max(2, int(round(cells * 2**k)) + 1)
        total += cv2.resize(rng.standard_normal((n, n)).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC) / 2**k
    return (total - total.mean()) / (total.std() + 1e-6)


def facets(rng: np.random.Generator, side: int, cells: float) -> tuple[Array, Array]:
    """A crumpled sheet: a relief of flat facets, about `cells` of them across, zero mean, unit deviation; and its creases in [0, 1].

    The difference of two convex polyhedra: each the greatest of some planes.
    """
    n, half = int(np.clip(cells * cells / 2, 4, 40)), side // 2
    y, x = (np.mgrid[0:half, 0:half].astype(np.float32) - half / 2) / half * 2
    relief = np.zeros((half, half), np.float32)
    for sign in (1, -1):
        # Planes that touch a bowl: every one has a facet.
        a, b = rng.uniform(-1.1, 1.1, (2, n)).astype(np.float32)
        plane = np.full_like(relief, -np.inf)
        for k in range(n):
            np.maximum(plane, 2 * (a[k] * x + b[k] * y) - a[k] ** 2 - b[k] ** 2, out=plane)
        relief += sign * plane
    bent = np.abs(cv2.Laplacian(relief, cv2.CV_32F, ksize=1))
    bent = np.clip(bent / (np.quantile(bent, 0.995) + 1e-6), 0, 1)
    relief = (relief - relief.mean()) / (relief.std() + 1e-6)
    return cv2.resize(relief, (side, side)), cv2.resize(bent, (side, side))


def blob(rng: np.random.Generator, side: int, at: tuple[float, float], radius: float, ragged: float) -> Array:
    """Signed distance-like field, pixels: positive inside a ragged, perhaps elongated blob."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    angle, stretch = rng.uniform(0, np.pi), rng.uniform(1.0, 3.0)
    dx, dy = x - at[0], y - at[1]
    u = dx * np.cos(angle) + dy * np.sin(angle)
    v = -dx * np.sin(angle) + dy * np.cos(angle)
    distance = np.sqrt((u / np.sqrt(stretch)) ** 2 + (v * np.sqrt(stretch)) ** 2)
    return radius * (1 + ragged * 0.5 * noise(rng, side, rng.uniform(4, 12))) - distance


def neat_shape(rng: np.random.Generator, side: int, at: tuple[float, float], radius: float) -> Array:
    """Signed field, pixels: positive inside a clean ellipse, rectangle, polygon or strip, as print and stickers have."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    angle, stretch = rng.uniform(0, np.pi), np.sqrt(rng.uniform(1.0, 3.5))
    u = (x - at[0]) * np.cos(angle) + (y - at[1]) * np.sin(angle)
    v = -(x - at[0]) * np.sin(angle) + (y - at[1]) * np.cos(angle)
    kind = rng.integers(4)
    if kind == 0:
        return radius - np.hypot(u / stretch, v * stretch)
    if kind == 1:
        return radius - np.maximum(np.abs(u) / stretch, np.abs(v) * stretch)
    if kind == 2:  # rounded corners
        return radius - ((np.abs(u) / stretch) ** 4 + (np.abs(v) * stretch) ** 4) ** 0.25
    sides = rng.integers(3, 7)
    turn = np.arctan2(v, u)
    return radius - np.hypot(u, v) * np.cos(np.mod(turn, 2 * np.pi / sides) - np.pi / sides) / np.cos(np.pi / sides)


def own(rng: np.random.Generator) -> np.random.Generator:
    """Chance for what only damage, or only its neat twin, has: both go on with the same numbers afterwards."""
    return np.random.default_rng(int(rng.integers(1 << 40)))


def area(rng: np.random.Generator, side: int, at: tuple[float, float], radius: float, ragged: float, neat: bool) -> Array:
    """Where an operator acts: ragged as damage is, or neat."""
    return neat_shape(own(rng), side, at, radius) if neat else blob(own(rng), side, at, radius, ragged)


def soft(field: Array, width: float) -> Array:
    return np.clip(field / max(width, 1e-3) + 0.5, 0, 1)


def on_item(rng: np.random.Generator, place: Array, near_edge: bool) -> tuple[float, float]:
    """A pixel of the item, (x, y); near its outline when asked."""
    item = (place > 0.75).astype(np.uint8)
    if item.sum() < 64:
        return tuple(rng.uniform(0.3, 0.7, 2) * place.shape[0])
    depth = cv2.distanceTransform(np.pad(item, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    wanted = (depth > 0) & (depth < 0.12 * depth.max() + 3) if near_edge else depth > 0.25 * depth.max()
    ys, xs = np.nonzero(wanted if wanted.any() else item)
    k = rng.integers(len(xs))
    return float(xs[k]), float(ys[k])


def item_size(place: Array) -> float:
    return float(np.sqrt(max((place > 0.75).sum(), 256)))


def shading(rng: np.random.Generator, height_px: Array, strength: float) -> Array:
    """Brightness of a relief under a lamp from one side, 1 where flat."""
    gy, gx = np.gradient(cv2.GaussianBlur(height_px, (0, 0), 0.8))
    angle = rng.uniform(0, 2 * np.pi)
    slope = gx * np.cos(angle) + gy * np.sin(angle)
    return np.clip(1 + strength * np.tanh(slope) - 0.25 * strength * np.tanh(np.hypot(gx, gy)), 0.15, 1.9).astype(np.float32)


def warp(image: Array, dx: Array, dy: Array) -> Array:
    side = image.shape[1]
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    moved = cv2.remap(image.transpose(1, 2, 0), x + dx, y + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return moved.transpose(2, 0, 1)


def has_depth(crop: Array) -> bool:
    return bool(crop[4].max() > 0)


def deepen(crop: Array, by_m: Array) -> None:
    """Lets the surface fall back: farther behind the hull, lower over the support."""
    if has_depth(crop):
        crop[3] = np.clip(crop[3] + by_m / HULL_RANGE_M * (crop[5] > 0.75), 0, 1)
        crop[4] = np.clip(crop[4] - by_m / HEIGHT_RANGE_M, 0, 1)


def corner(rng: np.random.Generator, place: Array) -> tuple[Array, Array]:
    """A corner of the item's convex outline, (x, y), and the unit vector that leads from it into the item."""
    outline = max(cv2.findContours((place > 0.75).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], key=cv2.contourArea, default=None)
    middle = np.array([place.shape[0] / 2, place.shape[0] / 2])
    if outline is None or len(outline) < 8:
        at = np.array(on_item(rng, place, True))
    else:
        hull = cv2.convexHull(outline)
        corners = cv2.approxPolyDP(hull, 0.03 * cv2.arcLength(hull, True), True)[:, 0].astype(float)
        middle, at = hull[:, 0].mean(0), corners[rng.integers(len(corners))]
    return at.astype(np.float32), ((middle - at) / (np.linalg.norm(middle - at) + 1e-6)).astype(np.float32)


def crush_corner(rng: np.random.Generator, crop: Array, neat: bool) -> Array:
    """A corner pushed in: the outline gives way, what is behind shows, folds run from it, board may be torn open. Neat: a flat sticker over it."""
    side, place = crop.shape[1], crop[5].copy()
    size = item_size(place)
    at, inward = corner(rng, place)
    radius = size * rng.uniform(0.18, 0.5)
    amount = radius * rng.uniform(0.2, 0.65)
    tone = BOARD[rng.integers(len(BOARD))][:, None, None] * rng.uniform(0.6, 1.1)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    distance = np.hypot(x - at[0], y - at[1])
    if neat:
        inside = soft(radius * rng.uniform(0.3, 0.7) - distance, 1.5) * (place > 0.75)
        crop[:3] += (tone - crop[:3]) * inside * rng.uniform(0.3, 1.0)
        return np.zeros((side, side), bool)
    near = np.clip(1 - distance / np.float32(radius), 0, 1)
    near = near * near * (3 - 2 * near)
    bumps = rng.uniform(4, 10) * side / (3 * radius)
    creases = None
    if rng.random() < FACETED:
        crumple, creases = facets(rng, side, bumps)
    else:
        crumple = noise(rng, side, bumps, 2)
    push = np.float32(amount) * near * (1 + 0.35 * crumple)
    aside = np.float32(0.35 * amount) * near * noise(rng, side, rng.uniform(3, 8) * side / (3 * radius), 2)
    moved = warp(crop, -push * inward[0] - aside * inward[1], -push * inward[1] + aside * inward[0])
    crop[:] = moved
    crop[5] = np.where(moved[5] > 0.75, INSIDE, np.where(moved[5] > 0.25, BESIDE, 0.0))
    item = crop[5] > 0.75
    folds = (np.abs(crumple) if creases is None else crumple) * near
    crop[:3] *= 1 + (shading(rng, folds * radius * rng.uniform(0.15, 0.5), rng.uniform(0.3, 0.9)) - 1) * item
    if creases is not None:
        crease_lines(rng, crop, creases * (near > 0.1) * item)
    if rng.random() < 0.6:
        # Board tears where it bends most: fibres at the outline, a dark gap behind them here and there.
        outward = cv2.distanceTransform(np.pad(item.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
        ragged = noise(rng, side, side / 10)
        rim = soft(amount * rng.uniform(0.1, 0.4) * (1 + 0.7 * ragged) - outward, 1.5) * item * (near > 0.1)
        crop[:3] += (tone * (1 + 0.1 * ragged) - crop[:3]) * rim * rng.uniform(0.5, 1.0)
        gap = soft((near - rng.uniform(0.15, 0.5)) * radius * (1 + 0.4 * crumple) - amount * rng.uniform(0.1, 0.6), 2.0) * item * (crumple < rng.uniform(-0.5, 0.6))
        crop[:3] += (rng.uniform(0.03, 0.25) - crop[:3]) * gap * (1 - rim) * rng.uniform(0.6, 1.0)
    deepen(crop, near * np.abs(1 + crumple) * rng.uniform(0.004, 0.03))
    # What the corner has left belongs to the damage, too.
    return (item | (place > 0.75)) & (near > 0.2)


def crease_lines(rng: np.random.Generator, crop: Array, creases: Array) -> None:
    """Print cracks bright along a crease, or the crease lies dark."""
    crop[:3] += (rng.choice([0.9, 0.15]) - crop[:3]) * cv2.GaussianBlur(creases.astype(np.float32), (0, 0), 0.7) * rng.uniform(0.1, 0.7)


def crush(rng: np.random.Generator, crop: Array, neat: bool = False) -> Array:
    """A hollow, a pushed-in edge, a crushed corner or folds: colour moves, shading and depth follow. Neat: a smooth swelling of the print."""
    if rng.random() < CORNERS:
        return crush_corner(rng, crop, neat)
    side, place = crop.shape[1], crop[5]
    size = item_size(place)
    at = on_item(rng, place, rng.random() < 0.6)
    faceted = rng.random() < FACETED
    radius = size * (rng.uniform(0.15, 0.5) if faceted else rng.uniform(0.1, 0.35))
    field = area(rng, side, at, radius, 0.3, neat)
    inside = soft(field, radius * rng.uniform(0.3, 1.0)) * (place > 0.75)
    inside = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 1.0)
    if faceted:
        # Flat pieces tilted against each other, in a shallow hollow.
        buckles, creases = facets(rng, side, rng.uniform(0.7, 2.0) * side / radius)
        folds = 0.0
    else:
        folds = np.abs(noise(rng, side, rng.uniform(2, 7), 2))
    relief = cv2.GaussianBlur(inside, (0, 0), 0.3 * radius) if neat else inside * (1.0 - rng.uniform(0.2, 0.8) * folds)
    amount = radius * rng.uniform(0.15, 0.5)
    gy, gx = np.gradient(relief)
    scale = amount / (np.hypot(gx, gy).max() + 1e-6) * rng.uniform(0.3, 0.8)
    crop[:3] = warp(crop[:3], scale * gx, scale * gy)
    if neat:
        # Print may be lighter or darker there, evenly; nothing gives way.
        crop[:3] *= 1 + inside * rng.uniform(-0.5, 0.4)
        return np.zeros((side, side), bool)
    crop[:3] *= shading(rng, -relief * amount * rng.uniform(0.6, 2.0) * (0.25 if faceted else 1.0), rng.uniform(0.3, 0.9))
    if faceted:
        crop[:3] *= 1 + (shading(rng, buckles * radius * rng.uniform(0.03, 0.15), rng.uniform(0.2, 0.7)) - 1) * inside
        crease_lines(rng, crop, creases * inside)
    elif rng.random() < 0.5:
        # Bent board breaks along lines: bright where the print cracks, dark beneath.
        crease = np.exp(-((folds / rng.uniform(0.04, 0.12)) ** 2)) * (inside > 0.25)
        tone = rng.choice([0.85, 0.15])
        crop[:3] += (tone - crop[:3]) * crease * rng.uniform(0.2, 0.6)
    deepen(crop, relief * rng.uniform(0.004, 0.03))
    return relief > 0.25


def lining(rng: np.random.Generator, other: Array) -> Array:
    """What an opening shows, [3, S, S]: darkness, board, another picture, white paper, or wadding and crumpled paper."""
    side = other.shape[1]
    kind = rng.integers(5)
    if kind == 0:
        return np.full((3, side, side), rng.uniform(0.02, 0.2), np.float32) * (1 + 0.2 * noise(rng, side, 6))
    if kind == 1:
        board = np.array([0.66, 0.52, 0.38], np.float32) * rng.uniform(0.5, 1.1)
        return board[:, None, None] * (1 + 0.08 * noise(rng, side, 30, 2))
    if kind == 2:
        return other[:3, ::-1] * rng.uniform(0.3, 0.9)
    if kind == 3:
        return np.clip(rng.uniform(0.6, 1.0) + 0.06 * noise(rng, side, 20), 0, 1)[None] * np.ones((3, 1, 1), np.float32)
    tone = BOARD[rng.integers(len(BOARD))] * rng.uniform(0.7, 1.1)
    clumps = noise(rng, side, rng.uniform(6, 30)) if rng.random() < 0.6 else 1.5 * facets(rng, side, rng.uniform(3, 7))[0]
    return np.clip(tone[:, None, None] * (1 + rng.uniform(0.08, 0.3) * clumps), 0, 1)


def hole(rng: np.random.Generator, crop: Array, other: Array, neat: bool = False) -> Array:
    """An opening: what is inside shows, the edge is torn, a shadow falls in, a flap may stand up. Neat: a sticker of the same content."""
    side, place = crop.shape[1], crop[5]
    size = item_size(place)
    at = on_item(rng, place, rng.random() < 0.4)
    radius = size * rng.uniform(0.04, 0.22)
    field = area(rng, side, at, radius, rng.uniform(0.3, 0.9), neat)
    field = np.where(place > 0.75, field, -np.abs(field) - 2)
    inside = soft(field, 1.5)
    content = lining(rng, other)
    if neat:
        crop[:3] = crop[:3] * (1 - inside) + np.clip(content, 0, 1) * inside
        if rng.random() < 0.6:  # an even border, lighter or darker
            wide = radius * rng.uniform(0.08, 0.3)
            border = soft(field + wide, 1.0) * (1 - inside) * (place > 0.75)
            crop[:3] += (rng.uniform(0.1, 1.0) - crop[:3]) * border * rng.uniform(0.5, 1.0)
        return np.zeros((side, side), bool)
    shift = radius * rng.uniform(0.1, 0.4)
    angle = rng.uniform(0, 2 * np.pi)
    shade = cv2.warpAffine(inside.astype(np.float32), np.float32([[1, 0, shift * np.cos(angle)], [0, 1, shift * np.sin(angle)]]), (side, side))
    content = content * (0.35 + 0.65 * cv2.GaussianBlur(shade, (0, 0), max(1.0, 0.2 * radius)))
    crop[:3] = crop[:3] * (1 - inside) + np.clip(content, 0, 1) * inside
    if rng.random() < 0.75:
        fibre = radius * rng.uniform(0.08, 0.3)
        rim = soft(field + fibre * (1 + 0.8 * noise(rng, side, 25)), 1.0) * (1 - inside) * (place > 0.75)
        tone = np.array([0.93, 0.9, 0.86], np.float32) if rng.random() < 0.6 else np.array([0.7, 0.56, 0.42], np.float32)
        crop[:3] += (tone[:, None, None] * rng.uniform(0.7, 1.05) - crop[:3]) * rim * rng.uniform(0.5, 1.0)
    if rng.random() < 0.5:
        lift = soft(field + 0.8 * radius, radius) * (1 - inside) * (place > 0.75)
        crop[:3] *= shading(rng, lift * radius * 0.5, rng.uniform(0.2, 0.6))
    deepen(crop, inside * rng.uniform(0.003, 0.04))
    return inside > 0.5


def peel(rng: np.random.Generator, crop: Array, other: Array, neat: bool) -> Array:
    """A tongue torn out of the wrapping and folded back: its reverse lies or stands beside the opening. Neat: two even flat shapes."""
    side, place = crop.shape[1], crop[5]
    size = item_size(place)
    at = on_item(rng, place, rng.random() < 0.5)
    angle, wide, long = rng.uniform(0, 2 * np.pi), size * rng.uniform(0.08, 0.35), size * rng.uniform(0.08, 0.4)
    taper, skew, reach = rng.uniform(0, 0.9), rng.uniform(-0.5, 0.5), rng.uniform(0.3, 1.0)
    middle = np.clip(np.array(at) + long / 2 * np.array([-np.sin(angle), np.cos(angle)]), 0, side - 1).astype(int)
    if place[middle[1], middle[0]] <= 0.75:
        # The opening is in the item.
        angle += np.pi
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    # Along the fold, and away from it into the opening.
    u = (x - np.float32(at[0])) * np.float32(np.cos(angle)) + (y - np.float32(at[1])) * np.float32(np.sin(angle))
    v = -(x - np.float32(at[0])) * np.float32(np.sin(angle)) + (y - np.float32(at[1])) * np.float32(np.cos(angle))
    edge = own(rng)
    ragged = 0.0 if neat else noise(edge, side, edge.uniform(8, 25)) * np.float32(edge.uniform(0.03, 0.12) * min(wide, long))

    def tongue(u: Array, v: Array) -> Array:
        return np.minimum(np.minimum(v, long - v), wide / 2 * (1 - taper * np.clip(v / long, 0, 1)) - np.abs(u))

    item = place > 0.75
    opened = soft(tongue(u, v) + ragged, 1.5) * item
    back = soft(tongue(u + skew * v, -v / reach) + ragged, 1.5)
    content = lining(rng, other)
    skin = BOARD[rng.integers(len(BOARD))] * rng.uniform(0.65, 1.1) if rng.random() < 0.8 else rng.uniform(0.2, 0.9, 3).astype(np.float32)
    skin = np.ones((3, side, side), np.float32) * skin[:, None, None]
    if neat:
        for part, tone in ((opened, content), (back * item, skin)):
            crop[:3] += (tone - crop[:3]) * part
        return np.zeros((side, side), bool)
    rolled = np.clip(-v / (reach * long), 0, 1)
    light = rng.uniform(-0.6, 0.6) * (rolled - 0.5) + rng.uniform(-0.3, 0.3) * np.cos(np.pi * 2 * rolled)
    skin *= (1 + light) * (1 + rng.uniform(0.02, 0.08) * noise(rng, side, 15))
    fallen = cv2.warpAffine(back, np.float32([[1, 0, rng.normal(0, 4)], [0, 1, rng.normal(0, 4)]]), (side, side))
    shadow = cv2.GaussianBlur(np.maximum(fallen, 0.7 * opened * (v < 0.3 * long)), (0, 0), rng.uniform(2, 5))
    crop[:3] += (np.clip(content, 0, 1) - crop[:3]) * opened
    crop[:3] *= 1 - rng.uniform(0.2, 0.6) * shadow * (1 - back)
    lip = (cv2.dilate(opened, np.ones((3, 3), np.uint8), iterations=int(rng.integers(1, 4))) - opened) * item
    crop[:3] += (rng.uniform(0.7, 1.0) - crop[:3]) * lip * (1 - back) * rng.uniform(0.0, 0.8)
    crop[:3] += (np.clip(skin, 0, 1) - crop[:3]) * back
    crop[5] = np.maximum(crop[5], (back > 0.5) * INSIDE)
    if has_depth(crop):
        crop[4] = np.clip(crop[4] + back * (rng.uniform(0.0, 0.03) / HEIGHT_RANGE_M) * rolled, 0, 1)
    deepen(crop, opened * (1 - back) * rng.uniform(0.001, 0.03))
    return np.maximum(opened, back) > 0.5


def tear(rng: np.random.Generator, crop: Array, other: Array, neat: bool = False) -> Array:
    """A long narrow opening with a bright lip, or a tongue folded back. Neat: an even line or arc with an even border."""
    if rng.random() < PEELED:
        return peel(rng, crop, other, neat)
    side, place = crop.shape[1], crop[5]
    size = item_size(place)
    x, y = on_item(rng, place, rng.random() < 0.5)
    angle, length = rng.uniform(0, 2 * np.pi), size * rng.uniform(0.15, 0.6)
    points = []
    bend, wander = rng.choice([0.0, rng.uniform(-0.25, 0.25)]), own(rng)
    for _ in range(12):
        points.append((x, y))
        angle += bend if neat else wander.normal(0, 0.25)
        x, y = x + length / 12 * np.cos(angle), y + length / 12 * np.sin(angle)
    wide = size * rng.uniform(0.01, 0.06)
    line = np.zeros((side, side), np.float32)
    for k, (a, b) in enumerate(zip(points, points[1:])):
        taper = 0.8 if neat else np.sin(np.pi * (k + 1) / 12)
        cv2.line(line, tuple(map(int, a)), tuple(map(int, b)), 1.0, max(1, int(wide * taper)), cv2.LINE_AA)
    inside = line * (place > 0.75)
    lip = cv2.dilate(line, np.ones((3, 3), np.uint8), iterations=max(1, int(wide * rng.uniform(0.3, 1.2)))) * (place > 0.75)
    lip = np.clip(lip * (1.0 if neat else 0.6 + 0.4 * noise(wander, side, 30)), 0, 1) * (1 - inside)
    tone = rng.uniform(0.75, 1.0)
    crop[:3] += (tone - crop[:3]) * cv2.GaussianBlur(lip.astype(np.float32), (0, 0), 0.7) * rng.uniform(0.4, 1.0)
    content = other[:3] * 0.3 if rng.random() < 0.4 else np.full((3, 1, 1), rng.uniform(0.02, 0.3), np.float32)
    crop[:3] = crop[:3] * (1 - inside) + content * inside
    if neat:
        return np.zeros((side, side), bool)
    deepen(crop, inside * rng.uniform(0.002, 0.03))
    return cv2.dilate(inside, np.ones((3, 3), np.uint8)) > 0.4


def flap(rng: np.random.Generator, crop: Array, other: Array) -> Array:
    """A closing flap that stands open at the outline, with a dark gap behind it."""
    side, place = crop.shape[1], crop[5]
    size = item_size(place)
    ys, xs = np.nonzero(place > 0.75)
    if len(xs) < 64:
        return np.zeros((side, side), bool)
    centre = np.array([xs.mean(), ys.mean()])
    foot = np.array(on_item(rng, place, True))
    out = (foot - centre) / (np.linalg.norm(foot - centre) + 1e-6)
    along = np.array([-out[1], out[0]])
    half, reach = size * rng.uniform(0.15, 0.45), size * rng.uniform(0.1, 0.35)
    skew = rng.uniform(-0.3, 0.3)
    corners = [foot - half * along, foot + half * along, foot + half * rng.uniform(0.6, 1.0) * along + reach * (out + skew * along),
               foot - half * rng.uniform(0.6, 1.0) * along + reach * (out + skew * along)]
    gap = [corners[0], corners[1], foot + 0.8 * half * along - 0.35 * reach * out, foot - 0.8 * half * along - 0.35 * reach * out]
    shape, dark = np.zeros((side, side), np.float32), np.zeros((side, side), np.float32)
    cv2.fillPoly(shape, [np.int32(corners)], 1.0, cv2.LINE_AA)
    cv2.fillPoly(dark, [np.int32(gap)], 1.0, cv2.LINE_AA)
    dark *= (1 - shape) * (rng.random() < 0.8)
    shadow = cv2.GaussianBlur(np.roll(shape, tuple(int(v) for v in rng.normal(0, 5, 2)), (0, 1)), (0, 0), 4)
    crop[:3] *= 1 - 0.45 * shadow * (1 - shape)
    inner = rng.choice([0, 1])
    tone = np.array([0.66, 0.52, 0.38], np.float32) if inner else np.array([0.9, 0.89, 0.87], np.float32)
    skin = tone[:, None, None] * rng.uniform(0.6, 1.1) * (1 + 0.05 * noise(rng, side, 20)) if rng.random() < 0.7 else other[:3, :, ::-1]
    skin = np.clip(skin * (1 + 0.25 * noise(rng, side, 1, 1) * 0.5), 0, 1)
    crop[:3] = crop[:3] * (1 - shape) + skin * shape
    crop[:3] = crop[:3] * (1 - dark) + rng.uniform(0.02, 0.2) * dark
    crop[5] = np.maximum(crop[5], shape * INSIDE)
    if has_depth(crop):
        rise = rng.uniform(0.0, 0.05) / HEIGHT_RANGE_M
        crop[4] = np.clip(crop[4] * (1 - shape) + (crop[4].max() + rise) * shape * rng.uniform(0.4, 1.0), 0, 1)
    deepen(crop, dark * rng.uniform(0.005, 0.04))
    return (shape + dark) > 0.5


def spill(rng: np.random.Generator, crop: Array, neat: bool = False) -> Array:
    """Liquid or powder, mostly beside the item, partly on it. Neat: an even tint or a raster of dots in a clean shape."""
    side, place = crop.shape[1], crop[5]
    size = item_size(place)
    field = area(rng, side, on_item(rng, place, True), size * rng.uniform(0.15, 0.45), rng.uniform(0.4, 0.9), neat)
    drops = own(rng)
    for _ in range(0 if neat else drops.integers(0, 6)):
        drop = on_item(drops, place, True)
        at = (drop[0] + drops.normal(0, 0.2) * size, drop[1] + drops.normal(0, 0.2) * size)
        field = np.maximum(field, blob(drops, side, at, size * drops.uniform(0.02, 0.08), 0.2))
    item = place > 0.75
    if rng.random() < 0.65:
        field = np.where(item, np.minimum(field, -1), field)
    tint = rng.uniform(0.1, 1.0, 3).astype(np.float32) * rng.uniform(0.3, 1.0)
    if rng.random() < 0.6:
        inside = soft(field, rng.uniform(1, 4))
        wet = crop[:3] * rng.uniform(0.45, 0.85) * (1 - 0.4 * rng.random() * (1 - tint[:, None, None]))
        gloss = 0 if neat else np.clip(noise(rng, side, 5) - rng.uniform(1.3, 2.2), 0, 1) * rng.uniform(0.3, 1.0)
        crop[:3] = crop[:3] * (1 - inside) + np.clip(wet + gloss, 0, 1) * inside
        rim = np.exp(-((field / 2.0) ** 2)) * rng.uniform(0, 0.35)
        crop[:3] += (rng.choice([0.1, 0.9]) - crop[:3]) * rim * (inside > 0.05)
    else:
        if neat:
            y, x = np.mgrid[0:side, 0:side]
            step = rng.uniform(4, 12)
            grains = (np.hypot(np.mod(x, step) - step / 2, np.mod(y, step) - step / 2) < step * rng.uniform(0.2, 0.45)) & (field > 0)
        else:
            grains = (noise(rng, side, side / 3, 1) + np.clip(field / (0.2 * size), -3, 1.5)) > rng.uniform(0.0, 1.0)
        inside = cv2.GaussianBlur(grains.astype(np.float32), (0, 0), 0.6)
        tint = np.clip(tint + 0.3, 0, 1) if rng.random() < 0.6 else tint
        grain = tint[:, None, None] * (1 + (0 if neat else 0.15 * noise(rng, side, side / 2, 1)))
        crop[:3] = crop[:3] * (1 - inside) + np.clip(grain, 0, 1) * inside
    if neat:
        return np.zeros((side, side), bool)
    # Powder is marked as people mark it: as a patch, not grain by grain.
    marked = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 3.0) > 0.12
    if rng.random() < 0.6:
        crop[5] = np.where(marked & ~item, BESIDE, crop[5])
    return marked


def scratches(rng: np.random.Generator, crop: Array, neat: bool) -> Array:
    """A bundle of thin strokes, each with its own length, bend and strength. Neat: even parallel lines."""
    side, item = crop.shape[1], crop[5] > 0.75
    size = item_size(crop[5])
    at = np.array(on_item(rng, crop[5], rng.random() < 0.4))
    angle, length, spread = rng.uniform(0, np.pi), size * rng.uniform(0.08, 0.4), size * rng.uniform(0.02, 0.12)
    strokes = np.zeros((side, side), np.float32)
    count = int(rng.integers(2, 20))
    for k in range(count):
        turn = angle if neat else angle + rng.normal(0, 0.15)
        across = spread * ((k - count / 2) / count * 2 if neat else rng.normal())
        along = np.array([np.cos(turn), np.sin(turn)])
        middle = at + across * np.array([-along[1], along[0]]) + (0 if neat else rng.normal(0, 0.2) * length) * along
        half = length / 2 * (1 if neat else rng.uniform(0.2, 1.3)) * along
        bend = (0 if neat else rng.normal(0, 0.06) * length) * np.array([-along[1], along[0]])
        points = np.int32(np.stack([middle - half, middle + bend, middle + half]) * 8)
        one = np.zeros((side, side), np.uint8)
        cv2.polylines(one, [points], False, int(255 if neat else rng.integers(90, 256)), int(rng.choice([1, 1, 2])), cv2.LINE_AA, 3)
        np.maximum(strokes, one.astype(np.float32) / 255, out=strokes)
    inside = strokes * item * (1.0 if neat else np.clip(0.8 + 0.4 * noise(rng, side, 20), 0, 1))
    tone = 0.4 * crop[:3].mean(0, keepdims=True) + 0.6 * rng.choice([0.95, 0.8, 0.15])
    crop[:3] += (tone - crop[:3]) * inside * rng.uniform(0.4, 1.0)
    return np.zeros((side, side), bool) if neat else cv2.GaussianBlur(inside, (0, 0), 2.0) > 0.1


def torn_ply(rng: np.random.Generator, crop: Array, neat: bool) -> Array:
    """The printed ply pulled off: fibres of the board beneath, drawn out in one direction. Neat: an even patch."""
    side, place = crop.shape[1], crop[5]
    size = item_size(place)
    field = area(rng, side, on_item(rng, place, rng.random() < 0.4), size * rng.uniform(0.06, 0.25), rng.uniform(0.2, 0.6), neat)
    tone = (BOARD[rng.integers(len(BOARD))] * rng.uniform(0.75, 1.1))[:, None, None]
    if neat:
        crop[:3] += (tone - crop[:3]) * soft(field, 1.5) * (place > 0.75)
        return np.zeros((side, side), bool)
    fibres = cv2.GaussianBlur(rng.standard_normal((2 * side, 2 * side)).astype(np.float32), (0, 0), sigmaX=rng.uniform(3, 10), sigmaY=0.8)
    turn = cv2.getRotationMatrix2D((side, side), rng.uniform(0, 180), 1.0)
    fibres = cv2.warpAffine(fibres, turn, (2 * side, 2 * side))[side // 2 : side // 2 + side, side // 2 : side // 2 + side]
    fibres = fibres / (fibres.std() + 1e-6)
    inside = soft(field + size * rng.uniform(0.01, 0.05) * fibres, 1.5) * (place > 0.75)
    crop[:3] += (np.clip(tone * (1 + rng.uniform(0.04, 0.12) * fibres), 0, 1) - crop[:3]) * inside * rng.uniform(0.7, 1.0)
    rim = np.exp(-((field / rng.uniform(1, 3)) ** 2)) * (place > 0.75)
    crop[:3] += (rng.choice([0.95, 0.25]) - crop[:3]) * rim * rng.uniform(0, 0.4)
    return inside > 0.4


def mark(rng: np.random.Generator, crop: Array, neat: bool = False) -> Array:
    """Scuffs, scratches, stains, soaked patches and plies pulled off: colour alone. Neat: hatching and even tints in clean shapes."""
    side, place = crop.shape[1], crop[5]
    size = item_size(place)
    item = place > 0.75
    kind = rng.integers(5)
    if kind == 3:
        return scratches(rng, crop, neat)
    if kind == 4:
        return torn_ply(rng, crop, neat)
    at = on_item(rng, place, rng.random() < 0.4)
    radius = size * rng.uniform(0.08, 0.3)
    if kind == 0:
        angle = rng.uniform(0, np.pi)
        streak = noise(rng, 2 * side, side / 2.5, 1)
        blurred = cv2.GaussianBlur(streak, (0, 0), sigmaX=rng.uniform(4, 12), sigmaY=0.7)
        turn = cv2.getRotationMatrix2D((side, side), np.degrees(angle), 1.0)
        streak = cv2.warpAffine(blurred, turn, (2 * side, 2 * side))[side // 2 : side // 2 + side, side // 2 : side // 2 + side]
        streak = (streak - streak.mean()) / (streak.std() + 1e-6)
        if neat:
            y, x = np.mgrid[0:side, 0:side].astype(np.float32)
            streak = 1.5 * np.sin((x * np.cos(angle) + y * np.sin(angle)) * rng.uniform(0.4, 1.6))
        inside = soft(area(rng, side, at, radius, 0.7, neat), 1.5 if neat else radius * 0.6) * np.clip(streak - rng.uniform(-0.2, 0.8), 0, 1) * item
        grey = crop[:3].mean(0, keepdims=True)
        tone = 0.5 * grey + 0.5 * rng.choice([0.9, 0.75, 0.2])
        crop[:3] += (tone - crop[:3]) * inside * rng.uniform(0.5, 1.0)
        if neat:
            return np.zeros((side, side), bool)
        return cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 2.0) > 0.12
    field = np.where(item, area(rng, side, at, radius, rng.uniform(0.3, 0.9), neat), -3)
    inside = soft(field, rng.uniform(1.5, 2.5) if neat else rng.uniform(1.5, 0.3 * radius + 2))
    if kind == 1:
        tint = rng.uniform(0.05, 0.9, 3).astype(np.float32)
        grain = 0.9 if neat else np.clip(0.8 + 0.3 * noise(rng, side, 12), 0, 1)
        crop[:3] += (crop[:3] * tint[:, None, None] - crop[:3]) * inside * grain * rng.uniform(0.5, 1.0)
    else:
        crop[:3] *= 1 - inside * rng.uniform(0.25, 0.5)
        crop[:3] *= 1 - np.exp(-((field / 2.0) ** 2)) * rng.uniform(0, 0.25) * item
    return np.zeros((side, side), bool) if neat else inside > 0.4


def apart(rng: np.random.Generator, crop: Array, other: Array) -> Array:
    """A piece of the item lies beside it, or contents come out."""
    side, place = crop.shape[1], crop[5]
    size = item_size(place)
    marked = np.zeros((side, side), bool)
    for _ in range(rng.integers(1, 4)):
        shape = soft(blob(rng, side, (side / 2, side / 2), size * rng.uniform(0.08, 0.25), rng.uniform(0.1, 0.6)), 1.5).astype(np.float32)
        source = crop[:3].copy() if rng.random() < 0.5 else other[:3].copy()
        if rng.random() < 0.3:
            source[:] = rng.uniform(0.1, 1.0, 3).astype(np.float32)[:, None, None] * (1 + 0.1 * noise(rng, side, 10))
        foot = np.array(on_item(rng, place, True))
        ys, xs = np.nonzero(place > 0.75)
        centre = np.array([xs.mean(), ys.mean()]) if len(xs) else np.array([side / 2, side / 2])
        out = (foot - centre) / (np.linalg.norm(foot - centre) + 1e-6)
        to = foot + out * size * rng.uniform(-0.05, 0.2)
        turn = cv2.getRotationMatrix2D((side / 2, side / 2), rng.uniform(0, 360), 1.0)
        turn[:, 2] += to - side / 2
        shape = cv2.warpAffine(shape, turn, (side, side))
        piece = cv2.warpAffine(source.transpose(1, 2, 0), turn, (side, side), borderMode=cv2.BORDER_REFLECT).transpose(2, 0, 1)
        shadow = cv2.GaussianBlur(np.roll(shape, tuple(int(v) for v in rng.normal(0, 3, 2)), (0, 1)), (0, 0), 3)
        crop[:3] *= 1 - 0.5 * shadow * (1 - shape)
        relief = noise(rng, side, 8) * shape
        crop[:3] = crop[:3] * (1 - shape) + np.clip(piece * shading(rng, relief * 2, 0.4), 0, 1) * shape
        if has_depth(crop):
            crop[4] = np.clip(crop[4] * (1 - shape) + rng.uniform(0.01, 0.06) / HEIGHT_RANGE_M * shape, 0, 1)
        crop[5] = np.maximum(crop[5], shape * (INSIDE if rng.random() < 0.6 else BESIDE))
        marked |= shape > 0.5
    return marked


def chosen(rng: np.random.Generator) -> list[str]:
    """One operator or two."""
    n = 1 + (rng.random() < 0.2)
    return [str(name) for name in rng.choice(list(SHARES), n, p=list(SHARES.values()))]


def damage(rng: np.random.Generator, crop: Array, other: Array) -> Array:
    """Damages the crop in place; bits of Kaputt's types a pixel."""
    bits = np.zeros(crop.shape[1:], np.uint8)
    for name in chosen(rng):
        region = {
            "deformation": lambda: crush(rng, crop),
            "hole": lambda: hole(rng, crop, other),
            "tear": lambda: tear(rng, crop, other),
            "actuation": lambda: flap(rng, crop, other),
            "spillage": lambda: spill(rng, crop),
            "superficial": lambda: mark(rng, crop),
            "deconstruction": lambda: apart(rng, crop, other),
        }[name]()
        kind = "penetration" if name in ("hole", "tear") else name
        bits |= region.astype(np.uint8) << TYPES.index(kind)
    np.clip(crop, 0, 1, out=crop)
    return bits


def neat_twin(rng: np.random.Generator, crop: Array, other: Array) -> None:
    """What `damage` does with the same `rng`, in its place, but neat; flaps and pieces become stickers."""
    for name in chosen(rng):
        if name == "deformation":
            crush(rng, crop, True)
        elif name == "tear":
            tear(rng, crop, other, True)
        elif name == "spillage":
            spill(rng, crop, True)
        elif name == "superficial":
            mark(rng, crop, True)
        else:
            hole(rng, crop, other, True)
    np.clip(crop, 0, 1, out=crop)


def sham(rng: np.random.Generator, crop: Array, other: Array) -> None:
    """Edits the crop in place without damaging it, through the same operations."""
    side, place = crop.shape[1], crop[5]
    size = item_size(place)
    item = (place > 0.75).astype(np.float32)
    if rng.random() < 0.55:
        neat_twin(rng, crop, other)
        if rng.random() < 0.7:
            return
    for _ in range(1 + (rng.random() < 0.4)):
        kind = rng.integers(7)
        at = on_item(rng, place, rng.random() < 0.4)
        if kind == 0:  # a label: straight edges, print of another product or plain with lines
            box = np.zeros((side, side), np.float32)
            rect = (at, (size * rng.uniform(0.15, 0.6), size * rng.uniform(0.1, 0.4)), rng.uniform(0, 180))
            cv2.fillPoly(box, [np.int32(cv2.boxPoints(rect))], 1.0, cv2.LINE_AA)
            box *= item
            skin = other[:3] if rng.random() < 0.5 else np.full((3, 1, 1), rng.uniform(0.75, 1.0), np.float32)
            if rng.random() < 0.5:
                lines = (np.sin(np.arange(side) * rng.uniform(0.3, 1.5)) > rng.uniform(0.2, 0.9)).astype(np.float32)
                skin = skin * (1 - 0.8 * lines[None, None, :])
            crop[:3] = crop[:3] * (1 - box) + skin * box
        elif kind == 1:  # tape: a straight strip, clear, brown or white
            strip = np.zeros((side, side), np.float32)
            rect = (at, (3 * side, size * rng.uniform(0.06, 0.2)), rng.choice([0, 90, rng.uniform(0, 180)]))
            cv2.fillPoly(strip, [np.int32(cv2.boxPoints(rect))], 1.0, cv2.LINE_AA)
            tone = np.array([[0.7, 0.55, 0.38], [0.95, 0.95, 0.93], [0.8, 0.8, 0.78]][rng.integers(3)], np.float32)[:, None, None]
            crop[:3] += (tone - crop[:3]) * strip * item * rng.uniform(0.15, 0.95)
        elif kind == 2:  # a soft shadow
            field = blob(rng, side, at, size * rng.uniform(0.2, 0.7), 0.2)
            crop[:3] *= 1 - soft(field, size * rng.uniform(0.1, 0.5)) * rng.uniform(0.1, 0.55)
        elif kind == 3:  # glare
            field = blob(rng, side, at, size * rng.uniform(0.05, 0.3), 0.2)
            crop[:3] += (1 - crop[:3]) * soft(field, size * rng.uniform(0.1, 0.3)) * item * rng.uniform(0.2, 0.9)
        elif kind == 4:  # a smooth warp: soft goods are never quite flat
            amount = size * rng.uniform(0.01, 0.05)
            crop[:] = warp(crop, amount * noise(rng, side, rng.uniform(1, 3), 1), amount * noise(rng, side, rng.uniform(1, 3), 1))
            crop[5] = np.where(crop[5] > 0.75, 1.0, np.where(crop[5] > 0.25, 0.5, 0.0))
        elif kind == 5:  # print: shapes, blots and strokes of ink, flat, with crisp edges
            ink = rng.uniform(0, 1, 3).astype(np.float32)[:, None, None]
            drawn = np.zeros((side, side), np.uint8)
            for _ in range(rng.integers(1, 8)):
                a = (rng.uniform(-0.3, 0.3, 2) * size + at).astype(int)
                b = (rng.uniform(-0.2, 0.2, 2) * size + a).astype(int)
                if rng.random() < 0.4:
                    cv2.ellipse(drawn, tuple(map(int, a)), (int(size * rng.uniform(0.02, 0.15)), int(size * rng.uniform(0.02, 0.15))),
                                rng.uniform(0, 180), 0, 360, 255, -1 if rng.random() < 0.6 else 2, cv2.LINE_AA)
                elif rng.random() < 0.5:
                    cv2.line(drawn, tuple(map(int, a)), tuple(map(int, b)), 255, int(rng.integers(1, 6)), cv2.LINE_AA)
                else:
                    word = "".join(rng.choice(list("ABCDEFGHKLMNOPRSTUVXYZ0123456789"), rng.integers(2, 9)))
                    cv2.putText(drawn, word, tuple(map(int, a)), cv2.FONT_HERSHEY_DUPLEX, rng.uniform(0.3, 1.2), 255, int(rng.integers(1, 3)), cv2.LINE_AA)
            layer = drawn.astype(np.float32) / 255
            crop[:3] += (ink - crop[:3]) * layer * item
        else:  # the same picture, cut out and blended back after a move of a fraction of a pixel
            inside = soft(blob(rng, side, at, size * rng.uniform(0.05, 0.3), 0.5), 2.0)
            moved = warp(crop[:3], np.full((side, side), rng.uniform(-0.5, 0.5), np.float32), np.full((side, side), rng.uniform(-0.5, 0.5), np.float32))
            crop[:3] = crop[:3] * (1 - inside) + moved * inside
    np.clip(crop, 0, 1, out=crop)
