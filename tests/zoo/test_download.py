"""Files over HTTP from a server on this machine: whole or not at all, and once."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from jaxpose.errors import CheckpointError, UsageError
from jaxpose.zoo import download
from jaxpose.zoo.download import cache_folder, downloaded

CONTENT = bytes(range(256)) * 40


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append((self.path, self.headers["User-Agent"]))
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", self.server.target)
            self.end_headers()
            return
        found = self.path in ("/model.npz", "/cut.npz")
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(CONTENT) + 5 * (self.path == "/cut.npz")))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server of `CONTENT`; plain HTTP is let through, since it has no certificate."""
    monkeypatch.setattr(download, "SCHEMES", ("https", "http"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.url = [], f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def left():
    return [path.name for path in cache_folder().iterdir()] if cache_folder().exists() else []


def test_a_file_is_fetched_once(server, tmp_path):
    first = downloaded(f"{server.url}/model.npz")
    assert first.read_bytes() == CONTENT and first.parent == tmp_path / "cache/jaxpose"
    assert first == downloaded(f"{server.url}/model.npz") and len(server.asked) == 1
    assert first.name.startswith("model-") and left() == [first.name]
    assert server.asked[0][1].startswith("jaxpose/")
    server.target = f"{server.url}/model.npz"
    assert downloaded(f"{server.url}/moved").read_bytes() == CONTENT


def test_a_digest_is_checked(server):
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert downloaded(f"{server.url}/model.npz#sha256={digest}").read_bytes() == CONTENT
    kept = left()
    with pytest.raises(CheckpointError, match=f"its sha256 is {digest}"):
        downloaded(f"{server.url}/model.npz#sha256={'0' * 64}")
    assert left() == kept
    for fragment in ("main", "sha256=", "sha256=12", digest):
        with pytest.raises(UsageError, match="must be sha256= and 64"):
            downloaded(f"{server.url}/model.npz#{fragment}")


def test_what_is_cut_short_too_large_or_gone_leaves_nothing(server, monkeypatch):
    with pytest.raises(CheckpointError, match="cut.npz cannot be fetched"):
        downloaded(f"{server.url}/cut.npz")
    with pytest.raises(CheckpointError, match="none.npz cannot be fetched: HTTPError.*404"):
        downloaded(f"{server.url}/none.npz")
    monkeypatch.setattr(download, "LARGEST", len(CONTENT) - 1)
    with pytest.raises(CheckpointError, match="larger than"):
        downloaded(f"{server.url}/model.npz")
    assert left() == []


def test_only_https_is_asked_and_followed(server, monkeypatch):
    server.target = "ftp://127.0.0.1/model.npz"
    with pytest.raises(CheckpointError, match="redirects to ftp://127.0.0.1/model.npz"):
        downloaded(f"{server.url}/moved")
    monkeypatch.setattr(download, "SCHEMES", ("https",))
    asked = len(server.asked)
    with pytest.raises(UsageError, match="by https:// only"):
        downloaded(f"{server.url}/model.npz")
    assert len(server.asked) == asked and left() == []


def test_a_cache_that_cannot_be_written_is_one_line(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(CheckpointError, match="model.npz cannot be fetched: .*Not a directory"):
        downloaded(f"{server.url}/model.npz")
