import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxpose.annotations import validation as v
from jaxpose.annotations.schema import Person, Rejections
from jaxpose.errors import DataError

# Of st.text's own alphabet, Hypothesis takes seconds to work out what is encodable.
CHARACTERS = (
    (st.integers(0, 0x7F) | st.integers(0, 0x10FFFF))
    .map(chr)
    .filter(lambda one: not "\ud800" <= one <= "\udfff")
)
NOT_NUMBERS = [None, True, "1", [1], {}, float("nan"), float("inf"), -float("inf"), 10**400]


@pytest.mark.parametrize("value", NOT_NUMBERS, ids=str)
def test_what_is_not_a_number_is_refused(value):
    with pytest.raises(v.RecordError, match="x"):
        v.number(value, "x")
    with pytest.raises(v.RecordError, match="x"):
        v.numbers([1, value], "x")


def test_numbers_checks_the_count():
    np.testing.assert_array_equal(v.numbers([1, 2.5], "x", 2), [1, 2.5])
    with pytest.raises(v.RecordError, match="holds 2 numbers, expected 3"):
        v.numbers([1, 2], "x", 3)


def test_integers():
    assert v.integer(3.0, "x") == 3
    for value in (3.5, 1e300, 2**63, True, "3"):
        with pytest.raises(v.RecordError):
            v.integer(value, "x")


def test_flags():
    assert [v.flag(x, "x") for x in (0, 1, 1.0, True, False)] == [False, True, True, True, False]
    for value in (2, "1", None, [1], -1, 0.5):
        with pytest.raises(v.RecordError):
            v.flag(value, "x")


def test_texts_that_no_file_could_be_named_are_refused():
    assert v.text("ä b\u3000c", "x") == "ä b\u3000c"
    for value in ("", "a\nb", "a\0", "\ud800", "a\u2028b", 3, None):
        with pytest.raises(v.RecordError):
            v.text(value, "x")


@given(
    st.text(CHARACTERS, max_size=30)
    | st.lists(st.sampled_from(["..", ".", "a", "", "C:"])).map("/".join)
)
def test_relative_names_stay_inside(name):
    try:
        relative = v.relative_name(name, "name")
    except v.RecordError:
        return
    parts = relative.split("/")
    assert not {"", ".", ".."} & set(parts)
    assert v.relative_name(relative, "name") == relative


def test_boxes():
    np.testing.assert_array_equal(v.box_from_xywh([1, 2, 3, 4], "b"), [1, 2, 4, 6])
    np.testing.assert_array_equal(v.box_from_corners([1, 2, 1, 6], "b"), [1, 2, 1, 6])
    for bad in ([1, 2, -3, 4], [1, 2, 3, -0.1], [1, 2, 3]):
        with pytest.raises(v.RecordError):
            v.box_from_xywh(bad, "b")
    with pytest.raises(v.RecordError, match="negative size"):
        v.box_from_corners([5, 0, 4, 1], "b")


@pytest.mark.parametrize(
    ("box", "expected"),
    [((0, 0, 5, 5), True), ((0, 0, 5, 0), False), ((-5, 0, 0, 5), False), ((10, 0, 12, 5), False),
     ((9, 9, 30, 30), True)],
)  # fmt: skip
def test_area_counts_inside_the_image(box, expected):
    assert v.has_area(np.array(box, float), 10, 20) == expected


def test_keypoints_not_annotated_become_zero_and_odd_flags_are_refused():
    points = np.array([[5.0, 6, 0], [7, 8, 1], [9, 9, 2]])
    np.testing.assert_array_equal(v.checked_keypoints(points), [[0, 0, 0], [7, 8, 1], [9, 9, 2]])
    points[1, 2] = 3
    with pytest.raises(v.RecordError, match="visibility is 3"):
        v.checked_keypoints(points)


def test_coordinates_absurdly_far_outside_are_refused():
    def person(x):
        return Person(np.array([[x, 0.0, 2]]))

    v.check_within_reach(person(-999), 100, 50)
    v.check_within_reach(person(5000))
    for x, size in ((1001, (100, 50)), (-1001, (100, 50)), (1e6, (None, None))):
        with pytest.raises(v.RecordError, match="absurdly far"):
            v.check_within_reach(person(x), *size)


def test_absurd_scales_and_areas_are_refused():
    nobody = np.zeros((1, 3))
    v.check_within_reach(Person(nobody, scale=4.9, area=9e5), 100, 50)
    for person in (Person(nobody, scale=5.1), Person(nobody, area=1.1e6)):
        with pytest.raises(v.RecordError, match="absurdly large"):
            v.check_within_reach(person, 100, 50)


def test_refusing_counts_what_is_allowed():
    rejections = Rejections(allowed=1)
    for record in ("first", "second"):
        if record == "second":
            with (
                pytest.raises(DataError, match="a.json: second: bad"),
                v.refusing(rejections, "a.json", record),
            ):
                raise v.RecordError("bad")
        else:
            with v.refusing(rejections, "a.json", record):
                raise v.RecordError("bad")
    assert [row["record"] for row in rejections.rows] == ["first", "second"]


def test_long_values_are_shown_on_one_short_line():
    with pytest.raises(v.RecordError) as caught:
        v.number([{"a": "x\n" * 500}] * 500, "x")
    assert len(str(caught.value)) < 120 and "\n" not in str(caught.value)
