"""What tools/compare_torch.py races: our networks and their PyTorch twins, as calls that wait."""

import gc
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
import torch_twins
import torch_twins_ssd
from torch.nn import functional

from jaxpose.errors import UsageError
from jaxpose.inference.folded import folded_variables
from jaxpose.models import hourglass, ssd
from jaxpose.ops.default_boxes import default_boxes
from jaxpose.training.state import flatten, init_state, nested

_JOINTS, _CLASSES = 16, 2
_SIDES = {"hourglass": 256, "ssd300": 300, "ssd512": 512}
_RATE = 1e-6  # small: the weights are to stay harmless, whatever the targets
_TORCH_DEVICE = "cuda" if jax.default_backend() == "gpu" else "cpu"


def hardware(threads: int) -> str:
    """One line; sets PyTorch's threads."""
    torch.set_num_threads(threads)
    device = jax.devices()[0]
    return (
        f"{device.platform} ({device.device_kind}), {threads} CPU threads, jax {jax.__version__}, "
        f"torch {torch.__version__} on {_TORCH_DEVICE}; random weights and pictures"
    )


def release() -> None:
    """Forget what the last race compiled and held.

    Else torch.compile takes a second batch size for a dynamic one, which makes slower programs.
    """
    gc.collect()
    torch._dynamo.reset()
    if _TORCH_DEVICE == "cuda":
        torch.cuda.empty_cache()


def ours(network: str, mode: str, batch: int, dtype: str, width: float) -> Callable[[], None]:
    """A call of our network; `mode` is 'forward', with BatchNorm folded, or 'train'.

    Raises:
      UsageError: an unknown network, or PyTorch without the GPU that jax has.
    """
    if network not in _SIDES:
        raise UsageError(f"unknown network {network}; use {', '.join(_SIDES)}")
    if _TORCH_DEVICE == "cuda" and not torch.cuda.is_available():
        raise UsageError("jax sees a GPU, PyTorch none: install PyTorch with CUDA")
    size, computed = _SIDES[network], jnp.dtype(dtype)
    model: Any
    if network == "hourglass":
        features = int(256 * width)
        model = hourglass.StackedHourglass(_JOINTS, features=features, dtype=computed)
        initial = hourglass.initial_value
    else:
        model = ssd.SSD(size, _CLASSES, width=width, dtype=computed)
        initial = ssd.initial_value
    optimizer = _ours_optimizer(network)
    state = init_state(model, (size, size, 3), initial, optimizer, seed=0)
    images = jax.device_put(_pictures(batch, size).astype(np.float32))
    if mode == "forward":
        if network == "hourglass":  # the SSD has no BatchNorm
            model = model.clone(folded=True)
        variables = jax.device_put(folded_variables(nested(state.params, state.batch_stats)))
        run = jax.jit(model.apply)
        return lambda: jax.block_until_ready(run(variables, images))
    targets = jax.device_put(_targets(network, batch, size))
    return _our_step(model, optimizer, jax.device_put(state[1:4]), images, targets)


def _ours_optimizer(network: str) -> optax.GradientTransformation:
    if network == "hourglass":
        return optax.rmsprop(_RATE, decay=0.99, eps=1e-8)
    return optax.sgd(_RATE, momentum=0.9)


def _our_step(
    model: Any, optimizer: optax.GradientTransformation, state: Any, images: Any, targets: Any
) -> Callable[[], None]:
    def loss(params: Any, stats: Any) -> Any:
        variables = nested(params, stats)
        outputs, changed = model.apply(variables, images, train=True, mutable=["batch_stats"])
        if isinstance(outputs, tuple):
            return _our_box_loss(*outputs, *targets), changed
        return ((outputs - targets[0]) ** 2).mean((1, 2, 3, 4)).sum(), changed

    def step(state: Any) -> Any:
        params, stats, opt_state = state
        grads, changed = jax.grad(loss, has_aux=True)(params, stats)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        kept = flatten(changed.get("batch_stats", {}))  # none in an SSD
        return optax.apply_updates(params, updates), kept, opt_state

    run, held = jax.jit(step, donate_argnums=0), [state]

    def call() -> None:
        held[0] = jax.block_until_ready(run(held[0]))

    return call


def _our_box_loss(logits: Any, offsets: Any, labels: Any, boxes: Any) -> Any:
    entropy = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
    distance = optax.huber_loss(offsets, boxes).sum(-1)
    return entropy + (distance * (labels > 0)).sum() / (labels > 0).sum()


def torch_twin(
    setting: str, network: str, mode: str, batch: int, dtype: str, width: float
) -> Callable[[], None]:
    """A call of the twin; `setting` is 'torch', 'torch channels_last' or 'torch.compile'."""
    size = _SIDES[network]
    model: Any
    if network == "hourglass":
        model = torch_twins.HourglassNet(_JOINTS, features=int(256 * width))
    else:
        model = torch_twins_ssd.SSD(size, _CLASSES, width)
    model = model.to(_TORCH_DEVICE)
    images = torch.from_numpy(_pictures(batch, size).transpose(0, 3, 1, 2).astype(np.float32))
    images = images.contiguous().to(_TORCH_DEVICE)
    if setting != "torch":
        model = model.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    run = torch.compile(model) if setting == "torch.compile" else model
    half = torch.autocast(_TORCH_DEVICE, torch.bfloat16, enabled=dtype == "bfloat16")
    if mode == "forward":
        model.eval()

        def forward() -> None:
            with half, torch.inference_mode():
                run(images)

        return _waiting(forward)
    targets = [torch.from_numpy(t).to(_TORCH_DEVICE) for t in _targets(network, batch, size)]
    return _torch_step(model, run, network, images, targets, half)


def _torch_step(
    model: Any, run: Any, network: str, images: Any, targets: list[Any], half: Any
) -> Callable[[], None]:
    made: Any = torch.optim.RMSprop if network == "hourglass" else torch.optim.SGD
    options = {"alpha": 0.99} if network == "hourglass" else {"momentum": 0.9}
    optimizer = made(model.parameters(), lr=_RATE, **options)
    if network == "hourglass":
        targets = [targets[0].permute(0, 1, 4, 2, 3).contiguous()]

    def loss() -> Any:
        outputs = run(images)
        if network == "hourglass":
            return ((outputs - targets[0]) ** 2).mean((1, 2, 3, 4)).sum()
        logits, offsets = outputs
        entropy = functional.cross_entropy(logits.flatten(0, 1), targets[0].flatten().long())
        distance = functional.smooth_l1_loss(offsets, targets[1], reduction="none").sum(-1)
        positive = targets[0] > 0
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
        if _TORCH_DEVICE == "cuda":
            torch.cuda.synchronize()

    return run


def _pictures(batch: int, size: int) -> np.ndarray:
    return np.random.default_rng(0).random((batch, size, size, 3))


def _targets(network: str, batch: int, size: int) -> tuple[np.ndarray, ...]:
    """Heat maps [1,B,h,w,K] float32; or labels [B,P] int32, one in fifty a person, and offsets."""
    rng = np.random.default_rng(1)
    if network == "hourglass":
        return (rng.random((1, batch, size // 4, size // 4, _JOINTS), np.float32),)
    count = len(default_boxes(size))
    labels = (rng.random((batch, count)) < 0.02).astype(np.int32)
    return labels, rng.standard_normal((batch, count, 4), np.float32)
