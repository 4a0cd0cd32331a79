import json

import pytest

from jaxpose.annotations.posetrack import posetrack_format, read_posetrack
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
