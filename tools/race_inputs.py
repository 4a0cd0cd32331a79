"""What the two sides of tools/compare_torch.py compute on: the same for both, in NumPy alone."""

import numpy as np

from jaxpose.ops.default_boxes import default_boxes

JOINTS, CLASSES = 16, 2
SIDES = {"hourglass": 256, "ssd300": 300, "ssd512": 512}
RATE = 1e-6  # small: the weights are to stay harmless, whatever the targets


def pictures(batch: int, size: int) -> np.ndarray:
    """Images [B,size,size,3] in 0..1."""
    return np.random.default_rng(0).random((batch, size, size, 3))


def targets(network: str, batch: int, size: int) -> tuple[np.ndarray, ...]:
    """Heat maps [1,B,h,w,K] float32; or labels [B,P] int32, one in fifty a person, and offsets."""
    rng = np.random.default_rng(1)
    if network == "hourglass":
        return (rng.random((1, batch, size // 4, size // 4, JOINTS), np.float32),)
    count = len(default_boxes(size))
    labels = (rng.random((batch, count)) < 0.02).astype(np.int32)
    return labels, rng.standard_normal((batch, count, 4), np.float32)
