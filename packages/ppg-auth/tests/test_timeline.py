"""From arrival times to even samples: the traps of real streams."""

import numpy as np
import pytest

from ppg_auth.signal.recording import Recording
from ppg_auth.signal.timeline import measured_rate, regularise
from vitrail.errors import InputError

RATE = 64.0


def recording(seconds, values=None, **options) -> Recording:
    values = np.sin(2 * np.pi * seconds) if values is None else values
    options = {"rate_hint": None, "origin": "sensor"} | options
    return Recording(
        np.asarray(seconds, float), np.asarray(values, float).reshape(len(seconds), -1), **options
    )


def clock(seconds: float, rate: float = RATE) -> np.ndarray:
    return np.arange(int(seconds * rate)) / rate


def test_a_backlog_in_the_first_second_is_left_out():
    """300 lines come at once, as buffered serial streams deliver them."""
    seconds = np.concatenate(
        [np.sort(np.random.default_rng(0).uniform(0, 0.5, 300)), 0.5 + clock(30)]
    )
    (stretch,) = regularise(recording(seconds), 50.0)
    assert stretch.start == pytest.approx(1.0, abs=0.1)
    assert len(stretch.values) == pytest.approx(50 * 29.5, abs=10)


def test_the_rate_is_that_of_the_body():
    seconds = np.concatenate([np.zeros(400), clock(60)])
    assert measured_rate(seconds) == pytest.approx(RATE, rel=0.002)
    assert len(seconds) / seconds[-1] > 1.1 * RATE, "the whole file's average is wrong"


def test_arrival_jitter_does_not_reach_the_signal():
    true = clock(40)
    rng = np.random.default_rng(1)
    arrived = np.maximum.accumulate(np.round(true + rng.uniform(0, 0.03, len(true)), 3))
    (stretch,) = regularise(recording(arrived, np.sin(2 * np.pi * 1.3 * true)), 50.0)
    times = stretch.start + np.arange(len(stretch.values)) / 50
    wanted = np.sin(2 * np.pi * 1.3 * (times - 0.015 + arrived[0]))
    inside = slice(150, -150)
    assert np.abs(stretch.values[inside, 0] - wanted[inside]).max() < 0.03
    naive = np.interp(
        times,
        *(
            part[np.unique(arrived, return_index=True)[1]]
            for part in (arrived, np.sin(2 * np.pi * 1.3 * true))
        ),
    )
    assert np.abs(naive[inside] - wanted[inside]).max() > 0.08


def test_a_cameras_stamps_are_believed():
    rng = np.random.default_rng(2)
    seconds = np.cumsum(rng.uniform(0.015, 0.05, 900))
    (stretch,) = regularise(recording(seconds, np.sin(2 * np.pi * seconds), origin="camera"), 25.0)
    times = stretch.start + seconds[0] + np.arange(len(stretch.values)) / 25
    assert np.abs(stretch.values[:, 0] - np.sin(2 * np.pi * times)).max() < 0.02


def test_nothing_is_made_up_across_a_gap():
    seconds = clock(60)
    kept = (seconds < 20) | (seconds > 20.6)
    first, second = regularise(recording(seconds[kept]), 50.0)
    assert first.start + len(first.values) / 50 == pytest.approx(20, abs=0.1)
    assert second.start == pytest.approx(20.6, abs=0.05)


def test_samples_of_one_time_are_averaged_and_missing_ones_dropped():
    seconds = np.repeat(clock(10, 30.0), 2)
    values = np.tile([1.0, 3.0], len(seconds) // 2)
    values[40] = np.nan
    (stretch,) = regularise(recording(seconds, values, origin="camera"), 25.0)
    assert np.isfinite(stretch.values).all()
    assert np.median(stretch.values) == 2.0


def test_a_slow_source_keeps_its_own_rate():
    (stretch,) = regularise(recording(clock(20, 30.0), origin="camera"), 50.0)
    assert stretch.rate == pytest.approx(30.0, rel=0.01)


@pytest.mark.parametrize(
    "seconds, values, said",
    [
        (clock(20, 10.0), None, "10 samples per second"),
        (clock(0.5), None, "no second without a gap"),
        (np.zeros(100), np.arange(100.0), "samples per second"),
        (clock(5), np.full(320, np.nan), "fewer than two samples"),
    ],
)
def test_what_cannot_be_regularised(seconds, values, said):
    with pytest.raises(InputError, match=said):
        regularise(recording(seconds, values), 50.0)
