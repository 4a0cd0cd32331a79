"""What a table lacks, as commands: the exact text, in order, each once."""

import shlex
from pathlib import Path

import pytest

from jaxpose.annotations.json_files import write_json
from jaxpose.data.manifest import record_folder
from jaxpose.errors import UsageError
from jaxpose.pipelines.report_tables import POSE_BOTH, SSD_COCO, SSD_POSETRACK
from jaxpose.pipelines.reproduce_tables import OpenPose, reproduce
from jaxpose.pipelines.table_commands import command_lines, real_places

TABLE_13 = """\
# What is missing is made by these commands, in this order:
export POSETRACK17=FOLDER  # ...
export MPII=FOLDER  # ...
export COCO=FOLDER  # ...
export VGG16=FILE  # ...
python tools/build_records.py coco_detection --source="$COCO" --config=images  # Table 13
python tools/build_records.py mpii --source="$MPII"  # Table 13
python tools/build_records.py posetrack17 --source="$POSETRACK17"  # Table 13
python -m jaxpose.train --config=configs/ssd300_coco.py --workdir=runs/ssd300_coco \
--config.model.base_weights="$VGG16"  # Table 13
python -m jaxpose.train --config=configs/hourglass_mpii_posetrack.py \
--workdir=runs/hourglass_mpii_posetrack  # Table 13
python -m jaxpose.evaluate --detector=runs/ssd300_coco --pose=runs/hourglass_mpii_posetrack \
--frames="$POSETRACK17" --dataset=posetrack17 --split=validation --boxes=detector \
--det_threshold=0.15 --detections=runs/tables/ssd300_coco_validation.json \
--output_dir=runs/tables/table13  # Table 13"""


@pytest.fixture
def lines(tmp_path, monkeypatch):
    """The commands of some tables as lines; folders of runs and records are relative."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAXPOSE_DATA", "records")
    repository = Path(__file__).parents[3]

    def make(*numbers, **given):
        places = real_places(Path("runs"), repository, **given)
        commands = reproduce(numbers, places, OpenPose()).commands
        return [line.replace(f"{repository}/", "") for line in command_lines(commands)]

    return make


def test_everything_that_table_13_needs(lines):
    found = [line.split("  # ")[0] + "  # ..." * line.startswith("export") for line in lines(13)]
    expected = [line.removesuffix("  # Table 13") for line in TABLE_13.splitlines()]
    assert found == expected


def test_commands_of_all_tables_come_once_with_their_tables(lines):
    commands = [line for line in lines() if line.startswith("python")]
    texts, tables = zip(*(command.split("  # Table") for command in commands), strict=True)
    assert len(set(texts)) == len(texts)
    kinds = [text.split()[1:3] for text in texts]
    stages = [0 if tool != "-m" else 1 if module.endswith("train") else 2 for tool, module in kinds]
    assert stages == sorted(stages)
    assert [stages.count(stage) for stage in range(3)] == [6, 13, 7 + 10]
    by_text = dict(zip(texts, tables, strict=True))
    hourglass = next(text for text in texts if "hourglass_mpii_posetrack.py" in text)
    assert by_text[hourglass] == "s 12, 13, 14, 15"
    table5 = [text for text in texts if by_text[text] == " 5" and "evaluate" in text]
    assert [text.split("overlap")[1].split()[0] for text in table5] == ["0.6", "0.7", "0.8"]
    assert all("--score_thresholds=0.1,0.2,0.4" in text for text in table5)
    assert sum("--split=test" in text for text in texts) == 1
    assert not any("predict" in text for text in texts)


def test_what_is_there_is_not_made_again(
    lines, tmp_path, make_run, write_system_scores, write_detection_scores
):
    for name, kind in (("coco_detection", "images"), ("mpii", "people"), ("posetrack17", "people")):
        write_json(record_folder(tmp_path / "records", name, kind) / "manifest.json", {})
    assert not any("build_records" in line for line in lines(13))
    detector = make_run(SSD_COCO, name="my detector")
    (train, score) = (line for line in lines(13) if line.startswith("python"))
    assert "configs/hourglass_mpii_posetrack.py" in train
    assert "--detector='runs/my detector'" in score or "'--detector=runs/my detector'" in score
    pose = make_run(POSE_BOTH, step=10, value=1.0)
    assert len([line for line in lines(13) if line.startswith("python")]) == 1
    write_system_scores(detector, pose, dict.fromkeys(["Total"], 1.0))
    write_detection_scores(detector, {0.15: 1.0, 0.3: 1.0, 0.5: 1.0})
    assert lines(3) == []


def test_an_unfinished_training_goes_on(lines, make_run):
    make_run(SSD_POSETRACK, step=14000)
    (train,) = (line for line in lines(1) if "jaxpose.train" in line)
    assert "--workdir=runs/ssd300_posetrack " in train


def test_folders_that_are_given_stand_in_the_commands(lines):
    given = {"mpii": "/data/my mpii", "posetrack17": "/data/posetrack"}
    found = lines(4, data_dir="/fast", sources=given, base_weights={"detection": "/w/vgg16.pth"})
    assert not any(line.startswith("export") for line in found)
    build = next(line for line in found if "build_records.py mpii" in line)
    words = shlex.split(build, comments=True)
    assert words[2:] == ["mpii", "--source=/data/my mpii", "--data_dir=/fast", "--config=images"]
    train = next(line for line in found if "jaxpose.train" in line)
    assert "--config.data_dir=/fast --config.model.base_weights=/w/vgg16.pth" in train
    assert "--data_dir=/fast" in found[-1]


def test_the_baseline_is_trained_and_scored_without_a_detector(lines):
    posetrack, mpii, trunk, build, scored, train, score = lines(6)[1:]
    assert posetrack.startswith("export POSETRACK17=") and mpii.startswith("export MPII=FOLDER")
    assert trunk.startswith("export VGG19=FILE")
    assert "build_records.py mpii" in build and "build_records.py posetrack17" in scored
    assert "--config=configs/openpose_mpii.py --workdir=runs/openpose_mpii" in train
    assert train.endswith("""--config.model.base_weights="$VGG19"  # Table 6""")
    assert "jaxpose.evaluate --pose=runs/openpose_mpii --frames=" in score
    assert "detect" not in score and "boxes" not in score
    assert "--split=validation --output_dir=runs/tables/table06" in score


def test_somebodys_openpose_needs_the_ground_truth(tmp_path):
    places = real_places(tmp_path, Path())
    with pytest.raises(UsageError, match="--openpose_mpii needs --posetrack17=FOLDER"):
        reproduce([6], places, OpenPose({"mpii": tmp_path}))


def test_a_table_that_the_report_lacks(tmp_path):
    with pytest.raises(UsageError, match="--table=16: the report has Tables 1 to 15"):
        reproduce([16], real_places(tmp_path, Path()), OpenPose())
