"""Take results in a thread of its own, while the device goes on."""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from tqdm import tqdm

from jaxpose.inference.frames import Frame
from jaxpose.inference.people import FrameResult

# Frames that wait for the thread that draws and writes.
_WRITTEN_AHEAD = 4


def write_behind(
    stream: Iterable[tuple[Frame, FrameResult]],
    take: Callable[[Frame, FrameResult], None],
    total: int | None,
) -> None:
    """Call `take` with every frame and its result, in order, behind a progress bar.

    Args:
      total: number of frames, where it is known.
    """
    waiting: deque[Future[None]] = deque()
    # The pool comes last: it writes what is estimated before an error or Ctrl-C goes on.
    with (
        tqdm(total=total, unit="frame", desc="predict", mininterval=0.5) as progress,
        ThreadPoolExecutor(1) as writer,
    ):
        for one in stream:
            waiting.append(writer.submit(take, *one))
            while len(waiting) > _WRITTEN_AHEAD:
                waiting.popleft().result()
            progress.update()
        for future in waiting:
            future.result()
