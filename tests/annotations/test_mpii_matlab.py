import numpy as np
import pytest
import scipy.io

from jaxpose.annotations import mpii_matlab
from jaxpose.annotations.matlab_files import cell_array, struct_array
from jaxpose.annotations.mpii import read_mpii_mat, write_mpii_mat
from jaxpose.annotations.schema import AnnotationSet, Frame, Person, Rejections
from jaxpose.errors import DataError
from jaxpose.skeletons import COCO, MPII


def joined(parts):
    frames = [frame for part in parts.values() for frame in part.frames]
    return sorted(frames, key=lambda frame: frame.filename)


def release(monkeypatch, annolist, img_train=None):
    """Read what the child process would hand back for a RELEASE of these values."""
    training = [1] * len(annolist) if img_train is None else img_train
    variables = {"RELEASE": {"annolist": annolist, "img_train": training}}
    monkeypatch.setattr(mpii_matlab, "load_matlab", lambda _: variables)
    return joined(read_mpii_mat("mpii.mat"))


def synthetic(counts):
    generator = np.random.default_rng(1)
    frames = []
    for n, count in enumerate(counts):
        persons = []
        for k in range(count):
            flags = generator.integers(0, 3, 16) if k != 1 else np.zeros(16, int)
            xy = np.round(generator.uniform(-5, 900, (16, 2)) * 64) / 64
            persons.append(
                Person(
                    np.where(flags[:, None] > 0, np.insert(xy, 2, flags, 1), 0.0),
                    head_box=None if k == 2 else np.array([5.5, 6, 30, 40 + n]),
                    center=None if k == 3 else np.array([100.0, 200 + k]),
                    scale=None if k == 3 else 1.5 + k,
                )
            )
        frames.append(Frame(f"{n:03d}.jpg", f"{n:03d}.jpg", persons=tuple(persons)))
    return AnnotationSet(MPII, tuple(frames))


def assert_equal(frames, others):
    for one, other in zip(frames, others, strict=True):
        assert (one.filename, one.image_id) == (other.filename, other.image_id)
        for p, q in zip(one.persons, other.persons, strict=True):
            for name in ("keypoints", "head_box", "center", "scale"):
                np.testing.assert_array_equal(
                    np.asarray(getattr(p, name), float), np.asarray(getattr(q, name), float)
                )


@pytest.mark.parametrize("counts", [(0, 1, 2, 4, 3), (1,), (4,)], ids=str)
def test_round_trip(tmp_path, counts):
    # One image, one person or one joint come out of Matlab as scalars instead of arrays.
    path = tmp_path / "mpii.mat"
    write_mpii_mat(path, synthetic(counts))
    parts = read_mpii_mat(path)
    assert set(parts) == {"train", "validation"}
    assert_equal(synthetic(counts).frames, joined(parts))


def test_files_as_matlab_writes_them(tmp_path):
    """Missing fields, scalars, char and empty is_visible, test images: built by savemat alone."""
    points = [
        {"x": 11.0, "y": 21.0, "id": 6.0, "is_visible": "1"},
        {"x": 12.0, "y": 22.0, "id": 7.0, "is_visible": "0"},
        {"x": 13.0, "y": 23.0, "id": 8.0, "is_visible": []},
        {"x": 14.0, "y": 24.0, "id": 9.0},
        {"x": 15.0, "y": 25.0, "id": 0.0, "is_visible": 0.0},
    ]
    head = {"x1": 2.0, "y1": 3.0, "x2": 32.0, "y2": 43.0}
    position = {"x": 101.0, "y": 201.0}
    people = [
        {**head, "annopoints": {"point": points}, "scale": 2.0, "objpos": position},
        {**head, "scale": 3.0, "objpos": position},
        {},
    ]
    lonely = [{**head, "annopoints": {"point": points[:1]}}]
    annolist = [
        {"image": {"name": "a.jpg"}, "annorect": people, "vididx": []},
        {"image": {"name": "b.jpg"}, "annorect": lonely},
        {"image": {"name": "c.jpg"}, "annorect": []},
        {"image": {"name": "test.jpg"}, "annorect": [{"scale": 1.0, "objpos": position}]},
    ]
    content = {
        "annolist": struct_array(annolist),
        "img_train": np.array([[1, 1, 1, 0]], np.uint8),
        "single_person": cell_array([np.array([[1.0], [2.0]]), [], [], []]),
    }
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"RELEASE": content})
    frames = joined(read_mpii_mat(path))
    assert [(f.filename, len(f.persons)) for f in frames] == [("a.jpg", 2), ("b.jpg", 1),
                                                              ("c.jpg", 0)]  # fmt: skip
    posed, unposed = frames[0].persons
    expected = np.zeros((16, 3))
    expected[[6, 7, 8, 9, 0]] = [[10, 20, 2], [11, 21, 1], [12, 22, 2], [13, 23, 2], [14, 24, 1]]
    np.testing.assert_array_equal(posed.keypoints, expected)
    np.testing.assert_array_equal(posed.head_box, [1, 2, 31, 42])
    np.testing.assert_array_equal(posed.center, [100, 200])
    assert posed.scale == 2 and unposed.scale == 3 and not unposed.keypoints.any()
    (alone,) = frames[1].persons
    assert alone.scale is None and alone.center is None
    np.testing.assert_array_equal(alone.keypoints[6], [10, 20, 2])


def test_img_train_selects(tmp_path):
    path = tmp_path / "mpii.mat"
    write_mpii_mat(path, synthetic((1, 1, 1)), test_images=["001.jpg"])
    assert [f.filename for f in joined(read_mpii_mat(path))] == ["000.jpg", "002.jpg"]
    stored = scipy.io.loadmat(path, squeeze_me=True, struct_as_record=False)["RELEASE"]
    assert stored.img_train.tolist() == [1, 0, 1]
    assert stored.annolist[0].annorect.objpos.x == 101
    assert stored.annolist[0].image.name == "000.jpg"


def test_val_list(tmp_path, monkeypatch):
    annolist = [{"image": {"name": f"{n}.jpg"}, "annorect": []} for n in range(3)]
    monkeypatch.setattr(
        mpii_matlab,
        "load_matlab",
        lambda _: {"RELEASE": {"annolist": annolist, "img_train": [1, 1, 1]}},
    )
    (tmp_path / "val.txt").write_text("1.jpg\n")
    parts = read_mpii_mat("mpii.mat", val_list=tmp_path / "val.txt")
    assert [f.filename for f in parts["validation"].frames] == ["1.jpg"]
    assert "val.txt" in parts["train"].notes[0]


NOBODY = {"image": {"name": "a.jpg"}, "annorect": []}


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"annolist": []}, "the file has no field RELEASE"),
        ({"RELEASE": []}, "RELEASE is"),
        ({"RELEASE": {"img_train": 1}}, "RELEASE has no field annolist"),
        ({"RELEASE": {"annolist": NOBODY}}, "RELEASE has no field img_train"),
        ({"RELEASE": {"annolist": NOBODY, "img_train": [1, 1]}}, "2 img_train for 1 annolist"),
        (
            {"RELEASE": {"annolist": {"image": {}}, "img_train": 1}},
            r"annolist\(1\) has no field ann",
        ),
        ({"RELEASE": {"annolist": {"annorect": []}, "img_train": 1}}, "has no field image"),
    ],
)
def test_other_layouts_are_refused_by_the_missing_field(monkeypatch, variables, reason):
    monkeypatch.setattr(mpii_matlab, "load_matlab", lambda _: variables)
    with pytest.raises(DataError, match=reason):
        read_mpii_mat("mpii.mat", rejections=Rejections(allowed=100))


@pytest.mark.parametrize(
    ("rect", "reason"),
    [
        ({"annopoints": {"point": {"x": float("nan"), "y": 1, "id": 1}}}, "x is not a finite"),
        ({"annopoints": {"point": {"x": 1, "y": 1, "id": 16}}}, "outside 0..15"),
        ({"scale": -2}, "scale is -2"),
        ({"scale": [1, 2]}, "scale is"),
        ({"objpos": {"x": 1}}, "no field y"),
        ({"x1": 5, "y1": 5, "x2": 1, "y2": 9}, "negative size"),
        (7, "annorect is 7"),
    ],
)
def test_bad_persons_are_refused_by_name(monkeypatch, rect, reason):
    with pytest.raises(DataError, match=reason) as caught:
        release(monkeypatch, {"image": {"name": "a.jpg"}, "annorect": rect}, 1)
    assert str(caught.value).startswith("mpii.mat: RELEASE.annolist(1).annorect(1): ")


def test_repeated_and_escaping_images_are_refused(monkeypatch):
    for names in (["a.jpg", "a.jpg"], ["a.jpg", "/a.jpg"], ["a.jpg", []]):
        annolist = [{"image": {"name": name}, "annorect": []} for name in names]
        with pytest.raises(DataError, match=r"annolist\(2\)"):
            release(monkeypatch, annolist)


def test_only_mpii_joints_can_be_written(tmp_path):
    with pytest.raises(DataError, match="the set has coco"):
        write_mpii_mat(tmp_path / "a.mat", AnnotationSet(COCO, ()))
