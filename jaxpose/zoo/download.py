"""Files of https:// addresses, fetched once into a folder of the user's cache."""

import hashlib
import os
import tempfile
import urllib.request
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag, urlsplit

import jaxpose
from jaxpose.errors import CheckpointError, UsageError
from jaxpose.training.saved_steps import first_line

SCHEMES = ("https",)
# The largest network of this project, SSD512 on a full VGG16, takes about 110 MB.
LARGEST = 512 << 20
_SECONDS = 30.0  # without a byte
_CHUNK = 1 << 20


def downloaded(url: str) -> Path:
    """Local copy of a file, fetched unless it was before; delete the copy to fetch it again.

    Args:
      url: https://..., optionally ending in #sha256=DIGEST, by which the file is checked.

    Raises:
      UsageError: not https, or a fragment that is no digest. CheckpointError: it cannot be
        fetched or stored, is larger than `LARGEST`, is cut short, or has another digest.
    """
    address, fragment = urldefrag(url)
    digest = fragment.removeprefix("sha256=").lower()
    if urlsplit(address).scheme not in SCHEMES:
        raise UsageError(f"{url}: files are fetched by https:// only")
    if fragment and (digest == fragment.lower() or len(digest) != 64):
        raise UsageError(f"{url}: what follows # must be sha256= and 64 hexadecimal digits")
    target = cache_folder() / _file_name(url, address)
    if target.is_file():
        return target
    try:
        with _opened(address) as response:
            _store(response, target, digest)
    except (OSError, ValueError, HTTPException) as error:
        raise CheckpointError(f"{url} cannot be fetched: {first_line(error)}") from error
    return target


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/jaxpose, else ~/.cache/jaxpose."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "jaxpose"


def _file_name(url: str, address: str) -> str:
    """One name for each URL, in which the file's own is recognised."""
    known = "".join(c if c.isascii() and c.isalnum() else "_" for c in Path(address).stem)
    return f"{known[:60]}-{hashlib.sha256(url.encode()).hexdigest()[:16]}.npz"


class _SameScheme(urllib.request.HTTPRedirectHandler):
    """Follows no redirection that leaves https."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme not in SCHEMES:
            raise ValueError(f"it redirects to {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opened(address: str) -> HTTPResponse:
    agent = {"User-Agent": f"jaxpose/{jaxpose.__version__}"}
    request = urllib.request.Request(address, headers=agent)
    return urllib.request.build_opener(_SameScheme).open(request, timeout=_SECONDS)


def _store(response: HTTPResponse, target: Path, digest: str) -> None:
    """Write a whole file of the right digest, or none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    announced = int(response.headers.get("Content-Length") or -1)
    size, found = 0, hashlib.sha256()
    with tempfile.NamedTemporaryFile(dir=target.parent, suffix=".part", delete=False) as part:
        try:
            while chunk := response.read(_CHUNK):
                size += len(chunk)
                if size > LARGEST:
                    raise ValueError(f"it is larger than {LARGEST >> 20} MiB")
                found.update(chunk)
                part.write(chunk)
            if announced not in (-1, size):
                raise ValueError(f"{size} of {announced} bytes came")
            if digest and found.hexdigest() != digest:
                raise ValueError(f"its sha256 is {found.hexdigest()}")
            part.close()
            os.replace(part.name, target)
        except BaseException:
            os.unlink(part.name)
            raise
