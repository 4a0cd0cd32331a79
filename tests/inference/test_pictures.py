"""Pictures as people have them, against PIL; and what is none."""

import io
import os

import numpy as np
import pytest
from PIL import Image, ImageOps

from jaxpose.errors import DataError
from jaxpose.inference.pictures import TURNED, exif_orientation, read_picture, upright

_ORIENTATION = 0x0112


def saved(path, image, **options):
    image.save(path, **options)
    return path


def pil_rgb(path):
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def assert_like_pil(path, atol=2):
    found, expected = read_picture(path).image, pil_rgb(path)
    assert found.dtype == np.uint8 and found.flags.c_contiguous and found.shape == expected.shape
    # Decoders round differently; a wrong conversion is off by far more.
    assert np.abs(found.astype(int) - expected).mean() < atol
    assert np.abs(found.astype(int) - expected).max() < 20


@pytest.mark.parametrize("kind", ["jpg", "png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_upright(tmp_path, picture, orientation, kind):
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    path = tmp_path / f"turned.{kind}"
    Image.fromarray(picture(48, 30)).save(path, exif=exif)
    assert_like_pil(path)
    assert read_picture(path).note == ("" if orientation == 1 else TURNED)


def test_orientations_are_permutations_of_px(picture):
    image = picture(7, 5)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[_ORIENTATION] = orientation
        pil = Image.fromarray(image)
        pil.getexif()[_ORIENTATION] = orientation
        expected = np.asarray(ImageOps.exif_transpose(pil))
        np.testing.assert_array_equal(upright(image, orientation), expected)


@pytest.mark.parametrize("value", [0, 9, 77])
def test_orientations_that_mean_nothing_are_ignored(tmp_path, picture, value):
    exif = Image.Exif()
    exif[_ORIENTATION] = value
    path = saved(tmp_path / "odd.jpg", Image.fromarray(picture(20, 12)), exif=exif)
    assert read_picture(path).image.shape == (12, 20, 3)


def test_a_damaged_exif_block_does_not_spoil_the_picture(tmp_path, picture):
    exif = Image.Exif()
    exif[_ORIENTATION] = 6
    data = bytearray(
        saved(tmp_path / "a.jpg", Image.fromarray(picture(20, 12)), exif=exif).read_bytes()
    )
    at = data.index(b"Exif\0\0") + 6
    rng = np.random.default_rng(0)
    for _ in range(50):
        mutant = bytearray(data)
        mutant[at : at + 20] = rng.integers(0, 256, 20, np.uint8).tobytes()
        assert exif_orientation(bytes(mutant)) in range(1, 9)
        (tmp_path / "b.jpg").write_bytes(mutant)
        assert sorted(read_picture(tmp_path / "b.jpg").image.shape) == [3, 12, 20]


def test_colour_models(tmp_path, picture):
    image = Image.fromarray(picture(64, 48))
    for name, mode in {
        "grey.jpg": "L",
        "cmyk.jpg": "CMYK",
        "grey.png": "L",
        "bit.png": "1",
    }.items():
        assert_like_pil(saved(tmp_path / name, image.convert(mode)))
    assert_like_pil(saved(tmp_path / "palette.png", image.quantize(16)), atol=1)
    assert_like_pil(saved(tmp_path / "png_inside.jpg", image, format="PNG"), atol=1)
    alpha = image.copy()
    alpha.putalpha(100)
    assert_like_pil(saved(tmp_path / "alpha.png", alpha), atol=1)


def test_sixteen_bits_keep_their_high_bytes(tmp_path, picture):
    grey = picture(64, 48)[..., 0].astype(np.uint16) * 257
    path = saved(tmp_path / "deep.png", Image.fromarray(grey))
    with Image.open(path) as image:
        expected = np.asarray(image).astype(int) >> 8
    found = read_picture(path).image
    np.testing.assert_allclose(found, np.stack([expected] * 3, -1), atol=1)


def bomb():
    """A PNG header that promises 20000 x 20000 px."""
    buffer = io.BytesIO()
    Image.new("1", (8, 8)).save(buffer, "PNG")
    data = bytearray(buffer.getvalue())
    data[16:24] = (20000).to_bytes(4, "big") * 2
    return bytes(data)


def bad_files(jpeg, picture):
    """Name -> content and what is said about it."""
    sound = jpeg(picture(64, 48))
    return {
        "empty.jpg": (b"", "neither JPEG nor PNG"),
        "text.jpg": (b"Dear diary,\n" * 30, "neither JPEG nor PNG"),
        "gif.jpg": (b"GIF89a" + bytes(30), "neither JPEG nor PNG"),
        "cut.jpg": (sound[: len(sound) // 2], "truncated"),
        "header.jpg": (sound[:4], "damaged JPEG header"),
        "noise.png": (b"\x89PNG\r\n\x1a\n" + bytes(200), "damaged PNG header"),
        "bomb.png": (bomb(), "20000 x 20000 pixels"),
    }


def test_bad_files_are_named_with_their_fault(tmp_path, jpeg, picture):
    for name, (content, fault) in bad_files(jpeg, picture).items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=f"{name}: .*{fault}"):
            read_picture(tmp_path / name)
    with pytest.raises(DataError, match=r"none.jpg: .*No such file"):
        read_picture(tmp_path / "none.jpg")
    with pytest.raises(DataError, match="no file"):
        read_picture(tmp_path)
    os.mkfifo(tmp_path / "pipe.jpg")  # reading it would wait for ever
    with pytest.raises(DataError, match="no file"):
        read_picture(tmp_path / "pipe.jpg")
