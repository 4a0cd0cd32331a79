"""Pictures of detections: boxes lie where the pixels are, and what is left out is not drawn."""

import numpy as np
import pytest

from jaxpose.tasks.detection_pictures import (
    ANNOTATED,
    CLASS_COLOURS,
    IGNORED,
    MOST_TILES,
    input_sheet,
    prediction_sheet,
)

SIDE = 300  # tiles of this size are not enlarged
MEAN = (123, 117, 104)


def batch_of(rows=1, side=SIDE, scale=0.5):
    matrix = np.array([[scale, 0, 0.5 * scale - 0.5], [0, scale, 0.5 * scale - 0.5]], np.float32)
    return {
        "image": np.zeros((rows, side, side, 3), np.uint8),
        "matrix": np.tile(matrix, (rows, 1, 1)),
        "boxes": np.zeros((rows, 4, 4), np.float32),
        "labels": np.zeros((rows, 4), np.int32),
        "difficult": np.zeros((rows, 4), bool),
        "crowd": np.zeros((rows, 4), bool),
        "valid": np.tile(np.float32([0, 0, side, side]), (rows, 1)),
        "ignore": np.zeros((rows, 2, 4), np.float32),
        "mask": np.ones(rows, np.float32),
        "id": np.array([f"set/{n}" for n in range(rows)], object),
    }


def nothing(rows=1):
    return {
        "boxes": np.zeros((rows, 5, 4), np.float32),
        "scores": np.zeros((rows, 5), np.float32),
        "classes": np.ones((rows, 5), np.int32),
        "valid": np.zeros((rows, 5), bool),
    }


def one(box, score, label=1):
    predictions = nothing()
    predictions["boxes"][0, 0] = box
    predictions["scores"][0, 0] = score
    predictions["classes"][0, 0] = label
    predictions["valid"][0, 0] = True
    return predictions


def extent(sheet, colour):
    """First and last column and row of a colour, (x1, y1, x2, y2)."""
    y, x = np.nonzero(np.abs(sheet.astype(int) - colour).max(-1) < 40)
    assert len(x), f"no pixel of colour {colour}"
    return x.min(), y.min(), x.max(), y.max()


def has(sheet, colour):
    return (np.abs(sheet.astype(int) - colour).max(-1) < 40).any()


def test_boxes_are_drawn_through_the_matrix():
    """Edges 101, 161, 401, 481 at half size: 50.5 .. 240.5, the centres of 50, 80, 200, 240."""
    batch = batch_of()
    batch["boxes"][0, 0], batch["labels"][0, 0] = [101, 161, 401, 481], 1
    sheet = prediction_sheet(batch, nothing(), classes=("person",))
    assert sheet.shape == (SIDE, SIDE, 3) and sheet.dtype == np.uint8
    np.testing.assert_allclose(extent(sheet, ANNOTATED), [50, 80, 200, 240])
    assert not has(sheet, CLASS_COLOURS[0])


@pytest.mark.parametrize("label", [1, 2, len(CLASS_COLOURS) + 2])
def test_detections_take_the_colour_of_their_class(label):
    classes = [f"class{n}" for n in range(1, 13)]
    sheet = prediction_sheet(batch_of(), one([100, 160, 400, 480], 0.9, label), classes=classes)
    colour = CLASS_COLOURS[(label - 1) % len(CLASS_COLOURS)]
    x1, _, x2, y2 = extent(sheet, colour)
    np.testing.assert_allclose([x1, x2, y2], [50, 200, 240], atol=2)


def test_weak_padding_and_broken_detections_are_left_out():
    plain = prediction_sheet(batch_of(), nothing(), classes=("person",), score_threshold=0.5)
    weak, padding = one([100, 160, 400, 480], 0.5), one([100, 160, 400, 480], 0.9)
    padding["valid"][:] = False
    for predictions in (weak, padding, one([100, 160, 400, 480], np.nan)):
        sheet = prediction_sheet(batch_of(), predictions, classes=("person",), score_threshold=0.5)
        np.testing.assert_array_equal(sheet, plain)
    broken = one([np.nan, 0, np.inf, 5], 0.9)
    assert not has(prediction_sheet(batch_of(), broken, classes=("person",)), CLASS_COLOURS[0])


def test_ignore_regions_are_drawn():
    batch = batch_of()
    batch["ignore"][0, 1] = [100, 160, 400, 480]
    sheet = prediction_sheet(batch, nothing(), classes=("person",))
    assert has(sheet[100:], IGNORED)


def test_sheets_hold_the_real_rows_only():
    batch = batch_of(MOST_TILES + 3)
    assert prediction_sheet(batch, nothing(MOST_TILES + 3), classes=("p",)).shape == (602, 1206, 3)
    batch["mask"][1:] = 0
    assert prediction_sheet(batch, nothing(MOST_TILES + 3), classes=("p",)).shape == (300, 300, 3)
    batch["mask"][:] = 0
    assert prediction_sheet(batch, nothing(MOST_TILES + 3), classes=("p",)).shape == (1, 1, 3)


def test_small_canvases_are_enlarged():
    batch = batch_of(side=64)
    batch["boxes"][0, 0], batch["labels"][0, 0] = [21, 41, 101, 121], 1
    sheet = prediction_sheet(batch, nothing(), classes=("person",))
    assert sheet.shape == (320, 320, 3)
    np.testing.assert_allclose(extent(sheet, ANNOTATED), [52, 102, 252, 302])


def inputs_of(side=SIDE):
    image = np.zeros((2, side, side, 3), np.float32)
    image[..., 0] = 200  # red
    return {
        "image": image - np.array(MEAN, np.float32),
        "boxes": np.array([[[0.25, 0.5, 0.75, 1 - 1 / side], [0, 0, 0, 0]]] * 2, np.float32),
        "labels": np.array([[2, 0], [0, 0]], np.int32),
        "ignore": np.zeros((2, 1, 4), np.float32),
    }


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_inputs_are_shown_as_the_photograph(channels):
    inputs = inputs_of()
    if channels == "bgr":
        inputs["image"] = inputs["image"][..., ::-1]
    sheet = input_sheet(inputs, classes=("cat", "dog"), mean=MEAN, channels=channels)
    assert sheet.shape == (SIDE, 2 * SIDE + 2, 3) and sheet.dtype == np.uint8
    assert sheet[10, 10].tolist() == sheet[290, 590].tolist() == [200, 0, 0]
    x1, _, x2, y2 = extent(sheet, CLASS_COLOURS[1])
    np.testing.assert_allclose([x1, x2, y2], [75, 225, 298], atol=1.5)


def test_ignored_parts_of_inputs_and_broken_pixels_are_drawn():
    inputs = inputs_of()
    inputs["image"][1] = np.nan
    inputs["ignore"][1, 0] = [0.1, 0.2, 0.5, 0.9]
    sheet = input_sheet(inputs, classes=("cat", "dog"), mean=MEAN)
    x1, _, x2, y2 = extent(sheet[70:, SIDE + 2 :], IGNORED)
    np.testing.assert_allclose([x1, x2, y2 + 70], [30, 150, 270], atol=1.5)
