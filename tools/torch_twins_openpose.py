"""OpenPose's network in PyTorch under Caffe's names of its layers; needs torch.

A twin of `jaxpose.models.openpose` for parity tests and side-by-side runs: plain modules, NCHW.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import nn
from torch.nn import functional
from twin_parity import Parity

from jaxpose.inference.restore import Restored
from jaxpose.models.pretrained_openpose import caffe_names
from jaxpose.tasks.bottom_up_prediction import frame_view, network_input

_TRUNK = ((64, 64), (128, 128), (256,) * 4, (512, 512))
_POOL = nn.MaxPool2d(2)


def _scaled(channels: int, width: float) -> int:
    return max(8, int(channels * width / 8 + 0.5) * 8)


def _trunk(width: float) -> dict[str, nn.Conv2d]:
    layers, inside = {}, 3
    for block, widths in enumerate(_TRUNK, start=1):
        for number, channels in enumerate(widths, start=1):
            out = _scaled(channels, width)
            layers[f"conv{block}_{number}"] = nn.Conv2d(inside, out, 3, padding=1)
            inside = out
    for name, channels in (("conv4_3_CPM", 256), ("conv4_4_CPM", 128)):
        out = _scaled(channels, width)
        layers[name] = nn.Conv2d(inside, out, 3, padding=1)
        inside = out
    return layers


def _branch(names: list[str], sizes: list[tuple[int, int]], inside: int) -> dict[str, nn.Conv2d]:
    layers = {}
    for name, (out, size) in zip(names, sizes, strict=True):
        layers[name] = nn.Conv2d(inside, out, size, padding=size // 2)
        inside = out
    return layers


class OpenPose(nn.Module):
    """CMU's network; layers are attributes named as in its prototxt (conv1_1, Mconv7_stage6_L2).

    Args:
      num_parts, num_limbs, stages, width: as of `jaxpose.models.openpose.OpenPose`.
    """

    def __init__(
        self, num_parts: int = 18, num_limbs: int = 19, stages: int = 6, width: float = 1.0
    ) -> None:
        super().__init__()
        outputs = {"L1": 2 * num_limbs, "L2": num_parts + 1}
        hidden = _scaled(128, width)
        layers = _trunk(width)
        self.trunk = list(layers)
        self.branches: list[dict[str, list[str]]] = []
        for stage in range(1, stages + 1):
            inside, names = hidden + (sum(outputs.values()) if stage > 1 else 0), {}
            for side, out in outputs.items():
                if stage == 1:
                    names[side] = [f"conv5_{n}_CPM_{side}" for n in range(1, 6)]
                    sizes = [(hidden, 3)] * 3 + [(_scaled(512, width), 1), (out, 1)]
                else:
                    names[side] = [f"Mconv{n}_stage{stage}_{side}" for n in range(1, 8)]
                    sizes = [(hidden, 7)] * 5 + [(hidden, 1), (out, 1)]
                layers |= _branch(names[side], sizes, inside)
            self.branches.append(names)
        for name, layer in layers.items():
            self.add_module(name, layer)

    def _run(self, names: list[str], x: torch.Tensor) -> torch.Tensor:
        """A branch; no ReLU after its last layer."""
        for name in names[:-1]:
            x = functional.relu(getattr(self, name)(x))
        return getattr(self, names[-1])(x)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Images [B,3,H,W] -> fields [B,2L,H/8,W/8] and maps [B,K+1,H/8,W/8] of the last stage."""
        for name in self.trunk:
            if name in ("conv2_1", "conv3_1", "conv4_1"):
                x = _POOL(x)
            x = functional.relu(getattr(self, name)(x))
        features = x
        for names in self.branches:
            fields, maps = self._run(names["L1"], x), self._run(names["L2"], x)
            x = torch.cat([fields, maps, features], 1)
        return fields, maps


def openpose_parity(
    network: Restored, weights: Mapping[str, np.ndarray], source: str, image: np.ndarray
) -> Parity:
    """Parity of the last stage's fields and maps on RGB uint8 [H, W, 3]; `source` is 'openpose'."""
    del source
    model, config = network.task.model, network.config
    twin = OpenPose(model.num_parts, model.num_limbs, model.stages, model.width).eval()
    state = {name: torch.tensor(np.asarray(a)) for name, a in caffe_names(weights).items()}
    twin.load_state_dict(state)
    height, width = image.shape[:2]
    batch = {
        "image": image[None],
        "matrix": np.eye(2, 3, dtype=np.float32)[None],
        "valid": np.array([[0, 0, width, height]], np.float32),
    }
    view = frame_view(jnp.array([[width, height]], jnp.float32), (184, 248))
    x = network_input(batch, view, (184, 248), tuple(config.mean), config.channels)
    fields, maps = jax.jit(model.apply)(network.variables, x)
    with torch.no_grad():
        theirs = twin(torch.tensor(np.asarray(x).transpose(0, 3, 1, 2)))
    ours = (fields[-1], maps[-1])
    pairs = [
        (np.asarray(a), b.permute(0, 2, 3, 1).numpy()) for a, b in zip(ours, theirs, strict=True)
    ]
    return Parity(
        max(float(np.abs(a - b).max()) for a, b in pairs),
        float(np.concatenate([b.ravel() for _, b in pairs]).std()),
    )
