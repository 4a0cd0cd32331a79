"""Draw walking and standing people into an MP4 video: python tools/make_video.py clip.mp4

For `python -m jaxpose.benchmark --mode=predict clip.mp4` where no real video is at hand. MPEG-4
part 2, which OpenCV writes and reads everywhere; one second is drawn, and shown forwards and
backwards.
"""

from itertools import cycle, islice
from pathlib import Path

from absl import flags
from tqdm import tqdm

from jaxpose.annotations.synthetic import video_plan
from jaxpose.annotations.synthetic_video import render
from jaxpose.errors import DataError, UsageError, run_main
from jaxpose.inference.video_writing import Mp4vFile

_SECONDS = flags.DEFINE_integer("seconds", 5, "Of the video.", lower_bound=1)
_SIZE = flags.DEFINE_list("size", ["1280", "720"], "Width,height in px, both even.")
_SEED = flags.DEFINE_integer("seed", 0, "The same seed gives the same frames.", lower_bound=0)

_RATE = 25  # frames a second


def main(argv: list[str]) -> None:
    """Draw, then write."""
    if len(argv) != 2:
        raise UsageError("give one file: python tools/make_video.py clip.mp4")
    width, height = _size(_SIZE.value)
    plan = video_plan(_SEED.value, "val", 0, _RATE, (width, height))
    drawn = [render(plan, frame)[0] for frame in tqdm(range(_RATE), unit="frame")]
    try:
        Path(argv[1]).parent.mkdir(parents=True, exist_ok=True)
        file = Mp4vFile(Path(argv[1]), width, height, _RATE)
    except OSError as error:
        raise DataError(f"{argv[1]}: cannot be written: {error.strerror or error}") from None
    to_and_fro = cycle(drawn + drawn[-2:0:-1])
    count = _RATE * _SECONDS.value
    for number, image in enumerate(islice(to_and_fro, count)):
        file.add(image, number / _RATE)
    file.close()
    people = sum(actor.annotated for actor in plan.actors)
    print(f"{argv[1]}: {count} frames, {width} x {height} px, {people} people")


def _size(values: list[str]) -> tuple[int, int]:
    if len(values) != 2 or not all(
        v.isdecimal() and int(v) > 0 and int(v) % 2 == 0 for v in values
    ):
        raise UsageError(f"--size={','.join(values)}: give width,height in px, both even")
    return int(values[0]), int(values[1])


if __name__ == "__main__":
    run_main(main)
