import cv2
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from jaxpose.data.canvas import encode_canvas, frame_canvas, person_canvas


def dot_image(width, height, x, y, radius):
    """A soft white dot on black, centred on (x, y)."""
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    dot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * radius**2))
    return np.repeat((255 * dot).astype(np.uint8)[..., None], 3, 2)


def placed(image, canvas):
    """The canvas as a reader assembles it, and the centre of gravity of what is bright on it."""
    data = np.frombuffer(encode_canvas(image, canvas), np.uint8)
    part = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    x1, y1, x2, y2 = canvas.valid.astype(int)
    whole = np.zeros((canvas.side, canvas.side, 3), np.uint8)
    whole[y1:y2, x1:x2] = part
    weight = whole[..., 0].astype(float)
    weight[weight < 40] = 0
    rows, columns = np.mgrid[: canvas.side, : canvas.side]
    return whole, np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()


@pytest.mark.parametrize(
    ("center", "scale", "dot"),
    [
        ((150.0, 120.0), 0.25, (140, 130)),  # not reduced
        ((150.3, 120.7), 0.9, (120, 150)),  # reduced, inside the photograph
        ((20.2, 230.5), 1.1, (60, 200)),  # reaches over two borders
        ((-40.0, 120.0), 0.8, (30, 110)),  # centred outside
    ],
)
def test_matrix_maps_source_points_onto_their_pixels(center, scale, dot):
    image = dot_image(300, 240, *dot, radius=5)
    canvas = person_canvas(np.array(center), scale, 300, 240, 128)
    _, found = placed(image, canvas)
    expected = canvas.matrix @ [*dot, 1]
    np.testing.assert_allclose(found, expected, atol=0.3)


@pytest.mark.parametrize("size", [(300, 240), (111, 290), (60, 40)])
def test_frame_matrix_maps_source_points_onto_their_pixels(size):
    image = dot_image(*size, 30, 21, radius=6)
    canvas = frame_canvas(*size, 128)
    _, found = placed(image, canvas)
    np.testing.assert_allclose(found, canvas.matrix @ [30, 21, 1], atol=0.3)


def test_frames_are_reduced_to_the_longer_side_only_where_needed():
    assert frame_canvas(300, 240, 128).valid.tolist() == [0, 0, 128, 102]
    small = frame_canvas(60, 40, 128)
    assert small.valid.tolist() == [0, 0, 60, 40]
    np.testing.assert_array_equal(small.matrix, np.eye(2, 3))


def test_small_persons_are_translated_by_whole_pixels():
    canvas = person_canvas(np.array([70.3, 50.8]), 0.1, 200, 200, 128)
    # Crop side 20, so the kept square is 40: [50.3, 90.3) x [30.8, 70.8).
    np.testing.assert_array_equal(canvas.matrix, [[1, 0, -6], [0, 1, 13]])
    assert canvas.valid.tolist() == [45, 44, 84, 83]


def test_reduced_canvas_covers_twice_the_crop_side():
    canvas = person_canvas(np.array([500.0, 500.0]), 1.0, 1000, 1000, 256)
    # Crop side 200, so the kept square is 400 wide and lands on the whole canvas.
    assert canvas.valid.tolist() == [0, 0, 256, 256]
    assert (canvas.x.start, canvas.x.stop) == (300, 700)
    np.testing.assert_allclose(canvas.matrix[:, :2], 0.64 * np.eye(2))


def test_unreduced_pixels_are_those_of_the_photograph():
    image = cv2.resize(np.random.default_rng(0).integers(0, 256, (6, 6, 3), np.uint8), (90, 90))
    canvas = person_canvas(np.array([40.0, 45.0]), 0.2, 90, 90, 128)
    whole, _ = placed(image, canvas)
    x1, y1, x2, y2 = canvas.valid.astype(int)
    dx, dy = canvas.matrix[:, 2].astype(int)
    expected = image[y1 - dy : y2 - dy, x1 - dx : x2 - dx]
    assert np.abs(whole[y1:y2, x1:x2].astype(int) - expected).mean() < 3
    whole[y1:y2, x1:x2] = 0
    assert not whole.any()


def test_persons_outside_the_photograph_have_no_canvas():
    assert person_canvas(np.array([500.0, 50.0]), 0.2, 100, 100, 64) is None


@settings(max_examples=200, deadline=None)
@given(
    center=st.tuples(st.floats(-300, 600), st.floats(-300, 600)),
    scale=st.floats(0.01, 8),
    size=st.tuples(st.integers(1, 400), st.integers(1, 400)),
    side=st.integers(32, 200),
)
def test_valid_is_the_photograph_within_reach(center, scale, size, side):
    canvas = person_canvas(np.array(center), scale, *size, side)
    if canvas is None:
        return
    reach = 200 * scale
    for span, middle, length in zip((canvas.x, canvas.y), center, size, strict=True):
        assert 0 <= span.first < span.last <= side
        assert 0 <= span.start < span.stop <= length
        assert span.factor <= 1.0 or span.stop - span.start == 1
        assert span.start >= middle - reach - 1 and span.stop <= middle + reach + 1
        # The centre belongs at side / 2: both edges lie within a pixel and a half of their place.
        factor = min(1.0, side / (2 * reach))
        for edge, source in ((span.first, span.start), (span.last, span.stop)):
            assert abs(edge - 0.5 - factor * (source - 0.5 - middle) - side / 2) <= 1.5
