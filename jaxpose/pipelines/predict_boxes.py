"""Person boxes of a file that stand in for a detector's in `predict`."""

import hashlib
from pathlib import Path

from jaxpose.errors import DataError
from jaxpose.inference.detection_boxes import read_boxes
from jaxpose.inference.frames import Boxes
from jaxpose.inference.own_boxes import person_boxes


class OwnBoxes:
    """Boxes of a file, looked up by the names of frames.

    Attributes:
      digest: of the file.
      without: names of the frames that the file does not know.
      useless: whether it knew none of the frames that were asked for.
    """

    def __init__(self, file: str, threshold: float) -> None:
        self._file, self._listed, self._threshold = file, read_boxes(file), threshold
        self.digest = hashlib.sha256(Path(file).read_bytes()).hexdigest()
        self._asked, self.without, self._below = 0, list[str](), 0

    @property
    def useless(self) -> bool:
        """See above."""
        return len(self.without) == self._asked > 0

    def find(self, name: str) -> Boxes | None:
        """The boxes of a frame; None where the file does not know it.

        Raises:
          DataError: boxes that are none, or a name that may mean two frames.
        """
        self._asked += 1
        found = self._listed.find(name)
        if found is None:
            self.without.append(name)
            return None
        try:
            boxes = person_boxes(*found)
        except ValueError as error:
            raise DataError(f"{self._file}: {name}: {error}") from None
        self._below += int((boxes.scores < self._threshold).sum())
        return boxes

    def notes(self) -> list[str]:
        """Lines for the console."""
        notes = [*self._listed.notes]
        if self._below:
            below = f"scored below --det_threshold={self._threshold}"
            notes.append(f"boxes left out, {below}: {self._below}")
        if self.without:
            share = f"{len(self.without)} of {self._asked} frames"
            notes.append(f"nobody in {share} without boxes, such as {self.without[0]}")
        return notes
