"""Hundreds of damaged recordings of each format: a result or one sentence, never a traceback, never
a stray file."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_people import RATE, pulse

from ppg_auth.checkpoint import Checkpoint
from ppg_auth.decide.decision import Impostors
from ppg_auth.job import PulseJob
from ppg_auth.model import build_model
from ppg_auth.networks import PulseNetwork, example_of, load_networks
from ppg_auth.signal.recording import as_recording
from ppg_auth.signal.windows import SignalConfig
from ppg_auth.writing import write
from vitrail.engine import prepare
from vitrail.errors import InputError
from vitrail.testing.media import write_clip
from vitrail.testing.mutants import mutate_bytes, rows_of_mutants
from vitrail.weights.catalogue import Weights
from vitrail.weights.files import save

VARIANTS = 200
SMALL = {"branches": ["lstm"], "beats": True, "samples": 250, "rate": RATE, "hidden": 4}
CONFIG = asdict(build_model(SMALL).config)


@pytest.fixture(scope="module")
def network() -> PulseNetwork:
    torch.manual_seed(0)
    signal = SignalConfig(rate=RATE)
    return PulseNetwork(
        name="tiny",
        build=lambda: build_model(CONFIG),
        example=example_of(signal),
        weights=Weights("tiny", Path("tiny"), "0" * 64),
        checkpoint=Checkpoint(CONFIG, signal, Impostors(0.0, 0.1), {}),
    )


@pytest.fixture(scope="module")
def job(network) -> PulseJob:
    return job_of(network)


def job_of(network: PulseNetwork, **options) -> PulseJob:
    return PulseJob(network, prepare(network, engine="eager", device="cpu"), **options)


def small_input(folder: Path, suffix: str) -> Path:
    wave = 500 + 100 * pulse(np.random.default_rng(0), 16.0)
    path, seconds = folder / f"good{suffix}", np.arange(len(wave)) / RATE
    wave += 30 * np.sin(2 * np.pi * 0.07 * seconds)
    match suffix:
        case ".csv":
            path.write_text(
                "t_s,ppg\n"
                + "".join(f"{t:.2f},{v:.0f}\n" for t, v in zip(seconds, wave, strict=True))
            )
        case ".npy":
            np.save(path, wave.astype(np.float32))
        case ".parquet":
            pyarrow = pytest.importorskip("pyarrow")
            from pyarrow import parquet

            parquet.write_table(pyarrow.table({"t_s": seconds, "ppg": wave}), path)
        case ".hea":
            (folder / "good.dat").write_bytes(wave.astype("<i2").tobytes())
            path.write_text(f"good 1 50 {len(wave)}\ngood.dat 16 200 16 0 0 0 0 PLETH\n")
        case ".mp4":
            images = (
                np.full((32, 32, 3), (level, 60, 20), np.uint8)
                for level in (wave[:180:3] / 5 + 80).astype(int)
            )
            write_clip(path, images, fps=17)
        case ".gif":
            from PIL import Image

            first, *rest = (
                Image.new("RGB", (110, 110), (int(v / 5) + 80, 60, 20)) for v in wave[:180:3]
            )
            first.save(path, save_all=True, append_images=rest, duration=60)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".npy", ".parquet", ".hea", ".mp4", ".gif"])
def test_damaged_variants(network, suffix, tmp_path, capfd):
    good = small_input(tmp_path, suffix).read_bytes()
    job = job_of(network, sample_rate=RATE if suffix == ".npy" else None)
    mutants = list(mutate_bytes(good, seed=7, count=VARIANTS))
    rows_of_mutants("ppg-auth", job, write, mutants, tmp_path, suffix, capfd)


@pytest.mark.parametrize("suffix", [".csv", ".hea", ".parquet"])
def test_the_undamaged_input_is_usable(job, suffix, tmp_path):
    capture = job.predict(small_input(tmp_path, suffix))
    assert capture.usable and capture.to_dict()["good_windows"] >= 3
    assert "heart_rate" not in capture.to_dict()
    assert capture.scalogram.shape == (64, 128)


def test_a_recording_in_memory_gives_the_same(job, tmp_path):
    from ppg_auth.signal.reading import read_recording

    path = small_input(tmp_path, ".csv")
    assert np.array_equal(
        job.predict(path).embeddings, job.predict(read_recording(path)).embeddings
    )


def test_a_long_recording_asks_in_pieces(job):
    long = as_recording(500 + 100 * pulse(np.random.default_rng(0), 240.0), RATE)
    steps, sizes, rows = job._look("long", long), [], None
    try:
        while True:
            ask = steps.send(rows)
            sizes.append(len(ask.items))
            rows = [np.full(128, len(sizes), np.float32)] * len(ask.items)
    except StopIteration as end:
        capture = end.value
    assert sizes[:-1] == [64] * (len(sizes) - 1) and len(sizes) > 1
    assert len(capture.embeddings) == sum(sizes) == capture.windows.good.sum()
    assert capture.embeddings[0, 0] == 1 and capture.embeddings[-1, 0] == len(sizes)


def test_what_is_wrong_with_the_source_is_damage(job):
    wave = as_recording(500 + 100 * pulse(np.random.default_rng(0), 16.0), RATE)
    capture = job.predict(replace(wave, notes=("exposure",)))
    assert capture.damage == ("the camera changed its exposure",)
    assert "exposure" not in capture.reasons


def good_weights(folder: Path, **changes) -> Path:
    model = build_model(CONFIG)
    metadata = {
        "architecture": "cvt-convmixer-lstm",
        "config": CONFIG,
        "signal": {"rate": RATE, "band": [0.4, 15.0]},
        "impostors": {"mean": 0.5, "deviation": 0.2},
        "people": {"train": ["a"], "val": ["b"]},
    }
    save(
        folder / "w.safetensors",
        model.state_dict() | changes.pop("state", {}),
        {**metadata, **changes},
    )
    return folder / "w.safetensors"


def test_a_weight_file_is_read_whole(tmp_path):
    (network,) = load_networks([str(good_weights(tmp_path))])
    assert network.checkpoint.signal.samples == 250
    assert network.checkpoint.impostors == Impostors(0.5, 0.2)
    assert network.module(torch.from_numpy(network.example)).shape == (2, 128)


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"architecture": "genconvit-ed"}, "is not a cvt-convmixer-lstm"),
        ({"impostors": None}, "lacks what ppg-auth needs"),
        ({"impostors": {"mean": 0.5, "deviation": 0.0}}, "lacks what ppg-auth needs"),
        ({"impostors": {"mean": 0.5, "deviation": "NaN"}}, "lacks what ppg-auth needs"),
        ({"people": None}, "lacks what ppg-auth needs"),
        ({"signal": {"rate": 10, "band": [0.4, 15.0]}}, "do not fit each other"),
        ({"config": CONFIG | {"hidden": 5}}, "does not fit this network"),
        ({"config": CONFIG | {"hiden": 5}}, "lacks what ppg-auth needs"),
        ({"state": {"more": torch.zeros(3)}}, "1 unexpected"),
    ],
)
def test_weight_files_of_something_else(tmp_path, changes, said):
    with pytest.raises(InputError, match=said):
        _ = load_networks([str(good_weights(tmp_path, **changes))])[0].module
