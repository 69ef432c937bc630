"""A fingertip's video: where the finger is, which colour tells the pulse, and what is refused."""

import numpy as np
import pytest

from ppg_auth.signal.conditioning import choose_channel, spectral_rate
from ppg_auth.signal.fingertip import find_region, from_frames
from ppg_auth.signal.reading import read_recording
from ppg_auth.signal.windows import Preprocess
from vitrail.errors import InputError
from vitrail.testing.beside import DATA, needs
from vitrail.testing.media import write_clip

RATE, BEATS = 30, 1.2


def frames(
    seconds: float = 14,
    *,
    red=200.0,
    green=60.0,
    swing=3.0,
    covered=1.0,
    rate: int = RATE,
    side: int = 64,
):
    """A lit finger on the left ``covered`` share of the image; its brightness swings with each
    beat."""
    noise = np.random.default_rng(0).normal(0, 1, (side, side, 3))
    for number in range(int(seconds * rate)):
        beat = -swing * np.sin(2 * np.pi * BEATS * number / rate) ** 3
        image = np.full((side, side, 3), (20.0, 20.0, 20.0))
        image[:, : int(covered * side)] = (red + beat, green + beat, 15)
        yield number / rate, np.clip(image + noise, 0, 255).round().astype(np.uint8)


def test_the_pulse_is_found():
    recording = from_frames(frames())
    signal, _, _ = choose_channel(recording.values, RATE)
    assert recording.origin == "camera" and recording.names[:3] == ("r", "g", "luma")
    assert recording.seconds[0] == pytest.approx(1.0), "while the exposure settles nothing is kept"
    assert spectral_rate(signal, RATE) == pytest.approx(60 * BEATS, abs=3)


def test_a_saturated_colour_is_left_out():
    recording = from_frames(frames(red=280.0))
    assert "r" not in recording.names and "g" in recording.names


def test_the_finger_is_where_it_is_red():
    images = np.stack([image for _, image in frames(1, covered=0.5)])
    region = find_region(images)
    assert region.share == pytest.approx(0.5, abs=0.02) and region.mask[:, :32].all()


def test_black_bars_are_no_part_of_the_image():
    images = np.stack([image for _, image in frames(1)])
    images[:, :, :10] = 0
    region = find_region(images)
    assert not region.mask[:, :10].any() and region.mask[:, 10:].mean() > 0.95


def test_a_monochrome_image_gives_its_middle_tones():
    ramp = np.linspace(20, 220, 64)[None, None, :, None] + np.random.default_rng(0).normal(
        size=(5, 64, 64, 1)
    )
    region = find_region(np.repeat(ramp, 3, axis=-1).astype(np.uint8))
    columns = np.flatnonzero(region.mask.any(axis=0))
    assert 10 <= columns.min() <= 15 and 49 <= columns.max() <= 54


@pytest.mark.parametrize(
    "options, said",
    [
        ({"covered": 0.1}, "no finger"),
        ({"red": 60.0, "green": 60.0}, "no finger"),
        ({"seconds": 0.5}, "no two frames"),
    ],
)
def test_what_shows_no_finger(options, said):
    with pytest.raises(InputError, match=said):
        from_frames(frames(**options), subject="clip")


def test_a_step_of_the_exposure_is_noted():
    def stepped():
        for second, image in frames(6):
            yield second, image if second < 3 else (0.8 * image).astype(np.uint8)

    assert from_frames(stepped()).notes == ("exposure",)
    assert from_frames(frames(6)).notes == ()


def test_a_video_file_keeps_its_irregular_times(tmp_path):
    times = np.cumsum(np.random.default_rng(1).integers(20, 50, 330))
    images = [
        np.full(
            (64, 64, 3), (190 - 25 * np.sin(2 * np.pi * BEATS * time / 1000) ** 3, 50, 10)
        ).astype(np.uint8)
        for time in times
    ]
    path = write_clip(
        tmp_path / "finger.mp4", images, fps=1000, times=times.tolist(), options={"crf": "10"}
    )
    recording = read_recording(path)
    assert np.diff(recording.seconds).std() > 0.005
    windows = Preprocess()(recording)
    assert windows.heart_rate == pytest.approx(60 * BEATS, abs=3)


def test_a_video_that_takes_too_long_is_given_up(tmp_path):
    clip = write_clip(tmp_path / "pattern.mp4")
    with pytest.raises(InputError, match="takes over 0 s to decode"):
        read_recording(clip, patience=0.0)


def test_too_few_frames_a_second_are_refused():
    with pytest.raises(InputError, match="10 samples per second; at least 12"):
        Preprocess()(from_frames(frames(rate=10)))


@needs(DATA / "ppg")
def test_the_real_preview():
    """Ten frames a second, black bars at the sides, red saturated: green tells the pulse, 67.5
    beats per minute."""
    recording = read_recording(DATA / "ppg" / "fingertip" / "seeing_red_preview.gif")
    assert "r" not in recording.names and recording.names[0] == "g"
    assert recording.values[:, 0].mean() == pytest.approx(65.6, abs=2)
    assert spectral_rate(recording.values[:, 0], 10.0) == pytest.approx(67.5, abs=2)
