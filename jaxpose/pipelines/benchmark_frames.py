"""Frames for a benchmark of the estimator: drawn people in memory, or files again and again."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle, islice

import numpy as np

from jaxpose.annotations.synthetic import draw_dataset
from jaxpose.errors import DataError
from jaxpose.inference.frames import Boxes, Frame
from jaxpose.inference.inputs import Inputs
from jaxpose.inference.own_boxes import person_boxes
from jaxpose.inference.sources import find_sources

_DRAWN = 4
# Of a person's box: height in heights of the frame, width in heights of itself.
_HEIGHTS, _ASPECT = (0.3, 0.9), 0.4


class Frames:
    """Where frames come from; `some(n)` is a fresh pass.

    Attributes:
      words: what they are.
      files: whether a pass is as long as the files are; there are as many drawn frames as wanted.
    """

    def __init__(self, inputs: Sequence[str], size: tuple[int, int], people: int | None) -> None:
        """Find the inputs, or draw a few frames where none are named.

        Args:
          inputs: as for `sources.find_sources`.
          size: width and height of drawn frames, px.
          people: boxes that every frame comes with; None where a detector finds them.
        """
        self._people = people
        self._sources = find_sources(inputs) if inputs else []
        self._images: list[np.ndarray] = []
        self.files = bool(self._sources)
        self.words = f"files: {', '.join(inputs)}"
        if not self.files:
            (video,) = draw_dataset(0, 0, 1, _DRAWN, size)
            self._images = [image for image, _ in video.frames]
            self.words = f"drawn frames, {size[0]} x {size[1]} px"

    def some(self, count: int) -> Iterator[Frame]:
        """So many drawn frames, or all frames of the files.

        Raises:
          DataError: a file that cannot be read.
        """
        frames: Iterable[Frame]
        if self.files:
            frames = Inputs(self._sources)
        else:
            images = islice(cycle(self._images), count)
            frames = (Frame(f"{n:06d}", image) for n, image in enumerate(images))
        for number, frame in enumerate(frames):
            if frame.image is None:
                raise DataError(frame.error)
            height, width = frame.image.shape[:2]
            yield frame._replace(boxes=self._boxes(number, width, height))

    def _boxes(self, number: int, width: int, height: int) -> Boxes | None:
        if self._people is None:
            return None
        return random_boxes(np.random.default_rng(number), self._people, width, height)


def random_boxes(rng: np.random.Generator, people: int, width: int, height: int) -> Boxes:
    """Boxes of standing people somewhere in a frame, px."""
    tall = height * rng.uniform(*_HEIGHTS, (people, 1))
    sides = np.concatenate([np.minimum(_ASPECT * tall, width), tall], 1)
    corner = rng.random((people, 2)) * (np.array([width, height]) - sides)
    return person_boxes(np.concatenate([corner, corner + sides], 1))
