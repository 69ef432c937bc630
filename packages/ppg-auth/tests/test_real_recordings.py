"""What is wrong with real recordings, and must not show in what is made of them."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from made_people import RATE, pulse

from ppg_auth.signal.conditioning import choose_channel
from ppg_auth.signal.reading import read_recording
from ppg_auth.signal.recording import Recording, as_recording
from ppg_auth.signal.timeline import measured_rate, regularise
from ppg_auth.signal.windows import Preprocess
from vitrail.testing.beside import DATA, needs

PPG = DATA / "ppg"
MARKS = [pytest.mark.data, pytest.mark.skipif(not PPG.is_dir(), reason=f"{PPG} is not here")]


def made_and(name: str) -> pytest.MarkDecorator:
    """A made recording, which is always here, and one of the data set."""
    real = pytest.param(lambda: read_recording(PPG / "nr2_ufpr" / name), marks=MARKS, id=name)
    return pytest.mark.parametrize("read", [pytest.param(made, id="made"), real])


def made() -> Recording:
    """A minute of a sensor of ten bits."""
    wave = 500 + 40 * pulse(np.random.default_rng(3), 60.0)
    return as_recording(wave.round(), RATE)


def phone(number: str):
    return read_recording(PPG / "welltory" / f"rec{number}_ppg.csv")


def strap_rate(number: str) -> float:
    """Beats per minute by the chest strap that was worn at the same time."""
    intervals = np.loadtxt(PPG / "welltory" / f"rec{number}_rr.txt")
    return float(60_000 / np.median(intervals))


@needs(PPG)
@pytest.mark.parametrize("number", ["04", "08", "10", "11", "14", "20"])
def test_the_heart_rate_is_that_of_the_chest_strap(number):
    assert Preprocess()(phone(number)).heart_rate == pytest.approx(strap_rate(number), abs=4)


@needs(PPG)
def test_irregular_frames_are_taken_at_their_own_times():
    """Recording 19 has 26 frames a second on average, and one gap of 613 ms."""
    recording = phone("19")
    assert np.diff(recording.seconds).max() > 0.6
    parts = regularise(recording, 25.0)
    assert len(parts) > 1, "nothing is made up across the gap"
    assert Preprocess()(recording).heart_rate == pytest.approx(strap_rate("19"), abs=4)


@needs(PPG)
def test_a_saturated_colour_is_not_the_pulse():
    """Red is 255 throughout recording 20, where green works."""
    (part,) = regularise(phone("20"), 25.0)
    chosen, _, _ = choose_channel(part.values, part.rate)
    assert part.values[:, 0].min() > 254.9 and np.ptp(chosen) > 1


@needs(PPG)
def test_a_colour_that_is_black_does_not_disturb():
    """Green is 0 throughout recording 13."""
    recording = phone("13")
    assert not recording.values[:, 1].any()
    assert np.isfinite(Preprocess()(recording).pulse).all()


@made_and("s04_sitting_b.csv")
def test_either_polarity_gives_the_same_pulse(read):
    recording = read()
    turned = Preprocess()(replace(recording, values=1023 - recording.values))
    assert np.allclose(turned.pulse, Preprocess()(recording).pulse, atol=1e-6)


@needs(PPG)
def test_the_backlog_at_the_start_does_not_change_the_rate():
    with (PPG / "nr2_ufpr.csv").open(newline="") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    for name in ("s01_sitting_a", "s01_sitting_b", "s09_sitting_a"):
        recording, row = (
            read_recording(PPG / "nr2_ufpr" / f"{name}.csv"),
            rows[f"nr2_ufpr/{name}.csv"],
        )
        assert measured_rate(recording.seconds) == pytest.approx(
            float(row["body_rate_hz"]), rel=0.01
        )
        assert len(recording.seconds) / recording.seconds[-1] > 1.02 * float(row["body_rate_hz"])


@made_and("s04_sitting_a.csv")
def test_a_lifted_finger_costs_windows_not_the_recording(read):
    recording = read()
    values, middle = recording.values.copy(), len(recording.values) // 2
    length = int(7 * measured_rate(recording.seconds))
    values[middle : middle + length] = 2.0
    windows = Preprocess()(replace(recording, values=values))
    lifted = recording.seconds[[middle, middle + length - 1]]
    inside = (windows.starts + 5 > lifted[0] + 1) & (windows.starts < lifted[1] - 1)
    assert windows.good.mean() > 0.5 and inside.sum() >= 3 and not windows.good[inside].any()


@made_and("s04_sitting_a.csv")
def test_a_sensor_that_cannot_follow_is_told(read):
    recording = read()
    limits = np.quantile(recording.values, 0.8, axis=0)
    windows = Preprocess()(replace(recording, values=np.minimum(recording.values, limits)))
    assert not windows.good.any() and all("clipped" in reasons for reasons in windows.reasons)
