import cv2
import numpy as np
import pytest

from jaxpose.annotations import images
from jaxpose.annotations.images import decode_image, decode_reduced
from jaxpose.errors import DataError


def photo(width, height):
    """Smooth, so that what the coding loses does not matter."""
    small = np.random.default_rng(0).integers(0, 256, (height // 16, width // 16, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def encoded(extension, image, *options):
    ok, data = cv2.imencode(extension, image, list(options))
    assert ok
    return data.tobytes()


@pytest.mark.parametrize("size", [(160, 96), (163, 101), (65, 250)])
@pytest.mark.parametrize("reduction", [1, 2, 4, 8])
@pytest.mark.parametrize("options", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)])
def test_pixels_are_the_means_of_their_blocks(size, reduction, options):
    data = encoded(".jpg", photo(*size), cv2.IMWRITE_JPEG_QUALITY, 95, *options)
    image, n = decode_reduced(data, "a", reduction)
    assert n == reduction
    assert image.shape == (-(-size[1] // n), -(-size[0] // n), 3)
    width, height = (length // n for length in size)
    whole = decode_image(data, "a")[: height * n, : width * n]
    means = whole.reshape(height, n, width, n, 3).mean((1, 3))
    difference = np.abs(image[:height, :width] - means)
    assert difference.mean() < 1.5
    shifted = np.abs(image[:height, 1:width] - means[:, :-1]).mean()
    assert shifted > 4 * difference.mean()  # one pixel aside would be noticed


@pytest.mark.parametrize("reduction", [2, 8])
def test_png_is_decoded_whole(reduction):
    image = photo(90, 70)
    decoded, n = decode_reduced(encoded(".png", image), "a", reduction)
    assert n == 1
    np.testing.assert_array_equal(decoded, image[..., ::-1])


def test_exif_orientation_is_ignored():
    data = encoded(".jpg", photo(96, 64))
    tiff = b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"
    body = b"Exif\x00\x00" + tiff + b"\x00" * 4
    rotated = data[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + data[2:]
    assert cv2.imdecode(np.frombuffer(rotated, np.uint8), 1).shape == (96, 64, 3)
    first, second = (decode_reduced(each, "a", 2)[0] for each in (data, rotated))
    np.testing.assert_array_equal(first, second)


def test_what_cannot_be_reduced_is_decoded_whole(monkeypatch):
    """A decoder that pays no heed to the reduction, as OpenCV for some kinds of JPEG."""
    monkeypatch.setitem(images._FLAGS, 2, cv2.IMREAD_COLOR)
    data = encoded(".jpg", photo(96, 64))
    image, n = decode_reduced(data, "a", 2)
    assert n == 1
    np.testing.assert_array_equal(image, decode_image(data, "a"))


def outcome(data, reduction):
    """The error of a refused file, or None."""
    try:
        decode_reduced(data, "a.jpg", reduction)
    except DataError as error:
        return str(error)
    return None


def test_damaged_files_are_refused_alike_whole_and_reduced(monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 100_000)  # a damaged size costs time to decode
    data = encoded(".jpg", photo(96, 64))
    generator = np.random.default_rng(0)
    mutants = [data[: int(len(data) * share)] for share in (0, 0.01, 0.3, 0.9)]
    for _ in range(400):
        mutant = np.frombuffer(data, np.uint8).copy()
        places = generator.integers(2, 700, 3)
        mutant[places] = generator.integers(0, 256, 3)
        mutants.append(mutant.tobytes())
    refused = [outcome(each, 1) for each in mutants]
    for reduction in (2, 8):
        assert [outcome(each, reduction) for each in mutants] == refused
    assert sum(map(bool, refused)) > 40 and not all(refused)
