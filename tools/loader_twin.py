"""What a PyTorch user would write: a Dataset over encoded photographs, with cv2, for a DataLoader.

`Canvases` does what our pipeline does on the host: it decodes. `Augmented` does the rest there too,
as training loops in PyTorch do: random crop, mirroring, colour, float32, heat maps. (Ours does that
on the device.) Samples are held in memory, encoded.
"""

from typing import Any

import cv2
import numpy as np
from torch.utils.data import Dataset

from jaxpose.data.manifest import Manifest
from jaxpose.data.shard_files import read_window

_STRIDE, _SIGMA = 4, 1.0  # network input px per heat-map px; of a Gaussian, in those


def samples_of(manifest: Manifest, split: str, most: int) -> list[dict[str, Any]]:
    """Encoded photographs of npz shards, their place on the canvas, and `points` [K, 3] in its px
    where they are people."""
    samples: list[dict[str, Any]] = []
    for shard in manifest.split(split).shards:
        for record in read_window(manifest, [shard])[: most - len(samples)]:
            sample = {"encoded": record["image/encoded"].copy(), "valid": record["image/valid"]}
            if "person/keypoints" in record:
                joints, matrix = record["person/keypoints"].copy(), record["image/matrix"]
                joints[:, :2] = joints[:, :2] @ matrix[:, :2].T + matrix[:, 2]
                sample["points"] = joints
            samples.append(sample)
    return samples


def decode(sample: dict[str, Any], canvas: int) -> np.ndarray:
    """uint8 [canvas, canvas, 3] RGB."""
    x1, y1, x2, y2 = sample["valid"].astype(int).tolist()
    image = np.zeros((canvas, canvas, 3), np.uint8)
    decoded = cv2.imdecode(sample["encoded"], cv2.IMREAD_COLOR)
    assert decoded is not None  # the records have been checked
    image[y1:y2, x1:x2] = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
    return image


def one_thread(worker: int) -> None:
    """Workers are the parallelism, not OpenCV's threads in each."""
    del worker
    cv2.setNumThreads(0)


class Canvases(Dataset):
    """Decoded canvases and their labels.

    Args:
      samples: dicts of arrays: encoded uint8 [N], valid [4], and labels of fixed shapes.
      canvas: side, px.
    """

    def __init__(self, samples: list[dict[str, Any]], canvas: int) -> None:
        self.samples, self.canvas = samples, canvas

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        sample = self.samples[index]
        labels = {k: v for k, v in sample.items() if k not in ("encoded", "valid")}
        return {"image": decode(sample, self.canvas), **labels}


class Augmented(Canvases):
    """Inputs of the network, [3, h, w] float32, and for people their heat maps [K, h/4, w/4].

    Args:
      size: (h, w) of the network's input.
    """

    def __init__(self, samples: list[dict[str, Any]], canvas: int, size: tuple[int, int]) -> None:
        super().__init__(samples, canvas)
        self.size = size

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        sample, random = self.samples[index], np.random.default_rng()
        matrix = self._matrix(sample, random)
        image = cv2.warpAffine(decode(sample, self.canvas), matrix, self.size[::-1])
        mirrored = random.random() < 0.5
        if mirrored:
            image = image[:, ::-1]
        colors = image.astype(np.float32) * random.uniform(0.6, 1.4, 3).astype(np.float32) / 255
        made = {"image": np.ascontiguousarray(np.clip(colors, 0, 1).transpose(2, 0, 1))}
        if "points" in sample:
            points = sample["points"][:, :2] @ matrix[:, :2].T + matrix[:, 2]
            points[:, 0] = self.size[1] - 1 - points[:, 0] if mirrored else points[:, 0]
            made["maps"] = heatmaps(points, sample["points"][:, 2], self.size)
        return made

    def _matrix(self, sample: dict[str, Any], random: np.random.Generator) -> np.ndarray:
        """float64 [2, 3], canvas px -> input px, of a random crop."""
        x1, y1, x2, y2 = sample["valid"].tolist()
        rotation = 0.0
        if "points" in sample:
            rotation = float(random.normal(0, 30) * (random.random() < 0.4))
        zoom = 2.0 ** random.uniform(-0.25, 0.25) * min(self.size) / max(x2 - x1, y2 - y1)
        matrix = cv2.getRotationMatrix2D(((x1 + x2) / 2, (y1 + y2) / 2), rotation, zoom)
        matrix[:, 2] += [self.size[1] / 2 - (x1 + x2) / 2, self.size[0] / 2 - (y1 + y2) / 2]
        return matrix


def heatmaps(points: np.ndarray, flags: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Gaussians [K, h/4, w/4] float32 about points [K, 2] in input px; zeros for flag 0."""
    y, x = (np.arange(side // _STRIDE, dtype=np.float32) for side in size)
    u, v = points.T.astype(np.float32) / _STRIDE
    across = np.exp(-((x - u[:, None]) ** 2) / (2 * _SIGMA**2))
    down = np.exp(-((y - v[:, None]) ** 2) / (2 * _SIGMA**2))
    return down[:, :, None] * across[:, None] * (flags > 0)[:, None, None].astype(np.float32)
