"""A run on drawn people whose folder was moved: evaluation finds what moved along."""

import shutil
from types import SimpleNamespace

import pytest

from jaxpose.defaults import pose_config, smoke
from jaxpose.errors import DataError
from jaxpose.pipelines import evaluate as module
from jaxpose.pipelines.evaluate import evaluate
from jaxpose.pipelines.prepare import prepare_records


class Scored(Exception):  # noqa: N818  a stop, no error
    """Ends an evaluation where it has its records; there is no network to score."""


@pytest.fixture
def moved(tmp_path, monkeypatch):
    """A workdir with drawn people, moved after they were drawn."""
    config = pose_config()
    smoke(config)
    config.data.train, config.data.eval = ("posetrack18",), "posetrack18"
    config.data.source, config.input_size = "shards", (64, 64)
    config.data.synthetic.update(train_videos=1, validation_videos=1, frames=1, canvas=128)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    stored = prepare_records(config, tmp_path / "run").config

    def stop(restored, records, batches):
        raise Scored(records.validation_set.path)

    monkeypatch.setattr(module, "restore", lambda *_: SimpleNamespace(config=stored))
    monkeypatch.setattr(module, "one_pass", stop)
    return (tmp_path / "run").rename(tmp_path / "moved")


def folder_scored(*arguments, **options):
    with pytest.raises(Scored) as caught:
        evaluate(*map(str, arguments), **options)
    return caught.value.args[0]


def test_drawn_people_that_moved_along_are_found(moved):
    assert folder_scored(moved).is_relative_to(moved / "data/drawn_people")


def test_the_folder_that_the_run_knows_goes_first(moved, tmp_path):
    shutil.copytree(moved, tmp_path / "run")
    assert folder_scored(moved).is_relative_to(tmp_path / "run/data")


def test_drawn_people_that_are_gone_are_called_so(moved, tmp_path):
    (moved / "data").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError) as caught:
        evaluate(str(moved))
    assert "drawn people of this run are gone; run its training command" in str(caught.value)
    assert "--data_dir" in str(caught.value) and "posetrack.net" not in str(caught.value)
    given = tmp_path / "elsewhere/drawn_people"
    assert folder_scored(moved, data_dir=str(given)).is_relative_to(given)
