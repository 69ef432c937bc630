"""Damaged films and weights: a result or one sentence, never a traceback, never a stray file."""

import json
from dataclasses import asdict
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from video_detect import load
from video_detect.writing import write
from vitrail.errors import InputError
from vitrail.testing.commands import call
from vitrail.testing.media import write_clip, write_picture, write_sound
from vitrail.testing.mutants import mutate_bytes, rows_of_mutants
from vitrail.weights.files import save

from .fakes import CONFIG, film, save_tiny, tiny_model

VARIANTS = 200


@pytest.fixture(scope="module")
def small_inputs(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("good")
    clips = [write_clip(folder / f"clip{suffix}", film(3), fps=5) for suffix in (".mp4", ".mkv")]
    pictures = [write_picture(folder / f"picture{suffix}", film(1)[0]) for suffix in
                (".jpg", ".png")]  # fmt: skip
    return {path.suffix: path.read_bytes() for path in (*clips, *pictures)}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".jpg", ".png"])
def test_damaged_variants(weights, small_inputs, suffix, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("sys.argv", ["video-detect"])
    mutants = list(mutate_bytes(small_inputs[suffix], seed=5, count=VARIANTS))
    job = load(str(weights), engine="eager", device="cpu")
    rows = rows_of_mutants("video-detect", job, write, mutants, tmp_path, suffix, capfd)
    for row in rows:
        if row["status"] == "done" and suffix in (".mp4", ".mkv") and row["frames"] != 3:
            # A damaged index may well declare one frame and hold one.
            assert row["damage"] or row["frames"] >= decoded(Path(row["source"])), row


def decoded(path: Path) -> int:
    """How many frames FFmpeg itself finds."""
    count = 0
    try:
        with av.open(str(path)) as container:
            for _ in container.decode(video=0):
                count += 1
    except av.error.FFmpegError:
        pass
    return count


def test_a_file_of_sound_is_named_as_such(weights, tmp_path):
    path = write_sound(tmp_path / "song.mp4")
    outcome = call("video_detect", path, "--weights", weights)
    assert outcome.status == 1 and "holds sound only" in outcome.stderr


def test_a_disk_that_is_full_leaves_nothing(weights, street, tmp_path, monkeypatch):
    def full(self, *_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    outcome = call("video_detect", street, "--weights", weights, "--engine", "eager",
                   "-o", tmp_path / "out")  # fmt: skip
    assert outcome.status == 1 and "space" in outcome.stderr.lower()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_arrays_that_are_no_film(weights):
    job = load(str(weights), engine="eager")
    for wrong in (
        np.zeros((4, 4), np.uint8),
        np.zeros((2, 8, 8, 3)),
        np.zeros((0, 8, 8, 3), np.uint8),
    ):
        with pytest.raises(InputError, match="array"):
            job.predict(wrong)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 50, b"<!DOCTYPE html>", b"version https://git-lfs.github.com/spec/v1\n"],
)
def test_files_that_are_no_weights(street, tmp_path, content):
    wrong = tmp_path / "weights.safetensors"
    wrong.write_bytes(content)
    outcome = call("video_detect", street, "--weights", wrong)
    assert outcome.status == 1 and len(outcome.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": ["car"]},
        {"architecture": "another"},
        {"config": {**asdict(CONFIG), "colour": 3}},
        {"side": "wide"},
        {"stage": None, "labels": None},
    ],
)
def test_weights_whose_facts_do_not_fit(street, tmp_path, changes):
    wrong = save_tiny(tmp_path / "wrong.safetensors", **changes)
    outcome = call("video_detect", street, "--weights", wrong, "--engine", "eager")
    assert outcome.status == 1 and len(outcome.stderr.splitlines()) == 1, outcome.stderr
    assert "unexpected" not in outcome.stderr


def test_weights_that_lack_a_part_or_hold_no_number(street, tmp_path):
    good = save_tiny(tmp_path / "good.safetensors")
    from vitrail.weights.files import read_state

    metadata = read_state(good)[1]
    state = tiny_model().state_dict()
    key = "decoder.enc_class.weight"
    for name, changed in (
        ("missing", {k: v for k, v in state.items() if k != key}),
        ("nan", state | {key: torch.full_like(state[key], torch.nan)}),
    ):
        path = tmp_path / f"{name}.safetensors"
        if name == "nan":
            with pytest.raises(InputError, match="NaN"):
                save(path, changed, metadata)
            save_file(changed, path, {"vitrail": json.dumps(metadata)})
        else:
            save(path, changed, metadata)
        outcome = call("video_detect", street, "--weights", path, "--engine", "eager")
        assert outcome.status == 1 and len(outcome.stderr.splitlines()) == 1
        assert ("missing" if name == "missing" else "NaN") in outcome.stderr
