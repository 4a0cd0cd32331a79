"""Checkpoints by name, path and URL."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from etils import epath
from etils.epath import gpath

import jaxpose
from jaxpose.errors import CheckpointError, UsageError
from jaxpose.training.workdir import open_workdir
from jaxpose.zoo import finding
from jaxpose.zoo.finding import find, is_path

POSE = "person_hourglass_small"


def test_a_name_is_the_package_s_and_a_path_is_a_path(zoo, networks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(POSE).mkdir()
    assert os.fspath(find(POSE)) == str(zoo / f"{POSE}.npz")
    assert find(f"./{POSE}").is_dir()
    assert os.fspath(find(networks["pose"])) == str(networks["pose"])
    monkeypatch.setenv("HOME", str(tmp_path))
    assert os.fspath(find(f"~/{POSE}")) == str(tmp_path / POSE)
    assert is_path("runs/x") and not is_path(POSE) and not is_path("hf://a/b/c.npz")


def test_what_is_not_there_or_unknown_is_one_line(zoo):
    with pytest.raises(CheckpointError, match="^runs/none: no such file or folder$"):
        find("runs/none")
    for url in ("ftp://host/file.npz", "http://host/file.npz", "pose://x"):
        with pytest.raises(UsageError, match="those begin with hf, https, gs or s3"):
            find(url)


def test_a_file_in_a_cloud_is_restored(networks, tmp_path, monkeypatch):
    """A local folder stands for the bucket."""
    (tmp_path / "model.npz").write_bytes(networks["pose"].read_bytes())
    digest = jaxpose.restore(networks["pose"]).digest
    usual = epath.Path

    def path(given):
        return usual(os.fspath(given).replace("gs://bucket", str(tmp_path)))

    monkeypatch.setattr(finding.epath, "Path", path)
    assert jaxpose.restore("gs://bucket/model.npz").digest == digest
    with pytest.raises(CheckpointError, match="gs://bucket/none.npz: no such file or folder"):
        find("gs://bucket/none.npz")


def test_a_cloud_that_cannot_be_reached_is_one_line(monkeypatch):
    def path(text):
        raise OSError("no connection\nand more")

    monkeypatch.setattr(finding.epath, "Path", path)
    with pytest.raises(CheckpointError, match="^gs://b/run cannot be reached: .*connection$"):
        find("gs://b/run")


@pytest.mark.parametrize(
    ("url", "needs"),
    [
        ("gs://b/run", r"gs:// needs gcsfs: pip install 'jaxpose\[gcs\]'"),
        ("s3://b/run", "s3:// needs s3fs: pip install s3fs"),
    ],
)
def test_without_a_cloud_s_library_the_message_names_it(monkeypatch, url, needs):
    """etils' own way from a URL to the missing package, as where there is no TensorFlow."""
    monkeypatch.setattr(gpath, "_is_tf_installed", lambda: False)
    for package in ("gcsfs", "s3fs"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=f"^{url}: {needs}$"):
        find(url)
    with pytest.raises(UsageError, match=f"^{url}: {needs}$"), open_workdir(url):
        pass


@pytest.fixture
def hub(monkeypatch):
    """A stand-in for huggingface_hub; `asked` holds the calls, `answer` what comes of them."""
    made = SimpleNamespace(asked=[], answer=None)

    def hf_hub_download(repository, file, revision=None):
        made.asked.append((repository, file, revision))
        if isinstance(made.answer, Exception):
            raise made.answer
        return str(made.answer)

    module = SimpleNamespace(hf_hub_download=hf_hub_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return made


def test_a_file_of_the_hub_is_restored(hub, networks):
    hub.answer = networks["pose"]
    restored = jaxpose.restore("hf://someone/poses@v1.2/large/model.npz")
    assert restored.digest == jaxpose.restore(networks["pose"]).digest
    find("hf://someone/poses/model.npz")
    assert hub.asked == [
        ("someone/poses", "large/model.npz", "v1.2"),
        ("someone/poses", "model.npz", None),
    ]


def test_a_hub_that_cannot_be_reached_is_one_line(hub):
    hub.answer = RuntimeError("no connection\nand more")
    with pytest.raises(CheckpointError, match="^hf://a/b/c.npz cannot be fetched: .*connection$"):
        find("hf://a/b/c.npz")
    for url in ("hf://a", "hf://a/b", "hf://a/b/", "hf://a/b@/c", "hf://a/b//c"):
        with pytest.raises(UsageError, match="not hf://OWNER/REPO/FILE"):
            find(url)


def test_without_the_hub_s_library_the_message_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UsageError, match=r"pip install 'jaxpose\[hf\]'"):
        find("hf://a/b/c.npz")
