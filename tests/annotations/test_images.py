import contextlib
import struct
import zlib

import cv2
import numpy as np
import pytest

from jaxpose.annotations import images
from jaxpose.annotations.images import decode_image, image_header, read_image, resolve_inside
from jaxpose.errors import DataError


def encoded(extension, image, *options):
    ok, data = cv2.imencode(extension, image, list(options))
    assert ok
    return data.tobytes()


def photo(height=24, width=40):
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 3, columns * 5, rows + columns], -1).astype(np.uint8)


def jpeg(image=None):
    return encoded(".jpg", photo() if image is None else image, cv2.IMWRITE_JPEG_QUALITY, 95)


def png_chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, depth, color, rows):
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunks + png_chunk(b"IEND", b"")


def with_orientation(data, orientation):
    tiff = b"MM\x00*\x00\x00\x00\x08\x00\x01" + struct.pack(">HHIHH", 0x112, 3, 1, orientation, 0)
    body = b"Exif\x00\x00" + tiff + b"\x00" * 4
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


def flat_jpeg(levels, adobe):
    """An 8x8 baseline JPEG of one colour: every block is its DC coefficient alone."""
    bits = ""
    for level in levels:
        difference = int(level) - 128
        size = abs(difference).bit_length()
        value = difference if difference >= 0 else difference + (1 << size) - 1
        bits += f"{size:04b}" + (f"{value:0{size}b}" if size else "") + "00"
    bits += "1" * (-len(bits) % 8)
    scan = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    scan = scan.replace(b"\xff", b"\xff\x00")
    count = len(levels)
    frame = struct.pack(">BHHB", 8, 8, 8, count)
    frame += b"".join(bytes([i + 1, 0x11, 0]) for i in range(count))
    selector = bytes([count]) + b"".join(bytes([i + 1, 0]) for i in range(count)) + b"\x00\x3f\x00"
    segments = [
        (0xDB, bytes([0]) + bytes([8] * 64)),  # DC x 8 over 8 is the level itself
        (0xC0, frame),
        (0xC4, bytes([0x00]) + bytes([0, 0, 0, 9] + [0] * 12) + bytes(range(9))),
        (0xC4, bytes([0x10]) + bytes([0, 1] + [0] * 14) + bytes([0])),
        (0xDA, selector),
    ]
    if adobe:
        segments.insert(0, (0xEE, b"Adobe\x00\x64\x00\x00\x00\x00\x00"))
    body = b"".join(b"\xff" + bytes([m]) + struct.pack(">H", len(b) + 2) + b for m, b in segments)
    return b"\xff\xd8" + body + scan + b"\xff\xd9"


def test_header_reads_format_and_size_whatever_the_name_says():
    assert image_header(jpeg(), "a.png") == ("jpeg", 40, 24)
    assert image_header(encoded(".png", photo()), "a.jpg") == ("png", 40, 24)


def test_header_of_progressive_jpeg():
    data = encoded(".jpg", photo(), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert image_header(data, "a.jpg") == ("jpeg", 40, 24)
    assert decode_image(data, "a.jpg").shape == (24, 40, 3)


def test_png_decodes_to_the_same_rgb_pixels():
    image = photo()
    np.testing.assert_array_equal(decode_image(encoded(".png", image), "a"), image[..., ::-1])


def test_jpeg_decodes_to_about_the_same_rgb_pixels():
    difference = decode_image(jpeg(), "a").astype(int) - photo()[..., ::-1]
    assert np.abs(difference).mean() < 3


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_exif_orientation_is_ignored(orientation):
    data = jpeg()
    rotated = with_orientation(data, orientation)
    assert image_header(rotated, "a") == ("jpeg", 40, 24)
    np.testing.assert_array_equal(decode_image(rotated, "a"), decode_image(data, "a"))


def test_the_orientation_test_would_notice_a_rotation():
    rotated = np.frombuffer(with_orientation(jpeg(), 6), np.uint8)
    assert cv2.imdecode(rotated, cv2.IMREAD_COLOR).shape == (40, 24, 3)


def test_grey_jpeg_has_three_equal_channels():
    image = decode_image(flat_jpeg([200], adobe=False), "a")
    np.testing.assert_array_equal(image, np.full((8, 8, 3), 200))


def test_cmyk_jpeg_is_converted():
    # Adobe stores inverted inks, so a channel is ink x black / 255: as PIL's convert("RGB").
    stored = np.array([255, 128, 64])
    image = decode_image(flat_jpeg([*stored, 200], adobe=True), "a")
    assert np.abs(image[3, 3].astype(float) - stored * 200 / 255).max() <= 1.5
    assert (image == image[0, 0]).all()


def test_sixteen_bit_png_keeps_the_high_bytes():
    values = np.array([[0x1234, 0xABCD], [0x00FF, 0xFF00]])
    rows = b"".join(
        b"\x00" + b"".join(struct.pack(">HHH", v, 0x8001, v) for v in row) for row in values
    )
    image = decode_image(png(2, 2, 16, 2, rows), "a")
    np.testing.assert_array_equal(image[..., 0], values >> 8)
    np.testing.assert_array_equal(image[..., 1], np.full((2, 2), 0x80))


def test_alpha_of_png_is_dropped():
    rows = b"\x00" + bytes([10, 20, 30, 0]) + bytes([40, 50, 60, 255])
    image = decode_image(png(2, 1, 8, 6, rows), "a")
    np.testing.assert_array_equal(image, [[[10, 20, 30], [40, 50, 60]]])


@pytest.mark.parametrize("extension", [".jpg", ".png"])
@pytest.mark.parametrize("kept", [0.3, 0.5, 0.9, -2])
def test_truncated_files_are_refused_by_name(extension, kept):
    data = encoded(extension, photo(96, 96))
    end = int(len(data) * kept) if kept > 0 else kept
    with pytest.raises(DataError, match=r"^cut\.jpg: "):
        decode_image(data[:end], "cut.jpg")


def test_truncated_jpeg_with_a_whole_thumbnail_is_refused():
    thumbnail = jpeg(photo(8, 8))
    data = jpeg(photo(96, 96))
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    whole = data[:2] + segment + data[2:]
    assert decode_image(whole, "a").shape == (96, 96, 3)
    with pytest.raises(DataError, match="truncated JPEG"):
        decode_image(whole[:-200], "a")


def test_png_chunk_longer_than_the_file_is_refused():
    # OpenCV would allocate the 4 GB that the second chunk claims.
    data = bytearray(encoded(".png", photo()))
    data[33:37] = b"\xff\xff\xff\xf0"
    with pytest.raises(DataError, match="truncated PNG"):
        decode_image(bytes(data), "a")


def test_bytes_after_the_end_of_a_jpeg_do_not_matter():
    padded = jpeg() + b"\x00" * 100
    np.testing.assert_array_equal(decode_image(padded, "a"), decode_image(jpeg(), "a"))


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"\xff\xd8\xff", b"<html></html>", b"GIF89a" + b"\x00" * 50,
     b"\x89PNG\r\n\x1a\n", b"BM" + b"\x00" * 60, b"RIFF\x00\x00\x00\x00WEBP",
     b"\xff\xd8\xff" + b"\xff" * 200, b"\x00" * 1000, png(0, 5, 8, 2, b"")],
)  # fmt: skip
def test_other_files_are_refused_by_name(data):
    with pytest.raises(DataError, match=r"^odd\.jpg: "):
        decode_image(data, "odd.jpg")


def test_too_many_pixels_are_refused_from_the_header():
    bomb = png(20_000, 20_000, 8, 0, b"\x00")
    with pytest.raises(DataError, match="20000 x 20000 pixels"):
        decode_image(bomb, "bomb.png")


def test_too_many_bytes_are_refused_before_reading(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg())
    monkeypatch.setattr(images, "MAX_BYTES", 100)
    with pytest.raises(DataError, match="more than the 100 allowed"):
        read_image(path)
    with pytest.raises(DataError, match="more than the 100 allowed"):
        image_header(jpeg(), "a")


def test_damaged_bytes_never_raise_anything_else(monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 100_000)  # a damaged size costs time to decode
    generator = np.random.default_rng(0)
    for data in (jpeg(), encoded(".png", photo())):
        for _ in range(150):
            mutant = np.frombuffer(data, np.uint8).copy()
            places = generator.integers(0, min(len(mutant), 400), 4)
            mutant[places] = generator.integers(0, 256, 4)
            try:
                image = decode_image(mutant.tobytes(), "a")
            except DataError:
                continue
            assert image.dtype == np.uint8 and image.ndim == 3


def test_read_image(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(".png", photo()))
    np.testing.assert_array_equal(read_image(path), photo()[..., ::-1])
    for missing in (tmp_path / "none.png", tmp_path, "a\0.png"):
        with pytest.raises(DataError):
            read_image(missing)


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../a.jpg", "a/../../b.jpg", "C:\\a.jpg", "c:a.jpg", "\\\\host\\a", "..\\a.jpg",
     "a\0.jpg", "", ".", "a\nb.jpg"],
)  # fmt: skip
def test_names_that_lead_out_of_the_root_are_refused(tmp_path, name):
    with pytest.raises(DataError) as caught:
        resolve_inside(tmp_path, name)
    assert "\n" not in str(caught.value)


def test_resolve_inside_accepts_plain_names(tmp_path):
    assert resolve_inside(tmp_path, "a/b c.jpg") == tmp_path.resolve() / "a" / "b c.jpg"
    assert resolve_inside(tmp_path, "./a//b..jpg") == tmp_path.resolve() / "a" / "b..jpg"


def test_only_the_root_may_be_a_link_that_leads_elsewhere(tmp_path):
    root, outside = tmp_path / "real", tmp_path / "outside"
    (root / "sub").mkdir(parents=True)
    outside.mkdir()
    (tmp_path / "root").symlink_to(root)
    (root / "out").symlink_to(outside)
    (root / "within").symlink_to(root / "sub")
    (root / "loop").symlink_to(root / "loop")
    linked = tmp_path / "root"
    assert resolve_inside(linked, "within/a.jpg") == (root / "sub" / "a.jpg").resolve()
    with pytest.raises(DataError, match="out of the folder"):
        resolve_inside(linked, "out/a.jpg")
    # Python 3.13 leaves a loop unresolved instead of refusing it.
    with contextlib.suppress(DataError):
        assert resolve_inside(linked, "loop/a.jpg").is_relative_to(root.resolve())
