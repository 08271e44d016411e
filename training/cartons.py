"""Drawn boxes of board from any side: plain ones, and ones that carry the print of a real crop.

The booth looks down on what lies in a tray and the real goods are few; boxes as people photograph them, two or three faces in view, would be
missing. Nothing is modelled beyond a cuboid in perspective with a face's print on each face.
"""

import cv2
import numpy as np

from inject import BOARD, noise

Array = np.ndarray
FACE = 160
# Corners of the cuboid's faces, in turn around each, as signs of (x, y, z); faces 0 and 1 close with flaps.
FACES = np.array([
    [(-1, -1, 1), (1, -1, 1), (1, 1, 1), (-1, 1, 1)], [(-1, 1, -1), (1, 1, -1), (1, -1, -1), (-1, -1, -1)],
    [(-1, -1, -1), (1, -1, -1), (1, -1, 1), (-1, -1, 1)], [(1, -1, -1), (1, 1, -1), (1, 1, 1), (1, -1, 1)],
    [(1, 1, -1), (-1, 1, -1), (-1, 1, 1), (1, 1, 1)], [(-1, 1, -1), (-1, -1, -1), (-1, -1, 1), (-1, 1, 1)],
], np.float64)
INKS = np.array([[0.08, 0.08, 0.1], [0.7, 0.1, 0.1], [0.1, 0.35, 0.15], [0.1, 0.15, 0.5]], np.float32)


def draw(rng: np.random.Generator, side: int, print_of: Array | None) -> Array:
    """A crop of a box, uint8 [6, side, side] without depth, its place marked; `print_of` [3, S, S] in [0, 255] may be printed on it and lie behind it."""
    corners, away = seen_from(rng, side)
    board = BOARD[rng.choice(3, p=[0.6, 0.15, 0.25])] * rng.uniform(0.7, 1.1) * rng.uniform(0.94, 1.06, 3).astype(np.float32)
    picture, place = ground(rng, side, print_of), np.zeros((side, side), np.float32)
    shown = [k for k in range(6) if away[k] > 0]
    outline = cv2.convexHull(np.concatenate([corners[k] for k in shown]).astype(np.float32)).astype(np.int32)
    shadow = cv2.fillConvexPoly(np.zeros((side, side), np.float32), outline + rng.integers(-12, 13, 2).astype(np.int32), 1.0)
    picture *= 1 - rng.uniform(0, 0.5) * cv2.GaussianBlur(shadow, (0, 0), rng.uniform(3, 14))
    lamps, printed = rng.uniform(0.55, 1.0, 6), print_of is not None and rng.random() < 0.45
    square = np.array([[0, FACE], [FACE, FACE], [FACE, 0], [0, 0]], np.float32)
    for k in shown:
        skin = face(rng, board, k < 2, print_of if printed else None) * np.float32(lamps[k])
        matrix = cv2.getPerspectiveTransform(square, corners[k].astype(np.float32))
        warped = cv2.warpPerspective(skin.transpose(1, 2, 0), matrix, (side, side), borderMode=cv2.BORDER_REPLICATE).transpose(2, 0, 1)
        alpha = cv2.fillConvexPoly(np.zeros((side, side), np.float32), (corners[k] * 16).astype(np.int32), 1.0, cv2.LINE_AA, 4)
        picture = picture * (1 - alpha) + warped * alpha
        place = np.maximum(place, alpha)
        # Edges are rubbed lighter or lie in their own shade.
        edge = cv2.polylines(np.zeros((side, side), np.float32), [corners[k].astype(np.int32)], True, 1.0, int(rng.integers(1, 4)), cv2.LINE_AA)
        picture += (rng.choice([0.9, 0.3]) * board[:, None, None] - picture) * edge * alpha * rng.uniform(0.05, 0.45)
    # Board is never quite flat, straight or clean.
    light = 1 + rng.uniform(0, 0.05) * noise(rng, side, rng.uniform(2, 6)) * place + rng.uniform(0, 0.03) * noise(rng, side, side / 4, 1) * place
    bytes_ = np.clip(np.concatenate([picture * light, np.zeros((2, side, side), np.float32), place[None]]) * 255, 0, 255).astype(np.uint8)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    amount = rng.uniform(0, 0.006) * side
    dx, dy = (np.float32(amount) * noise(rng, side, rng.uniform(1, 4), 1) for _ in range(2))
    bent = np.stack([cv2.remap(plane, x + dx, y + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT) for plane in bytes_])
    bent[5] = np.where(bent[5] > 127, 255, 0)
    return bent


def seen_from(rng: np.random.Generator, side: int) -> tuple[Array, Array]:
    """Corners of the six faces in the picture [6, 4, 2], pixels, and for each how much it is turned to the camera, above 0 where it is seen."""
    half = rng.uniform(0.35, 1.0, 3) / 2
    up, around, roll = np.radians([rng.uniform(5, 85), rng.uniform(0, 360), rng.normal(0, 8)])
    back = np.array([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)])
    right = np.array([-np.sin(around), np.cos(around), 0.0])
    above = np.cross(back, right)
    right, above = right * np.cos(roll) + above * np.sin(roll), above * np.cos(roll) - right * np.sin(roll)
    camera = back * rng.uniform(1.6, 6.0)
    points = FACES * half
    ray = points - camera
    flat = np.stack([ray @ right, -(ray @ above)], -1) / -(ray @ back)[..., None]
    low, high = flat.reshape(-1, 2).min(0), flat.reshape(-1, 2).max(0)
    scale = side * rng.uniform(0.62, 0.85) / (high - low).max()
    normals = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 1])
    return (flat - (low + high) / 2) * scale + side * rng.uniform(0.46, 0.54, 2), ((camera - points.mean(1)) * normals).sum(1)


def face(rng: np.random.Generator, board: Array, closes: bool, print_of: Array | None) -> Array:
    """What one face carries, float32 [3, FACE, FACE]: board, print, a label, a seam with tape."""
    skin = np.empty((FACE, FACE, 3), np.float32)
    skin[:] = board
    flutes = np.sin(np.arange(FACE) * rng.uniform(0.5, 1.6)).astype(np.float32)
    skin *= (1 + rng.uniform(0, 0.03) * (flutes[None] if rng.random() < 0.5 else flutes[:, None]))[..., None]
    if print_of is not None and rng.random() < 0.8:
        span = int(print_of.shape[1] * rng.uniform(0.25, 0.7))
        y, x = rng.integers(0, print_of.shape[1] - span, 2)
        part = cv2.resize(print_of[:, y : y + span, x : x + span].transpose(1, 2, 0).astype(np.float32) / 255, (FACE, FACE), interpolation=cv2.INTER_AREA)
        rim = int(rng.choice([0, rng.integers(1, FACE // 3)]))
        skin[rim : FACE - rim, rim : FACE - rim] = part[rim : FACE - rim, rim : FACE - rim]
    drawn = np.zeros((FACE, FACE), np.uint8)
    for _ in range(int(rng.integers(0, 3))):
        at = [int(v) for v in rng.integers(5, FACE - 30, 2)]
        if rng.random() < 0.6:
            word = "".join(rng.choice(list("abcdefghiklmnoprstuABCDEFGHKLMNOPRST0123456789"), rng.integers(3, 11)))
            cv2.putText(drawn, word, at, int(rng.integers(0, 4)), rng.uniform(0.3, 1.1), 255, int(rng.integers(1, 4)), cv2.LINE_AA)
        else:
            size = int(rng.integers(10, 30))
            arrow = np.array([[at[0], at[1] + size], [at[0] + size // 2, at[1]], [at[0] + size, at[1] + size]], np.int32)
            cv2.fillPoly(drawn, [arrow], 255, cv2.LINE_AA)
    skin += (INKS[rng.integers(len(INKS))] - skin) * (drawn[..., None].astype(np.float32) / 255)
    if rng.random() < 0.3:
        label(rng, skin)
    if closes and rng.random() < 0.85:
        middle, wide = FACE // 2 + int(rng.integers(-3, 4)), int(rng.integers(8, 22))
        cv2.line(skin, (0, middle), (FACE, middle), [float(v) for v in 0.3 * board], int(rng.integers(1, 3)))
        if rng.random() < 0.75:
            tape = np.float32([[0.68, 0.5, 0.3], [0.9, 0.86, 0.78], [0.75, 0.66, 0.55]])[rng.integers(3)]
            skin[middle - wide : middle + wide] += (tape - skin[middle - wide : middle + wide]) * np.float32(rng.uniform(0.2, 0.9))
    return np.ascontiguousarray(np.rot90(skin, rng.integers(4) if closes else rng.choice([0, 2]), (0, 1)).transpose(2, 0, 1))


def label(rng: np.random.Generator, skin: Array) -> None:
    w, h = int(rng.integers(25, 80)), int(rng.integers(18, 60))
    x, y = int(rng.integers(0, FACE - w)), int(rng.integers(0, FACE - h))
    skin[y : y + h, x : x + w] = rng.uniform(0.85, 1.0)
    for at in range(y + 4, y + h - 3, int(rng.integers(5, 9))):
        cv2.line(skin, (x + 3, at), (x + 3 + int(rng.uniform(0.3, 0.9) * (w - 6)), at), (0.2, 0.2, 0.2), 1)
    if rng.random() < 0.5:
        bars = rng.random(w - 8) < 0.5
        skin[y + h // 2 : y + h - 3, x + 4 : x + w - 4][:, bars] = 0.1


def ground(rng: np.random.Generator, side: int, behind: Array | None) -> Array:
    """Studio white, a plain colour with a horizon, or a real picture, enlarged and blurred; float32 [3, side, side]."""
    kind = rng.random()
    if kind < 0.35:
        return np.full((3, side, side), rng.uniform(0.88, 1.0), np.float32)
    if behind is not None and kind < 0.7:
        span = int(behind.shape[1] * rng.uniform(0.3, 0.9))
        y, x = rng.integers(0, behind.shape[1] - span, 2)
        out = cv2.resize(behind[:, y : y + span, x : x + span].transpose(1, 2, 0).astype(np.float32) / 255, (side, side)).transpose(2, 0, 1)
        return np.stack([cv2.GaussianBlur(plane, (0, 0), rng.uniform(0.5, 5)) for plane in out])
    out = np.empty((3, side, side), np.float32)
    out[:] = (rng.uniform(0.1, 0.9) + rng.normal(0, 0.06, 3).astype(np.float32))[:, None, None]
    if rng.random() < 0.5:
        out[:, : int(rng.uniform(0.2, 0.6) * side)] *= rng.uniform(0.6, 1.4)
    return np.clip(out + rng.uniform(0, 0.04) * noise(rng, side, rng.uniform(2, 40)), 0, 1)
