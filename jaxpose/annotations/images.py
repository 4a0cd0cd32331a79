"""Image files: sniffing, size limits, decoding as stored, and paths that stay inside their root."""

import struct
from pathlib import Path

import cv2
import numpy as np

from jaxpose.annotations.validation import RecordError, relative_name
from jaxpose.errors import DataError

# By how much a decoder can reduce a JPEG: it takes the low frequencies of each block of 8 px alone.
REDUCTIONS = (1, 2, 4, 8)
MAX_PIXELS = 64_000_000
MAX_BYTES = 64_000_000

_PNG_START = b"\x89PNG\r\n\x1a\n"
_JPEG_START = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
# Start-of-frame markers carry the size; C4, C8 and CC in the same range mean other things.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_SCAN = 0xDA
_JPEG_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def image_header(data: bytes, name: str) -> tuple[str, int, int]:
    """Format and size of an image from its first bytes, without decoding.

    Args:
      data: the encoded file.
      name: the file that errors speak of.

    Returns:
      ('jpeg' or 'png', width, height) in stored pixels; the name's extension does not count.

    Raises:
      DataError: neither JPEG nor PNG, no readable header, more than 64 MB or 64 megapixels.
    """
    if len(data) > MAX_BYTES:
        raise DataError(f"{name}: {len(data)} bytes, more than the {MAX_BYTES} allowed")
    if data.startswith(_PNG_START):
        kind, size = "png", _png_size(data)
    elif data.startswith(_JPEG_START):
        kind, size = "jpeg", _jpeg_size(data)
    else:
        raise DataError(f"{name}: neither JPEG nor PNG (starts with {data[:8]!r})")
    if size is None or min(size) < 1:
        raise DataError(f"{name}: damaged {kind.upper()} header, no image size in it")
    width, height = size
    if width * height > MAX_PIXELS:
        raise DataError(f"{name}: {width} x {height} pixels, more than the {MAX_PIXELS} allowed")
    return kind, width, height


def decode_image(data: bytes, name: str) -> np.ndarray:
    """Decode a JPEG or PNG into uint8 [H, W, 3], RGB.

    Pixels come as stored: an EXIF orientation is ignored, since annotations refer to stored
    pixels. Grey and CMYK become RGB, 16-bit PNG keeps its high bytes, alpha is dropped.

    Raises:
      DataError: what `image_header` refuses, and files that are cut off or cannot be decoded.
    """
    return decode_reduced(data, name, 1)[0]


def decode_reduced(data: bytes, name: str, reduction: int) -> tuple[np.ndarray, int]:
    """Decode as `decode_image`, a JPEG at 1 / `reduction` of its size: that takes less time.

    Pixel (row i, column j) shows the stored pixels [n i, n i + n) x [n j, n j + n), about as area
    averaging would; those of the last row and column may reach beyond the image.

    Args:
      data, name: as in `decode_image`.
      reduction: n, one of REDUCTIONS.

    Returns:
      uint8 [ceil(H / n), ceil(W / n), 3], RGB, and n: `reduction`, but 1 for a PNG and for what
      can only be decoded whole.

    Raises:
      DataError: exactly what `decode_image` refuses.
    """
    kind, width, height = image_header(data, name)
    if not _is_complete(data, kind):
        raise DataError(f"{name}: truncated {kind.upper()}, the end of the file is missing")
    for n in dict.fromkeys((reduction if kind == "jpeg" else 1, 1)):
        bgr = _decoded(data, _FLAGS[n] | cv2.IMREAD_IGNORE_ORIENTATION)
        if bgr is not None and bgr.shape == (-(-height // n), -(-width // n), 3):
            return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), n
    raise DataError(f"{name}: damaged {kind.upper()}, cannot be decoded")


def _decoded(data: bytes, flags: int) -> np.ndarray | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None


def read_bytes(path: str | Path) -> bytes:
    """The encoded file; raises DataError if it is missing, unreadable or larger than 64 MB."""
    try:
        size = Path(path).stat().st_size
        if size > MAX_BYTES:
            raise DataError(f"{path}: {size} bytes, more than the {MAX_BYTES} allowed")
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: image cannot be read: {error.strerror}") from None
    except ValueError as error:  # a NUL in the path
        raise DataError(f"{path!r}: image cannot be read: {error}") from None


def read_image(path: str | Path) -> np.ndarray:
    """Read and decode an image file into uint8 [H, W, 3], RGB; see `decode_image` for errors."""
    return decode_image(read_bytes(path), str(path))


def resolve_inside(root: str | Path, name: str) -> Path:
    """The path of `name` below `root`, with symbolic links resolved.

    The root itself may be a symbolic link.

    Raises:
      DataError: `name` is absolute, has a drive, a NUL or a `..` part, or a symbolic link leads
        out of the root.
    """
    try:
        relative = relative_name(name, "file name")
    except RecordError as error:
        raise DataError(f"{root}: {error}") from None
    try:
        base = Path(root).resolve()
        target = (base / relative).resolve()
    except (OSError, RuntimeError):  # a loop of links
        raise DataError(f"{root}: {name}: cannot be resolved") from None
    if not target.is_relative_to(base):
        raise DataError(f"{root}: {name}: a symbolic link leads out of the folder")
    return target


def _png_size(data: bytes) -> tuple[int, int] | None:
    if len(data) < 24 or data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def _jpeg_segments(data: bytes) -> list[tuple[int, int]]:
    """(marker, offset of its length field) of the segments up to the first scan."""
    segments = []
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _JPEG_WITHOUT_LENGTH:
            at += 2
        else:
            segments.append((marker, at + 2))
            if marker == _JPEG_SCAN:
                break
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return segments


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    for marker, at in _jpeg_segments(data):
        if marker in _JPEG_FRAMES and at + 7 <= len(data):
            height, width = struct.unpack(">HH", data[at + 3 : at + 7])
            return width, height
    return None


def _is_complete(data: bytes, kind: str) -> bool:
    if kind == "png":
        return _png_is_complete(data)
    # Decoders differ in what they do with a cut scan, so it is told from the missing end marker.
    # Only what follows the first scan counts: a thumbnail in the header has its own end.
    scans = [at for marker, at in _jpeg_segments(data) if marker == _JPEG_SCAN]
    return bool(scans) and data.find(_JPEG_END, scans[0]) >= 0


def _png_is_complete(data: bytes) -> bool:
    """Whether the chunks lead to IEND; a length that lies makes OpenCV allocate gigabytes."""
    at = len(_PNG_START)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"IEND":
            return True
        at += 12 + length
    return False
