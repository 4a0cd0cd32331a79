"""Backgrounds and foreground objects of the synthetic videos (NumPy and cv2, RGB)."""

from dataclasses import dataclass

import cv2
import numpy as np

OBJECT = 255
"""Number of foreground objects in the canvas's fourth channel; 0 is background."""


@dataclass(frozen=True)
class Occluder:
    """Something that stands in front of people.

    Attributes:
      kind: `crate`, `bush` or `pole`.
      left, top, right, bottom: extent on the canvas, px; `bottom` decides what it hides.
      colour: RGB.
      seed: of its details.
    """

    kind: str
    left: float
    top: float
    right: float
    bottom: float
    colour: tuple[int, int, int]
    seed: int


def _colour(rng: np.random.Generator, low: int = 40, high: int = 230) -> tuple[int, int, int]:
    """A muted colour: a grey with up to 25 levels of tint."""
    base, tint = rng.integers(low, high), rng.integers(-25, 26, 3)
    red, green, blue = (int(c) for c in np.clip(base + tint, 0, 255))
    return red, green, blue


def _texture(rng: np.random.Generator, size: tuple[int, int], cells: int) -> np.ndarray:
    """Smooth noise float32 [h, w] in -1..1 with about `cells` bumps along a side."""
    width, height = size
    coarse = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), -1, 1)


def _gradient(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    width, height = size
    ends = np.array([_colour(rng), _colour(rng)], np.float32)
    share = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    return np.repeat(ends[0] * (1 - share) + ends[1] * share, width, 1).astype(np.uint8)


def _outdoors(rng: np.random.Generator, image: np.ndarray, horizon: int) -> None:
    """Houses with windows and trees behind the horizon."""
    height, width = image.shape[:2]
    for _ in range(rng.integers(2, 7)):
        left, wide = int(rng.integers(-50, width)), int(rng.integers(50, 220))
        top = int(rng.integers(height // 12, max(horizon - 20, height // 12 + 1)))
        cv2.rectangle(image, (left, top), (left + wide, horizon), _colour(rng), -1)
        pane = _colour(rng)
        step = int(rng.integers(26, 48))
        for x in range(left + 8, left + wide - 16, step):
            for y in range(top + 10, horizon - 20, step):
                cv2.rectangle(image, (x, y), (x + step // 3, y + step // 2), pane, -1)
    for _ in range(rng.integers(0, 5)):
        x, size = int(rng.integers(0, width)), int(rng.integers(20, 60))
        cv2.rectangle(image, (x - 5, horizon - 2 * size), (x + 5, horizon), (90, 65, 45), -1)
        green = (int(rng.integers(20, 90)), int(rng.integers(80, 160)), int(rng.integers(20, 80)))
        for dx, dy in rng.normal(0, size / 2.5, (7, 2)):
            center = (int(x + dx), int(horizon - 2.2 * size + dy))
            cv2.circle(image, center, size // 2, green, -1)


def _indoors(rng: np.random.Generator, image: np.ndarray, horizon: int) -> None:
    """A wall of bricks, stripes or plain, with pictures, and a skirting board."""
    width = image.shape[1]
    line = _colour(rng)
    style, step = rng.integers(3), int(rng.integers(24, 70))
    if style == 0:
        for row, y in enumerate(range(0, horizon, step // 2)):
            cv2.line(image, (0, y), (width, y), line, 2)
            for x in range((row % 2) * step // 2, width, step):
                cv2.line(image, (x, y), (x, min(y + step // 2, horizon)), line, 2)
    elif style == 1:
        for x in range(0, width, 2 * step):
            cv2.rectangle(image, (x, 0), (x + step, horizon), line, -1)
    for _ in range(rng.integers(0, 5)):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, max(horizon - 80, 1)))
        far = (x + int(rng.integers(40, 130)), y + int(rng.integers(40, 100)))
        cv2.rectangle(image, (x, y), far, _colour(rng), -1)
        cv2.rectangle(image, (x, y), far, _colour(rng), 4)
    cv2.rectangle(image, (0, horizon - 8), (width, horizon), _colour(rng), -1)


def _ground(rng: np.random.Generator, image: np.ndarray, horizon: int) -> None:
    """The floor below the horizon, plain or with lines that meet at a vanishing point."""
    height, width = image.shape[:2]
    image[horizon:] = _gradient(rng, (width, height))[horizon:]
    if rng.random() < 0.5:
        colour, far = _colour(rng), int(rng.integers(0, width))
        for x in range(-width, 2 * width, int(rng.integers(90, 220))):
            cv2.line(image, (far + (x - far) // 4, horizon), (x, height), colour, 2)


def draw_background(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Draw a scene without people.

    Args:
      rng: decides everything.
      size: width and height in px.

    Returns:
      uint8 [h, w, 3] RGB.
    """
    image = _gradient(rng, size)
    horizon = int(size[1] * rng.uniform(0.38, 0.58))
    if rng.random() < 0.5:
        _outdoors(rng, image, horizon)
    else:
        _indoors(rng, image, horizon)
    _ground(rng, image, horizon)
    noise = sum(_texture(rng, size, cells) * 6 for cells in (4, 16, 90))
    lit = image.astype(np.float32) + np.asarray(noise)[..., None]
    return np.clip(cv2.GaussianBlur(lit, (0, 0), rng.uniform(1.5, 4.0)), 0, 255).astype(np.uint8)


def draw_occluder_plan(
    rng: np.random.Generator, foot: np.ndarray, person_height: float
) -> Occluder:
    """Draw what stands in front of a person at `foot` [2] (canvas px)."""
    kind = str(rng.choice(("crate", "bush", "pole")))
    low, high = {"crate": (0.14, 0.34), "bush": (0.14, 0.32), "pole": (0.9, 1.5)}[kind]
    wide_low, wide_high = {"crate": (0.2, 0.5), "bush": (0.3, 0.6), "pole": (0.05, 0.1)}[kind]
    wide = person_height * rng.uniform(wide_low, wide_high)
    middle = foot[0] + person_height * rng.uniform(-0.3, 0.3)
    bottom = foot[1] + person_height * rng.uniform(0.03, 0.08)
    top = bottom - person_height * rng.uniform(low, high)
    colour = (50, int(rng.integers(90, 170)), 45) if kind == "bush" else _colour(rng)
    seed = int(rng.integers(1 << 31))
    return Occluder(kind, middle - wide / 2, top, middle + wide / 2, bottom, colour, seed)


def draw_occluder(canvas: np.ndarray, occluder: Occluder) -> None:
    """Draw it onto a uint8 [h, w, 4] canvas, in place, marked as `OBJECT`."""
    low = (round(occluder.left), round(occluder.top))
    high = (round(occluder.right), round(occluder.bottom))
    fill = (*occluder.colour, OBJECT)
    dark = (*(0.6 * c for c in occluder.colour), float(OBJECT))
    if occluder.kind == "bush":
        rng = np.random.default_rng(occluder.seed)
        wide, tall = high[0] - low[0], high[1] - low[1]
        for x, y in rng.uniform(0.15, 0.85, (40, 2)):
            at = (round(low[0] + x * wide), round(low[1] + y * tall))
            colour = (*(c * rng.uniform(0.6, 1.2) for c in occluder.colour), float(OBJECT))
            cv2.circle(canvas, at, max(round(0.2 * min(wide, tall)), 1), colour, -1)
        return
    cv2.rectangle(canvas, low, high, fill, -1)
    cv2.rectangle(canvas, low, high, dark, 3)
    if occluder.kind == "crate":
        cv2.line(canvas, low, high, dark, 3)
        cv2.line(canvas, (low[0], high[1]), (high[0], low[1]), dark, 3)
