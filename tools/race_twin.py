"""PyTorch's side of tools/compare_torch.py: twins of our networks as calls that wait."""

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch_twins
import torch_twins_ssd
from race_inputs import CLASSES, JOINTS, RATE, SIDES, pictures, targets
from torch.nn import functional

_DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def hardware(threads: int) -> str:
    """What computes, for one line; sets the threads of a CPU."""
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = True  # the fastest of its convolutions, as XLA looks for too
    name = f" ({torch.cuda.get_device_name()})" if _DEVICE == "cuda" else ""
    return f"torch {torch.__version__} on {_DEVICE}{name}"


def release() -> None:
    """Forget what the last race compiled and held.

    Else torch.compile takes a second batch size for a dynamic one, which makes slower programs.
    """
    gc.collect()
    torch._dynamo.reset()
    if _DEVICE == "cuda":
        torch.cuda.empty_cache()


def contender(
    setting: str, network: str, mode: str, batch: int, dtype: str, width: float
) -> Callable[[], None]:
    """A call of the twin; `setting` is 'torch', 'torch channels_last' or 'torch.compile'."""
    size = SIDES[network]
    model: Any
    if network == "hourglass":
        model = torch_twins.HourglassNet(JOINTS, features=int(256 * width))
    else:
        model = torch_twins_ssd.SSD(size, CLASSES, width)
    model = model.to(_DEVICE)
    images = torch.from_numpy(pictures(batch, size).transpose(0, 3, 1, 2).astype(np.float32))
    images = images.contiguous().to(_DEVICE)
    if setting != "torch":
        model = model.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    run = torch.compile(model) if setting == "torch.compile" else model
    half = torch.autocast(_DEVICE, torch.bfloat16, enabled=dtype == "bfloat16")
    if mode == "forward":
        model.eval()

        def forward() -> None:
            with half, torch.inference_mode():
                run(images)

        return _waiting(forward)
    wanted = [torch.from_numpy(t).to(_DEVICE) for t in targets(network, batch, size)]
    return _torch_step(model, run, network, images, wanted, half)


def _torch_step(
    model: Any, run: Any, network: str, images: Any, wanted: list[Any], half: Any
) -> Callable[[], None]:
    made: Any = torch.optim.RMSprop if network == "hourglass" else torch.optim.SGD
    options = {"alpha": 0.99} if network == "hourglass" else {"momentum": 0.9}
    optimizer = made(model.parameters(), lr=RATE, **options)
    if network == "hourglass":
        wanted = [wanted[0].permute(0, 1, 4, 2, 3).contiguous()]

    def loss() -> Any:
        outputs = run(images)
        if network == "hourglass":
            return ((outputs - wanted[0]) ** 2).mean((1, 2, 3, 4)).sum()
        logits, offsets = outputs
        entropy = functional.cross_entropy(logits.flatten(0, 1), wanted[0].flatten().long())
        distance = functional.smooth_l1_loss(offsets, wanted[1], reduction="none").sum(-1)
        positive = wanted[0] > 0
        return entropy + (distance * positive).sum() / positive.sum()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with half:
            value = loss()
        value.backward()
        optimizer.step()

    return _waiting(step)


def _waiting(call: Callable[[], Any]) -> Callable[[], None]:
    def run() -> None:
        call()
        if _DEVICE == "cuda":
            torch.cuda.synchronize()

    return run
