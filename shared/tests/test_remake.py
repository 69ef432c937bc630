"""Films made anew: times, sound and colours stay; what was written before a stop can be played."""

import shutil
from fractions import Fraction

import av
import numpy as np
import pytest

from vitrail.errors import InputError
from vitrail.preprocess.packets import Losses, packet_blocks
from vitrail.preprocess.remake import FilmWriter
from vitrail.preprocess.video import open_video
from vitrail.testing.media import moving_pattern, pattern, write_clip

RATE = 16_000


def remade(source, target, change=lambda image: image):
    """The film with each picture changed; what it lost."""
    with open_video(source) as film, FilmWriter(target, film) as writer:
        for frame in film.frames(range(film.frame_count)):
            writer.add(change(frame.image), frame.time, 1 / film.fps)
    return writer.damage


def frames_of(path):
    with open_video(path) as film:
        return list(film.frames(range(film.frame_count)))


def write_with_sound(path, codec, *, late=0.0, early=0.0, seconds=2.0):
    """25 pictures a second that begin ``late``, and a tone that begins at ``early``, with a click
    a second after its own beginning."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"bf": "0"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream(codec, rate=RATE, layout="mono")
        for number in range(round(seconds * 25)):
            frame = av.VideoFrame.from_ndarray(pattern(64, 48, number), format="rgb24")
            frame.pts, frame.time_base = number + round(late * 25), Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        wave = np.zeros((1, round(seconds * RATE)), np.float32)
        wave[0, RATE : RATE + 800] = 0.8 * np.sin(np.arange(800) / 3)
        form = "s16" if codec == "pcm_s16le" else "fltp"
        levels = (wave * 32767).astype(np.int16) if form == "s16" else wave
        for start in range(0, wave.shape[1], 1024):
            block = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(levels[:, start : start + 1024]), format=form, layout="mono"
            )
            block.sample_rate, block.pts = RATE, start + round(early * RATE)
            block.time_base = Fraction(1, RATE)
            container.mux(sound.encode(block))
        container.mux(sound.encode(None))
    return path


def click_of(path) -> float:
    """Seconds from the first picture to the click."""
    sound = np.concatenate(list(packet_blocks(path, 0, RATE, Losses())))[:, 0]
    loud = np.flatnonzero(np.abs(sound) > 0.3)
    with av.open(str(path)) as container:
        begin = (container.start_time or 0) / av.time_base
    with open_video(path) as film:
        return loud[0] / RATE + begin - film.start


def test_times_size_and_colours_stay(tmp_path):
    ticks = [0, 1, 2, 10, 11, 30, 31, 32]
    source = write_clip(
        tmp_path / "a.mkv",
        moving_pattern(8, 320, 240),
        times=ticks,
        options={"crf": "4"},
    )
    assert remade(source, tmp_path / "b.mp4") == []
    before, after = frames_of(source), frames_of(tmp_path / "b.mp4")
    assert [frame.time for frame in after] == pytest.approx([tick / 25 for tick in ticks], abs=1e-3)
    for one, other in zip(before, after, strict=True):
        assert np.abs(one.image.astype(int) - other.image).mean() < 3
        # Another matrix than the one that is written down would shift them by 5 and more.
        assert np.abs(one.image.mean((0, 1)) - other.image.mean((0, 1))).max() < 2


@pytest.mark.parametrize(
    ("name", "codec", "said"),
    [("a.mp4", "aac", []), ("a.mkv", "flac", []), ("a.mkv", "pcm_s16le", ["pcm_s16le"])],
)
@pytest.mark.parametrize(("late", "early"), [(0.0, 0.0), (0.4, 0.0), (0.0, 0.6)])
def test_sound_stays_where_it_was(tmp_path, name, codec, said, late, early):
    source = write_with_sound(tmp_path / name, codec, late=late, early=early)
    damage = remade(source, tmp_path / "b.mp4")
    assert bool(damage) == bool(said) and all(word in damage[0] for word in said)
    assert click_of(tmp_path / "b.mp4") == pytest.approx(click_of(source), abs=0.05)
    assert click_of(source) == pytest.approx(1 + early - late, abs=0.05)


def test_one_odd_picture(tmp_path):
    source = write_clip(tmp_path / "a.mkv", [pattern(33, 19)], codec="ffv1", pixel_format="bgr0")
    (said,) = remade(source, tmp_path / "b.mp4")
    assert "33 x 19 pixels became 34 x 20" in said
    (frame,) = frames_of(tmp_path / "b.mp4")
    assert frame.image.shape == (20, 34, 3)


def test_what_is_written_can_be_played_before_the_end(tmp_path):
    source = write_clip(tmp_path / "a.mp4", moving_pattern(100))
    target, copy = tmp_path / "b.mp4", tmp_path / "copy.mp4"
    with open_video(source) as film, FilmWriter(target, film) as writer:
        for frame in film.frames(range(100)):
            writer.add(frame.image, frame.time, 0.04)
        shutil.copy(target, copy)  # as it lies there after a kill
    assert 25 <= len(frames_of(copy)) < 100
    with (
        pytest.raises(KeyboardInterrupt),
        open_video(source) as film,
        FilmWriter(target, film) as writer,
    ):
        for frame in film.frames(range(10)):
            writer.add(frame.image, frame.time, 0.04)
        raise KeyboardInterrupt
    assert len(frames_of(target)) == 10


def test_a_place_that_cannot_be_written(tmp_path):
    source = write_clip(tmp_path / "a.mp4", moving_pattern(2))
    with pytest.raises(InputError, match="cannot be written"):
        remade(source, tmp_path / "none" / "b.mp4")
