"""Files that poseval dies on, or that it would score without saying what is wrong."""

import json
import shutil

import pytest
from absl import logging

from jaxpose.errors import DataError
from jaxpose.evaluation.posetrack import evaluate

FIRST, SECOND = "000342_mpii_test.json", "001735_mpii_test.json"


@pytest.fixture(params=["", "pt18_"], ids=["posetrack17", "posetrack18"])
def folders(request, poseval_files, tmp_path):
    """Copies of ground truth and predictions, free to be damaged."""
    copies = tmp_path / "truth", tmp_path / "found"
    for name, copy in zip(("gt_ignore", "pred_noisy"), copies, strict=True):
        shutil.copytree(poseval_files / (request.param + name), copy)
    return copies


def edit(file, change):
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def rects(document):
    return [rect for frame in document["annolist"] for rect in frame["annorect"]]


def people(document):
    """Annotated people of either format, those of the first frame with some first."""
    return document["annotations"] if "annotations" in document else rects(document)


def refusal(folders):
    with pytest.raises(DataError) as caught:
        evaluate(*folders)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_missing_videos_are_named(folders):
    for name in (FIRST, SECOND):
        (folders[1] / name).unlink()
    message = refusal(folders)
    assert f"{folders[1]}: 2 of 3 videos are missing: {FIRST}, {SECOND};" in message


def test_many_missing_videos_are_counted(folders):
    for number in range(20):
        shutil.copy(folders[0] / FIRST, folders[0] / f"a{number:02d}.json")
    message = refusal(folders)
    assert "20 of 23 videos" in message and "a09.json, ..." in message and "a10" not in message


def test_further_predictions_are_left_alone(folders):
    expected = evaluate(*folders)["Total"]
    (folders[1] / "zzz.json").write_text("no JSON")
    (folders[1] / "notes.txt").write_text("")
    assert evaluate(*folders)["Total"] == expected


@pytest.mark.parametrize("side", [0, 1])
def test_empty_and_missing_folders(folders, side):
    shutil.rmtree(folders[side])
    assert f"{folders[side]}: no such folder" in refusal(folders)
    folders[side].mkdir()
    assert f"{folders[side]}: no annotation files (.json" in refusal(folders)


def test_numbers_of_frames_must_agree(folders):
    def drop_last_frame(document):
        images = document.get("images") or document["annolist"]
        last = images.pop()
        if "annotations" in document:
            kept = [a for a in document["annotations"] if a["image_id"] != last["id"]]
            document["annotations"] = kept

    edit(folders[1] / SECOND, drop_last_frame)
    message = refusal(folders)
    assert f"{folders[1] / SECOND}: 6 frames, but 7 in {folders[0] / SECOND}" in message


def test_frames_in_another_order_are_refused(folders):
    edit(folders[1] / FIRST, lambda d: (d.get("images") or d["annolist"]).reverse())
    assert f"{FIRST}: its frames come in another order" in refusal(folders)


def test_other_image_names_are_no_error(folders):
    expected = evaluate(*folders)["Total"]

    def rename(document):
        for index, image in enumerate(document.get("images") or document["annolist"]):
            if "image" in image:
                image["image"][0]["name"] = f"frame{index}.png"
            else:
                image["file_name"] = f"frame{index}.png"

    edit(folders[1] / FIRST, rename)
    assert evaluate(*folders)["Total"] == expected


@pytest.mark.parametrize("value", [None, 10_000, "again"])
def test_track_ids(folders, value):
    def change(document):
        first, second = people(document)[:2]
        if value is None:
            del first["track_id"]
        elif value == "again":
            key = "image_id"
            if key in second:
                second[key] = first[key]
            else:
                document["annolist"][0]["annorect"] = [first, second]
                document["annolist"][1]["annorect"] = []
            second["track_id"] = first["track_id"]
        else:
            first["track_id"] = [value] if isinstance(first["track_id"], list) else value

    edit(folders[1] / FIRST, change)
    message = refusal(folders)
    assert str(folders[1] / FIRST) in message
    expected = {None: "has no track_id", 10_000: "not below 10000", "again": "occurs twice"}
    assert expected[value] in message


def test_the_ground_truth_needs_no_track_ids(folders):
    expected = evaluate(*folders)["Total"]
    edit(folders[0] / FIRST, lambda document: people(document)[0].pop("track_id"))
    assert evaluate(*folders)["Total"] == expected


def test_formats_must_agree(folders, poseval_files):
    own = "annolist" in json.loads((folders[0] / FIRST).read_text())
    other = "pt18_pred_noisy" if own else "pred_noisy"
    shutil.copy(poseval_files / other / SECOND, folders[1] / SECOND)
    message = refusal(folders)
    assert f"{folders[1] / SECOND}: is of format posetrack1{'8' if own else '7'}" in message
    (folders[1] / SECOND).write_text('{"people": []}')
    assert f"{folders[1] / SECOND}: neither PoseTrack17" in refusal(folders)


def test_damaged_files_are_named(folders):
    content = (folders[1] / SECOND).read_bytes()
    (folders[1] / SECOND).write_bytes(content[: len(content) // 2])
    assert f"{folders[1] / SECOND}: not JSON at line" in refusal(folders)


def test_swapped_folders_are_noticed(folders):
    assert "give the ground truth first" in refusal(folders[::-1])


def test_missing_scores_rank_last_with_one_warning(folders, caplog):
    def without_scores(document):
        for person in people(document):
            if "scores" in person:
                person["scores"] = []
            else:
                for point in person["annopoints"][0]["point"]:
                    del point["score"]

    before = evaluate(*folders)
    edit(folders[1] / FIRST, without_scores)
    logging.set_verbosity(logging.WARNING)
    caplog.clear()
    logging.get_absl_logger().addHandler(caplog.handler)
    try:
        found = evaluate(*folders)
    finally:
        logging.get_absl_logger().removeHandler(caplog.handler)
    warnings = [record.getMessage() for record in caplog.records if "score" in record.getMessage()]
    assert len(set(warnings)) == 1 and "predicted joints have no score" in warnings[0]
    assert 0 < found["unscored_joints"] < found["n_pred_joints"].sum()
    assert found["n_tp"].tolist() == before["n_tp"].tolist() and found["Total"] != before["Total"]


def test_people_without_a_head_box_are_counted(folders):
    def behead(document):
        for person in people(document)[:3]:
            for field in ("x1", "y1", "x2", "y2", "bbox_head"):
                person.pop(field, None)

    before = evaluate(*folders)
    edit(folders[0] / FIRST, behead)
    found = evaluate(*folders)
    assert 1 <= found["gt_persons_without_head"] <= 3
    assert found["n_gt_joints"].tolist() == before["n_gt_joints"].tolist()
    assert found["n_tp"].sum() < before["n_tp"].sum()


def test_nothing_labelled(folders):
    def clear(document):
        if "annotations" in document:
            document["annotations"] = []
        for frame in document.get("annolist", []):
            frame["annorect"] = []

    for file in folders[0].iterdir():
        edit(file, clear)
    assert "no frame of the ground truth has annotated people" in refusal(folders)
