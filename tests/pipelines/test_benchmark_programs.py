"""What the benchmark compiles and counts, and the random batches and boxes it measures on."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose.defaults import DEFAULTS
from jaxpose.inference.restore import Restored
from jaxpose.pipelines import benchmark_compile, benchmark_peaks, benchmark_programs
from jaxpose.pipelines.benchmark_batches import completed, random_batch
from jaxpose.pipelines.benchmark_compile import Compilations, asked_flops, build, counts
from jaxpose.pipelines.benchmark_frames import random_boxes
from jaxpose.pipelines.benchmark_peaks import measure_peaks
from jaxpose.pipelines.benchmark_predict import Networks
from jaxpose.pipelines.benchmark_programs import augment_program, predict_program, train_program
from jaxpose.pipelines.benchmark_step import inference_program
from jaxpose.tasks import make_task
from jaxpose.training.sharding import data_mesh


@pytest.mark.parametrize(
    ("analysis", "found"),
    [
        ({"flops": 9e9, "utilization0{}": -1.0}, {"flops": 9e9}),
        ([{"flops": 7.0}], {"flops": 7.0}),
        ([], {}),
        (None, {}),
    ],
)
def test_analyses_are_read_whatever_a_backend_gives(analysis, found):
    assert counts(SimpleNamespace(cost_analysis=lambda: analysis)) == found


def test_a_platform_that_does_not_count_is_counted_for(monkeypatch):
    """As clients of GPUs and TPUs: the same program is lowered for the CPU, and counted there."""
    config = DEFAULTS["pose"]()
    config.update(input_size=(64, 64), batch_size=2)
    task, mesh = make_task(config), data_mesh()
    found = augment_program(config, task, mesh)
    monkeypatch.setattr(benchmark_compile, "asked_flops", lambda traced: None)
    again = augment_program(config, task, mesh)
    assert again.flops == found.flops > 1e5 and again.flops_of == "lowered"
    matrix = jnp.ones((4, 4))
    product = jax.jit(lambda x: x @ x)
    assert build(product, matrix, devices=2, count=lambda: 10.0).flops == 5
    assert build(product, matrix).flops == 2 * 4**3  # of what was compiled
    assert build(product, matrix, repeats=True).flops is None  # that of what repeats is not told


@pytest.fixture
def lowered(monkeypatch):
    """Programs are traced and counted only: what XLA is given, what counts instead, and whether."""

    def build(step, *arguments, devices, count, repeats):
        own = asked_flops(step.trace(*arguments))
        return SimpleNamespace(own=own, counted=count() if repeats else own, repeats=repeats)

    monkeypatch.setattr(benchmark_programs, "build", build)


def tiny_pose(remat=False):
    """Config, task and mesh of an hourglass of one stack."""
    config = DEFAULTS["pose"]()
    config.model.update(stacks=1, blocks=1, features=8, depth=1, remat=remat)
    config.update(input_size=(32, 32), canvas=64, batch_size=2)
    config.eval.batch_size = 2
    return config, make_task(config), data_mesh()


def test_rematerialisation_is_no_work_of_the_model(lowered):
    plain, again = (train_program(*tiny_pose(remat)) for remat in (False, True))
    assert again.counted == plain.own > 1e6 and again.own > 1.1 * plain.own
    assert again.repeats and not plain.repeats


def test_inference_is_of_the_folded_network(lowered):
    """As the estimator's: fewer operations than the network has as it is trained."""
    config, task, mesh = tiny_pose()
    program, weights = inference_program(config, task, mesh)
    assert 1e6 < program.counted < predict_program(config, task, mesh).counted
    # Of the three BatchNorms of each of 8 residuals the first is left, a mean and a variance.
    assert len(jax.tree.leaves(weights["batch_stats"])) == 2 * 8


def test_xla_counts_a_matrix_product():
    """2 n^3 of a product of n x n; what is compiled later counts as a compilation."""
    matrix = jnp.ones((64, 64))
    with Compilations() as compilations:
        program = build(jax.jit(lambda x: x @ x), matrix)
        assert compilations.programs == 1
        program.run(matrix)
        assert compilations.programs == 1
    jax.jit(lambda x: x - 3)(matrix)
    assert compilations.programs == 1  # the context is closed
    assert program.flops == 2 * 64**3 and program.planned_memory_bytes >= 2 * 64 * 64 * 4


@pytest.mark.parametrize("name", DEFAULTS)
def test_random_batches_fit_the_task(name):
    config = DEFAULTS[name]()
    if name == "pose":
        config.input_size = (64, 64)
    else:
        config.canvas = 96
    if name == "detection":
        config.classes, config.data.train = (), ("voc",)
    else:
        config.skeleton = "data"
    notes = completed(config)
    assert any("stand in for those of the data" in note for note in notes)
    task = make_task(config)
    batch = random_batch(task, 3)
    for field, one in task.example.items():
        assert batch[field].shape == (3, *one.shape) and batch[field].dtype == one.dtype
        assert np.isfinite(batch[field]).all()
    if name == "pose":
        inside = np.abs(batch["keypoints"][..., :2] - batch["center"][:, None]) * 2
        assert (inside <= 200 * batch["scale"][:, None, None]).all()
    else:
        assert ((batch["labels"] > 0).sum(1) >= 1).all()
        assert name == "bottom_up" or len(config.classes) == 20
        used = batch["boxes"][batch["labels"] > 0]
        assert (used[:, 2:] > used[:, :2]).all() and used.min() >= 0
        assert (used <= [96, 72, 96, 72]).all()


def test_random_boxes_lie_in_the_frame():
    boxes = random_boxes(np.random.default_rng(0), 40, 64, 480).boxes_xyxy
    assert boxes.shape == (40, 4) and boxes.min() >= 0 and (boxes <= [64, 480, 64, 480]).all()


def test_the_peak_is_of_the_faster_product(monkeypatch):
    """A CPU multiplies bfloat16 slowly, and its compiler computes in float32 instead."""
    rates = {"bfloat16": (1e9, 512), "float32": (5e10, 1024)}
    monkeypatch.setattr(benchmark_peaks, "_best_product", lambda name, room, device: rates[name])
    monkeypatch.setattr(benchmark_peaks, "_best", lambda sizes: (1e10, 2**28))
    assert measure_peaks("bfloat16")[:3] == (5e10, 1024, "float32")
    rates["bfloat16"] = (8e14, 8192)
    assert measure_peaks("bfloat16") == (8e14, 8192, "bfloat16", 1e10, 2**28)
    assert measure_peaks("float32")[:3] == (5e10, 1024, "float32")


@pytest.mark.parametrize(("name", "boxes"), [("pose", 3), ("bottom_up", None)])
def test_frames_come_with_boxes_where_nothing_finds_people(name, boxes):
    network = Restored(DEFAULTS[name](), *[None] * 5)  # type: ignore[arg-type]
    assert Networks(None, network, 3, "").boxes == boxes
    assert Networks(network, network, 3, "").boxes is None
