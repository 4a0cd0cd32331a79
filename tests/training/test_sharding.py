import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

from jaxpose.errors import UsageError
from jaxpose.training import sharding


@pytest.fixture(scope="module")
def mesh():
    return sharding.data_mesh(jax.devices()[:1])


def test_mesh_has_one_auto_axis(mesh):
    assert mesh.axis_names == ("data",) and mesh.axis_types == (AxisType.Auto,)
    assert sharding.data_mesh().size == jax.device_count()


def test_shardings(mesh):
    assert sharding.replicated(mesh).spec == PartitionSpec()
    assert sharding.split_rows(mesh).spec == PartitionSpec("data")


def test_put_batch_leaves_host_entries_out(mesh):
    host = {
        "image": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
        "scale": np.array([1.5, np.nan], np.float32),
        "id": np.array(["a", "b"], object),
        "name": np.array(["a", "b"]),
    }
    batch = sharding.put_batch(mesh, host)
    assert set(batch) == {"image", "scale"}
    assert all(array.sharding == sharding.split_rows(mesh) for array in batch.values())
    np.testing.assert_array_equal(batch["image"], host["image"])
    np.testing.assert_array_equal(batch["scale"], host["scale"])
    assert batch["image"].dtype == jnp.uint8
    assert set(sharding.put_batch(mesh, host, {"scale", "id"})) == {"scale"}


def test_put_batch_refuses_unequal_rows(mesh):
    with pytest.raises(ValueError, match="equally many rows"):
        sharding.put_batch(mesh, {"a": np.zeros((2, 1)), "b": np.zeros(3)})
    with pytest.raises(ValueError, match="equally many rows"):
        sharding.put_batch(mesh, {"a": np.zeros((2, 1)), "b": np.float32(1)})


def test_empty_batches_are_refused(mesh):
    with pytest.raises(UsageError, match="batch of 0 rows"):
        sharding.put_batch(mesh, {"a": np.zeros((0, 3))})
    with pytest.raises(UsageError, match="batch of 0 cannot"):
        sharding.local_rows(mesh, 0)


def test_local_rows_of_one_process_are_all(mesh):
    assert sharding.local_rows(mesh, 6) == slice(0, 6)


def test_replicate_keeps_structure_and_host_values(mesh):
    tree = {"a": [np.ones(4096, np.float32)], "b": np.int32(3)}
    placed = sharding.replicate(mesh, tree)
    assert jax.tree.structure(placed) == jax.tree.structure(tree)
    assert placed["a"][0].sharding == sharding.replicated(mesh)
    # A donated buffer is written over: it must not be the host's own memory.
    jax.block_until_ready(jax.jit(lambda x: x + 1, donate_argnums=0)(placed["a"][0]))
    np.testing.assert_array_equal(tree["a"][0], np.ones(4096))


def test_local_values_and_abstract(mesh):
    tree = {"a": jnp.arange(4.0), "b": sharding.replicate(mesh, np.int32(3))}
    values = sharding.local_values(tree)
    assert isinstance(values["a"], np.ndarray) and values["b"].shape == ()
    np.testing.assert_array_equal(values["a"], [0, 1, 2, 3])
    shape = sharding.abstract(tree, sharding.replicated(mesh))["a"]
    assert (shape.shape, shape.dtype) == ((4,), jnp.float32)
    assert shape.sharding == sharding.replicated(mesh)


def test_distributed_start_off():
    assert sharding.distributed_start("off") is False
    assert not jax.distributed.is_initialized()


def test_distributed_start_says_what_is_wrong(monkeypatch):
    with pytest.raises(UsageError, match="config.distributed is 'on'"):
        sharding.distributed_start("on")
    monkeypatch.setenv("JAX_NUM_PROCESSES", "two")
    with pytest.raises(UsageError, match="JAX_NUM_PROCESSES is 'two'"):
        sharding.distributed_start("auto")
    monkeypatch.delenv("JAX_NUM_PROCESSES")
    jax.devices()  # too late for a job, whatever the machine
    with pytest.raises(UsageError, match="before any JAX calls") as refusal:
        sharding.distributed_start("auto")
    assert "JAX_COORDINATOR_ADDRESS" in str(refusal.value)
    assert "\n" not in str(refusal.value)
