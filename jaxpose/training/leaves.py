"""Trees of arrays <-> flat dicts keyed by path, the form in which checkpoints hold them."""

from collections.abc import Mapping
from typing import Any, TypeVar

import jax
import numpy as np

from jaxpose.errors import CheckpointError

Tree = TypeVar("Tree")
_MAX_LISTED = 10


def flatten_tree(tree: Any) -> dict[str, Any]:
    """Return {path: leaf}; paths such as 'opt_state/0/nu/stem/conv/kernel', in tree order.

    Dict keys, field names of NamedTuples and positions are joined by '/'. Raises ValueError when
    two leaves would get the same path.
    """
    flat: dict[str, Any] = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if name in flat:
            raise ValueError(f"two leaves of the tree have the path {name!r}")
        flat[name] = leaf
    return flat


def unflatten_like(template: Tree, flat: Mapping[str, np.ndarray], where: str = "") -> Tree:
    """Return a tree of the template's structure (NamedTuples included) with the leaves of `flat`.

    The template's leaves need only `shape` and `dtype` (arrays or jax.ShapeDtypeStruct). `where`
    names the checkpoint in the error. Raises one CheckpointError that lists all missing,
    unexpected and differently shaped or typed leaves.
    """
    expected = flatten_tree(template)
    problems = compare_leaves(expected, flat)
    unexpected = [name for name in flat if name not in expected]
    problems += [f"{name}: not part of this model or optimizer" for name in unexpected]
    if problems:
        raise CheckpointError(
            f"checkpoint {where or 'arrays'} does not fit this configuration: {listed(problems)}; "
            "use the configuration it was trained with, or --config.init_from to take its weights"
        )
    structure = jax.tree_util.tree_structure(template)
    return jax.tree_util.tree_unflatten(structure, [flat[name] for name in expected])


def compare_leaves(
    expected: Mapping[str, Any], found: Mapping[str, np.ndarray], check_dtype: bool = True
) -> list[str]:
    """Return one phrase per expected leaf that is missing or of another shape (or dtype)."""
    problems = []
    for name, wanted in expected.items():
        if name not in found:
            problems.append(f"{name}: missing")
        elif tuple(found[name].shape) != tuple(wanted.shape):
            problems.append(
                f"{name}: shape {tuple(found[name].shape)}, expected {tuple(wanted.shape)}"
            )
        elif check_dtype and found[name].dtype != wanted.dtype:
            problems.append(f"{name}: dtype {found[name].dtype}, expected {wanted.dtype}")
    return problems


def listed(problems: list[str]) -> str:
    """Join phrases into one line, the first ten in full and the rest as a count."""
    more = len(problems) - _MAX_LISTED
    text = "; ".join(problems[:_MAX_LISTED])
    return f"{text}; and {more} more" if more > 0 else text
