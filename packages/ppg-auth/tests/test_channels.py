"""The pulse is told by its column's name, never by how clean its rhythm is."""

from pathlib import Path

import numpy as np
import pytest
from made_people import RATE, Shape, pulse

from ppg_auth.signal.channels import is_other, pulse_columns
from ppg_auth.signal.reading import read_recording
from ppg_auth.signal.windows import Preprocess
from vitrail.errors import InputError

SECONDS = np.arange(int(25 * RATE)) / RATE
WAVE = pulse(np.random.default_rng(1), 25.0, Shape())
NOISE = np.random.default_rng(2).normal(size=len(WAVE))
STEPS = np.sin(2 * np.pi * 1.9 * SECONDS) + 0.3 * np.sin(2 * np.pi * 3.8 * SECONDS)


def write(path: Path, **columns: np.ndarray) -> Path:
    lines = [",".join(["t_s", *columns])]
    for row in zip(SECONDS, *columns.values(), strict=True):
        lines.append(",".join(f"{value:.4f}" for value in row))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    "names, taken",
    [
        ("PLETH|RESP|V|AVR|II", "PLETH"),  # WFDB and BIDMC
        ("II|Pleth [NU]|ABP", "Pleth [NU]"),
        ("pleth_1|pleth_2|a_x|a_y|a_z|g_x|g_y|g_z|ecg|lc_1|temp_1", "pleth_1|pleth_2"),
        ("ppg0|ppg1|ppg2|ambient", "ppg0|ppg1|ppg2"),  # Polar
        ("phone timestamp|channel 0|channel 1|channel 2|ambient", "channel 0|channel 1|channel 2"),
        ("bvp|eda|temp|acc_x|acc_y|acc_z|hr|ibi", "bvp"),  # Empatica
        ("red|ir|green|temperature|bpm|spo2", "red|ir|green"),  # MAX3010x
        ("ir_value|red_value", "ir_value|red_value"),
        (
            "timestamp_unix_cal|ppg_a13_cal|ppgtohr|gsr_skin_conductance_cal",
            "ppg_a13_cal",
        ),  # Shimmer
        ("r|g|b|luma|gyro_z", "r|g|b|luma"),
        ("pulse|accelerometer", "pulse"),
        ("value|acc_x", "value"),
        ("value", "value"),
        ("ppg(mV)|force", "ppg(mV)"),
    ],
)
def test_vocabulary(names, taken):
    columns = names.split("|")
    found = pulse_columns("file", columns, None, range(len(columns)))
    assert [columns[index] for index in found] == taken.split("|")


@pytest.mark.parametrize(
    "names, said",
    [
        ("acc_z", "names no pulse signal among acc_z; .*--channel"),
        ("ecg|gyro_x|temp", "no pulse signal among ecg, gyro_x, temp"),
        ("value|signal", "no pulse signal among value, signal"),
        ("ppg_quality|ppg_hr|pulse_rate", "no pulse signal"),
        ("x|y|z", "no pulse signal among x, y, z"),
        ("finger_ppg|wrist_ppg", "several pulses: finger_ppg, wrist_ppg; .*--channel"),
        ("ppg|bvp", "several pulses: ppg, bvp"),
        ("|", "2 columns without names; .*--channel"),
    ],
)
def test_what_is_not_clear_is_refused(names, said):
    columns = names.split("|")
    with pytest.raises(InputError, match=said) as caught:
        pulse_columns("file", columns, None, range(len(columns)))
    assert len(str(caught.value)) <= 200


def test_the_user_says_which():
    assert pulse_columns("file", ["finger_ppg", "wrist_ppg"], " Wrist_PPG", [0, 1]) == [1]
    assert pulse_columns("file", ["", "", ""], "3", range(3)) == [2]
    with pytest.raises(InputError, match="no column 'nose'; --channel names one of a, b"):
        pulse_columns("file", ["a", "b"], "nose", [0, 1])


def test_many_long_names_still_make_one_line():
    with pytest.raises(InputError) as caught:
        pulse_columns("file", [f"{number} {'x' * 300}" for number in range(200)], None, range(200))
    assert len(str(caught.value)) <= 200 and "194 more" in str(caught.value)


def test_steps_are_never_the_pulse(tmp_path):
    """Walking has a cleaner rhythm than the pulse beside it."""
    path = write(tmp_path / "walk.csv", ppg=500 + 40 * WAVE + 15 * NOISE, acc_z=1000 + 200 * STEPS)
    recording = read_recording(path)
    assert recording.names == ("ppg",)
    assert np.allclose(recording.values[:, 0], 500 + 40 * WAVE + 15 * NOISE, atol=1e-3)
    with pytest.raises(InputError, match="no pulse signal among acc_z"):
        read_recording(write(tmp_path / "steps.csv", acc_z=STEPS))


def test_colours_of_one_sensor_are_chosen_by_quality_and_told(tmp_path):
    noise = np.random.default_rng(3).normal(size=len(WAVE))
    for scale in (1.0, 1e-3):  # counts and volts
        path = write(
            tmp_path / "max.csv", red=scale * (800 + 30 * NOISE), ir=scale * (900 + 40 * WAVE),
            green=scale * (300 + 30 * noise), acc_x=STEPS,
        )  # fmt: skip
        recording = read_recording(path)
        assert recording.names == ("red", "ir", "green") and recording.origin == "sensor"
        assert Preprocess()(recording).channels == ("ir",)
    red = read_recording(path, channel="RED")
    assert red.names == ("red",) and red.origin == "sensor", "an infrared stands beside it"
    assert Preprocess()(red).channels == ("red",)


def test_columns_without_names_go_by_their_numbers(tmp_path):
    np.save(tmp_path / "two.npy", np.stack([STEPS, WAVE], axis=1))
    with pytest.raises(InputError, match="2 columns without names"):
        read_recording(tmp_path / "two.npy", RATE)
    recording = read_recording(tmp_path / "two.npy", RATE, channel="2")
    assert recording.names == ("2",) and np.allclose(recording.values[:, 0], WAVE)


def test_letters_of_axes_are_no_colours():
    assert all(map(is_other, ("g_x", "a_y", "z", "II", "t", "Accel X", "ACC")))
    assert not any(map(is_other, ("g", "red", "PPG_V", "Pleth [NU]", "value")))
