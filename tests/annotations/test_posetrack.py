import json

import pytest

from jaxpose.annotations.posetrack import posetrack_format, read_posetrack
from jaxpose.annotations.posetrack17 import read_posetrack17
from jaxpose.errors import DataError
from jaxpose.skeletons import POSETRACK17, POSETRACK18

SEVENTEEN = {"annolist": [{"image": [{"name": "a.jpg"}], "annorect": []}]}
EIGHTEEN = {
    "categories": [{"id": 1, "name": "person", "keypoints": list(POSETRACK18.joints)}],
    "images": [{"id": 1, "file_name": "a.jpg"}],
    "annotations": [],
}


@pytest.mark.parametrize(
    ("document", "skeleton"), [(SEVENTEEN, POSETRACK17), (EIGHTEEN, POSETRACK18)]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_the_format_is_told_from_the_file(tmp_path, document, skeleton, encoding):
    path = tmp_path / "v.json"
    path.write_text(json.dumps(document), encoding=encoding)
    assert posetrack_format(path) is skeleton
    found = read_posetrack(path)
    assert found.skeleton is skeleton and [frame.filename for frame in found.frames] == ["a.jpg"]


@pytest.mark.parametrize("content", ["", "[]", '{"images_": 1}'])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "v.json"
    path.write_text(content)
    with pytest.raises(DataError, match="v.json: neither PoseTrack17"):
        read_posetrack(path)
    with pytest.raises(DataError, match="cannot be read"):
        posetrack_format(tmp_path / "none.json")


def test_posetrack17_frames_of_nobody_are_unlabelled_where_the_field_is_missing(tmp_path):
    """As poseval takes them; its ground truth has the field, converted files may not."""
    people = [[], [{"x1": [1], "y1": [2], "x2": [3], "y2": [4], "track_id": [0]}]]
    frames = [
        {"image": [{"name": f"{i}.jpg"}], "annorect": found} for i, found in enumerate(people)
    ]
    path = tmp_path / "video.json"
    path.write_text(json.dumps({"annolist": frames}))
    assert [frame.is_labeled for frame in read_posetrack17(path).frames] == [False, True]
