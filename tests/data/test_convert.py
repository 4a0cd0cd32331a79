import cv2
import numpy as np
import pytest

from jaxpose.annotations.schema import AnnotationSet, Frame, Person, Rejections
from jaxpose.data import convert
from jaxpose.data.canvas import frame_canvas, person_canvas
from jaxpose.data.convert import convert_frame
from jaxpose.data.plan import FrameJob, SourceSplit, make_plan
from jaxpose.skeletons import COCO

SIZE = (643, 405)
DOTS = np.array([[130.25, 101.5], [460.0, 300.75], [321.0, 60.0]])


def dots():
    """Soft white dots on grey, centred on DOTS."""
    columns, rows = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    square = (columns[..., None] - DOTS[:, 0]) ** 2 + (rows[..., None] - DOTS[:, 1]) ** 2
    light = 60 + 180 * np.exp(-square / (2 * 12**2)).sum(-1)
    return np.repeat(light.astype(np.uint8)[..., None], 3, 2)


def person(center=(320.0, 200.0), scale=1.6):
    keypoints = np.zeros((17, 3))
    keypoints[: len(DOTS)] = np.column_stack([DOTS, [2, 2, 2]])
    box = np.array([100.0, 40.0, 500.0, 330.0])
    return Person(keypoints, box_xyxy=box, center=np.array(center), scale=scale)


def job_and_plan(folder, config, *persons, name="a.jpg", canvas=128, said=SIZE):
    path = folder / name
    if not path.exists():
        cv2.imwrite(str(path), dots())
    (folder / "annotations.json").write_text("any")
    frame = Frame(name, "1", *said, persons=persons)
    annotations = AnnotationSet(COCO, (frame,))
    source = SourceSplit(annotations, folder, (folder / "annotations.json",))
    plan = make_plan("set", config, canvas, {"train": source}, Rejections())
    return FrameJob(frame, path, path.stat().st_size), plan


@pytest.fixture
def reductions(monkeypatch):
    """`seen`: by how much each photograph was reduced in decoding, which `most` bounds."""
    decode = convert.decode_reduced

    def told(data, name, reduction):
        image, n = decode(data, name, min(reduction, told.most))
        told.seen.append(n)
        return image, n

    told.seen, told.most = [], 8
    monkeypatch.setattr(convert, "decode_reduced", told)
    return told


def pixels(record):
    x1, y1, x2, y2 = record["image/valid"].astype(int)
    canvas = np.zeros((128, 128, 3), np.uint8)
    canvas[y1:y2, x1:x2] = cv2.imdecode(np.frombuffer(record["image/encoded"], np.uint8), 1)
    return canvas


def found_dots(record):
    """Centres of gravity round where the matrix puts DOTS, in canvas px, and these places."""
    light = np.clip(pixels(record)[..., 0].astype(float) - 90, 0, None)
    rows, columns = np.mgrid[:128, :128]
    expected = DOTS @ record["image/matrix"][:, :2].T + record["image/matrix"][:, 2]
    found = []
    for x, y in expected:
        near = light * ((columns - x) ** 2 + (rows - y) ** 2 < 9**2)
        found.append([(near * columns).sum() / near.sum(), (near * rows).sum() / near.sum()])
    return np.array(found), expected


@pytest.mark.parametrize("config", ["images", "people"])
@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_reduced_decoding_keeps_the_geometry(tmp_path, config, name, reductions):
    job, plan = job_and_plan(tmp_path, config, person(), name=name)
    (reduced,), _ = convert_frame(job, plan)
    reductions.most = 1
    (whole,), _ = convert_frame(job, plan)
    assert reductions.seen == [4 if name == "a.jpg" else 1, 1]
    for record in (reduced, whole):
        found, expected = found_dots(record)
        np.testing.assert_allclose(found, expected, atol=0.1)
    for field in ("image/matrix", "image/valid", "image/width", "image/height"):
        np.testing.assert_array_equal(reduced[field], whole[field])
    assert np.abs(pixels(reduced).astype(int) - pixels(whole)).mean() < 0.5


def test_the_largest_need_of_a_frame_decides(tmp_path, reductions):
    near, far = person(scale=1.6), person(scale=0.4)
    for persons in ((near,), (near, far), (far,)):
        records, _ = convert_frame(*job_and_plan(tmp_path, "people", *persons))
        assert len(records) == len(persons)
    assert reductions.seen == [4, 1, 1]
    convert_frame(*job_and_plan(tmp_path, "images", canvas=512))
    assert reductions.seen[-1] == 1


def test_the_same_frame_gives_the_same_bytes(tmp_path):
    job, plan = job_and_plan(tmp_path, "people", person())
    (first,), _ = convert_frame(job, plan)
    (second,), _ = convert_frame(job, plan)
    assert first["image/encoded"] == second["image/encoded"]


def test_bad_files_are_refused_as_when_decoded_whole(tmp_path):
    job, plan = job_and_plan(tmp_path, "images", said=(SIZE[0] - 1, SIZE[1]))
    records, problems = convert_frame(job, plan)
    assert records == [] and problems == [("1", "image is 643 x 405, annotated as 642 x 405")]
    job.path.write_bytes(job.path.read_bytes()[:-300])
    records, ((_, reason),) = convert_frame(job, plan)
    assert records == [] and "truncated JPEG" in reason
    job.path.write_bytes(b"<html>")
    assert "neither JPEG nor PNG" in convert_frame(job, plan)[1][0][1]


def test_crops_beside_the_photograph_are_refused_one_by_one(tmp_path):
    beside = person(center=(5000.0, 200.0))
    records, problems = convert_frame(*job_and_plan(tmp_path, "people", beside, person()))
    assert [record["person/index"] for record in records] == [1]
    assert problems == [("1#0", "person's crop misses the image")]


@pytest.mark.parametrize("size", [(643, 405), (1024, 1023), (3, 2000), (1, 1)])
@pytest.mark.parametrize("side", [32, 100, 512])
def test_spans_lie_on_the_grid_of_the_reduction(size, side):
    center, scale = np.array(size) * 0.7, max(size) / 150
    for canvas in (frame_canvas(*size, side), person_canvas(center, scale, *size, side)):
        n = canvas.reduction
        for span, length in zip((canvas.x, canvas.y), size, strict=True):
            assert span.start % n == 0 and span.stop % n == 0
            assert span.start < span.stop <= length
            if length > 8 * n:  # what is decoded is not enlarged
                assert (span.stop - span.start) // n >= span.last - span.first
    whole = frame_canvas(*size, side)
    assert all(
        length - span.stop < whole.reduction
        for span, length in zip((whole.x, whole.y), size, strict=True)
    )
