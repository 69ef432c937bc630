"""Hundreds of damaged inputs: a result or one sentence, never a traceback, never a stray file."""

from pathlib import Path

import pytest

from deepfake_detect.job import DeepfakeJob, Options
from deepfake_detect.writing import write
from vitrail.testing.commands import call
from vitrail.testing.media import write_clip, write_picture, write_sound
from vitrail.testing.mutants import mutate_bytes, rows_of_mutants

VARIANTS = 200


@pytest.fixture(scope="module")
def small_inputs(tmp_path_factory) -> dict[str, bytes]:
    """A small good input of each format that the command reads."""
    folder = tmp_path_factory.mktemp("good")
    clips = [write_clip(folder / f"clip{suffix}") for suffix in (".mp4", ".mkv")]
    pictures = [write_picture(folder / f"picture{suffix}") for suffix in (".jpg", ".png", ".webp")]
    return {path.suffix: path.read_bytes() for path in (*clips, *pictures)}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".jpg", ".png", ".webp"])
def test_damaged_variants(networks, finder, small_inputs, suffix, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("sys.argv", ["deepfake-detect"])
    mutants = list(mutate_bytes(small_inputs[suffix], seed=7, count=VARIANTS))
    job = DeepfakeJob(networks, finder, Options(frames=3), engine="eager", device="cpu")
    rows = rows_of_mutants("deepfake-detect", job, write, mutants, tmp_path, suffix, capfd)
    assert all(row["verdict"] == "UNDECIDED" for row in rows if row["status"] == "done")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--frames", "0"], "neither a number"),
        (["--frames", "many"], "neither a number"),
        (["--threshold", "2"], "threshold"),
        (["--rate", "0"], "rate"),
        (["--net", "neither"], "net"),
        (["--net", "cascade", "--weights", "ed"], "needs ed and vae"),
        (["--net", "cascade", "--scoring", "official"], "official scoring needs"),
        (["--net", "vae", "--weights", "ed"], "holds ed"),
        (["--weights", "ed", "--weights", "ed"], "two weights files"),
    ],
)
def test_unusable_calls(portrait, arguments, problem):
    outcome = call("deepfake_detect", portrait, *arguments)
    assert outcome.status == 2 and outcome.stdout == ""
    assert problem in outcome.stderr and len(outcome.stderr.splitlines()) == 1


def test_a_face_detector_file_that_is_none(portrait, tmp_path):
    wrong = tmp_path / "detector.onnx"
    wrong.write_bytes(b"no model")
    outcome = call("deepfake_detect", portrait, "--face-detector", wrong)
    assert outcome.status == 1 and len(outcome.stderr.splitlines()) == 1


def test_an_audio_file_is_named_as_such(tmp_path):
    path = write_sound(tmp_path / "song.mp4")
    outcome = call("deepfake_detect", path)
    assert outcome.status == 1 and "holds sound only" in outcome.stderr


def test_a_disk_that_is_full_leaves_nothing(portrait, tmp_path, monkeypatch):
    def full(self, *_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    outcome = call("deepfake_detect", portrait, "--frames", "2", "-o", tmp_path / "out")
    assert outcome.status == 1 and "space" in outcome.stderr.lower()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
