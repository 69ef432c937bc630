"""The command: rows, files, resuming, one line for what cannot be done."""

import json

import pytest

from video_detect.job import VideoJob
from vitrail.testing.commands import call
from vitrail.testing.media import write_clip, write_picture

from .fakes import film


def detect(weights, *arguments):
    return call("video_detect", *arguments, "--weights", weights, "--engine", "eager")


def test_a_film(weights, street, tmp_path):
    outcome = detect(weights, street, "-o", tmp_path / "out")
    assert outcome.status == 0, outcome.stderr
    row = json.loads(outcome.stdout)
    assert row["status"] == "done" and row["frames"] == 12 and row["model"] == "TGBFormer"
    assert row["options"]["net"] == "both" and row["tracks"]
    names = {path.name for path in (tmp_path / "out" / "street.mp4").iterdir()}
    assert names == {
        "annotated.mp4", "coco_vid.json", "detections.csv", "detections.jsonl", "mot.txt",
        "result.json", "seqinfo.ini",
    }  # fmt: skip


def test_resume_skips_what_is_done(weights, street, tmp_path):
    detect(weights, street, "-o", tmp_path / "out")
    again = detect(weights, street, "-o", tmp_path / "out", "--resume")
    assert again.status == 0 and "1 of 1 done before" in again.stderr
    other = detect(weights, street, "-o", tmp_path / "out", "--resume", "--net", "single")
    assert "done before" not in other.stderr


def test_a_folder_of_frames_is_one_film_and_one_of_films_several(weights, street, tmp_path):
    frames, films = tmp_path / "frames", tmp_path / "films"
    frames.mkdir(), films.mkdir()
    for number, image in enumerate(film(4)):
        write_picture(frames / f"{number}.png", image)
    for name in ("a.mp4", "b.mp4"):
        (films / name).write_bytes(street.read_bytes())
    (films / "notes.txt").write_text("no film")
    outcome = detect(weights, frames, films)
    rows = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [row["frames"] for row in rows] == [4, 12, 12]
    assert "notes.txt" in outcome.stderr


def test_one_bad_film_among_good_ones(weights, street, tmp_path):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(street.read_bytes()[:900])
    outcome = detect(weights, street, bad)
    rows = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert outcome.status == 1 and [row["status"] for row in rows] == ["done", "failed"]
    assert len(outcome.stderr.splitlines()) == 1 and "bad.mp4" in outcome.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--classes", "unicorn"], "not a class"),
        (["--net", "all"], "--net"),
        (["--every", "0"], "--every"),
        (["--score", "2"], "--score"),
    ],
)
def test_unusable_calls(weights, street, arguments, problem):
    outcome = detect(weights, street, *arguments)
    assert outcome.status == 2 and outcome.stdout == ""
    assert problem in outcome.stderr and len(outcome.stderr.splitlines()) == 1


class Stopped:
    """Counts the windows that are detected while it is entered; ctrl-C after ``stop`` of them."""

    def __init__(self, stop: int | None = None):
        self.stop, self.count, self.patch = stop, 0, pytest.MonkeyPatch()

    def __enter__(self) -> "Stopped":
        detect = VideoJob._detect

        def counted(job, *arguments):
            if self.count == self.stop:
                raise KeyboardInterrupt
            self.count += 1
            return detect(job, *arguments)

        self.patch.setattr(VideoJob, "_detect", counted)
        return self

    def __exit__(self, *exception: object) -> None:
        self.patch.undo()


@pytest.mark.parametrize("options", [(), ("--online",), ("--every", "2")])
def test_a_film_that_was_stopped_is_gone_on_with(weights, tmp_path, options):
    """The same bytes in the end, without watching all of it again."""
    long, out = write_clip(tmp_path / "long.mp4", film(44), fps=10), tmp_path / "out"
    with Stopped() as whole:
        detect(weights, long, "-o", tmp_path / "whole", *options)
    with Stopped(3) as first:
        outcome = detect(weights, long, "-o", out, *options)
    assert outcome.status == 130 and not (out / "long.mp4").exists()
    (rest,) = (out / "unfinished").iterdir()
    assert len(rest.read_text().splitlines()) == 3
    with rest.open("a") as file:
        file.write('{"rows": [[')  # a line that was being written
    with Stopped(1) as second:
        detect(weights, long, "-o", out, "--resume", *options)
    with Stopped() as third:
        outcome = detect(weights, long, "-o", out, "--resume", *options)
    assert outcome.status == 0, outcome.stderr
    assert first.count + second.count + third.count == whole.count
    for name in ("detections.jsonl", "coco_vid.json", "mot.txt"):
        same = (tmp_path / "whole" / "long.mp4" / name).read_bytes()
        assert (out / "long.mp4" / name).read_bytes() == same
    assert not (out / "unfinished").exists()


def test_without_resume_a_film_is_begun_anew(weights, street, tmp_path):
    out = tmp_path / "out"
    with Stopped(1):
        detect(weights, street, "-o", out)
    other = detect(weights, street, "-o", out, "--resume", "--net", "single")
    assert other.status == 0 and '"net": "single"' in other.stdout
    with Stopped() as anew:
        detect(weights, street, "-o", out)
    assert anew.count == 4 and not (out / "unfinished").exists()
