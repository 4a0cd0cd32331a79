"""Top-down beside bottom-up on one page: python tools/compare_systems.py --output=comparison.html

--top_down=FILE --bottom_up=FILE are the scores.json of `jaxpose.evaluate --pose=...`, of both
systems on the same split: the page shows their AP by column and joint. With --detector, --pose and
--bottom_up_network (checkpoints) it also measures frames a second of both in one run, as the number
of people in a frame grows from 1 to 50. Writes the page, and a JSON file of the figures beside it.
"""

from pathlib import Path
from typing import Any

from absl import flags

from jaxpose.annotations.json_files import load_json, write_json
from jaxpose.errors import DataError, UsageError, run_main

_OUTPUT = flags.DEFINE_string("output", "comparison.html", "Page that is written.")
_SCORES = {
    "top_down": flags.DEFINE_string("top_down", None, "scores.json of the top-down system."),
    "bottom_up": flags.DEFINE_string("bottom_up", None, "scores.json of the bottom-up one."),
}
_NETWORKS = {
    "detector": flags.DEFINE_string("detector", None, "Checkpoint of the person detector."),
    "pose": flags.DEFINE_string("pose", None, "Checkpoint of the top-down pose network."),
    "bottom_up_network": flags.DEFINE_string("bottom_up_network", None, "Checkpoint of the other."),
}
_PEOPLE = flags.DEFINE_list("people", ["1", "2", "5", "10", "20", "50"], "People of a frame.")
_SIZE = flags.DEFINE_list("size", ["1280", "720"], "Width and height of the frames, px.")
_FRAMES = flags.DEFINE_integer("frames", 8, "Frames of a pass.", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Passes over each number of people.", lower_bound=1)


def main(argv: list[str]) -> None:
    """Read, measure, write."""
    if len(argv) > 1:
        raise UsageError(f"unexpected {argv[1:]} (see --help)")
    files, networks = _all_or_none(_SCORES), _all_or_none(_NETWORKS)
    if not files and not networks:
        raise UsageError("nothing to compare: give --top_down and --bottom_up, or three networks")
    from jaxpose.pipelines.comparison_page import comparison_page
    from jaxpose.pipelines.system_protocol import machine

    scores = {name: _scores_of(file) for name, file in files.items()}
    speeds = _measured(networks) if networks else []
    page = comparison_page(scores.get("top_down"), scores.get("bottom_up"), speeds, machine())
    output = Path(_OUTPUT.value)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--output={output}: cannot be written: {error.strerror}") from None
    rows = [row._asdict() for row in speeds]
    write_json(output.with_suffix(".json"), {"speeds": rows, "machine": machine(), **files})
    for row in speeds:
        rates = f"top-down {1 / row.top_down:.3g}, bottom-up {1 / row.bottom_up:.3g} frames/s"
        rates += f" ({row.found:.1f} found), grouping alone {1 / row.grouping:.3g} ({row.grouped})"
        print(f"{row.people:3} people: {rates}")
    print(f"{output} and {output.with_suffix('.json')} written")


def _all_or_none(holders: dict[str, Any]) -> dict[str, str]:
    given = {name: flag.value for name, flag in holders.items() if flag.value is not None}
    missing = [name for name in holders if name not in given]
    if given and missing:
        raise UsageError(f"--{missing[0]} is missing beside --{next(iter(given))}")
    return given


def _scores_of(file: str) -> dict[str, Any]:
    document = load_json(Path(file))
    protocol = document.get("protocol") if isinstance(document, dict) else None
    if not isinstance(protocol, dict) or protocol.get("kind") != "system" or "ap" not in document:
        raise DataError(
            f"{file} holds no scores of a system; it is jaxpose.evaluate that writes it"
        )
    return document


def _measured(networks: dict[str, str]) -> list[Any]:
    from jaxpose.inference.estimator import PoseEstimator
    from jaxpose.inference.restore import restore
    from jaxpose.pipelines.crowd_speed import crowd_speeds

    try:
        people, size = ([int(text) for text in flag.value] for flag in (_PEOPLE, _SIZE))
    except ValueError:
        raise UsageError("--people and --size take whole numbers") from None
    if not people or min(people) < 1 or len(size) != 2 or min(size) < 64:
        raise UsageError("--people takes numbers from 1, --size a width and a height from 64 px")
    poses = PoseEstimator.restore(False, networks["pose"])
    bottom_up = PoseEstimator.restore(pose=networks["bottom_up_network"])
    config = restore(networks["bottom_up_network"]).config
    return crowd_speeds(
        restore(networks["detector"]), poses, bottom_up, config, people,
        size=(size[0], size[1]), frames=_FRAMES.value, rounds=_ROUNDS.value,
    )  # fmt: skip


if __name__ == "__main__":
    run_main(main)
