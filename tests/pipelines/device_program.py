"""Trains a tiny network of each task on one device and on eight; test_devices.py compares them.

A program of its own because the number of devices is fixed at the start of a process.
"""

import os
import re
import sys

import jax
import numpy as np

from jaxpose.defaults import DEFAULTS, smoke
from jaxpose.tasks import make_task
from jaxpose.training.optimizer import make_optimizer
from jaxpose.training.sharding import data_mesh, local_values, put_batch, replicate
from jaxpose.training.state import init_state
from jaxpose.training.step import make_train_step

BATCH = 8
COLLECTIVE = re.compile(r"= .*\b(all-(reduce|gather|to-all)|reduce-scatter|collective-permute)\(")
# Type, optimizer and steps. float32 shows rounding, which float64 bounds more sharply: of the tasks
# that compile long it is left to JAXPOSE_SLOW=1.
SINGLE = (("float32", "sgd", 2),)
LONG = (("float64", "sgd", 10), *SINGLE * ("JAXPOSE_SLOW" in os.environ))
RUNS = {
    "pose": (("float64", "rmsprop", 10), ("float64", "sgd", 10), *SINGLE),
    "detection": LONG,
    "bottom_up": LONG,
}

# Compiling costs more than the few steps, but for the detector's augmentation in float64.
LEVELS = {"pose": 0, "detection": 1, "bottom_up": 0}


def tiny(name, dtype):
    """A config of the task with a network as small as it goes."""
    config = smoke(DEFAULTS[name]())
    config.canvas, config.model.dtype = 96, dtype
    if name == "pose":
        config.model.update(stacks=1, features=16, depth=1)
        config.input_size = (32, 32)
        return config
    config.model.width = 1 / 16
    config.max_boxes, config.max_ignored = 4, 1
    config.optimizer.warmup_steps = 0
    config.input_size = (64, 64)
    if name == "bottom_up":
        config.model.stages, config.input_size = 1, (32, 32)
    return config


def host_batch(task, index):
    """Random images with a few boxes, or joints, each."""
    rng = np.random.default_rng(index)
    batch = {name: np.zeros((BATCH, *one.shape), one.dtype) for name, one in task.example.items()}
    batch["image"] = rng.integers(0, 256, batch["image"].shape, np.uint8)
    batch["matrix"][:], batch["mask"][:] = np.eye(2, 3), 1
    if task.name == "pose":
        batch["keypoints"][..., :2] = rng.uniform(20, 76, batch["keypoints"][..., :2].shape)
        batch["keypoints"][..., 2], batch["joint_mask"][:] = 2, 1
        batch["center"][:], batch["scale"][:] = 48, 0.4
        return batch
    batch["valid"][:], batch["size"][:] = (0, 0, 96, 96), 96
    corner = rng.uniform(0, 60, (BATCH, 3, 2))
    batch["boxes"][:, :3] = np.concatenate([corner, corner + rng.uniform(9, 36, corner.shape)], 2)
    batch["labels"][:, :3] = 1
    if task.name == "bottom_up":
        batch["keypoints"][..., :2] = rng.uniform(0, 96, batch["keypoints"][..., :2].shape)
        batch["keypoints"][:, :2, :, 2], batch["joint_mask"][:] = 2, 1
    return batch


def waits_in_loops(compiled):
    """Collectives inside loops: one in each round, and in no fixed order between processes."""
    computation, found = "", []
    for line in compiled.as_text().splitlines():
        if line.endswith("{"):
            computation = line
        if COLLECTIVE.search(line) and not computation.startswith("ENTRY"):
            found.append(line.strip())
    return found


def train(name, dtype, optimizer, steps, mesh):
    """Losses of the steps and the final parameters."""
    config = tiny(name, dtype)
    config.optimizer.update(name=optimizer, momentum=0.9 if optimizer == "sgd" else 0.0)
    task = make_task(config)
    made, schedule, _ = make_optimizer(config.optimizer, 100)
    step = make_train_step(task, made, schedule, mesh)
    state = init_state(task.model, task.input_shape, task.initial_value, made, seed=0)
    state = jax.tree.map(
        lambda leaf: leaf.astype(dtype) if np.issubdtype(leaf.dtype, np.floating) else leaf, state
    )
    state, losses = replicate(mesh, state), []
    for index in range(steps):
        batch = host_batch(task, index)
        wide = {
            key: value.astype(dtype) if value.dtype == np.float32 else value
            for key, value in batch.items()
        }
        arguments = state, put_batch(mesh, wide), jax.random.key(7)
        if index == 0:
            options = {"xla_backend_optimization_level": LEVELS[name]}
            step = step.lower(*arguments).compile(options)
            assert not waits_in_loops(step), waits_in_loops(step)
        state, metrics = step(*arguments)
        losses.append(local_values(metrics["loss"]))
    return {"losses": np.array(losses), **local_values(state.params)}


def main():
    """`device_program.py TASK OUT.npz`."""
    name, out = sys.argv[1:]
    jax.config.update("jax_enable_x64", True)
    results = {}
    meshes = {"all": data_mesh(), "one": data_mesh(jax.devices()[:1])}
    for dtype, optimizer, steps in RUNS[name]:
        for where, mesh in meshes.items():
            run = train(name, dtype, optimizer, steps, mesh)
            results |= {f"{where}/{dtype}/{optimizer}/{key}": v for key, v in run.items()}
    results["devices"] = np.array(jax.device_count())
    np.savez(out, **results)


if __name__ == "__main__":
    main()
