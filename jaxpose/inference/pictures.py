"""Still pictures as people took them: decoded like records, then turned upright."""

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from jaxpose.annotations.images import decode_image, read_bytes
from jaxpose.errors import DataError

_ORIENTATION = 0x0112  # EXIF tag; 1 is upright
TURNED = "turned upright by its EXIF orientation"


class Picture(NamedTuple):
    """A decoded picture: uint8 [H, W, 3] RGB, and a note of what was done to it ('' nothing)."""

    image: np.ndarray
    note: str


def read_picture(path: str | Path) -> Picture:
    """Read a JPEG or PNG, whatever its extension, and turn it upright.

    Grey and CMYK become RGB, 16-bit PNG keeps its high bytes, alpha is dropped.

    Raises:
      DataError: no such file, neither JPEG nor PNG, more than 64 MB or 64 megapixels (told from the
        header), cut off, or not decodable.
    """
    if Path(path).exists() and not Path(path).is_file():
        raise DataError(f"{path}: no file; a picture or video, or a folder of them, is expected")
    data = read_bytes(path)
    # Never reduced, though half the size would take 33 instead of 72 ms for 12 megapixels: canvases
    # of up to 4096 px keep all pixels of most pictures, for small people, and so do drawings.
    image = decode_image(data, str(path))
    orientation = exif_orientation(data)
    if orientation == 1:
        return Picture(image, "")
    return Picture(upright(image, orientation), TURNED)


def exif_orientation(data: bytes) -> int:
    """EXIF orientation 1..8 of an encoded picture; 1 where there is none or it is damaged."""
    try:
        with Image.open(io.BytesIO(data)) as picture:  # reads no pixels
            value = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # whatever a damaged block does to the parser, the picture itself is sound
        return 1
    return value if value in range(1, 9) else 1


def upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """Undo an EXIF orientation 1..8 of an image [H, W, 3] (EXIF 2.32, section 4.6.4 A)."""
    if orientation in (5, 6, 7, 8):
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)
