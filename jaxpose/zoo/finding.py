"""Where a checkpoint lies that is named in any of the ways a user may name one."""

import os
from pathlib import Path

from etils import epath

from jaxpose.errors import CheckpointError, UsageError
from jaxpose.training.saved_steps import first_line
from jaxpose.training.workdir import client_missing
from jaxpose.zoo import shipped
from jaxpose.zoo.download import downloaded
from jaxpose.zoo.hub import from_hub

# Those that epath and TensorStore read.
_CLOUDS = ("gs", "s3")


def find(checkpoint: str | Path) -> epath.Path:
    """Path of a checkpoint; files of hf:// and https:// are fetched, once.

    Args:
      checkpoint: name of a network of the package (`./NAME` is a path in any case), path of a
        file or folder, or a URL: gs:// or s3://, hf://OWNER/REPO/FILE with an optional
        @REVISION after REPO, or https:// with an optional #sha256=DIGEST.

    Raises:
      CheckpointError: nothing is there, or it cannot be reached. UsageError: a URL of another
        kind, or hf://, gs:// or s3:// without the package that it needs.
    """
    text = os.fspath(checkpoint)
    if text in shipped.names():
        return epath.Path(shipped.path(text))
    scheme, separator, _ = text.partition("://")
    if separator and scheme == "hf":
        return epath.Path(from_hub(text))
    if separator and scheme == "https":
        return epath.Path(downloaded(text))
    if separator and scheme not in _CLOUDS:
        raise UsageError(f"{text}: no checkpoint's URL; those begin with hf, https, gs or s3")
    try:
        found = epath.Path(text).expanduser()
        exists = found.exists()
    except ImportError as error:
        raise client_missing(text) from error
    except Exception as error:  # whatever a cloud's library raises
        raise CheckpointError(f"{text} cannot be reached: {first_line(error)}") from error
    if not exists:
        named = "" if "/" in text else f", nor a network of jaxpose ({shipped.offer()})"
        raise CheckpointError(f"{text}: no such file or folder{named}")
    return found


def is_path(checkpoint: str | Path) -> bool:
    """Whether it is named by a path of this machine, beside which its results may lie."""
    text = os.fspath(checkpoint)
    return "://" not in text and text not in shipped.names()
