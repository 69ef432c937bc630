"""Films: hints on any frame, colours that do not flicker, times and sound as they were."""

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("av", reason="needs vitrail-image-colorize[video]")
import av

from image_colorize.film.carry import CUT, END, LOST
from image_colorize.film.flow import Flow, carried, small
from image_colorize.film.job import FilmJob
from image_colorize.hints import Hint, HintFile
from vitrail.errors import InputError
from vitrail.preprocess import remake
from vitrail.preprocess.video import open_video
from vitrail.runner import solve
from vitrail.sources import Source
from vitrail.testing.commands import call
from vitrail.testing.media import pattern, write_clip

RED = Hint(0.25, 0.3, (180, 70, 60))


def grey(seed: int, width: int = 96, height: int = 64) -> np.ndarray:
    """A smooth grey picture (height, width, 3) with some texture."""
    fine = np.random.default_rng(seed).normal(0, 6, (height, width))
    levels = np.clip(0.8 * pattern(width, height, seed)[..., 0] + 20 + fine, 0, 255)
    return np.dstack([levels.astype(np.uint8)] * 3)


def noisy(image: np.ndarray, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 5, (count, *image.shape[:2], 1))
    return list(np.clip(image + noise, 0, 255).astype(np.uint8))


@pytest.fixture
def colour(job, tmp_path):
    """Colours a film with hints: the result."""

    def colour(film, hints=(), **options):
        films = FilmJob(job, lambda source: tmp_path / "out" / "made.mp4", **options)
        file = tmp_path / "film.hints.json"
        file.write_text(HintFile(tuple(hints)).to_json())
        return solve(films.networks, films.process(Source(str(film), (film, file))))

    return colour


def times_of(path) -> list[float]:
    with open_video(path) as film:
        return [frame.time for frame in film.frames(range(film.frame_count))]


def test_a_still_scene_with_noise_does_not_flicker(colour, tmp_path):
    film = write_clip(tmp_path / "a.mp4", noisy(grey(0), 14), options={"crf": "8"})
    result = colour(film, [RED])
    assert result.flicker <= result.flicker_alone / 3
    assert result.cuts == 0 and result.mean_chroma > 3
    assert (result.hints[0].first, result.hints[0].last, result.hints[0].ended) == (0, 13, END)
    assert "flicker_frame_by_frame" in result.to_dict()


def test_hints_go_both_ways_but_not_across_a_cut(colour, tmp_path):
    first, second = grey(1), grey(2)
    moving = [np.roll(first, 2 * n, axis=1) for n in range(8)]
    film = write_clip(tmp_path / "a.mp4", moving + noisy(second, 6), options={"crf": "8"})
    result = colour(film, [replace(RED, time=5 / 25), replace(RED, time=10 / 25)])
    early, late = result.hints
    assert result.cuts == 1
    assert (early.frame, early.first, early.last, early.ended) == (5, 0, 7, CUT)
    assert (late.frame, late.first, late.last, late.began) == (10, 8, 13, CUT)


def test_a_point_goes_with_the_motion_or_is_lost():
    before = grey(3, 192, 108)
    after = np.roll(before, 6, axis=1)
    after[:50, :60] = 128  # covered
    motion = Flow().between(small(before), small(after))
    points = np.array([[0.5, 0.8], [0.1, 0.15], [0.99, 0.8]])
    moved, stay = carried(points, motion.forth, motion.back)
    assert stay.tolist() == [True, False, False] and not motion.cut
    np.testing.assert_allclose(moved[0], [0.5 + 6 / 192, 0.8], atol=0.01)
    assert Flow().between(small(before), small(grey(4, 192, 108))).cut
    black = np.zeros_like(small(before))
    assert Flow().between(small(before), black).cut and not Flow().between(black, black).cut


def test_a_hint_that_leaves_the_picture_is_lost(colour, tmp_path):
    wide = grey(5, 300, 64)
    film = write_clip(
        tmp_path / "a.mp4", [wide[:, 6 * n : 6 * n + 96] for n in range(12)], options={"crf": "8"}
    )
    (track,) = colour(film, [replace(RED, x=0.3, time=0.0)]).hints
    assert track.ended == LOST and track.last < 11


def test_a_variable_rate_stays(colour, tmp_path):
    ticks = [0, 1, 2, 20, 21, 50]
    film = write_clip(tmp_path / "a.mkv", noisy(grey(6), 6), times=ticks)
    result = colour(film, [replace(RED, time=0.81)])
    assert times_of(result.written) == pytest.approx([tick / 25 for tick in ticks], abs=1e-3)
    assert result.hints[0].frame == 3  # what a player shows then


def test_a_rotated_film_is_upright(colour, tmp_path):
    film = write_clip(tmp_path / "a.mp4", noisy(grey(7), 3), rotation=90)
    result = colour(film, [RED])
    assert (result.width, result.height) == (64, 96)
    with open_video(result.written) as made:
        assert (made.width, made.height, made.rotation) == (64, 96, 0)


def test_one_frame_of_odd_sides(colour, tmp_path):
    odd = {"codec": "ffv1", "pixel_format": "bgr0"}
    result = colour(write_clip(tmp_path / "a.mkv", [grey(8)[:33, :47]], **odd), [RED])
    assert result.frames == 1 and result.flicker is None
    assert any("47 x 33 pixels became 48 x 34" in one for one in result.damage)
    assert result.cells()["flicker (frame by frame)"] == ""


def test_sound_alone_is_refused(colour, tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        sound.sample_rate = 16000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match="holds sound only"):
        colour(path)
    assert list((tmp_path / "out").glob("*")) == [] if (tmp_path / "out").exists() else True


def test_broken_packets_are_told(colour, tmp_path):
    film = write_clip(tmp_path / "a.mp4", noisy(grey(9), 12), options={"g": "4", "bf": "0"})
    data = bytearray(film.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 900] = bytes(900)
    film.write_bytes(bytes(data))
    result = colour(film, [RED])
    assert 0 < result.frames < 12
    assert any(f"read {result.frames} of 12 frames" in one for one in result.damage)


def test_what_is_said_of_the_hints(colour, tmp_path, job):
    film = write_clip(tmp_path / "a.mp4", noisy(grey(10), 2))
    result = colour(film, [RED, replace(RED, time=9.0)])
    assert any("hint 2 lies behind the film's end" in one for one in result.damage)
    assert any("1 hints without a time" in one for one in result.reasons)
    with pytest.raises(InputError, match="a film takes 500"):
        colour(film, [RED] * 501)
    bright = write_clip(tmp_path / "b.mp4", [pattern(96, 64)])
    assert any("colours of its own" in one for one in colour(bright).reasons)


def test_the_same_again_and_what_is_there(colour, tmp_path):
    film = write_clip(tmp_path / "a.mp4", noisy(grey(11), 3))
    first = colour(film, [RED])
    assert colour(film, [RED]).written == first.written  # the same film: nothing to write
    before = first.written.read_bytes()
    other = replace(RED, rgb=(60, 90, 170))
    assert colour(film, [other]).written.name == "made-2.mp4"
    assert first.written.read_bytes() == before
    assert colour(film, [other], overwrite=True).written == first.written
    assert first.written.read_bytes() != before
    with pytest.raises(InputError):
        colour(tmp_path / "none.mp4")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"made.mp4", "made-2.mp4"}


def test_an_interruption_leaves_what_is_done(colour, tmp_path, monkeypatch):
    film, add = write_clip(tmp_path / "a.mp4", noisy(grey(12), 6)), remake.FilmWriter.add

    def stop(error):
        def adding(self, image, time, duration):
            if time > 0.15:
                raise error
            add(self, image, time, duration)

        monkeypatch.setattr(remake.FilmWriter, "add", adding)

    stop(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        colour(film, [RED])
    assert len(times_of(tmp_path / "out" / "made.partial.mp4")) == 4
    stop(OSError("full"))
    with pytest.raises(OSError, match="full"):
        colour(film, [RED])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["made.partial.mp4"]


def test_the_command(tmp_path):
    films = tmp_path / "films"
    films.mkdir()
    for name in ("a", "b"):
        write_clip(films / f"{name}.mp4", noisy(grey(13), 2))
    (films / "b.mp4").write_bytes(b"none")
    (films / "notes.txt").write_text("1931")
    file = HintFile((replace(RED, time=0.0),)).to_json()
    (films / "a.hints.json").write_text(file)
    outcome = call("image_colorize", "video", films, "--engine", "eager", "--json")
    rows = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert outcome.status == 1 and [row["status"] for row in rows] == ["done", "failed"]
    assert len(rows[0]["hints"]) == 1 and "notes.txt" in outcome.stderr
    made = films / "a.colorized.mp4"
    assert rows[0]["written"]["file"] == str(made) and len(times_of(made)) == 2
    assert call("image_colorize", "video", tmp_path / "none.mp4").status == 1
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "holds no film" in call("image_colorize", "video", empty).stderr


def test_films_in_a_folder_are_resumed(tmp_path):
    films, out = tmp_path / "films", tmp_path / "out"
    (films / "old").mkdir(parents=True)
    for number, name in enumerate(("a", "old/b")):
        write_clip(films / f"{name}.mp4", noisy(grey(number), 2))

    def rows(*more) -> tuple[list[dict], str]:
        outcome = call("image_colorize", "video", films, "-o", out, "--engine", "eager", *more)
        assert outcome.status == 0, outcome.stderr
        return [json.loads(line) for line in outcome.stdout.splitlines()], outcome.stderr

    first, _ = rows()
    assert [row["written"]["file"] for row in first] == ["a.colorized.mp4", "old/b.colorized.mp4"]
    kept = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert kept == first
    again, said = rows("--resume")
    assert not again and "2 of 2 done before" in said
    (films / "a.hints.json").write_text(HintFile((replace(RED, time=0.0),)).to_json())
    (row,), said = rows("--resume")  # its own film is renewed, not put beside
    assert "1 of 2 done before" in said and row["written"]["file"] == "a.colorized.mp4"
    assert {path.name for path in out.iterdir()} == {"a.colorized.mp4", "old", "results.jsonl"}
    others, _ = rows("--resume", "--upsampling", "guided")
    assert [one["options"]["upsampling"] for one in others] == ["guided", "guided"]
    assert others[0]["written"]["sha256"] != row["written"]["sha256"]
