"""Names made from inputs stay inside their folder and differ from one another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxpose.annotations.images import resolve_inside
from jaxpose.inference.people import FrameResult
from jaxpose.inference.result_names import ResultNames, UniqueNames, safe_name

# Of st.text's own alphabet, Hypothesis takes seconds to work out what is encodable.
CHARACTERS = (
    (st.integers(0, 0x7F) | st.integers(0, 0x10FFFF))
    .map(chr)
    .filter(lambda one: not "\ud800" <= one <= "\udfff")
)


@pytest.mark.parametrize("name", ["a.jpg", "sub dir/ünïcode 图.jpg", "v1.2/.hidden", "x..y/a..jpg"])
def test_harmless_names_stay_as_they_are(name):
    assert safe_name(name) == name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("/etc/passwd", "etc/passwd"),
        ("../../x.jpg", "_/_/x.jpg"),
        ("a/../../x.jpg", "a/_/_/x.jpg"),
        ("C:\\pictures\\x.jpg", "C_/pictures/x.jpg"),
        ("a//./b.jpg", "a/b.jpg"),
        ("new\nline\x00.jpg", "new_line_.jpg"),
        ("undecodable\udc80.jpg", "undecodable_.jpg"),
        ("", "_"),
        ("..", "_"),
    ],
)
def test_others_are_made_safe(name, safe):
    assert safe_name(name) == safe


def test_long_parts_are_cut_before_their_suffix():
    name = safe_name("é" * 300 + ".jpg")
    assert len(name.encode()) <= 200 and name.endswith("é.jpg")


@given(st.text(CHARACTERS, max_size=40))
def test_no_name_leaves_the_folder(name):
    root = "/nowhere/out"
    assert resolve_inside(root, safe_name(name)).is_relative_to(root)


def test_names_that_a_file_system_confuses_get_numbers():
    names = UniqueNames()
    claims = ["a.jpg", "A.JPG", "a.jpg", "a_2.jpg", "e\u0301.png", "\u00e9.png", "b/a.jpg"]
    assert [names.claim(name) for name in claims] == [
        "a.jpg", "A_2.JPG", "a_3.jpg", "a_2_2.jpg", "e\u0301.png", "\u00e9_2.png", "b/a.jpg"
    ]  # fmt: skip


def _frame(name, video="", index=-1):
    return FrameResult(name, 4, 3, (), video, index)


def test_frames_of_a_video_keep_their_names():
    names = ResultNames()
    frames = [_frame(f"clip/{i:06d}", "clip", i) for i in range(3)]
    frames += [_frame("images/val/000342_a/000000.jpg", "000342_a", 0)]
    assert [names.unique(frame) for frame in frames] == frames


def test_a_second_video_of_the_same_name_gets_a_number():
    names = ResultNames()
    for i in range(2):
        names.unique(_frame(f"clip/{i:06d}", "clip", i))
    again = names.unique(_frame("clip/000000", "clip", 0))
    assert (again.name, again.video) == ("clip_2/000000", "clip_2")
    assert names.unique(_frame("clip/000001", "clip", 1)).name == "clip_2/000001"
    assert names.unique(_frame("other/000002", "other", 2)).video == "other"
    assert names.unique(_frame("clip/000003", "clip", 3)).video == "clip_3"


def test_stills_between_videos_end_them():
    names = ResultNames()
    assert names.unique(_frame("clip/000000", "clip", 0)).video == "clip"
    assert names.unique(_frame("a.jpg")).name == "a.jpg"
    assert names.unique(_frame("a.jpg")).name == "a_2.jpg"
    assert names.unique(_frame("clip/000001", "clip", 1)).video == "clip_2"
