"""Videos: what is read of them, whole or damaged, and written."""

import struct

import cv2
import numpy as np
import pytest

from jaxpose.inference.inputs import Camera, Inputs
from jaxpose.inference.sources import find_sources
from jaxpose.inference.video import TURNED, VideoReport, frame_count, read_video
from jaxpose.inference.video_writing import create_video, has_h264
from jaxpose.pipelines.predict_report import video_lines


def flat(level, width=64, height=48):
    """A frame of one colour, R > G > B."""
    return np.full((height, width, 3), (level, level // 2, 10), np.uint8)


@pytest.fixture
def write(tmp_path):
    def write(name, frames=20, code="MJPG", rate=10.0):
        path = tmp_path / name
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), rate, (64, 48))
        rng = np.random.default_rng(0)
        for index in range(frames):
            noise = rng.integers(0, 30, (48, 64, 3), np.uint8)  # so that all frames weigh the same
            writer.write(flat(10 * index + 20)[..., ::-1] + noise)
        writer.release()
        return path

    return write


def test_frames_come_in_order_with_their_times(write):
    report = VideoReport("clip")
    frames = list(read_video(write("ä clip.avi"), report))
    assert report == VideoReport("clip", 10.0, 20, 20, 0) and report.complete
    assert [frame.name for frame in frames] == [f"clip/{n:06d}" for n in range(20)]
    assert all(frame.video == "clip" and frame.index == n for n, frame in enumerate(frames))
    np.testing.assert_allclose([frame.seconds for frame in frames], np.arange(20) / 10, atol=1e-6)
    levels = [frame.image.mean((0, 1)) for frame in frames]
    np.testing.assert_allclose(np.diff([level[0] for level in levels]), 10, atol=3)  # red first
    assert all(frame.decode_seconds > 0 and not frame.error for frame in frames)


def test_a_video_that_was_filmed_upright_is_turned_and_says_so(write):
    path = write("phone.mp4", 6, code="mp4v")
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44  # of the track's header: a, b, u, c, d, v, x, y, w
    quarter = [0, 1 << 16, 0, -(1 << 16), 0, 0, 48 << 16, 0, 1 << 30]
    data[matrix : matrix + 36] = struct.pack(">9i", *quarter)
    plain = list(read_video(path, VideoReport("phone")))
    path.write_bytes(data)
    frames = list(read_video(path, VideoReport("phone")))
    assert [frame.image.shape for frame in frames] == [(64, 48, 3)] * 6
    assert {frame.note for frame in frames} == {TURNED} and {f.note for f in plain} == {""}
    np.testing.assert_allclose(frames[0].image, np.rot90(plain[0].image, -1), atol=3)


def damaged(path, kind):
    data = bytearray(path.read_bytes())
    if kind == "cut":
        return data[: len(data) * 6 // 10]
    if kind == "nearly":
        return data[: len(data) * 99 // 100]
    rng = np.random.default_rng(0)
    data[len(data) // 2 : len(data) // 2 + 30000] = rng.integers(0, 256, 30000, np.uint8).tobytes()
    return data


@pytest.mark.parametrize("kind", ["cut", "nearly", "garbage"])
def test_a_damaged_video_gives_what_can_be_read_and_says_so(write, tmp_path, kind):
    path = tmp_path / "damaged.avi"
    path.write_bytes(damaged(write("clip.avi", 100), kind))
    report = VideoReport("damaged")
    *frames, last = read_video(path, report)
    assert report.expected == 100 and report.read >= 50
    if kind == "nearly":
        assert report.read >= 95 and report.complete and not last.error
        return
    assert report.read < 95 and not report.complete
    assert sum(frame.image is not None for frame in frames) == report.read
    assert last.whole_input and last.name == "damaged" and last.image is None
    assert f"only {report.read} of 100 frames" in last.error


@pytest.mark.parametrize("content", [b"", b"text" * 99, None, "mp4 without its end"])
def test_what_cannot_be_opened_is_one_row(write, tmp_path, content):
    path = tmp_path / "bad.mp4"
    if content == "mp4 without its end":
        whole = write("whole.mp4", code="mp4v").read_bytes()
        content = whole[: len(whole) * 6 // 10]
    if content is not None:
        path.write_bytes(content)
    assert frame_count(path) == 0
    (row,) = read_video(path, VideoReport("bad"))
    assert row.whole_input and row.name == "bad" and "bad.mp4" in row.error


@pytest.mark.parametrize("opens", [False, True])
def test_a_camera_that_is_not_there_is_one_row_of_its_own_kind(monkeypatch, opens):
    class Dark:
        isOpened, grab = lambda _: opens, lambda _: False  # noqa: N815  OpenCV's name
        get, release = lambda _, what: 0.0, lambda _: None

    monkeypatch.setattr(cv2, "VideoCapture", lambda number: Dark())
    camera = Camera(7)
    (row,) = camera
    assert row.whole_input and row.name == "webcam7"
    fault = "gives no picture" if opens else "cannot be opened"
    assert row.error == f"camera 7: {fault}; is it connected, and not in use by another program?"
    assert not video_lines(camera.videos)


class Stuttering:
    """A capture of five frames, of which one cannot be decoded."""

    def __init__(self):
        self.at = -1

    def isOpened(self):  # noqa: N802  OpenCV's name
        return True

    def get(self, what):
        return {cv2.CAP_PROP_FRAME_COUNT: 5.0}.get(what, 0.0)

    def grab(self):
        self.at += 1
        return self.at < 5

    def retrieve(self):
        return (False, None) if self.at == 2 else (True, flat(9)[..., ::-1])

    def release(self):
        pass


def test_a_frame_that_cannot_be_decoded_keeps_its_place(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", lambda number: Stuttering())
    camera = Camera(3)
    *frames, last = camera
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert "webcam3/000002" in frames[2].error and not frames[2].whole_input
    assert frames[3].seconds == pytest.approx(3 / 25)  # no rate, no times
    report = camera.videos["webcam3"]
    assert (report.expected, report.read, report.failed) == (5, 4, 1)
    assert last.whole_input and "4 of 5" in last.error


def test_inputs_mix_pictures_and_videos(write, tmp_path, jpeg):
    write("b.avi", 3)
    (tmp_path / "a.jpg").write_bytes(jpeg(flat(99)))
    (tmp_path / "c.jpg").write_bytes(b"")
    inputs = Inputs(find_sources([tmp_path]))
    assert inputs.expected_frames() == 5 and inputs.known_frames() is None and inputs.count == 3
    frames = list(inputs)
    assert [frame.name for frame in frames] == [
        "a.jpg",
        "b/000000",
        "b/000001",
        "b/000002",
        "c.jpg",
    ]
    assert "c.jpg" in frames[-1].error and not frames[-1].whole_input
    assert inputs.videos["b"].read == 3


@pytest.mark.parametrize("with_av", [False, True])
@pytest.mark.parametrize(("width", "height"), [(64, 48), (63, 47)])
def test_written_videos_read_back(tmp_path, monkeypatch, with_av, width, height):
    if with_av:
        pytest.importorskip("av")
    monkeypatch.setattr("jaxpose.inference.video_writing.has_h264", lambda: with_av)
    path = tmp_path / "new folder" / "ü.mp4"
    video = create_video(path, width, height, 10.0)
    times = [0.0, 0.1, 0.2, 0.35, 0.45, 0.55]
    for index, seconds in enumerate(times):
        video.add(flat(40 * index + 20, width, height), seconds)
    video.close()
    frames = list(read_video(path, VideoReport("back")))
    assert [frame.image.shape for frame in frames] == [(48, 64, 3)] * len(times)
    for index, frame in enumerate(frames):
        assert np.abs(frame.image.mean((0, 1)) - flat(40 * index + 20)[0, 0]).max() < 8
    expected = times if with_av else np.arange(len(times)) / 10
    np.testing.assert_allclose([frame.seconds for frame in frames], expected, atol=2e-3)
    assert isinstance(has_h264(), bool)
