"""Train a network: `python -m jaxpose.train --config=configs/quickstart.py [--workdir=DIR]`."""

from absl import flags

from jaxpose.config import define_config_flag, loaded_config
from jaxpose.errors import UsageError, run_main

_CONFIG = define_config_flag()
flags.declare_key_flag("config")
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Checkpoints and metrics; runs/<config name> without it."
)


def main(argv: list[str]) -> None:
    """Flags -> one call."""
    from jaxpose.pipelines.train import train

    if len(argv) > 1:
        raise UsageError(f"unexpected argument {argv[1]!r}; flags start with --")
    config, name = loaded_config(_CONFIG)
    train(config, _WORKDIR.value or f"runs/{name}")


if __name__ == "__main__":
    run_main(main)
