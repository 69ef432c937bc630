"""Damaged films: coloured as far as they go, which is told, or refused; never a file left over."""

import numpy as np
import pytest

pytest.importorskip("av", reason="needs vitrail-image-colorize[video]")
import av

from image_colorize.film.job import FilmJob
from image_colorize.hints import Hint, HintFile
from vitrail.errors import MAX_LINE, InputError
from vitrail.runner import solve
from vitrail.sources import Source
from vitrail.testing.media import pattern, write_clip
from vitrail.testing.mutants import mutate_bytes

FRAMES = 4
HINTS = HintFile((Hint(0.3, 0.4, (180, 70, 60), time=0.05),))


@pytest.fixture
def outcomes(small_job, tmp_path):
    """What came of films given as bytes: their results; and how many were refused."""
    (tmp_path / "hints.json").write_text(HINTS.to_json())
    out = tmp_path / "out"
    films = FilmJob(small_job, lambda source: out / "made.mp4", overwrite=True)

    def outcomes(variants, suffix):
        done, refused = [], 0
        for data in variants:
            path = tmp_path / f"film{suffix}"
            path.write_bytes(data)
            source = Source(str(path), (path, tmp_path / "hints.json"))
            try:
                result = solve(films.networks, films.process(source))
            except InputError as error:
                refused += 1
                assert len(str(error)) <= MAX_LINE and "\n" not in str(error)
            else:
                done.append(result)
                # A reader that nobody here wrote finds the frames that the row tells.
                assert decoded(result.written) == result.frames
                assert result.damage or result.frames >= min(FRAMES, decoded(path))
            left = {one.name for one in out.iterdir()} if out.exists() else set()
            assert left <= {"made.mp4"}, left
        return done, refused

    return outcomes


def decoded(path) -> int:
    """How many frames FFmpeg itself finds."""
    count = 0
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            for _ in container.decode(video=0):
                count += 1
    except (av.error.FFmpegError, IndexError):  # the second: no pictures at all
        pass
    return count


def film(path, flags: str = "") -> bytes:
    frames = [np.repeat(pattern(48, 32, seed=n)[..., :1], 3, axis=2) for n in range(FRAMES)]
    options = {"movflags": flags} if flags else {}
    return write_clip(path, frames, container_options=options).read_bytes()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_mutants_of_a_film(outcomes, suffix, tmp_path):
    good = film(tmp_path / f"good{suffix}")
    done, refused = outcomes(mutate_bytes(good, seed=9, count=200), suffix)
    assert done and refused


@pytest.mark.parametrize("flags", ["", "faststart"])
def test_a_film_that_is_cut(outcomes, flags, tmp_path):
    """At 20 points, its index in front or at the end."""
    good = film(tmp_path / "good.mp4", flags)
    assert (good.index(b"moov") < good.index(b"mdat")) == bool(flags)
    done, refused = outcomes((good[: len(good) * n // 21] for n in range(1, 21)), ".mp4")
    assert refused and (bool(done) or not flags)
    assert all(result.damage for result in done)
