"""Every way to run a network gives its numbers, for batches and shapes of every size."""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import vitrail.engine as engines
from vitrail.engine import ENGINES, FREE_SHAPES, MANY_ROWS, Network, ir, prepare
from vitrail.engine.output import largest_error, typical_error
from vitrail.errors import InputError, MissingError, UsageError
from vitrail.weights.catalogue import Weights

OPTIONAL = {"openvino": "openvino", "openvino-bfloat16": "openvino", "onnx": "onnxruntime"}
LOW_PRECISION = ("bfloat16", "openvino-bfloat16")


class Convolutions(nn.Module):
    """A pair and a product of two branches, so that outputs, shapes and the batch axis all
    matter."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.GELU(), nn.Conv2d(8, 8, 3)
        )
        self.head = nn.Linear(8, 2)

    def forward(self, image: Tensor) -> Tensor:
        both = self.body(torch.cat([image, 0.5 * image]))
        of_image, of_half = both.mean((2, 3)).chunk(2)
        return self.head(of_image * 3 + of_half)


class Pair(Convolutions):
    """Scores (B, 2) and the larger one's number (B,)."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        logits = super().forward(image)
        return logits, logits.argmax(1)


class Flat(nn.Module):
    """Reshapes by ``view``, which channels-last tensors do not allow."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4 * 6 * 6, 2)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.conv(image).view(image.shape[0], -1))


class Branching(Convolutions):
    """Another path for a batch of two, of the same numbers."""

    def forward(self, image: Tensor) -> Tensor:
        logits = super().forward(image)
        return logits if image.shape[0] == 2 else logits[: image.shape[0]]


class Sized(Convolutions):
    """Takes the length of the batch as a number, which a trace writes down for good."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image) + torch.zeros(len(image), 1)


class Joined(Convolutions):
    """Puts tokens before each row; a trace would put them before as many rows as it saw."""

    def forward(self, x: Tensor) -> Tensor:
        image = x.flatten(1)
        tokens = torch.zeros(1, 7).expand(len(x), -1)
        return super().forward(torch.cat([tokens, image], dim=1)[:, 7:].view(x.shape))


class RowByRow(Convolutions):
    """A loop over the batch, which no exporter follows for batches of any length."""

    def forward(self, image: Tensor) -> Tensor:
        return torch.stack([super(RowByRow, self).forward(row[None])[0] for row in image])


class Words(nn.Module):
    """Word numbers (B, n) and a scale (B, 1) in; vectors (B, 4) and the largest number (B,) out."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(10, 4)

    def forward(self, words: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        return self.table(words).mean(1) * scale, words.amax(1)


class Strange(nn.Module):
    """Decides by the values themselves."""

    def forward(self, image: Tensor) -> Tensor:
        return image * len({value.item() for value in image.flatten()})


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("VITRAIL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def network(module: nn.Module, sha256: str = "") -> Network:
    """With weights of that sum, so that it is kept; without one, so that nothing is."""
    weights = Weights("toy", Path("toy.safetensors"), sha256) if sha256 else None
    return Network("toy", lambda: module, images(2), weights)


def images(rows: int, side: int = 16) -> np.ndarray:
    return np.random.default_rng(rows).standard_normal((rows, 3, side, side), np.float32)


@torch.no_grad()
def expected(module: nn.Module, *batch: np.ndarray) -> np.ndarray | tuple[np.ndarray, ...]:
    output = module.eval()(*map(torch.from_numpy, batch))
    return output.numpy() if isinstance(output, Tensor) else tuple(part.numpy() for part in output)


def need(name: str) -> None:
    # Not imported here: the engine does it in its own way.
    if name in OPTIONAL and not find_spec(OPTIONAL[name]):
        pytest.skip(f"{name} needs {OPTIONAL[name]}")


@pytest.mark.parametrize("name", [name for name in ENGINES if name not in ("auto", "compile")])
def test_each_engine_gives_the_networks_numbers_for_any_batch(name):
    need(name)
    engine = prepare(network(Convolutions()), engine=name, device="cpu")
    for batch in (images(1), images(5), images(2), images(3, side=24)):
        output = engine(batch)
        assert isinstance(output, np.ndarray) and output.dtype == np.float32
        tolerance = 0.02 if name in LOW_PRECISION else 1e-5
        np.testing.assert_allclose(output, expected(Convolutions(), batch), atol=tolerance)
    assert (engine.name, engine.device, engine.trials) == (name, "cpu", [])


def test_a_compiled_network_gives_its_numbers():
    try:
        torch.compile(nn.Identity())(torch.ones(1))
    except Exception:
        pytest.skip("torch.compile does not work on this machine")
    module = nn.Linear(3, 2)
    engine = prepare(network(module), engine="compile", device="cpu")
    for rows in (4, 3):
        batch = np.random.default_rng(rows).standard_normal((rows, 3), np.float32)
        np.testing.assert_allclose(engine(batch), expected(module, batch), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["eager", "bfloat16", "openvino"])
def test_a_network_may_have_several_outputs(name):
    need(name)
    scores, numbers = prepare(network(Pair()), engine=name, device="cpu")(images(3))
    assert scores.dtype == np.float32 and numbers.dtype == np.int64
    np.testing.assert_allclose(scores, expected(Pair(), images(3))[0], atol=0.02)
    assert numbers.shape == (3,)


@pytest.mark.parametrize("name", ["eager", "openvino", "onnx", "auto"])
def test_a_network_may_have_several_inputs_and_whole_numbers_among_them(name):
    need(name)
    engine = prepare(network(Words()), engine=name, device="cpu")
    for rows in (2, 5, 1):
        numbers = np.random.default_rng(rows)
        batch = numbers.integers(0, 10, (rows, 3)), numbers.random((rows, 1), np.float32)
        vectors, largest = engine(*batch)
        np.testing.assert_allclose(vectors, expected(Words(), *batch)[0], atol=1e-5)
        assert largest.dtype == np.int64 and (largest == batch[0].max(1)).all()


def test_an_output_stays_as_it_is_when_the_next_batch_comes():
    for name in ("eager", "openvino"):
        need(name)
        engine = prepare(network(Convolutions()), engine=name, device="cpu")
        first = engine(images(3))
        kept = first.copy()
        engine(2 * images(3))
        np.testing.assert_array_equal(first, kept)


def test_a_batch_may_lie_in_memory_in_any_order():
    batch = np.asfortranarray(images(3))[:, :, ::-1]
    for name in ("eager", "openvino"):
        need(name)
        output = prepare(network(Convolutions()), engine=name, device="cpu")(batch)
        wanted = expected(Convolutions(), np.ascontiguousarray(batch))
        np.testing.assert_allclose(output, wanted, atol=1e-5)


def test_a_network_that_cannot_run_channels_last_runs_as_it_is():
    batch = images(3, side=8)
    output = prepare(network(Flat()), engine="eager", device="cpu")(batch)
    np.testing.assert_allclose(output, expected(Flat(), batch), atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "exports", "rows"),
    [(Branching, 0, None), (Sized, 1, None), (Joined, 1, None), (RowByRow, 1, 2)],
    ids=["traced", "exported", "exported, tokens joined", "exported for two rows"],
)
def test_a_network_that_computes_with_the_length_of_a_batch_is_converted_another_way(
    monkeypatch, kind, exports, rows
):
    need("openvino")
    exported, lengths = [], []
    export, compile_ir = ir._exported, ir.compile_ir

    def compiled(model, precision):
        first = model.input(0).partial_shape[0]
        lengths.append(first.get_length() if first.is_static else None)
        return compile_ir(model, precision)

    monkeypatch.setattr(ir, "_exported", lambda *a: exported.append(1) or export(*a))
    monkeypatch.setattr(ir, "compile_ir", compiled)
    engine = prepare(network(kind()), engine="openvino", device="cpu")
    for count in (2, 5, 1):
        batch = images(count)
        np.testing.assert_allclose(engine(batch), expected(Convolutions(), batch), atol=1e-5)
    assert (len(exported), lengths[-1]) == (exports, rows)


def test_an_engine_puts_the_network_into_evaluation_mode():
    module = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.9)).train()
    engine = prepare(network(module), engine="eager", device="cpu")
    batch = np.ones((4, 3), np.float32)
    assert np.array_equal(engine(batch), engine(batch)) and not module.training


def test_weights_that_do_not_fit_are_named_in_the_reason_of_the_source_that_met_them():
    def build():
        raise InputError("/somewhere/own.safetensors", "does not fit", "use another")

    engine = prepare(Network("toy", build, images(2), None), engine="eager", device="cpu")
    with pytest.raises(InputError) as caught:
        engine(images(1))
    assert caught.value.reason == "the weights in own.safetensors: does not fit; use another"


def test_a_module_is_built_once_and_only_when_it_must_compute():
    built = []
    made = Network("toy", lambda: built.append(1) or Convolutions(), images(2), None)
    engine = prepare(made, engine="eager", device="cpu")
    assert not built
    engine(images(2)), engine(images(2, side=20))
    assert built == [1]


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_missing_library_is_named_with_the_way_to_install_it(monkeypatch, name):
    for library in ("openvino", "onnx", "onnxruntime"):
        monkeypatch.setitem(sys.modules, library, None)
    remedy = r"vitrail\[onnx\]" if name == "onnx" else "vitrail again"
    with pytest.raises(MissingError, match=rf"is not installed; install {remedy}"):
        prepare(network(Convolutions()), engine=name, device="cpu")(images(2))


@pytest.mark.parametrize("name", ["openvino", "onnx"])
def test_a_network_that_an_engine_cannot_run_is_told_in_one_line(name, capfd):
    need(name)
    with pytest.raises(
        UsageError, match=rf"{name}: cannot run this network \(\w+\); use --engine eager"
    ):
        prepare(network(Strange()), engine=name, device="cpu")(images(2, side=2))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"engine": "opnvino"}, "did you mean openvino"),
        ({"engine": "zzz"}, "one of auto, eager"),
        ({"device": "tpu"}, "one of auto, cpu, cuda"),
        ({"engine": "onnx", "device": "cuda"}, "runs on the CPU only"),
    ],
)
def test_names_that_are_none_are_refused(options, words):
    with pytest.raises(UsageError, match=words):
        prepare(network(Convolutions()), **options)


def test_a_missing_gpu_is_told(monkeypatch):
    monkeypatch.setattr(engines, "cuda_devices", lambda: 0)
    with pytest.raises(MissingError, match="use --device cpu"):
        prepare(network(Convolutions()), device="cuda")
    assert prepare(network(Convolutions())).device == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", ["eager", "bfloat16", "auto"])
def test_a_gpu_gives_the_networks_numbers(name):
    engine = prepare(network(Convolutions()), engine=name, device="cuda")
    for rows in (5, 1):
        batch = images(rows)
        np.testing.assert_allclose(engine(batch), expected(Convolutions(), batch), atol=0.02)


def test_a_rare_shape_runs_eagerly_until_many_rows_have_come(monkeypatch):
    need("openvino")
    converted = []
    convert = ir.convert
    monkeypatch.setattr(
        ir,
        "convert",
        lambda network, sample, run: converted.append(1) or convert(network, sample, run),
    )
    engine = prepare(network(Convolutions(), "0" * 64), engine="openvino", device="cpu")
    for number in range(FREE_SHAPES):
        engine(images(1, side=12 + 4 * number))
    assert (engine.name, len(converted)) == ("openvino", FREE_SHAPES)
    rare = images(4, side=40)
    for count in range(4, MANY_ROWS + 12, 4):
        np.testing.assert_allclose(engine(rare), expected(Convolutions(), rare), atol=1e-5)
        assert len(converted) == FREE_SHAPES + (count >= MANY_ROWS)
        assert engine.name == ("openvino" if count >= MANY_ROWS else "openvino+eager")
    again = prepare(network(Convolutions(), "0" * 64), engine="openvino", device="cpu")
    for side in (10, 8, 14, 18, 40):  # the last is a fifth shape, and lies in the cache
        again(images(1, side=side))
    assert (again.name, len(converted)) == ("openvino", FREE_SHAPES + 5)


def test_errors_are_the_largest_of_all_outputs_and_shapes_must_be_equal():
    one, other = np.array([1.0, -2.0]), np.array([1.5, -4.0])
    assert largest_error(one, other) == 2.0
    assert largest_error(one, other, relative=True) == 0.5
    assert largest_error((one, one), (one, other)) == 2.0
    assert np.isnan(largest_error(np.array([np.nan, 0.0]), np.zeros(2)))
    for output, reference in ((one, one[:1]), ((one,), (one, one))):
        with pytest.raises(ValueError):
            largest_error(output, reference)


def test_two_of_one_rank_may_change_places_where_a_network_ranks():
    ranked = np.stack([np.arange(9.0), np.arange(9.0)])
    swapped = ranked.copy()
    swapped[1, [3, 4]] = swapped[1, [4, 3]]
    assert (largest_error(swapped, ranked), typical_error(swapped, ranked)) == (1.0, 0.0)
    wrong = ranked + np.array([[0.0], [2.0]])  # in one row, as a trace of a fixed length is
    assert typical_error((ranked, wrong), (ranked, ranked)) == 2.0
    assert typical_error(wrong, ranked, relative=True) == 0.25
    assert np.isnan(typical_error(np.full((1, 2), np.nan), np.zeros((1, 2))))
    with pytest.raises(ValueError):
        typical_error(ranked, ranked[:1])
