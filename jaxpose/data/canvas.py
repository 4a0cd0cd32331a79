"""From a photograph to the part of it that a record keeps, and the matrix that says where."""

from dataclasses import dataclass

import cv2
import numpy as np

from jaxpose.annotations.images import REDUCTIONS

JPEG_QUALITY = 95
_UNIT = 200.0


@dataclass(frozen=True)
class Span:
    """One axis of a canvas: source pixels [start, stop) fill canvas pixels [first, last)."""

    start: int
    stop: int
    first: int
    last: int

    @property
    def factor(self) -> float:
        """Canvas pixels per source pixel."""
        return (self.last - self.first) / (self.stop - self.start)

    @property
    def shift(self) -> float:
        """Offset of the map x -> factor * x + shift, pixel centres at integers."""
        return self.first - 0.5 - (self.start - 0.5) * self.factor


@dataclass(frozen=True)
class Canvas:
    """Which part of the photograph lies where on a canvas of `side` x `side` px.

    `reduction` is 1, 2, 4 or 8: by so much the photograph may be reduced when it is decoded. The
    spans begin and end at its multiples in the source, at whole pixels of what is decoded then.
    """

    x: Span
    y: Span
    side: int
    reduction: int

    @property
    def matrix(self) -> np.ndarray:
        """float32 [2, 3], source px -> canvas px."""
        x, y = self.x, self.y
        return np.array([[x.factor, 0, x.shift], [0, y.factor, y.shift]], np.float32)

    @property
    def valid(self) -> np.ndarray:
        """float32 [4] xyxy: the canvas pixels that hold photograph, x2 and y2 exclusive."""
        return np.array([self.x.first, self.y.first, self.x.last, self.y.last], np.float32)


def frame_canvas(width: int, height: int, side: int) -> Canvas:
    """The whole photograph at the top left; longer side at most `side`, never enlarged.

    Whole up to its last pixels beyond a multiple of `reduction`, less than one of the canvas.
    """
    factor = min(1.0, side / max(width, height))
    n = next(n for n in _reductions(factor) if n <= min(width, height))
    x, y = (
        Span(0, length, 0, max(1, round(length * factor)))
        for length in (width // n * n, height // n * n)
    )
    return Canvas(x, y, side, n)


def person_canvas(
    center: np.ndarray, scale: float, width: int, height: int, side: int
) -> Canvas | None:
    """The square of twice the crop's side round the crop centre, which lands on (side/2, side/2).

    Twice the side is what a zoom by sqrt(2) and any rotation can reach. Never enlarged; where
    nothing is reduced either, the map is an integer translation.

    Args:
      center: [2] crop centre in source px; scale: of the crop, in units of 200 px.
      width, height: size of the photograph in px.
      side: of the canvas in px.

    Returns:
      None where the square holds no pixel of the photograph.
    """
    crop_side = _UNIT * scale
    for n in _reductions(min(1.0, side / (2 * crop_side))):
        x = _person_span(float(center[0]), crop_side, width, side, n)
        y = _person_span(float(center[1]), crop_side, height, side, n)
        if x is not None and y is not None:
            return Canvas(x, y, side, n)
    return None


def _reductions(factor: float) -> list[int]:
    """Reductions in decoding that leave a canvas of this factor nothing to enlarge, from above."""
    return [n for n in reversed(REDUCTIONS) if n * factor <= 1]


def _person_span(center: float, reach: float, length: int, side: int, n: int) -> Span | None:
    """One axis of the square [center - reach, center + reach) of a photograph of `length` px.

    Cut to multiples of n px; None where nothing is left.
    """
    factor = min(1.0, side / (2 * reach))
    start = max(0, int(np.ceil(center - reach)))
    stop = min(length, int(np.floor(center + reach)))
    if factor == 1.0:
        offset = round(side / 2 - center)
        start, stop = max(start, -offset), min(stop, side - offset)
        return Span(start, stop, start + offset, stop + offset) if start < stop else None
    start, stop = -(-start // n) * n, stop // n * n
    if start >= stop:
        return None
    kept = min(side, max(1, round(factor * (stop - start))))
    # Pixel edges lie half a pixel before pixel centres, in the source as on the canvas.
    first = round(factor * (start - 0.5 - center) + side / 2 + 0.5)
    first = min(max(first, 0), side - kept)
    return Span(start, stop, first, first + kept)


def shown(image: np.ndarray, canvas: Canvas, reduction: int = 1) -> np.ndarray:
    """The part of an image uint8 [H, W, 3] that the canvas shows, at its size there.

    Reduced by area averaging, so that nothing aliases.

    Args:
      image: the photograph, decoded at 1 / `reduction` of its size.
      canvas: whose own reduction is a multiple of that.
      reduction: see `images.decode_reduced`.
    """
    x, y = canvas.x, canvas.y
    rows = slice(y.start // reduction, y.stop // reduction)
    part = image[rows, x.start // reduction : x.stop // reduction]
    size = (x.last - x.first, y.last - y.first)
    if (part.shape[1], part.shape[0]) == size:
        return part
    return cv2.resize(part, size, interpolation=cv2.INTER_AREA)


def encode_canvas(
    image: np.ndarray, canvas: Canvas, quality: int = JPEG_QUALITY, reduction: int = 1
) -> bytes:
    """JPEG of what `shown` gives of an RGB image uint8 [H, W, 3]."""
    part = cv2.cvtColor(shown(image, canvas, reduction), cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", part, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise RuntimeError("OpenCV could not encode a JPEG")
    return data.tobytes()
