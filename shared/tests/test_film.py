"""Films of pictures alone: colours, times and sizes as they were given, and no file too many."""

import numpy as np
import pytest

from vitrail.errors import InputError
from vitrail.preprocess.film import Film
from vitrail.preprocess.video import open_video

GREEN = (40, 190, 70)


def written(path, *pictures):
    """The frames of a film of (image, time)."""
    with Film(path) as film:
        for image, time in pictures:
            film.add(image, time)
    with open_video(path) as film:
        return list(film.frames(range(film.frame_count)))


def plain(height, width):
    return np.full((height, width, 3), GREEN, np.uint8)


@pytest.mark.parametrize("width", [320, 1280])
def test_colours_are_those_that_were_given(tmp_path, width):
    """An untagged film is read by another standard where it is large."""
    (frame,) = written(tmp_path / "a.mp4", (plain(64, width), 0))
    assert np.abs(frame.image.astype(int) - GREEN).max() <= 4


def test_times_are_those_that_were_given_and_rise(tmp_path):
    image = plain(32, 32)
    frames = written(tmp_path / "a.mp4", *((image, time) for time in (0, 0.1, 0.1, 0.05, 0.7)))
    times = [frame.time for frame in frames]
    assert np.allclose(times, [0, 0.1, 0.1, 0.1, 0.7], atol=1e-3)
    assert times == sorted(set(times))


@pytest.mark.parametrize("size", [(64, 48), (30, 20), (128, 30), (63, 47)])
def test_a_picture_of_another_size_is_fitted_into_the_first(tmp_path, size):
    first, other = written(tmp_path / "a.mp4", (plain(63, 47), 0), (plain(*size), 1))
    assert first.image.shape == other.image.shape == (64, 48, 3)
    assert np.abs(first.image.astype(int) - GREEN).max() <= 6  # the border too
    scale = min(1, 63 / size[0], 47 / size[1])
    middle = int(scale * size[0] / 2), int(scale * size[1] / 2)
    assert np.abs(other.image[middle].astype(int) - GREEN).max() <= 6
    if max(63 - scale * size[0], 47 - scale * size[1]) > 8:
        assert other.image[58:63, 42:47].max() < 20


def test_a_film_smaller_than_the_encoder_takes(tmp_path):
    (frame,) = written(tmp_path / "a.mp4", (plain(2, 3), 0))
    assert frame.image.shape == (16, 16, 3)
    assert np.abs(frame.image.astype(int) - GREEN).max() <= 6


def test_what_was_written_before_a_stop_can_be_played(tmp_path):
    """Copied while it is written, as an interruption would leave it."""
    path, left = tmp_path / "a.mp4", tmp_path / "left.mp4"
    with Film(path) as film:
        for number in range(80):
            film.add(plain(32, 32), number / 25)
        left.write_bytes(path.read_bytes())
    with open_video(left) as film:
        assert film.frame_count >= 25


def test_without_a_picture_there_is_no_film(tmp_path):
    with Film(tmp_path / "a.mp4"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written(tmp_path):
    place = tmp_path / "no" / "a.mp4"
    with pytest.raises(InputError, match="cannot be written"), Film(place) as film:
        film.add(plain(32, 32), 0)
