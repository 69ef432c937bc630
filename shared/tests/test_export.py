"""An ONNX file is written only where it gives PyTorch's numbers for batches of any length."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import vitrail.export as export
from vitrail.errors import InputError, MissingError, UsageError
from vitrail.export import export_onnx

onnxruntime = pytest.importorskip("onnxruntime", exc_type=ImportError)
pytest.importorskip("onnxscript", exc_type=ImportError)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.conv(image).mean((2, 3)))


class ByLength(Network):
    """Its numbers depend on the length of the batch."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image) * (2.0 if image.shape[0] == 2 else 3.0)


class Words(nn.Module):
    """Word numbers in, two outputs out."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(10, 4)

    def forward(self, words: Tensor) -> tuple[Tensor, Tensor]:
        vectors = self.table(words)
        return vectors.mean(1), 1000 * vectors.sum((1, 2))


class Pair(Network):
    """Two images in: the difference of their logits."""

    def forward(self, before: Tensor, after: Tensor) -> Tensor:
        return super().forward(after) - super().forward(before)


def images(rows: int) -> np.ndarray:
    return np.random.default_rng(rows).random((rows, 3, 8, 8), np.float32)


@torch.no_grad()
def expected(module: nn.Module, *batch: np.ndarray) -> list[np.ndarray]:
    outputs = module.eval()(*map(torch.from_numpy, batch))
    return [part.numpy() for part in (outputs if isinstance(outputs, tuple) else (outputs,))]


def inputs_and_outputs(path: Path, *batch: np.ndarray) -> tuple[list, list]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    sources = session.get_inputs()
    fed = {source.name: part for source, part in zip(sources, batch, strict=True)}
    return [source.shape for source in sources], session.run(None, fed)


@pytest.mark.parametrize(
    "example",
    [images(2), np.zeros((2, 3, 8, 8), np.float32), images(1)],
    ids=["range", "zeros", "one"],
)
def test_a_network_is_written_as_one_file_for_any_batch(tmp_path, example):
    path, module = tmp_path / "new" / "network.onnx", Network()
    compared = export_onnx(module, (example,), path)
    assert compared.passed and compared.error < 1e-5 and compared.name == "network.onnx"
    assert [found.name for found in tmp_path.rglob("*")] == ["new", "network.onnx"]
    for rows in (1, 3, 8):
        (shape,), (logits,) = inputs_and_outputs(path, images(rows))
        assert shape[1:] == [3, 8, 8] and isinstance(shape[0], str)
        assert str(Path(__file__).parent).encode() not in path.read_bytes(), (
            "tells where the code lies"
        )
        np.testing.assert_allclose(logits, expected(module, images(rows))[0], atol=1e-5)


def test_whole_numbers_go_in_and_several_outputs_come_out(tmp_path):
    module = Words()
    example = np.array([[1, 2, 3], [9, 0, 4]])
    assert export_onnx(module, (example,), tmp_path / "words.onnx").passed
    words = np.array([[5, 5, 7]])
    _, outputs = inputs_and_outputs(tmp_path / "words.onnx", words)
    for output, wanted in zip(outputs, expected(module, words), strict=True):
        np.testing.assert_allclose(output, wanted, rtol=1e-5)


def test_several_inputs_have_names_and_one_batch_axis(tmp_path):
    path, module = tmp_path / "pair.onnx", Pair()
    assert export_onnx(module, (images(2), images(3)[:2]), path).passed
    for rows in (1, 4):
        batch = images(rows), images(rows + 9)[:rows]
        shapes, (difference,) = inputs_and_outputs(path, *batch)
        assert shapes[0] == shapes[1] and isinstance(shapes[0][0], str)
        np.testing.assert_allclose(difference, expected(module, *batch)[0], atol=1e-5)


def test_a_file_with_other_numbers_is_refused_and_an_older_one_kept(tmp_path, monkeypatch):
    path = tmp_path / "network.onnx"
    path.write_bytes(b"older")
    write = export.write_onnx

    def write_another(module: nn.Module, sample: tuple, file: Path) -> None:
        other = Network()
        other.head.bias.data += 0.001
        write(other.eval(), sample, file)

    monkeypatch.setattr(export, "write_onnx", write_another)
    with pytest.raises(
        UsageError, match=r"does not give PyTorch's numbers \(off by 1.0e-03, allowed 1.0e-04\)"
    ):
        export_onnx(Network(), (images(2),), path)
    assert list(tmp_path.iterdir()) == [path] and path.read_bytes() == b"older"
    assert export_onnx(Network(), (images(2),), path, tolerance=0.01).error == pytest.approx(
        0.001, rel=0.01
    )


def test_a_network_that_gives_nan_is_refused(tmp_path):
    module = Network()
    module.head.bias.data[0] = float("nan")
    with pytest.raises(UsageError, match="off by nan"):
        export_onnx(module, (images(2),), tmp_path / "network.onnx")
    assert not list(tmp_path.iterdir())


def test_a_network_that_looks_at_the_length_of_the_batch_is_refused(tmp_path):
    with pytest.raises(UsageError, match="computes with the length of a batch"):
        export_onnx(ByLength(), (images(2),), tmp_path / "network.onnx")
    assert not list(tmp_path.iterdir())


def test_a_network_that_cannot_be_exported_is_told_in_one_line(tmp_path, capfd):
    class Strange(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image * len({value.item() for value in image.flatten()})

    with pytest.raises(UsageError, match=r"this network cannot be exported \(\w+\)"):
        export_onnx(Strange(), (np.ones((2, 3), np.float32),), tmp_path / "network.onnx")
    assert not list(tmp_path.iterdir()) and capfd.readouterr() == ("", "")


def test_weights_beyond_one_file_are_refused_at_once(tmp_path):
    with pytest.raises(UsageError, match="2 GiB"):
        export_onnx(
            nn.Linear(30_000, 30_000, device="meta"),
            (np.ones((2, 30_000), np.float32),),
            tmp_path / "network.onnx",
        )


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        export_onnx(Network(), (images(2),), tmp_path / "file" / "network.onnx")


@pytest.mark.parametrize("library", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_library_is_named(tmp_path, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setattr(
        export, "write_onnx", export.write_onnx if library != "onnxruntime" else lambda *_: None
    )
    with pytest.raises(
        MissingError, match=rf"{library}: this library is not installed; install vitrail\[onnx\]"
    ):
        export_onnx(Network(), (images(2),), tmp_path / "network.onnx")
    assert not list(tmp_path.iterdir())
