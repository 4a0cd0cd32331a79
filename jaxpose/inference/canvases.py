"""Decoded frames on square canvases of a handful of sides, so that few shapes are compiled."""

from collections.abc import Sequence

import numpy as np

from jaxpose.data.canvas import frame_canvas, shown

# COCO's longer side, 720p, 1080p, 4K: the usual frames fill their canvas in one direction.
SIDES = (640, 1280, 2048, 4096)
# Bounds the pixels of a batch of canvases: 2 of 2048 px, 25 MB. Larger transfers gain nothing, and
# rows that stay empty, because the next frames have other sizes, cost time.
_PIXELS = 2 * 2048**2


def canvas_side(width: int, height: int, sides: Sequence[int] = SIDES) -> int:
    """The smallest canvas that holds the frame, else the largest there is."""
    longer = max(width, height)
    return next((side for side in sides if side >= longer), sides[-1])


def canvases_a_batch(side: int, frames: int) -> int:
    """Canvases of a side that go to the device at once: `frames`, fewer where they are large."""
    return max(1, min(frames, _PIXELS // side**2))


class CanvasBatch:
    """Frames of one canvas side that go to the device together.

    Attributes:
      side: of the canvases, px.
      images: uint8 [R, side, side, 3]; black where there is no frame.
      matrices: float32 [R, 2, 3], source px -> canvas px.
      valid: float32 [R, 4] xyxy, the canvas px that hold a frame.
      count: frames on it so far.
    """

    def __init__(self, side: int, rows: int) -> None:
        self.side = side
        self.images = np.zeros((rows, side, side, 3), np.uint8)
        self.matrices = np.tile(np.eye(2, 3, dtype=np.float32), (rows, 1, 1))
        self.valid = np.tile(np.array([0, 0, 1, 1], np.float32), (rows, 1))
        self.count = 0

    @property
    def full(self) -> bool:
        """Whether there is no room for another frame."""
        return self.count == len(self.images)

    def add(self, image: np.ndarray) -> int:
        """Put an RGB frame uint8 [H, W, 3] on the next canvas and return its row.

        A frame larger than the canvas is reduced by area averaging, so that nothing aliases.
        """
        row, canvas = self.count, frame_canvas(image.shape[1], image.shape[0], self.side)
        width, height = canvas.x.last, canvas.y.last
        self.images[row, :height, :width] = shown(image, canvas)
        self.matrices[row], self.valid[row] = canvas.matrix, canvas.valid
        self.count += 1
        return row
