"""Inputs of a command: which files they mean, in which order, and what they are called."""

import pytest

from jaxpose.inference.sources import find_sources, is_one_picture


@pytest.fixture
def tree(tmp_path):
    names = [
        "b.JPG", "a.png", "notes.txt", ".hidden.jpg", "clip.mp4", "sub/a.png", "sub/deep/ü ö.jpeg",
        "sub/clip.mp4", "sub/.git/x.jpg", "empty/readme.md", "other/clip.avi", "other/clip.mp4",
    ]  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def named(*inputs):
    return [(source.name, source.is_video) for source in find_sources(inputs)]


def test_a_folder_is_searched_in_order(tree):
    assert named(tree) == [
        ("a.png", False), ("b.JPG", False), ("clip", True), ("other/clip.avi", True),
        ("other/clip.mp4", True), ("sub/a.png", False), ("sub/clip", True),
        ("sub/deep/ü ö.jpeg", False),
    ]  # fmt: skip
    assert named(str(tree) + "/") == named(tree)


def test_pictures_of_other_formats_are_not_passed_over(tmp_path):
    for name in ("a.webp", "b.jpg", "c.txt"):
        (tmp_path / name).touch()
    assert named(tmp_path) == [("a.webp", False), ("b.jpg", False)]


def test_files_are_named_by_their_own_name_and_keep_their_order(tree):
    assert named(tree / "sub/a.png", tree / "b.JPG") == [("a.png", False), ("b.JPG", False)]
    # Whatever the suffix: the content decides.
    assert named(tree / "notes.txt") == [("notes.txt", False)]


def test_equal_names_are_told_apart(tree):
    assert named(tree / "a.png", tree / "sub/a.png") == [("a.png", False), ("sub/a.png", False)]
    assert named(tree / "clip.mp4", tree / "sub/clip.mp4") == [("clip", True), ("sub/clip", True)]
    both = named(tree / "other/clip.avi", tree / "other/clip.mp4")
    assert both == [("clip.avi", True), ("clip.mp4", True)]


@pytest.mark.parametrize("given", ["folders", "files", "patterns"])
def test_the_frames_of_sequences_stay_together(tmp_path, given):
    """Sequences of unequal lengths: the names that only the longer one has are its own as well."""
    frames = {"seqA": 3, "seqB": 2}
    for sequence, count in frames.items():
        (tmp_path / sequence).mkdir()
        for index in range(count):
            (tmp_path / sequence / f"{index:06d}.jpg").touch()
    folders = [tmp_path / sequence for sequence in frames]
    inputs = {
        "folders": folders,
        "files": [file for folder in folders for file in sorted(folder.iterdir())],
        "patterns": [f"{folder}/*.jpg" for folder in folders],
    }
    expected = [(f"{s}/{index:06d}.jpg", False) for s in frames for index in range(frames[s])]
    assert named(*inputs[given]) == expected
    (tmp_path / "seqB/000001.jpg").rename(tmp_path / "seqB/000007.jpg")
    (tmp_path / "seqB/000000.jpg").unlink()
    if given == "folders":  # named alike whether or not two frames have the same number
        assert named(*folders) == [*expected[:3], ("seqB/000007.jpg", False)]


def test_inputs_without_equal_names_keep_theirs(tree):
    others = named(tree / "a.png", tree / "sub/a.png", f"{tree}/other/*.mp4")
    assert others == [("a.png", False), ("sub/a.png", False), ("clip", True)]
    assert named(tree / "sub", tree / "b.JPG")[::3] == [("a.png", False), ("b.JPG", False)]


def test_a_file_counts_once(tree, monkeypatch):
    monkeypatch.chdir(tree)
    assert named("a.png", tree / "a.png", "sub/../a.png", "*.png") == [("a.png", False)]


def test_patterns(tree, monkeypatch):
    monkeypatch.chdir(tree)
    assert named("sub/*.png") == named(tree / "sub/*.png") == [("a.png", False)]
    assert named("**/*.png") == [("a.png", False), ("sub/a.png", False)]
    assert named("s*b") == [("sub/a.png", False), ("sub/clip", True), ("sub/deep/ü ö.jpeg", False)]
    (tree / "odd[1].jpg").touch()
    assert named("odd[1].jpg") == [("odd[1].jpg", False)]


def test_inputs_that_lead_nowhere_are_rows_of_their_own(tree):
    found = find_sources([tree / "gone.jpg", tree / "empty", f"{tree}/*.bmp", tree / "a.png"])
    faults = ["no such file or folder", "no pictures or videos", "no file matches", ""]
    assert [fault in source.error for fault, source in zip(faults, found, strict=True)] == [
        True
    ] * 4
    assert [source.error == "" for source in found] == [False, False, False, True]


def test_one_picture_or_many(tree):
    assert is_one_picture(tree / "a.png") and is_one_picture(str(tree / "gone.jpg"))
    assert not is_one_picture(tree) and not is_one_picture(tree / "clip.mp4")
    assert not is_one_picture(f"{tree}/*.png")
