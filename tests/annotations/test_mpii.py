import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from jaxpose.annotations.mpii import (
    HEAD_SIZE_NOTE,
    read_mpii_json,
    split_validation,
    write_mpii_json,
)
from jaxpose.annotations.people import head_size
from jaxpose.annotations.schema import AnnotationSet, Frame, Person, Rejections
from jaxpose.errors import DataError
from jaxpose.skeletons import LSP, MPII


def entry(image="a.jpg", **more):
    return {"image": image, "center": [101, 201], "scale": 2.5,
            "joints": [[10 + j, 20 + j] for j in range(16)], "joints_vis": [1] * 15 + [0],
            **more}  # fmt: skip


def saved(tmp_path, *entries):
    path = tmp_path / "mpii.json"
    path.write_text(json.dumps(list(entries)))
    return path


def test_coordinates_lose_their_1_and_centre_and_scale_stay_raw(tmp_path):
    annotations = read_mpii_json(saved(tmp_path, entry()))
    person = annotations.frames[0].persons[0]
    np.testing.assert_array_equal(person.keypoints[:2], [[9, 19, 2], [10, 20, 2]])
    np.testing.assert_array_equal(person.keypoints[15], [0, 0, 0])
    np.testing.assert_array_equal(person.center, [100, 200])
    assert person.scale == 2.5 and person.head_box is None
    assert head_size(person) == 62.5 and annotations.notes == (HEAD_SIZE_NOTE,)
    assert annotations.skeleton is MPII


def test_entries_of_one_image_become_one_frame(tmp_path):
    path = saved(
        tmp_path, entry("b.jpg", scale=1), entry("a.jpg", scale=2), entry("b.jpg", scale=3)
    )
    frames = read_mpii_json(path).frames
    assert [f.filename for f in frames] == ["b.jpg", "a.jpg"]
    assert [[p.scale for p in f.persons] for f in frames] == [[1, 3], [2]]
    assert all(f.image_id == f.filename and f.frame_index == -1 for f in frames)


def test_absent_centre_and_scale(tmp_path):
    absent = entry(center=[-1, -1], scale=-1)
    person = read_mpii_json(saved(tmp_path, absent)).frames[0].persons[0]
    assert person.center is None and person.scale is None and np.isnan(head_size(person))


def test_round_trip(tmp_path):
    generator = np.random.default_rng(0)
    frames = []
    for n in range(3):
        persons = []
        for k in range(n + 1):
            flags = generator.integers(0, 2, 16) * 2
            xy = np.round(generator.uniform(-5, 900, (16, 2)) * 64) / 64
            keypoints = np.where(flags[:, None] > 0, np.insert(xy, 2, flags, 1), 0.0)
            center = np.array([n * 50.0, 20]) if k else None
            persons.append(Person(keypoints, center=center, scale=1.25 if k else None))
        frames.append(Frame(f"{n}.jpg", f"{n}.jpg", persons=tuple(persons)))
    written = AnnotationSet(MPII, tuple(frames))
    write_mpii_json(tmp_path / "a.json", written)
    back = read_mpii_json(tmp_path / "a.json")
    for one, other in zip(written.frames, back.frames, strict=True):
        assert one.filename == other.filename
        for p, q in zip(one.persons, other.persons, strict=True):
            np.testing.assert_array_equal(p.keypoints, q.keypoints)
            np.testing.assert_array_equal(np.asarray(p.center, float), np.asarray(q.center, float))
            assert p.scale == q.scale


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"joints": [[1, 2]] * 15}, "15 joints and 16 joints_vis, expected 16 each"),
        ({"joints_vis": [1] * 17}, "17 joints_vis"),
        ({"joints_vis": [2] * 16}, "neither 0 nor 1"),
        ({"joints": [[1, 2, 3]] * 16}, "holds 3 numbers"),
        ({"joints": [[1, 1e9]] * 16}, "absurdly far"),
        ({"scale": 0}, "scale is 0"),
        ({"scale": "1"}, "not a number"),
        ({"center": [1]}, "center holds 1"),
        ({"image": "../a.jpg"}, "leads out"),
        ({"image": None}, "not a text"),
    ],
)
def test_bad_entries_are_refused_by_name(tmp_path, change, reason):
    path = saved(tmp_path, entry("0.jpg"), {**entry("1.jpg"), **change})
    with pytest.raises(DataError, match=reason) as caught:
        read_mpii_json(path)
    assert str(caught.value).startswith(f"{path}: entry 1: ")
    rejections = Rejections(allowed=1)
    assert len(read_mpii_json(path, rejections).frames) == 1 and len(rejections.rows) == 1


@pytest.mark.parametrize("field", ["image", "center", "scale", "joints", "joints_vis"])
def test_missing_fields_are_named(tmp_path, field):
    broken = {k: v for k, v in entry().items() if k != field}
    with pytest.raises(DataError, match=f"no field {field}"):
        read_mpii_json(saved(tmp_path, broken))


def test_other_documents_and_joints_are_refused(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"images": []}')
    with pytest.raises(DataError, match="not a list"):
        read_mpii_json(path)
    with pytest.raises(DataError, match="the set has lsp"):
        write_mpii_json(path, AnnotationSet(LSP, ()))


def images(count):
    frames = tuple(Frame(f"{n:05d}.jpg", f"{n:05d}.jpg") for n in range(count))
    return AnnotationSet(MPII, frames, ("earlier",))


def names(annotation_set):
    return [frame.filename for frame in annotation_set.frames]


def test_split_by_hash_is_a_fixed_tenth():
    parts = split_validation(images(3000))
    chosen = names(parts["validation"])
    assert 250 < len(chosen) < 350
    assert sorted(chosen + names(parts["train"])) == names(images(3000))
    expected = [
        name
        for name in names(images(3000))
        if int(hashlib.sha1(name.encode()).hexdigest(), 16) % 10 == 0
    ]
    assert chosen == expected
    assert chosen[:3] == ["00012.jpg", "00062.jpg", "00075.jpg"]  # on every machine, for ever
    # An image stays on its side whatever the others are.
    assert set(names(split_validation(images(500))["validation"])) <= set(chosen)
    for part in parts.values():
        assert part.notes[0] == "earlier" and "tenth" in part.notes[1]


def test_split_by_list(tmp_path):
    listed = tmp_path / "valid_images.txt"
    listed.write_text("00002.jpg\n\n00001.jpg\n00002.jpg \n99999.jpg\n")
    parts = split_validation(images(4), listed)
    assert names(parts["validation"]) == ["00001.jpg", "00002.jpg"]
    assert names(parts["train"]) == ["00000.jpg", "00003.jpg"]
    note = "validation: 2 images of valid_images.txt, 1 of its names are not in the set"
    assert parts["validation"].notes == ("earlier", note)


def test_useless_lists_are_refused(tmp_path):
    listed = tmp_path / "a.txt"
    listed.write_text("other.jpg\n")
    for path in (listed, tmp_path / "none.txt", tmp_path):
        with pytest.raises(DataError, match=str(path)):
            split_validation(images(4), path)


@pytest.mark.skipif("JAXPOSE_SAMPLES" not in os.environ, reason="needs the sample data")
def test_the_real_file_comes_back_value_for_value(tmp_path):
    path = Path(os.environ["JAXPOSE_SAMPLES"]) / "mpii" / "test_mpii.json"
    write_mpii_json(tmp_path / "copy.json", read_mpii_json(path))
    original = json.loads(path.read_text())
    copy = json.loads((tmp_path / "copy.json").read_text())
    for a, b in zip(original, copy, strict=True):
        assert a.keys() == b.keys()
        np.testing.assert_allclose(a.pop("joints"), b.pop("joints"), atol=1e-9)
        assert a == b
