"""Every way to run a network gives its numbers, and auto keeps only what agrees."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import vitrail.engine.choice as choice
from vitrail.cache import cache_folder
from vitrail.engine import ENGINES, prepare
from vitrail.engine.backends import Backends
from vitrail.errors import MissingError, UsageError

OPTIONAL = {"openvino": "openvino", "openvino-bfloat16": "openvino", "onnx": "onnxruntime"}
LOW_PRECISION = ("bfloat16", "openvino-bfloat16")
KEY = "0" * 64


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
    """Computes with the length of the batch in a way that no exporter follows."""

    def forward(self, image: Tensor) -> Tensor:
        return (
            super().forward(image)
            if image.shape[0] == 2
            else super().forward(image)[: image.shape[0]]
        )


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("VITRAIL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def images(rows: int, side: int = 16) -> Tensor:
    return torch.randn(rows, 3, side, side, generator=torch.Generator().manual_seed(rows))


@torch.no_grad()
def expected(module: nn.Module, batch: Tensor) -> Tensor:
    return module.eval()(batch)


def need(name: str) -> None:
    if name in OPTIONAL and not find_spec(
        OPTIONAL[name]
    ):  # not imported here: the engine does it in its own way
        pytest.skip(f"{name} needs {OPTIONAL[name]}")


def hide(monkeypatch, *libraries: str) -> None:
    """Makes libraries absent, as far as imports and versions tell."""
    for library in libraries:
        for module in [name for name in sys.modules if name.split(".")[0] == library]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, library, None)
    version = choice._version
    monkeypatch.setattr(
        choice, "_version", lambda name: None if name in libraries else version(name)
    )


@pytest.fixture
def timed(monkeypatch):
    """Gives each way the seconds that a test says, in place of a clock."""

    def use(**seconds: float) -> None:
        clock = {name.replace("_", "-"): value for name, value in seconds.items()}
        measure, build, names = choice._measure, Backends.build, {}

        def named_build(self, name):
            run = build(self, name)
            names[run] = name
            return run

        monkeypatch.setattr(Backends, "build", named_build)
        monkeypatch.setattr(
            choice, "_measure", lambda run, rows: (measure(run, rows)[0], clock[names[run]])
        )

    return use


# By name


@pytest.mark.parametrize("name", [name for name in ENGINES if name not in ("auto", "compile")])
def test_each_engine_gives_the_networks_numbers_for_any_batch(name):
    need(name)
    module = Convolutions()
    engine = prepare(module, engine=name, device="cpu")
    for batch in (images(1), images(5), images(2), images(3, side=24)):
        output = engine(batch)
        assert output.dtype == torch.float32 and not output.requires_grad
        tolerance = 0.02 if name in LOW_PRECISION else 1e-5
        torch.testing.assert_close(output, expected(Convolutions(), batch), rtol=0, atol=tolerance)
    assert (engine.name, engine.device, engine.trials) == (name, "cpu", [])


def test_a_compiled_network_gives_its_numbers():
    try:
        torch.compile(nn.Identity())(torch.ones(1))
    except Exception:
        pytest.skip("torch.compile does not work on this machine")
    module = nn.Linear(3, 2)
    engine = prepare(module, engine="compile", device="cpu")
    for rows in (4, 3):
        batch = torch.randn(rows, 3)
        torch.testing.assert_close(engine(batch), expected(module, batch))


@pytest.mark.parametrize("name", ["eager", "bfloat16", "openvino"])
def test_a_network_may_have_several_outputs(name):
    need(name)
    scores, numbers = prepare(Pair(), engine=name, device="cpu")(images(3))
    assert scores.dtype == torch.float32 and numbers.dtype == torch.int64
    torch.testing.assert_close(scores, expected(Pair(), images(3))[0], rtol=0, atol=0.02)
    assert numbers.shape == (3,)


def test_a_network_that_cannot_run_channels_last_runs_as_it_is():
    batch = torch.randn(3, 3, 8, 8)
    torch.testing.assert_close(
        prepare(Flat(), engine="eager", device="cpu")(batch), expected(Flat(), batch)
    )


def test_openvino_runs_a_network_that_computes_with_the_length_of_the_batch():
    need("openvino")
    engine = prepare(Branching(), engine="openvino", device="cpu")
    for rows in (2, 5, 1):
        torch.testing.assert_close(
            engine(images(rows)), expected(Branching(), images(rows)), rtol=0, atol=1e-5
        )


def test_an_engine_puts_the_network_into_evaluation_mode():
    module = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.9)).train()
    engine, batch = prepare(module, engine="eager", device="cpu"), torch.randn(4, 3)
    assert torch.equal(engine(batch), engine(batch)) and not module.training


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_missing_library_is_named_with_the_way_to_install_it(monkeypatch, name):
    hide(monkeypatch, "openvino", "onnx", "onnxruntime")
    with pytest.raises(MissingError, match=r"is not installed; install vitrail\[(onnx|openvino)\]"):
        prepare(Convolutions(), engine=name, device="cpu")(images(2))


@pytest.mark.parametrize("name", ["openvino", "onnx"])
def test_a_network_that_an_engine_cannot_run_is_told_in_one_line(name, capfd):
    need(name)

    class Strange(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image * len({value.item() for value in image.flatten()})

    with pytest.raises(
        UsageError, match=rf"{name}: cannot run this network \(\w+\); use --engine eager"
    ):
        prepare(Strange(), engine=name, device="cpu")(images(2, side=2))
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
        prepare(Convolutions(), **options)


def test_a_missing_gpu_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MissingError, match="use --device cpu"):
        prepare(Convolutions(), device="cuda")
    assert prepare(Convolutions()).device == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", ["eager", "bfloat16", "auto"])
def test_a_gpu_gives_the_networks_numbers(name):
    engine = prepare(Convolutions(), engine=name, device="cuda")
    for rows in (5, 1):
        output = engine(images(rows))
        assert output.device.type == "cpu"
        torch.testing.assert_close(
            output, expected(Convolutions(), images(rows)), rtol=0, atol=0.02
        )


# Auto


def test_auto_keeps_the_fastest_way_that_agrees(timed, monkeypatch):
    need("openvino")
    monkeypatch.setattr(choice, "EXPORT_PAYS", 0)
    timed(eager=1.0, bfloat16=0.1, openvino=0.3, openvino_bfloat16=0.2)
    engine = prepare(Convolutions(), device="cpu", tolerance=1e-5)
    torch.testing.assert_close(
        engine(images(5)), expected(Convolutions(), images(5)), rtol=0, atol=1e-5
    )
    trials = {trial.name: trial for trial in engine.trials}
    assert engine.name == "openvino"
    assert [trial.name for trial in engine.trials if trial.accepted] == ["eager", "openvino"]
    assert trials["bfloat16"].error > 1e-5 and trials["bfloat16"].seconds == 0.1
    assert trials["onnx"].note == "OpenVINO does the same"


def test_auto_keeps_eager_where_little_is_to_be_gained(timed):
    timed(eager=0.010, bfloat16=0.0095)
    engine = prepare(Convolutions(), device="cpu")
    engine(images(4))
    assert engine.name == "eager"


def test_auto_does_not_export_a_quick_network(timed):
    timed(eager=0.004, bfloat16=0.001)
    engine = prepare(Convolutions(), device="cpu")
    engine(images(4))
    notes = {trial.name: trial.note for trial in engine.trials}
    assert notes == {"eager": "", "bfloat16": ""} | dict.fromkeys(
        OPTIONAL, "eager takes under 30 ms a row"
    )
    assert engine.name == "bfloat16"


def test_auto_passes_over_what_is_not_installed_and_says_so(timed, monkeypatch):
    hide(monkeypatch, "openvino", "onnx", "onnxruntime")
    timed(eager=1.0, bfloat16=0.5)
    engine = prepare(Convolutions(), device="cpu")
    engine(images(4))
    notes = {trial.name: trial.note for trial in engine.trials if trial.note}
    assert notes == {
        "openvino": "openvino is not installed",
        "openvino-bfloat16": "openvino is not installed",
    } | {"onnx": "onnx is not installed"}


def test_auto_refuses_a_way_that_gives_nan_or_fails(timed, monkeypatch):
    class Unstable(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x / (0 if torch.is_autocast_enabled("cpu") else 1) * 0

    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if torch.is_autocast_enabled("cpu"):
                raise RuntimeError("not\nin bfloat16")
            return x

    timed(eager=0.001, bfloat16=0.0001)
    for module, note in (
        (Unstable(), "gives NaN or infinity"),
        (Broken(), "RuntimeError: not\\nin bfloat16"),
    ):
        engine = prepare(module, device="cpu")
        engine(images(2))
        assert (
            engine.name == "eager"
            and engine.trials[1].note == note
            and not engine.trials[1].accepted
        )


def test_auto_never_compiles(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("torch.compile takes minutes")

    monkeypatch.setattr(torch, "compile", refuse)
    prepare(Convolutions(), device="cpu")(images(2))


# What is remembered


def test_a_decision_is_made_once(timed, monkeypatch, cache):
    timed(eager=0.004, bfloat16=0.001)
    first = prepare(Convolutions(), device="cpu", key=KEY)
    first(images(4))
    monkeypatch.setattr(choice, "_measure", lambda *_: pytest.fail("measured again"))
    second = prepare(Convolutions(), device="cpu", key=KEY)
    second(images(3))
    assert (second.name, second.trials) == (first.name, first.trials) == ("bfloat16", first.trials)
    assert [path.name for path in cache.rglob("*.json")] == ["choice.json"]


def test_without_a_key_nothing_is_kept(cache):
    prepare(Convolutions(), device="cpu")(images(2))
    assert not cache.exists()


def test_without_a_home_nothing_is_kept(monkeypatch):
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    for variable in ("VITRAIL_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(MissingError, match="name a folder in VITRAIL_CACHE"):
        cache_folder("weights")
    assert prepare(Convolutions(), device="cpu", key=KEY)(images(2)).shape == (2, 2)


@pytest.mark.parametrize("change", ["key", "shape", "network", "threads", "tolerance"])
def test_a_decision_holds_only_for_what_it_was_made_for(timed, cache, change):
    timed(eager=0.004, bfloat16=0.001)
    prepare(Convolutions(), device="cpu", key=KEY)(images(4))
    kept = [path.read_bytes() for path in cache.rglob("choice.json")]
    threads = torch.get_num_threads()
    try:
        if change == "threads":
            torch.set_num_threads(threads + 1)
        module = (
            nn.Sequential(Convolutions(), nn.Linear(2, 2))
            if change == "network"
            else Convolutions()
        )
        key, tolerance = (
            "1" * 64 if change == "key" else KEY,
            0.5 if change == "tolerance" else 0.02,
        )
        prepare(module, device="cpu", key=key, tolerance=tolerance)(
            images(4, 20 if change == "shape" else 16)
        )
    finally:
        torch.set_num_threads(threads)
    now = [path.read_bytes() for path in cache.rglob("choice.json")]
    assert len(now) == (1 if change == "tolerance" else 2) and now != kept


@pytest.mark.parametrize(
    "content",
    ["", "[]", "[" * 100_000, '{"name": "eager"}', '{"name": "zzz", "tolerance": 0.02, "trials": []}',
     '{"name": "auto", "tolerance": 0.02, "trials": []}', "\0\xff"],
)  # fmt: skip
def test_a_damaged_decision_is_made_again(timed, cache, content):
    timed(eager=0.004, bfloat16=0.001)
    prepare(Convolutions(), device="cpu", key=KEY)(images(4))
    (path,) = cache.rglob("choice.json")
    path.write_text(content, encoding="latin-1")
    engine = prepare(Convolutions(), device="cpu", key=KEY)
    engine(images(4))
    assert engine.name == "bfloat16" and json.loads(path.read_text())["name"] == "bfloat16"


def test_a_kept_conversion_is_used_and_a_damaged_one_is_made_again(timed, monkeypatch, cache):
    need("openvino")
    monkeypatch.setattr(choice, "EXPORT_PAYS", 0)
    timed(eager=1.0, bfloat16=0.5, openvino=0.1, openvino_bfloat16=0.2)

    def engine_name(*, exports: int) -> str:
        exported = []
        export = torch.export.export
        with monkeypatch.context() as patch:
            patch.setattr(
                torch.export, "export", lambda *a, **k: exported.append(1) or export(*a, **k)
            )
            engine = prepare(Convolutions(), device="cpu", key=KEY)
            torch.testing.assert_close(
                engine(images(4)), expected(Convolutions(), images(4)), rtol=0, atol=1e-5
            )
        assert len(exported) == exports
        return engine.name

    assert engine_name(exports=1) == engine_name(exports=0) == "openvino"
    (numbers,), (graph,) = cache.rglob("network.bin"), cache.rglob("network.xml")
    content = bytearray(numbers.read_bytes())
    content[3] ^= 0x40  # the exponent of a weight
    numbers.write_bytes(content)
    assert engine_name(exports=1) == engine_name(exports=0) == "openvino"
    graph.write_text("<net")
    assert engine_name(exports=1) == "openvino"


def test_a_cache_that_cannot_be_written_does_not_stop_the_work(timed, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VITRAIL_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(choice, "EXPORT_PAYS", 0)
    timed(eager=1.0, bfloat16=0.5, openvino=0.1, openvino_bfloat16=0.2, onnx=0.3)
    engine = prepare(Convolutions(), device="cpu", key=KEY)
    torch.testing.assert_close(
        engine(images(4)), expected(Convolutions(), images(4)), rtol=0, atol=0.02
    )
    assert engine.name != "eager"


SILENT = """
import socket, sys
socket.socket.connect = lambda *_: sys.exit("called home")
import torch
from vitrail.engine import prepare
prepare(torch.nn.Linear(2, 2), engine="openvino", device="cpu")(torch.ones(2, 2))
assert sys.modules["openvino_telemetry"] is None
"""


def test_openvino_is_kept_from_calling_home():
    need("openvino")
    finished = subprocess.run([sys.executable, "-c", SILENT], capture_output=True, text=True)
    assert (finished.returncode, finished.stderr) == (0, "")
