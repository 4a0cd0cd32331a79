"""The files that poseval scored, unpacked once."""

import json
import zipfile
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent.parent / "golden" / "j_poseval"


@pytest.fixture(scope="session")
def poseval_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("j_poseval")
    with zipfile.ZipFile(GOLDEN / "files.zip") as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def poseval_cases():
    """By name: ground truth and prediction folders, and what poseval printed and counted."""
    return json.loads((GOLDEN / "results.json").read_text())["cases"]
