"""``auto`` keeps the cheapest way that agrees with eager, and remembers it."""

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import vitrail.engine.choice as choice
import vitrail.engine.store as store
from vitrail.cache import cache_folder
from vitrail.engine import Network, Trial, devices, ir, prepare
from vitrail.engine.backends import Backends
from vitrail.errors import MissingError
from vitrail.weights.catalogue import Weights

SHA256 = "0" * 64
CODE = "vitrail.errors"  # any module stands for the architecture's
OPENVINO = {"openvino": 0.001, "openvino_bfloat16": 0.002}


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.conv(image).mean((2, 3)))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("VITRAIL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(choice, "has_bfloat16", lambda: True)
    return tmp_path / "cache"


@pytest.fixture
def timed(monkeypatch):
    """Gives each way the seconds per row that a test says, in place of a clock."""

    def use(**seconds: float) -> None:
        clock = {name.replace("_", "-"): value for name, value in seconds.items()}
        measure, build, names = choice.measure, Backends.build, {}

        def named_build(self, name):
            run = build(self, name)
            names[run] = name
            return run

        monkeypatch.setattr(Backends, "build", named_build)
        monkeypatch.setattr(
            choice, "measure", lambda run, rows, _: (measure(run, rows)[0], clock[names[run]])
        )

    return use


def network(module: nn.Module | None = None, sha256: str = "", code: str = CODE) -> Network:
    """With weights of that sum, so that it is kept; without one, so that nothing is."""
    weights = Weights("toy", Path("toy.safetensors"), sha256) if sha256 else None
    return Network("toy", lambda: module or Small(), images(2), weights, (code,))


def images(rows: int, side: int = 8) -> np.ndarray:
    return np.random.default_rng(rows).standard_normal((rows, 3, side, side), np.float32)


@torch.no_grad()
def expected(batch: np.ndarray) -> np.ndarray:
    return Small().eval()(torch.from_numpy(batch)).numpy()


def hide(monkeypatch, *libraries: str) -> None:
    """Makes libraries absent, as far as imports and versions tell."""
    for library in libraries:
        monkeypatch.setitem(sys.modules, library, None)
    version = choice.version
    monkeypatch.setattr(
        choice, "version", lambda name: None if name in libraries else version(name)
    )


# The choice


def test_auto_keeps_the_fastest_way_that_agrees(timed):
    timed(eager=1.0, openvino=0.3, openvino_bfloat16=0.4, bfloat16=0.1)
    engine = prepare(network(), device="cpu", tolerance=1e-5)
    np.testing.assert_allclose(engine(images(5)), expected(images(5)), atol=1e-5)
    trials = {trial.name: trial for trial in engine.trials}
    assert engine.name == "openvino"
    assert list(trials) == ["eager", "openvino", "openvino-bfloat16", "bfloat16", "onnx"]
    assert trials["eager"].accepted and trials["openvino"].accepted
    assert trials["bfloat16"].error > 1e-5 and trials["bfloat16"].seconds == 0.1
    assert not trials["bfloat16"].accepted
    assert trials["onnx"].note == "OpenVINO does the same"


@pytest.mark.parametrize(("ranks", "name"), [(True, "openvino"), (False, "eager")])
def test_where_a_network_ranks_two_may_change_places(timed, monkeypatch, ranks, name):
    build = Backends.build

    def swapped(self, way):
        run = build(self, way)
        return run if way == "eager" else lambda *batch: run(*batch)[:, [1, 0, *range(2, 9)]]

    monkeypatch.setattr(Backends, "build", swapped)
    timed(eager=1.0, bfloat16=1.0, **OPENVINO)
    ranking = replace(network(nn.Sequential(Small(), nn.Linear(2, 9))), ranks=ranks)
    engine = prepare(ranking, device="cpu", tolerance=1e-4)
    engine(images(4))
    assert engine.name == name


def test_auto_keeps_a_quick_network_out_of_pytorch_whose_start_counts(timed):
    timed(eager=0.0001, **OPENVINO)
    engine = prepare(network(), device="cpu")
    engine(images(4))
    assert engine.name == "openvino"
    notes = {trial.name: trial.note for trial in engine.trials}
    assert notes["bfloat16"] == "PyTorch's start alone takes longer"


def test_auto_keeps_eager_where_it_is_faster_than_all_by_more_than_its_start(timed):
    timed(eager=0.1, openvino=0.2, openvino_bfloat16=0.2, bfloat16=0.2)
    engine = prepare(network(), device="cpu")
    engine(images(4))
    assert engine.name == "eager"


def test_auto_tries_no_bfloat16_where_the_processor_has_none(timed, monkeypatch):
    monkeypatch.setattr(choice, "has_bfloat16", lambda: False)
    timed(eager=1.0, openvino=0.3)
    engine = prepare(network(), device="cpu")
    engine(images(4))
    notes = {trial.name: trial.note for trial in engine.trials if "bfloat16" in trial.name}
    assert set(notes.values()) == {"this processor does not compute in bfloat16"}


def trial(name: str, seconds: float, error: float, accepted: bool = True) -> Trial:
    return Trial(name=name, seconds=seconds, error=error, accepted=accepted)


@pytest.mark.parametrize(
    ("eager", "others", "counts_start", "best"),
    [
        (1.0, [("openvino", 0.5, 1e-6), ("onnx", 0.3, 1e-2)], True, "onnx"),
        (1.0, [("openvino", 0.32, 1e-6), ("onnx", 0.3, 1e-2)], True, "openvino"),
        (1.0, [("openvino", 1.0, 1e-6), ("bfloat16", 0.95, 1e-2)], True, "openvino"),
        (1.0, [("bfloat16", 0.95, 1e-2)], True, "eager"),
        (1.0, [("bfloat16", 0.5, 1e-2)], True, "bfloat16"),
        (1.0, [("openvino", 1.4, 1e-6)], True, "openvino"),
        (1.0, [("openvino", 1.6, 1e-6)], True, "eager"),
        (1.0, [("openvino", 1.4, 1e-6)], False, "eager"),
        (0.001, [("openvino", 0.002, 1e-6)], True, "openvino"),
        (0.001, [("bfloat16", 0.00095, 1e-3)], False, "eager"),
        (0.001, [("bfloat16", 0.0005, 1e-3)], False, "bfloat16"),
    ],
)  # fmt: skip
def test_a_tie_goes_to_what_needs_no_pytorch_and_then_to_the_nearest_numbers(
    eager, others, counts_start, best
):
    trials = [trial("eager", eager, 0.0), *(trial(*other) for other in others)]
    refused = trial("onnx", 0.0001, 5.0, accepted=False)
    assert choice._best([*trials, refused], counts_start=counts_start) == best


def test_auto_passes_over_what_is_not_installed_and_says_so(timed, monkeypatch):
    hide(monkeypatch, "openvino", "onnx", "onnxruntime")
    timed(eager=1.0, bfloat16=0.5)
    engine = prepare(network(), device="cpu")
    engine(images(4))
    notes = {trial.name: trial.note for trial in engine.trials if trial.note}
    assert notes == {
        "openvino": "openvino is not installed",
        "openvino-bfloat16": "openvino is not installed",
        "onnx": "onnx is not installed",
    }


class Unstable(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / (0 if torch.is_autocast_enabled("cpu") else 1) * 0


class Broken(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("not\nin bfloat16")
        return x


@pytest.mark.parametrize(
    ("module", "note"),
    [(Unstable(), "gives NaN or infinity"), (Broken(), "RuntimeError: not\\nin bfloat16")],
    ids=["nan", "fails"],
)
def test_auto_refuses_a_way_that_gives_nan_or_fails(timed, monkeypatch, module, note):
    hide(monkeypatch, "openvino", "onnx", "onnxruntime")
    timed(eager=0.001, bfloat16=0.0001)
    engine = prepare(network(module), device="cpu")
    engine(images(2))
    refused = next(trial for trial in engine.trials if trial.name == "bfloat16")
    assert (engine.name, refused.note, refused.accepted) == ("eager", note, False)


def test_auto_never_compiles(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("torch.compile takes minutes")

    monkeypatch.setattr(torch, "compile", refuse)
    prepare(network(), device="cpu")(images(2))


def test_a_way_is_measured_after_it_warmed_up_and_a_quick_one_as_the_best_of_three(monkeypatch):
    calls = []

    def run(rows: np.ndarray) -> np.ndarray:
        calls.append(len(rows))
        return rows

    _, seconds = choice.measure(run, (images(4),), 0.0)
    assert calls == [4] * 2 and 0 < seconds < 1
    choice.measure(run, (images(4),), 60.0)
    assert calls == [4] * 5
    monkeypatch.setattr(choice, "LONG", 0.0)
    choice.measure(run, (images(4),), 60.0)
    assert calls == [4] * 6


# What is remembered


def test_a_decision_is_made_once(timed, monkeypatch, cache):
    timed(eager=0.004, bfloat16=0.001, **OPENVINO)
    first = prepare(network(sha256=SHA256), device="cpu")
    first(images(4))
    monkeypatch.setattr(choice, "measure", lambda *_: pytest.fail("measured again"))
    built = replace(network(sha256=SHA256), build=lambda: pytest.fail("built again"))
    second = prepare(built, device="cpu")
    np.testing.assert_allclose(second(images(3)), expected(images(3)), atol=1e-5)
    assert (second.name, second.trials) == ("openvino", first.trials)
    assert [path.name for path in cache.rglob("*.json")] == ["choice.json"]


def test_without_weights_nothing_is_kept(cache):
    prepare(network(), device="cpu")(images(2))
    assert not cache.exists()


def test_without_a_home_nothing_is_kept(monkeypatch):
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    for variable in ("VITRAIL_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(MissingError, match="name a folder in VITRAIL_CACHE"):
        cache_folder("weights")
    assert prepare(network(sha256=SHA256), device="cpu")(images(2)).shape == (2, 2)


@pytest.mark.parametrize(
    "change", ["weights", "shape", "dtype", "name", "code", "threads", "processor", "library"]
)
def test_a_decision_holds_only_for_what_it_was_made_for(monkeypatch, tmp_path, change):
    module = tmp_path / "toy_architecture.py"
    module.write_text("WIDTH = 4")
    monkeypatch.syspath_prepend(str(tmp_path))

    def folder() -> Path:
        name = "other" if change == "name" and changed else "toy"
        sha256 = "1" * 64 if change == "weights" and changed else SHA256
        batch = images(2, 9 if change == "shape" and changed else 8)
        batch = batch.astype(float) if change == "dtype" and changed else batch
        made = replace(network(sha256=sha256, code="toy_architecture"), name=name)
        return store.store_for(made, (batch,), "cpu")

    changed = False
    before = folder()
    assert folder() == before
    changed = True
    if change == "code":
        module.write_text("WIDTH = 8")
    if change == "threads":
        monkeypatch.setenv("OMP_NUM_THREADS", str(devices.threads() + 1))
    if change == "processor":
        monkeypatch.setattr(store, "cpu", lambda: "another")
    if change == "library":
        monkeypatch.setattr(store, "version", lambda name: "1000.0")
    assert folder() != before


def test_entries_that_nobody_uses_any_more_are_removed(cache):
    """Those of earlier versions, which no call finds again."""
    made = replace(network(sha256=SHA256), name="toy")
    stale = time.time() - store.MAX_AGE - 60
    for name in ("engines/of-an-older-version", "engines/in-use", "weights"):
        (cache / name).mkdir(parents=True)
    used = store.store_for(made, (images(2),), "cpu")
    (cache / "engines/in-use").rename(used)
    for entry in (used, cache / "engines/of-an-older-version", cache / "weights"):
        os.utime(entry, (stale, stale))
    prepare(replace(made, name="new"), engine="openvino", device="cpu")(images(2))
    assert used not in list((cache / "engines").iterdir())  # its last use was long ago as well
    used.mkdir()
    os.utime(used, (stale, stale))
    store.store_for(made, (images(2),), "cpu")  # a call that opens it
    prepare(replace(made, name="newer"), engine="openvino", device="cpu")(images(2))
    assert used.exists() and (cache / "weights").exists()
    assert len(list((cache / "engines").iterdir())) == 3


def test_another_tolerance_is_another_decision(timed, cache):
    timed(eager=1.0, openvino=0.3, openvino_bfloat16=0.1, bfloat16=0.1)
    loose, strict = (
        prepare(network(sha256=SHA256), device="cpu", tolerance=tolerance)
        for tolerance in (0.5, 1e-5)
    )
    loose(images(4)), strict(images(4))
    (kept,) = cache.rglob("choice.json")
    assert json.loads(kept.read_text())["tolerance"] == 1e-5


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "[" * 100_000,
        '{"name": "eager"}',
        '{"name": "zzz", "tolerance": 0.02, "trials": []}',
        '{"name": "auto", "tolerance": 0.02, "trials": []}',
        "\0\xff",
    ],
)
def test_a_damaged_decision_is_made_again(timed, cache, content):
    timed(eager=0.004, bfloat16=0.001, **OPENVINO)
    prepare(network(sha256=SHA256), device="cpu")(images(4))
    (path,) = cache.rglob("choice.json")
    path.write_text(content, encoding="latin-1")
    engine = prepare(network(sha256=SHA256), device="cpu")
    engine(images(4))
    assert engine.name == "openvino" and json.loads(path.read_text())["name"] == "openvino"


def test_a_kept_conversion_is_used_and_a_damaged_one_is_made_again(timed, monkeypatch, cache):
    timed(eager=1.0, bfloat16=0.5, openvino=0.1, openvino_bfloat16=0.2)
    convert, converted = ir.convert, []

    def counted(*arguments):
        converted.append(1)
        return convert(*arguments)

    monkeypatch.setattr(ir, "convert", counted)

    def conversions() -> int:
        converted.clear()
        engine = prepare(network(sha256=SHA256), device="cpu")
        np.testing.assert_allclose(engine(images(4)), expected(images(4)), atol=1e-5)
        assert engine.name == "openvino"
        return len(converted)

    assert (conversions(), conversions()) == (1, 0)
    (numbers,), (graph,) = cache.rglob("network.bin"), cache.rglob("network.xml")
    (sums,) = cache.rglob("sha256.txt")
    content = bytearray(numbers.read_bytes())
    content[3] ^= 0x40  # the exponent of a weight
    numbers.write_bytes(content)
    assert (conversions(), conversions()) == (1, 0)
    for file, text in ((graph, "<net"), (sums, ""), (sums, "\xff")):
        file.write_text(text, encoding="latin-1")
        assert (conversions(), conversions()) == (1, 0)
    numbers.unlink()
    assert (conversions(), conversions()) == (1, 0)


def test_a_cache_that_cannot_be_written_does_not_stop_the_work(timed, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VITRAIL_CACHE", str(tmp_path / "file"))
    timed(eager=1.0, bfloat16=0.5, openvino=0.1, openvino_bfloat16=0.2)
    engine = prepare(network(sha256=SHA256), device="cpu")
    np.testing.assert_allclose(engine(images(4)), expected(images(4)), atol=0.02)
    assert engine.name == "openvino"


# The machine


def test_threads_of_one_core_count_once_as_pytorch_counts_them(monkeypatch, tmp_path):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(devices.os, "sched_getaffinity", lambda _: {0, 1, 4, 5}, raising=False)
    monkeypatch.setattr(devices, "PROCESSORS", tmp_path)
    assert devices.threads() == 4, "nothing tells which share a core"
    for processor in range(8):
        topology = tmp_path / f"cpu{processor}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{processor % 4},{processor % 4 + 4}\n")
    assert devices.threads() == 2
    for value, count in (("3", 3), ("3,2", 3), ("many", 2), ("0", 2)):
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        assert devices.threads() == count


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("flags : fpu avx512f avx512_bf16", True),
        ("flags : fpu avx512f", False),
        ("Features : fp asimd bf16", True),
        ("", True),
    ],
)
def test_bfloat16_is_read_from_the_processors_flags(monkeypatch, tmp_path, lines, found):
    monkeypatch.setattr(devices, "CPUINFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text(f"model name : Toy\n{lines}\n")
    devices._cpuinfo.cache_clear(), devices.has_bfloat16.cache_clear()
    assert devices.has_bfloat16() == found
    devices._cpuinfo.cache_clear(), devices.has_bfloat16.cache_clear()
