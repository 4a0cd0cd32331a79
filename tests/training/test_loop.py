"""The loop with a toy step: lateness of metrics, non-finite policies, boundaries, stopping."""

import json
import signal
import time
import zlib
from itertools import count

import jax
import numpy as np
import pytest

from jaxpose.errors import JaxposeError, PreemptedError
from jaxpose.training.checkpoint import Checkpoints
from jaxpose.training.ledger import Ledger
from jaxpose.training.loop import Loop, Plan
from jaxpose.training.metrics import MetricWriter
from jaxpose.training.state import TrainState
from jaxpose.training.stop import StopRequest, Watchdog


def fresh_state():
    weights = {"a/kernel": np.zeros(3, np.float32)}
    return TrainState(np.zeros((), np.int32), weights, {}, (), {})


def toy_step(bad_steps=(), on_step=lambda step: None):
    """Adds the batch's number to the weights; refuses the bad steps as the real step does."""

    def step(state, batch, key):
        del key
        number = int(state.step) + 1
        on_step(number)
        finite = number not in bad_steps
        added = {"a/kernel": state.params["a/kernel"] + float(batch["number"][0])}
        params = added if finite else state.params
        loss = float(number) if finite else float("nan")
        metrics = {"loss": np.float32(loss), "finite": np.float32(finite)}
        return state._replace(step=state.step + 1, params=params), metrics

    return step


def batches(start=0):
    for number in count(start + 1):
        rows = {"number": np.full(2, number), "mask": np.ones(2)}
        yield rows | {"id": np.array([f"set/{number}#{i}" for i in range(2)], object)}


class Run:
    """One loop in a folder."""

    def __init__(
        self, folder, plan, evaluate=None, policy="stop", budget=2, best=None, **step_options
    ):
        self.folder, self.plan, self.policy, self.budget = folder, plan, policy, budget
        self.best = best
        self.evaluate, self.step_options = evaluate, step_options
        self.step = None

    def __call__(self, state=None, start=0):
        with (
            StopRequest() as stop,
            Checkpoints(self.folder / "checkpoints", 5, self.best) as self.checkpoints,
            MetricWriter(self.folder, tensorboard=False) as writer,
        ):
            loop = Loop(
                plan=self.plan,
                step=self.step or toy_step(**self.step_options),
                put=lambda host: host,
                evaluate=self.evaluate,
                checkpoints=self.checkpoints,
                writer=writer,
                stop=stop,
                key=jax.random.key(0),
                ledger=Ledger(self.folder, self.policy, self.budget),
                watchdog=Watchdog(0),
            )
            return loop.run(state or fresh_state(), start, batches(start))

    def lines(self, name="metrics.jsonl"):
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]


def test_logs_evaluates_and_saves_when_due_and_at_the_end(tmp_path):
    seen = []

    def evaluate(state, step):
        seen.append(step)
        assert int(state.step) == step
        return {"pckh": float(step)}

    run = Run(tmp_path, Plan(total=7, log_every=2, eval_every=3, save_every=5), evaluate)
    final = run()
    assert seen == [3, 6, 7] and int(final.step) == 7
    assert run.checkpoints.steps() == [3, 5, 6, 7]
    np.testing.assert_array_equal(final.params["a/kernel"], np.full(3, 28.0))
    losses = {row["step"]: row["train/loss"] for row in run.lines() if "train/loss" in row}
    assert losses == {2: 1.5, 4: 3.5, 6: 5.5, 7: 7.0}  # means since the line before
    assert {r["step"]: r["eval/pckh"] for r in run.lines() if "eval/pckh" in r} == {
        3: 3,
        6: 6,
        7: 7,
    }


def test_without_periods_everything_happens_once_at_the_end(tmp_path):
    run = Run(tmp_path, Plan(total=3, log_every=0, eval_every=0, save_every=0))
    run()
    assert run.checkpoints.steps() == [3]


def test_non_finite_loss_stops_and_names_the_records(tmp_path):
    run = Run(tmp_path, Plan(9, 1, 0, 2), bad_steps=(4,))
    with pytest.raises(JaxposeError, match="step 4.*nonfinite.jsonl"):
        run()
    (row,) = run.lines("nonfinite.jsonl")
    assert row["step"] == 4 and row["ids"] == ["set/4#0", "set/4#1"] and row["loss"] == "nan"
    assert max(run.checkpoints.steps()) < 4


def test_non_finite_loss_is_skipped_within_the_budget(tmp_path):
    run = Run(tmp_path, Plan(6, 6, 0, 0), policy="skip", bad_steps=(2, 5))
    final = run()
    np.testing.assert_array_equal(final.params["a/kernel"], np.full(3, 21.0 - 2 - 5))
    (row,) = [row for row in run.lines() if "train/loss" in row]
    assert row["skipped_steps"] == 2 and row["train/loss"] == pytest.approx((1 + 3 + 4 + 6) / 4)
    broken = Run(tmp_path / "b", Plan(9, 1, 0, 0), policy="skip", budget=1, bad_steps=(1, 2))
    (tmp_path / "b").mkdir()
    with pytest.raises(JaxposeError, match="not finite"):
        broken()


def test_metrics_are_read_late_but_none_is_lost(tmp_path):
    ledger = Ledger(tmp_path, "stop", 0)
    for step in range(1, 6):
        ledger.push(step, {"loss": np.float32(step), "finite": np.float32(1)}, [])
    assert ledger.count == 3
    ledger.drain()
    assert ledger.means() == {"loss": 3.0} and ledger.count == 0


def test_time_of_steps_in_flight_is_training_time_not_input_stall(tmp_path):
    class Slow:
        """A device value that takes a while to be read, as one still being computed."""

        def __array__(self, dtype=None, copy=None):
            time.sleep(0.05)
            return np.asarray(1.0, dtype or np.float32)

    run = Run(tmp_path, Plan(4, 1, 0, 0))
    toy = run.step_options
    toy["on_step"] = lambda number: None
    original = toy_step(**toy)

    def step(state, batch, key):
        state, metrics = original(state, batch, key)
        return state, metrics | {"loss": Slow()}

    run.step = step
    run()
    rows = [row for row in run.lines() if "images_per_second" in row]
    assert all(row["images_per_second"] < 2 / 0.04 for row in rows)
    assert all(row["input/stall_fraction"] < 0.5 for row in rows)


def test_signal_in_a_step_saves_the_finished_step_and_resumes(tmp_path):
    def on_step(number):
        if number == 3:
            signal.raise_signal(signal.SIGTERM)

    run = Run(tmp_path, Plan(6, 1, 0, 0), on_step=on_step)
    with pytest.raises(PreemptedError, match="SIGTERM; step 3 is saved"):
        run()
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        loaded = checkpoints.restore()
    assert loaded.step == 3
    kernel = loaded.arrays["params/a/kernel"]
    state = fresh_state()._replace(step=np.int32(3), params={"a/kernel": kernel})
    final = Run(tmp_path, Plan(6, 1, 0, 0))(state, 3)
    np.testing.assert_array_equal(final.params["a/kernel"], np.full(3, 21.0))


def test_signal_in_evaluation_saves_and_the_resume_makes_up_for_it(tmp_path):
    def evaluate(state, step):
        raise PreemptedError("stopped by SIGTERM during evaluation")

    run = Run(tmp_path, Plan(6, 1, 4, 0), evaluate)
    with pytest.raises(PreemptedError):
        run()
    assert run.checkpoints.steps() == [4] and run.checkpoints.metrics(4) == {}
    seen = []

    def evaluate_again(state, step):
        seen.append((step, int(state.step)))
        return {"pckh": 50.0 - step}

    state = fresh_state()._replace(step=np.int32(4))
    resumed = Run(tmp_path, Plan(6, 1, 4, 0), evaluate_again)
    resumed(state, 4)
    assert seen == [(4, 4), (6, 6)]
    assert {r["step"]: r["eval/pckh"] for r in run.lines() if "eval/pckh" in r} == {4: 46, 6: 44}
    with Checkpoints(tmp_path / "checkpoints", best_metric="pckh") as checkpoints:
        assert checkpoints.metrics(4) == {"pckh": 46.0} and checkpoints.best_step() == 4
        (tmp_path / "checkpoints/4/late_metrics.json").write_text("{torn")
    with Checkpoints(tmp_path / "checkpoints", best_metric="pckh") as checkpoints:
        assert checkpoints.metrics(4) == {} and checkpoints.best_step() == 6


def test_a_best_metric_that_no_evaluation_gives_is_said_once(tmp_path, caplog):
    run = Run(tmp_path, Plan(4, 1, 2, 0), lambda state, step: {"pck": 1.0}, best="pckh")
    with caplog.at_level("WARNING"):
        run()
    assert [record.message for record in caplog.records].count(
        "config.checkpoint.best is 'pckh', which this evaluation does not give; no step will "
        "count as best (it gives pck)"
    ) == 1


def test_logged_lines_tell_which_records_the_step_read(tmp_path):
    run = Run(tmp_path, Plan(2, 1, 0, 0))
    run()
    rows = [row["input/ids_crc32"] for row in run.lines() if "input/ids_crc32" in row]
    assert rows == [zlib.crc32(f"set/{n}#0\nset/{n}#1".encode()) for n in (1, 2)]
