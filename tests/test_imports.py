"""The import direction of the house, read off the syntax trees."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "jaxpose"
# Arrows point to the left only: a module may import its own rank's folder and lower ranks.
RANKS = {
    "errors": 0, "skeletons": 0, "limbs": 0, "drawing": 0, "drawing_labels": 0, "drawing_people": 0,
    "config": 0, "defaults": 0, "defaults_bottom_up": 0, "defaults_common": 0,
    "ops": 1, "annotations": 1,
    "models": 2, "evaluation": 2,
    "tasks": 3,
    "training": 4, "data": 4,
    "zoo": 5,
    "inference": 6,
    "pipelines": 7,
    "train": 8, "evaluate": 8, "predict": 8, "benchmark": 8,
}  # fmt: skip
VERBS = {name for name, rank in RANKS.items() if rank == 8}


def _modules():
    return sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def _part(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "jaxpose":
                yield from ((f"jaxpose.{alias.name}", node) for alias in node.names)
            else:
                yield node.module, node


def _violation(own, imported):
    if imported in VERBS:
        return "nothing imports a verb"
    if own == imported:
        return None
    if RANKS[imported] < RANKS[own] or (RANKS[own] == RANKS[imported] == 0):
        return None
    return f"{own} (rank {RANKS[own]}) imports {imported} (rank {RANKS[imported]})"


@pytest.mark.parametrize("path", _modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_left(path):
    assert _part(path) in RANKS, f"{path}: a new folder needs a rank"
    for name, _ in _imports(path):
        if not name.startswith("jaxpose."):
            continue
        imported = name.split(".")[1]
        assert (why := _violation(_part(path), imported)) is None, f"{path}: {why}"


def test_the_rule_bites():
    assert _violation("ops", "models") and _violation("training", "data")
    assert _violation("data", "training") and _violation("pipelines", "train")
    assert _violation("tasks", "ops") is None


@pytest.mark.parametrize("path", _modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_tensorflow_only_below_data(path):
    names = {name.split(".")[0] for name, _ in _imports(path)}
    if {"tensorflow", "tensorflow_datasets"} & names:
        assert _part(path) == "data" and path.name not in ("__init__.py", "shards.py"), path


def test_files_and_functions_stay_short():
    root, modules = PACKAGE.parent, _modules()
    tests = sorted((root / "tests").rglob("*.py"))
    commands = sorted([*root.glob("configs/*.py"), *root.glob("tools/*.py")])
    assert Path(__file__) in tests
    assert {path.parent.name for path in commands} == {"configs", "tools"}
    for path in modules + tests + commands:
        assert len(path.read_text().splitlines()) <= 250, f"{path}: over 250 lines"
    for path in modules:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 80, f"{path}:{node.name}: over 80 lines"


def test_nothing_runs_foreign_code():
    for path in _modules() + sorted((PACKAGE.parent / "tools").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                call = ast.unparse(node.func)
                assert call not in ("eval", "exec", "yaml.load"), f"{path}: {call}"
                arguments = {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert call != "torch.load" or arguments.get("weights_only") == "True", path
                unsafe = [k for k in node.keywords if k.arg == "allow_pickle"]
                assert all(k.value.value is False for k in unsafe), path
        assert "pickle" not in {name.split(".")[0] for name, _ in _imports(path)}, path


def test_importing_jaxpose_is_light():
    code = (
        "import sys, jaxpose; print([m for m in ('jax','numpy','tensorflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
