"""One exception per exit code, and the `main` wrapper that turns them into one line and a code.

Exit codes: 0 ok, 1 some inputs failed, 2 usage, 3 data, 4 checkpoint, 75 preempted and saved.
"""

import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from absl import app, flags, logging

_DEBUG = flags.DEFINE_bool("debug", False, "Show the full traceback of an error.")


class JaxposeError(Exception):
    """Base of the errors that a user can act on: the message says what, where and what to do."""

    exit_code = 1


class SomeInputsFailedError(JaxposeError):
    """Work was done, but one or more inputs could not be processed."""

    exit_code = 1


class UsageError(JaxposeError):
    """The command line or the configuration is wrong."""

    exit_code = 2


class DataError(JaxposeError):
    """A data set, record, image or annotation file is missing or damaged."""

    exit_code = 3


class CheckpointError(JaxposeError):
    """A checkpoint or its directory is missing, damaged, locked or of another model."""

    exit_code = 4


class PreemptedError(JaxposeError):
    """A signal asked the run to stop; its state was saved and the same command resumes it."""

    exit_code = 75


def _usage_exit(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(UsageError.exit_code)


def _parse_flags(argv: Sequence[str]) -> list[str]:
    try:
        return flags.FLAGS(list(argv))
    except SystemExit:  # --help and its kin leave with 1, which means here that inputs failed
        sys.exit(0)
    except JaxposeError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except (
        flags.Error,
        AttributeError,
        KeyError,
        ImportError,
        OSError,
        TypeError,
        ValueError,
    ) as e:
        if "--debug" in argv:
            raise
        _usage_exit(f"{_one_line(e)} (see --help)")


def _one_line(error: Exception) -> str:
    """The message; ml_collections wraps one that begins with the name of a field in a KeyError."""
    inner = error.args[0] if error.args and isinstance(error.args[0], KeyError) else error
    if not isinstance(inner, KeyError) or not inner.args:
        return " ".join(str(inner).split())
    field, _, hint = str(inner.args[0]).partition("\n")
    return " ".join(f"the config has no field {field}. {hint}".split())


def run_main(main: Callable[[list[str]], object]) -> NoReturn:
    """Run an absl `main(argv)` and exit with the code of the error it ends in.

    An error of this module prints as one line on stderr; any other exception too, unless `--debug`
    is given, in which case the traceback is shown.
    """

    def guarded(argv: list[str]) -> int:
        # Libraries narrate at INFO; what a user must know is printed or a warning.
        logging.set_verbosity(logging.INFO if _DEBUG.value else logging.WARNING)
        try:
            main(argv)
        except JaxposeError as error:
            if _DEBUG.value:
                traceback.print_exc()
            sys.stdout.flush()
            print(f"error: {error}", file=sys.stderr)
            return error.exit_code
        except KeyboardInterrupt:
            return 130
        except Exception as error:
            if _DEBUG.value:
                traceback.print_exc()
            sys.stdout.flush()
            kind = type(error).__name__
            print(f"error: unexpected {kind}: {error} (--debug shows where)", file=sys.stderr)
            return 1
        return 0

    app.run(guarded, flags_parser=_parse_flags)
    raise AssertionError("absl.app.run always exits")
