"""Hundreds of damaged inputs: a result or one sentence, never a traceback, never a stray file."""

import numpy as np
import pytest
import soundfile
import torch

from audio_classify.job import AudioJob
from audio_classify.writing import write
from vitrail.errors import InputError
from vitrail.testing.mutants import mutate_bytes, rows_of_mutants
from vitrail.weights.files import save

from .fakes import RATE, SMALL, hiss, small_network

VARIANTS = 200


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_damaged_variants(network, suffix, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("sys.argv", ["audio-classify"])
    good = tmp_path / f"good{suffix}"
    soundfile.write(good, hiss(0.4), RATE)
    data = good.read_bytes()
    good.unlink()
    mutants = list(mutate_bytes(data, seed=7, count=VARIANTS))
    job = AudioJob(network, engine="eager", device="cpu")
    rows_of_mutants("audio-classify", job, write, mutants, tmp_path, suffix, capfd)


def test_half_a_file_is_a_result_that_says_so(network, tmp_path):
    path = tmp_path / "half.flac"
    soundfile.write(path, hiss(4), RATE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    result = AudioJob(network, engine="eager", device="cpu").predict(path)
    assert 1 < result.seconds < 3 and result.damage


def metadata(**changes) -> dict:
    network = small_network()
    facts = {"architecture": "ssast", "config": SMALL, "labels": list(network.labels)}
    return facts | {"features": network.features.to_dict()} | changes


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": None},
        {"features": {"sample_rate": 16000}},
        {"features": {"colour": 1}},
        {"config": {"depth": 3}},
    ],
)
def test_weights_whose_description_does_not_fit(changes, tmp_path):
    from audio_classify.networks import load_network

    path = tmp_path / "a.safetensors"
    save(path, small_network().module.state_dict(), metadata(**changes), dtype=torch.float32)
    with pytest.raises(InputError):
        load_network(str(path))


def test_weights_of_another_kind(tmp_path):
    from audio_classify.networks import load_network

    path = tmp_path / "a.safetensors"
    save(path, {"conv.weight": torch.zeros(3)}, {}, dtype=torch.float32)
    with pytest.raises(InputError, match="no AST or SSAST"):
        load_network(str(path))


@pytest.mark.parametrize("kind", ["PCM_U8", "PCM_24", "ULAW", "DOUBLE"])
def test_kinds_of_samples_give_the_same_answer(network, kind, tmp_path):
    job = AudioJob(network, engine="eager", device="cpu")
    sound = np.clip(hiss(1), -0.5, 0.5)
    expected = job.predict(sound).probabilities
    path = tmp_path / "a.wav"
    soundfile.write(path, sound, RATE, subtype=kind)
    assert job.predict(path).probabilities == pytest.approx(expected, abs=0.05)
