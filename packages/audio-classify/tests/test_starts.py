"""The stem that begins with what others learned: the same numbers as the released networks."""

import numpy as np
import pytest
import torch

pytest.importorskip("lightning")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnxruntime

from audio_classify.models import build_model
from audio_classify.training import starts
from vitrail.errors import InputError, MissingError, UsageError
from vitrail.preprocess.filterbank import filterbank

from .fakes import RATE, hiss

SIZES = {"embed_dim": 16, "depth": 1, "num_heads": 1, "num_classes": 2, "num_frames": 112}
SPEECH = SIZES | {"stem": "speech", "patch": (128, 8), "stride": (128, 8)}


def released(name: str) -> "onnxruntime.InferenceSession":
    try:
        path = starts.find_wheel(name)
    except MissingError as error:
        pytest.skip(str(error))
    return onnxruntime.InferenceSession(path.read_bytes())


@pytest.fixture(scope="module")
def stem():
    released("embedding_model.onnx")
    model = build_model("ssast", SPEECH).eval()
    starts.start_stem(model)
    return model.trunk.patch_embed


def test_the_speech_stem_is_the_embedding(stem):
    bands = np.random.default_rng(0).uniform(-1, 4, (3, 76, 32, 1)).astype(np.float32)
    (expected,) = released("embedding_model.onnx").run(None, {"input_1": bands})
    with torch.inference_mode():
        ours = stem.features(torch.from_numpy(bands).permute(0, 3, 1, 2))
    assert np.allclose(ours.numpy().reshape(3, 96), expected.reshape(3, 96), atol=1e-3)


def test_our_bands_folded_are_about_those_of_the_embedding(stem):
    sound = hiss(4)
    (expected,) = released("melspectrogram.onnx").run(None, {"input": 32767 * sound[None]})
    energies = torch.from_numpy(filterbank(sound, RATE)).exp()
    ours = (energies @ stem.fold.T).log10().numpy() + 2 * np.log10(32767)
    expected = expected.squeeze() / 10
    difference = ours[: len(expected)] - expected[: len(ours)]
    # In powers of ten, over time, since the frames do not begin at the same samples; the lowest
    # bands, below 300 Hz, are too narrow for ours.
    assert np.abs(difference.mean(0)[8:]).max() < 0.1


def test_a_start_needs_its_stem():
    with pytest.raises(UsageError, match="starts the stem speech"):
        starts.start_stem(build_model("ssast", SIZES))


def test_another_file_than_the_released_one(monkeypatch):
    released("embedding_model.onnx")
    monkeypatch.setitem(starts.FILES, "embedding_model.onnx", "0" * 64)
    with pytest.raises(InputError, match="another file than the released one"):
        starts.read_tensors("embedding_model.onnx")


def test_without_the_wheel(monkeypatch):
    monkeypatch.setattr(starts, "WHEEL", "no_such_module")
    with pytest.raises(MissingError, match="install no_such_module"):
        starts.find_wheel("embedding_model.onnx")
