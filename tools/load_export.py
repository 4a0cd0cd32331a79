"""Run a file of tools/export.py. Needs jax and NumPy alone; copy this file wherever you like.

find = load("people.npz")
people = find([image])              # RGB uint8 [H, W, 3], sides up to find.document["canvas"] px
people["keypoints"][people["valid"]]    # [people, joints, 2] px; names: find.document["joints"]

The jax that runs it must be as new as the one that wrote it (document["versions"]), or newer by six
months at most, as `jax.export` promises.
"""

import json
from typing import Any

import jax
import numpy as np
from jax import export


class Estimator:
    """The function of such a file; `document` says what it takes and gives."""

    def __init__(self, path: str) -> None:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if not {"document", "stablehlo"} <= arrays.keys():
            raise ValueError(f"{path} is no file of tools/export.py")
        self.document: dict[str, Any] = json.loads(arrays.pop("document").tobytes())
        # The function is compiled at the first call with each number of frames.
        self._call = jax.jit(export.deserialize(bytearray(arrays.pop("stablehlo"))).call)
        self._weights = jax.device_put(
            {
                name.removeprefix("weights/"): w.astype("f4") if w.dtype == "f2" else w
                for name, w in arrays.items()
            }
        )

    def __call__(self, images: Any) -> dict[str, np.ndarray]:
        """People of some frames, fixed shapes: see `document["convention"]["returns"]`.

        Args:
          images: RGB uint8 [B, H, W, 3], or a list of [H, W, 3] of any sizes up to the canvas.
        """
        side, count = self.document["canvas"], len(images)
        if not count:
            raise ValueError("no images")
        canvases = np.zeros((count, side, side, 3), np.uint8)
        sizes = np.zeros((count, 2), np.float32)
        for row, image in enumerate(images):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
                raise ValueError(f"image {row} is {image.dtype} {image.shape}, not uint8 [H, W, 3]")
            height, width = image.shape[:2]
            if max(height, width) > side:
                raise ValueError(f"image {row} is {width} x {height} px; make it {side} at most")
            canvases[row, :height, :width], sizes[row] = image, (width, height)
        people = self._call(self._weights, canvases, sizes)
        return {name: np.asarray(value) for name, value in people.items()}


def load(path: str) -> Estimator:
    """Read such a file; ValueError for another one."""
    return Estimator(path)
