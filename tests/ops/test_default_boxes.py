from pathlib import Path

import numpy as np
import pytest

from jaxpose.ops.default_boxes import BOXES_PER_CELL, FEATURE_SIZES, default_boxes, levels

GOLDEN = Path(__file__).parent.parent / "golden" / "a_default_boxes.npz"

# Row of the golden file: arguments of default_boxes.
CENTERED = {
    "ssdpytorch_ssd300_voc": (300, "voc", False, "cxcywh"),
    "ssdpytorch_ssd300_voc_unclipped": (300, "voc", False, "none"),
    "ssdpytorch_ssd300_coco": (300, "coco", False, "cxcywh"),
    "ssdpytorch_ssd300_coco_unclipped": (300, "coco", False, "none"),
    "lufficc_ssd512_voc": (512, "voc", False, "cxcywh"),
    "lufficc_ssd512_voc_unclipped": (512, "voc", False, "none"),
    "lufficc_ssd512_coco": (512, "coco", False, "cxcywh"),
    "lufficc_ssd512_coco_unclipped": (512, "coco", False, "none"),
    "torchvision_ssd300_coco_cxcywh": (300, "coco", False, "wh"),
    "torchvision_ssd300_coco_cxcywh_unclipped": (300, "coco", False, "none"),
}
CORNERS = {
    "caffe_ssd300_voc_corner_unclipped": (300, "voc"),
    "caffe_ssd300_coco_corner_unclipped": (300, "coco"),
    "caffe_ssd512_voc_corner_unclipped": (512, "voc"),
    "caffe_ssd512_coco_corner_unclipped": (512, "coco"),
}


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        return dict(file)


def corners(cxcywh):
    boxes = cxcywh.astype(np.float64)
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1)


def test_every_golden_row_is_tested(golden):
    assert set(golden) == {*CENTERED, *CORNERS, "mlperf_ssd300_coco_cychw"}


@pytest.mark.parametrize("name", CENTERED)
def test_equals_the_torch_ports(golden, name):
    found = default_boxes(*CENTERED[name])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, golden[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", CORNERS)
def test_truncated_sizes_equal_caffe(golden, name):
    size, scales = CORNERS[name]
    found = corners(default_boxes(size, scales, truncate_sizes=True))
    np.testing.assert_allclose(found, golden[name], rtol=0, atol=1e-6)
    # Whole px already at 300; at 512 the corners differ by the published 0.69 and 0.83 px.
    other = corners(default_boxes(size, scales))
    px = {("voc", 300): 0, ("coco", 300): 0, ("voc", 512): 0.69, ("coco", 512): 0.83}
    assert abs(other - golden[name]).max() * size == pytest.approx(px[scales, size], abs=0.005)


def test_equals_mlperf_after_a_permutation(golden):
    boxes, start, ordered = default_boxes(300, "coco", clip="cxcywh"), 0, []
    for size, per_cell in levels(300):
        level = boxes[start : start + size * size * per_cell].reshape(size, size, per_cell, 4)
        ordered.append(level.transpose(2, 0, 1, 3).reshape(-1, 4))
        start += size * size * per_cell
    found = np.concatenate(ordered)[:, [1, 0, 3, 2]]
    np.testing.assert_allclose(found, golden["mlperf_ssd300_coco_cychw"], rtol=0, atol=1e-6)


def test_by_hand():
    boxes = default_boxes(300) * 300
    root = np.sqrt(2)
    first_cell = [[4, 4, 30, 30], [4, 4, 30 * root, 30 * root]]
    first_cell += [[4, 4, 30 * root, 30 / root], [4, 4, 30 / root, 30 * root]]
    np.testing.assert_allclose(boxes[:4], first_cell, rtol=1e-6)
    np.testing.assert_allclose(boxes[4, :2], [12, 4], rtol=1e-6)  # columns go first
    np.testing.assert_allclose(boxes[4 * 38, :2], [4, 12], rtol=1e-6)
    wide, tall = boxes[4 * 38 * 38 + 4], boxes[4 * 38 * 38 + 5]  # ratio 3 of the second map
    assert wide[2] / wide[3] == pytest.approx(3, 1e-5)
    assert tall[3] / tall[2] == pytest.approx(3, 1e-5)
    np.testing.assert_allclose(boxes[-4, :4], [150, 150, 264, 264], rtol=1e-6)
    np.testing.assert_allclose(boxes[-3, 2] ** 2, 264 * 315, rtol=1e-5)


@pytest.mark.parametrize(("truncate", "last"), [(False, 537.65), (True, 537.0)])
def test_last_side_of_voc512(truncate, last):
    side, mean = default_boxes(512, "voc", truncate)[-4:-2, 2].astype(np.float64) * 512
    assert mean**2 / side == pytest.approx(last, abs=1e-3)
    assert side == pytest.approx(460 if truncate else 460.8, abs=1e-3)


@pytest.mark.parametrize("size", [64, 300, 512])
@pytest.mark.parametrize("scales", ["voc", "coco"])
def test_sizes_follow_the_recipe_of_the_caffe_scripts(size, scales):
    hand_set = {("voc", 64): 10, ("voc", 300): 10, ("voc", 512): 7, ("coco", 512): 4}
    lowest = {("voc", 64): 20, ("voc", 300): 20, ("coco", 512): 10}.get((scales, size), 15)
    maps = levels(size)
    step = (90 - lowest) // (len(maps) - 2)
    percent = [hand_set.get((scales, size), 7), *range(lowest, 91, step)]
    starts = np.cumsum([0] + [side**2 * cell for side, cell in maps])[:-1]
    squares = default_boxes(size, scales)[starts, 2:]
    np.testing.assert_allclose(squares * 100, np.transpose([percent] * 2)[: len(maps)], rtol=1e-6)


@pytest.mark.parametrize("size", [64, 300, 512])
def test_levels(size):
    count = sum(side * side * per_cell for side, per_cell in levels(size))
    assert count == len(default_boxes(size)) == {64: 380, 300: 8732, 512: 24564}[size]
    assert levels(size) == tuple(zip(FEATURE_SIZES[size], BOXES_PER_CELL[size], strict=True))


def test_result_is_cached_and_read_only():
    assert default_boxes(300) is default_boxes(300, "voc", False, "none")
    with pytest.raises(ValueError, match="read-only"):
        default_boxes(300)[0, 0] = 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 320}, "image_size 320 .* use 300 or 512"),
        ({"image_size": 300, "scales": "kitti"}, "scales 'kitti' .* voc, coco"),
        ({"image_size": 300, "clip": "corners"}, "clip 'corners' .* none, cxcywh, wh"),
        ({"image_size": 300, "clip": True}, "clip True"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        default_boxes(**arguments)
