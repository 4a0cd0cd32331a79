"""A tiny task with convolution, BatchNorm and random augmentation, and a program that trains it.

Imported by the tests of this folder by path, and run by them as a child process, because device
counts and jax.distributed are fixed at the start of a process.
"""

import argparse
import os

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxpose.errors import UsageError
from jaxpose.models.convolution import Conv
from jaxpose.tasks.task import Task
from jaxpose.training.optimizer import make_optimizer
from jaxpose.training.sharding import (
    data_mesh,
    distributed_start,
    local_rows,
    local_values,
    put_batch,
    replicate,
)
from jaxpose.training.state import init_state, variables
from jaxpose.training.step import make_predict_step, make_train_step

# Of these the gradient of the first kernel is a loop, on every one of eight devices too.
SIDE, BATCH, FEATURES = 32, 16, 64


class ToyNet(nn.Module):
    """Two 3x3 convolutions (with biases, as in the hourglass) around BatchNorm."""

    dtype: jnp.dtype = jnp.float32
    normalise: bool = True

    @nn.compact
    def __call__(self, x, train):
        x = Conv(FEATURES, (3, 3), dtype=self.dtype, param_dtype=self.dtype, name="first")(x)
        if self.normalise:
            x = nn.BatchNorm(
                not train, momentum=0.9, dtype=self.dtype, param_dtype=self.dtype, name="norm"
            )(x)
        x = nn.relu(x)
        return Conv(2, (3, 3), dtype=self.dtype, param_dtype=self.dtype, name="last")(x)


def initial_value(path, shape, generator):
    if path.endswith("/kernel"):
        return generator.normal(0, 0.05, shape)
    return np.ones(shape) if path.endswith("/scale") else np.zeros(shape)


def augment(key, batch, dtype):
    # One draw for both: every use of the generator is slow to compile on a CPU.
    draws = jax.random.uniform(key, (2, batch["image"].shape[0], 1, 1, 1), jnp.float32)
    image = batch["image"].astype(dtype) / 255 * (0.6 + 0.8 * draws[0])
    image = jnp.where(draws[1] < 0.5, image[:, :, ::-1], image)
    return {"image": image.astype(dtype), "target": batch["target"].astype(dtype)}


def loss(outputs, inputs):
    error = (outputs - inputs["target"][:, None, None]) ** 2
    return error.mean(), {"first": error[..., 0].mean()}


def predict(model, variables, batch):
    image = batch["image"].astype(model.dtype) / 255
    return {"mean": model.apply(variables, image, train=False).mean((1, 2))}


def toy_task(dtype=jnp.float32, normalise=True):
    model = ToyNet(dtype, normalise)
    used = {
        "name": "toy",
        "model": model,
        "input_shape": (SIDE, SIDE, 3),
        "example": {
            "image": jax.ShapeDtypeStruct((SIDE, SIDE, 3), np.uint8),
            "target": jax.ShapeDtypeStruct((2,), np.float32),
        },
        "initial_value": initial_value,
        "augment": lambda key, batch: augment(key, batch, dtype),
        "loss": loss,
        "predict": lambda variables, batch: predict(model, variables, batch),
    }
    # The steps need nothing else of a task.
    return Task(**dict.fromkeys(Task._fields) | used)


def host_batch(index, rows=BATCH):
    """Global batch number `index`; `id` stays on the host."""
    generator = np.random.default_rng(index)
    image = generator.integers(0, 256, (rows, SIDE, SIDE, 3), np.uint8)
    target = (image.mean((1, 2))[:, :2] / 255 - 0.4).astype(np.float32)
    return {"image": image, "target": target, "id": np.array(["x"] * rows, object)}


def optimizer_config(**changes):
    defaults = {
        "name": "rmsprop",
        "learning_rate": 2.5e-3,
        "drop_epochs": (),
        "drop_steps": (),
        "drop_factor": 0.1,
        "warmup_steps": 0,
        "weight_decay": 0.0,
        "clip_norm": 0.0,
        "accumulate": 1,
        "momentum": 0.0,
        "decay": 0.99,
        "eps": 1e-8,
    }
    assert set(changes) <= set(defaults)
    return ConfigDict(defaults | changes)


def train(mesh, dtype, optimizer_name, steps=10):
    """Losses of `steps` steps and the final parameters and statistics, as one flat dict."""
    task = toy_task(dtype)
    optimizer, schedule, _ = make_optimizer(optimizer_config(name=optimizer_name), 1)
    step = make_train_step(task, optimizer, schedule, mesh, ema_decay=0.9)
    state = init_state(task.model, task.input_shape, initial_value, optimizer, seed=0, ema=True)
    state, losses, rows = replicate(mesh, state), [], local_rows(mesh, BATCH)
    for index in range(steps):
        mine = {name: value[rows] for name, value in host_batch(index).items()}
        state, metrics = step(state, put_batch(mesh, mine), jax.random.key(7))
        losses.append(local_values(metrics["loss"]))
    predicted = make_predict_step(task, mesh)(variables(state), put_batch(mesh, mine))
    state = local_values(state)
    return {
        "losses": np.array(losses),
        "rows": np.array([rows.start, rows.stop]),
        "predicted": local_values(predicted["mean"]),
        **{f"params/{path}": value for path, value in state.params.items()},
        **{f"batch_stats/{path}": value for path, value in state.batch_stats.items()},
        **{f"ema/{path}": value for path, value in state.ema.items()},
    }


def refusals(mesh):
    """What batches of one row too many are told."""
    messages = []
    for split in (
        lambda: local_rows(mesh, BATCH + 1),
        lambda: put_batch(mesh, host_batch(0, len(mesh.local_devices) + 1)),
    ):
        try:
            split()
            messages.append("accepted")
        except UsageError as error:
            messages.append(str(error))
    return messages


def main():
    """Train in float32 and float64 over all devices of the job; write the results as .npz."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--job", default="", help="port:processes:process of a job on this machine")
    parser.add_argument("--also_one_device", action="store_true", help="train again on the first")
    args = parser.parse_args()
    if args.job:
        port, processes, process = args.job.split(":")
        os.environ["JAX_COORDINATOR_ADDRESS"] = f"localhost:{port}"
        os.environ["JAX_NUM_PROCESSES"], os.environ["JAX_PROCESS_ID"] = processes, process
    assert distributed_start("auto" if args.job else "off") == bool(args.job)
    jax.config.update("jax_enable_x64", True)
    meshes = {"all": data_mesh()}
    if args.also_one_device:
        meshes["one"] = data_mesh(jax.devices()[:1])
    results = {}
    for where, mesh in meshes.items():
        for dtype, name in (
            (jnp.float32, "rmsprop"),
            (jnp.float64, "rmsprop"),
            (jnp.float64, "sgd"),
        ):
            run = train(mesh, dtype, name)
            prefix = f"{where}/{jnp.dtype(dtype).name}/{name}"
            results |= {f"{prefix}/{key}": value for key, value in run.items()}
    results["devices"] = np.array([len(jax.local_devices()), len(jax.devices())])
    results["refusals"] = np.array(refusals(meshes["all"]))
    np.savez(args.out, **results)


if __name__ == "__main__":
    main()
