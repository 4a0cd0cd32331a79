"""What runs beside what: decoding, both networks, compilation. Stand-ins for the networks note when
they are called, and when somebody waits for what they found."""

import threading

import jax
import numpy as np
import pytest

from jaxpose.inference import flow, inputs, warming
from jaxpose.inference.device_clock import DeviceClock
from jaxpose.inference.flow import BatchSizes, Flow
from jaxpose.inference.frames import Frame
from jaxpose.inference.pictures import Picture
from jaxpose.inference.sources import Source
from jaxpose.inference.steps import DetectorFunctions, PoseFunctions

FRAMES, PEOPLE = 2, 4  # a batch
FOUND = np.tile(np.float32([0, 0, 5, 5, 0.9]), (2, 1))  # in each frame
SECONDS = 20.0  # more than any of this takes


class Output:
    """What a network returns: it is there when `read` has returned."""

    def __init__(self, values, read=lambda: None):
        self.values, self.read = values, read

    def copy_to_host_async(self):
        pass

    def __array__(self, dtype=None, copy=None):
        self.read()
        return self.values


@pytest.fixture
def events(monkeypatch):
    """Calls, and waits for results, in their order; uploads of pictures among them."""
    events, put = [], jax.device_put

    def device_put(array, *arguments):
        if array.dtype == np.uint8:
            events.append(("upload", len(array)))
        return put(array, *arguments)

    monkeypatch.setattr(flow.jax, "device_put", device_put)
    return events


def networks(events, wait=lambda: None):
    """A detector and a pose network; `wait` is called before boxes are there."""

    def output(name, values, wait=lambda: None):
        number = sum(event[0] == name for event in events)
        events.append((name, number))

        def read():
            wait()
            events.append((f"{name} read", number))

        return Output(values, read)

    def show(shown, canvases, valid, slots):
        events.append(("show", type(canvases)))
        return shown

    def crop(crops, canvases, *_):
        events.append(("crop", type(canvases)))
        return crops

    boxes, joints = np.stack([FOUND] * FRAMES), np.zeros((PEOPLE, 3, 3), np.float32)
    return (
        DetectorFunctions((8, 8, 3), show, lambda *_: output("detect", boxes, wait), None),
        PoseFunctions((8, 8, 3), crop, lambda *_: output("estimate", joints), None),
    )


def run(functions, frames):
    with DeviceClock() as clock:
        sizes = BatchSizes(FRAMES, PEOPLE)
        return list(Flow(*functions, sizes, lambda boxes: boxes, clock).run(frames))


def test_both_networks_have_the_next_batch_before_the_last_one_is_waited_for(events):
    frames = [Frame(str(n), np.zeros((20, 30, 3), np.uint8)) for n in range(8)]
    done = run(networks(events), frames)
    assert [len(frame.joints) for frame in done] == [2] * 8
    for name in ("detect", "estimate"):
        for number in range(3):
            assert events.index((name, number + 1)) < events.index((f"{name} read", number))
    # And the pose network starts while frames are still looked at.
    assert events.index(("estimate", 0)) < events.index(("detect", 3))


def test_a_batch_of_frames_goes_to_the_device_once_and_one_array_comes_back_of_each_network(events):
    frames = [Frame(str(n), np.zeros((20, 30, 3), np.uint8)) for n in range(8)]
    run(networks(events), frames)
    assert [event for event in events if event[0] == "upload"] == [("upload", FRAMES)] * 4
    kinds = [kind for name, kind in events if name in ("show", "crop")]
    assert kinds and all(issubclass(kind, jax.Array) for kind in kinds)
    for name in ("detect", "estimate"):
        assert [number for event, number in events if event == f"{name} read"] == [0, 1, 2, 3]


def test_pictures_are_decoded_while_the_device_is_busy(events, monkeypatch, tmp_path):
    """Picture 5 waits until the device is waited for, and that wait lasts until it is decoded."""
    busy, decoded, in_time = threading.Event(), threading.Event(), []

    def read_picture(path):
        if path.name == "5":
            in_time.append(busy.wait(SECONDS))
            decoded.set()
        return Picture(np.zeros((20, 30, 3), np.uint8), "")

    def wait():
        busy.set()
        in_time.append(decoded.wait(SECONDS))

    monkeypatch.setattr(inputs, "read_picture", read_picture)
    sources = [Source(tmp_path / str(n), str(n), False, tmp_path) for n in range(8)]
    assert len(run(networks(events, wait), inputs.Inputs(sources))) == 8
    assert len(in_time) == 5 and all(in_time)


def test_the_networks_compile_beside_each_other():
    both = threading.Barrier(2)

    def network(*_):
        both.wait(SECONDS)  # raises where the other one does not come
        return np.zeros(1)

    detector, pose = networks([])
    warming.compile_networks(
        detector._replace(detect=network), pose._replace(estimate=network), BatchSizes(2, 3)
    )
    assert not both.broken
