"""The command tools/build_records.py."""

import subprocess
import sys
from pathlib import Path

from jaxpose.data.manifest import read_manifest

TOOL = Path(__file__).parents[2] / "tools/build_records.py"


def run(*arguments):
    command = [sys.executable, str(TOOL), *map(str, arguments), "--noprogress"]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_builds_verifies_and_reports(coco_source, tmp_path):
    arguments = (f"--source={coco_source}", f"--data_dir={tmp_path}", "--canvas=64")
    arguments += ("--format=shards", "--config=images")
    done = run("coco_keypoints", *arguments, "--name=mine", "--verify", "--box_offsets=0.2")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("train: 24 records, 1 shard")
    assert "classes: person" in lines
    assert "note: train person boxes: 36 annotated" in lines
    assert lines[-1] == f"verified: {tmp_path}/mine/images-shards/1.0.0"
    assert run("coco_keypoints", *arguments, "--name=poor", "--jpeg_quality=50").returncode == 0
    folders = (tmp_path / name / "images-shards/1.0.0" for name in ("mine", "poor"))
    mine, poor = (read_manifest(folder).split("train").shards[0].bytes for folder in folders)
    assert poor < 0.9 * mine


def test_bad_data_ends_with_one_line_and_code_3(tmp_path):
    done = run("mpii", f"--source={tmp_path}", f"--data_dir={tmp_path}")
    assert done.returncode == 3
    assert done.stderr.startswith(f"error: {tmp_path}: no mpii annotations here")
    assert done.stderr.count("\n") == 1


def test_wrong_usage_ends_with_code_2(tmp_path):
    lacking = ["mpii", "--beam_options=runner=DirectRunner"]
    for arguments in (["mpi"], [], ["mpii", "--canvas=big"], ["voc", "--source=."], lacking):
        done = run(*arguments, f"--data_dir={tmp_path}")
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
