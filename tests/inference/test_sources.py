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


def test_files_are_named_by_their_own_name_and_keep_their_order(tree):
    assert named(tree / "sub/a.png", tree / "b.JPG") == [("a.png", False), ("b.JPG", False)]
    # Whatever the suffix: the content decides.
    assert named(tree / "notes.txt") == [("notes.txt", False)]


def test_equal_names_are_told_apart(tree):
    assert named(tree / "a.png", tree / "sub/a.png") == [("a.png", False), ("sub/a.png", False)]
    assert named(tree / "clip.mp4", tree / "sub/clip.mp4") == [("clip", True), ("sub/clip", True)]
    both = named(tree / "other/clip.avi", tree / "other/clip.mp4")
    assert both == [("clip.avi", True), ("clip.mp4", True)]


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
