"""Exit codes and one-line messages of the `main` wrapper, in a real process."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from absl import flags
from jaxpose import errors
from jaxpose.errors import run_main
flags.DEFINE_integer("number", 0, "A number.")
def main(argv):
    kind = argv[1] if len(argv) > 1 else ""
    if kind == "Interrupt":
        raise KeyboardInterrupt
    if kind == "Unexpected":
        raise ZeroDivisionError("by nothing")
    if kind:
        raise getattr(errors, kind)("what, where, what to do")
run_main(main)
"""


def run(*arguments):
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("SomeInputsFailedError", 1),
        ("UsageError", 2),
        ("DataError", 3),
        ("CheckpointError", 4),
        ("PreemptedError", 75),
    ],
)
def test_each_error_has_its_code_and_one_line(kind, code):
    done = run(kind)
    assert done.returncode == code
    assert done.stderr.strip() == "error: what, where, what to do"


def test_success_unexpected_and_usage():
    assert run().returncode == 0
    unexpected = run("Unexpected")
    assert unexpected.returncode == 1
    assert unexpected.stderr.count("\n") == 1 and "ZeroDivisionError" in unexpected.stderr
    assert "Traceback" in run("Unexpected", "--debug").stderr
    assert run("Interrupt").returncode == 130
    helped = run("--help")
    assert helped.returncode == 0 and "--number" in helped.stdout
    for wrong in ("--nonsense=1", "--number=x"):
        done = run(wrong)
        assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
