"""Files of the Hugging Face Hub, through its own library, which keeps what it fetched."""

import re
from pathlib import Path

from jaxpose.errors import CheckpointError, UsageError
from jaxpose.training.saved_steps import first_line

_URL = re.compile(r"hf://([^/@]+/[^/@]+)(?:@([^/@]+))?/([^/].*)")


def from_hub(url: str) -> Path:
    """Fetch hf://OWNER/REPO/FILE or hf://OWNER/REPO@REVISION/FILE, unless it is there already.

    Raises:
      UsageError: not such a URL, or the package huggingface_hub is missing.
      CheckpointError: the file cannot be fetched, and was not before.
    """
    parts = _URL.fullmatch(url)
    if parts is None:
        raise UsageError(f"{url}: not hf://OWNER/REPO/FILE or hf://OWNER/REPO@REVISION/FILE")
    repository, revision, file = parts.groups()
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise UsageError(f"{url}: hf:// needs huggingface_hub: pip install 'jaxpose[hf]'") from None
    try:
        return Path(hf_hub_download(repository, file, revision=revision))
    except Exception as error:  # its own kinds, those of its HTTP library, and of the disk
        raise CheckpointError(f"{url} cannot be fetched: {first_line(error)}") from error
