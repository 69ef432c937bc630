"""The command: what it prints, writes and refuses."""

import csv
import io
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from audio_classify.sound import live
from audio_classify.sound.live import WAITING_BLOCKS, microphone_blocks, until_stopped
from vitrail.testing.commands import call
from vitrail.weights.files import save

from .fakes import RATE, SMALL, hiss, silence, small_network

ROOSTER = Path(__file__).parents[1] / "examples" / "rooster.ogg"


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A small network's file, so that the tests do not hang on what the bundled ones know."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    network = small_network()
    metadata = {
        "system": "audio-classify",
        "architecture": "ssast",
        "config": SMALL,
        "labels": list(network.labels),
        "features": network.features.to_dict(),
    }
    save(path, network.module.state_dict(), metadata, dtype=torch.float32)
    return path


@pytest.fixture
def classify(weights):
    return lambda *arguments: call(
        "audio_classify", *arguments, "--weights", weights, "--engine", "eager"
    )


def rows(outcome) -> list[dict]:
    return [json.loads(line) for line in outcome.stdout.splitlines()]


def test_a_file_a_folder_and_a_pattern(classify, tmp_path):
    for name in ("b.wav", "a10.wav", "a9.wav", "no-sound.txt", "._a9.wav"):
        soundfile.write(tmp_path / name, hiss(0.3), RATE, format="WAV")
    outcome = classify(tmp_path)
    assert outcome.status == 0, outcome.stderr
    assert [Path(row["source"]).name for row in rows(outcome)] == ["a9.wav", "a10.wav", "b.wav"]
    assert outcome.stderr.splitlines() == [
        f"audio-classify: {tmp_path}: 1 left out, not named as sound: no-sound.txt"
    ]
    assert classify(tmp_path, "--quiet").stderr == ""
    assert rows(classify(tmp_path / "a*.wav"))[0]["label"] in ("low", "high", "noise")


def test_a_folder_without_sounds(classify, tmp_path):
    outcome = classify(tmp_path)
    assert outcome.status == 1 and "holds no sound file" in outcome.stderr


def test_a_bad_argument_is_a_row_and_the_others_are_done(classify, tmp_path):
    found = rows(classify("http://host/a.wav", tmp_path, tmp_path / "*.flac", ROOSTER))
    assert [row["status"] for row in found] == ["failed"] * 3 + ["done"]
    assert [row["reason"].split(";")[0] for row in found[:3]] == [
        "is not on this machine", "the folder holds no sound file", "matches no file",
    ]  # fmt: skip


def test_results_in_a_folder(classify, tmp_path):
    outcome = classify(ROOSTER, "-o", tmp_path)
    names = {path.name for path in (tmp_path / "rooster.ogg").iterdir()}
    assert outcome.status == 0
    assert names == {
        "result.json", "events.jsonl", "events.csv", "events.txt", "events.selections.txt",
        "spectrogram.png",
    }  # fmt: skip


def test_one_table_of_all_events_with_their_time_of_day(classify, tmp_path):
    for name in ("20240518_043000.wav", "b.wav"):
        soundfile.write(tmp_path / name, hiss(2), RATE)
    outcome = classify(tmp_path, "-o", tmp_path / "out", "--begin", 0.1, "--keep", 0.1)
    with (tmp_path / "out" / "events.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == ["source", "label", "start", "end", "probability", "time"]
    events = {row["source"]: row["events"] for row in rows(outcome)}
    assert {source: sum(row["source"] == source for row in table) for source in events} == {
        source: len(found) for source, found in events.items()
    }
    first, last = table[0], table[-1]
    assert first["time"].startswith("2024-05-18T04:30:0") and last["time"] == ""


def test_the_time_of_one_recording_can_be_said(classify, tmp_path):
    row = rows(classify(ROOSTER, "--start", "2024-05-18T04:30:00"))[0]
    assert row["recorded"] == "2024-05-18T04:30:00"
    soundfile.write(tmp_path / "b.wav", hiss(2), RATE)
    assert classify(ROOSTER, tmp_path, "--start", "2024-05-18T04:30:00").status == 2
    assert "is no time" in classify(ROOSTER, "--start", "noon").stderr


def test_embeddings_and_search(classify, tmp_path):
    soundfile.write(tmp_path / "noise.wav", hiss(1), RATE)
    soundfile.write(tmp_path / "nothing.wav", silence(1), RATE)
    outcome = classify(ROOSTER, tmp_path, "--embed", tmp_path / "all.npy")
    assert outcome.status == 0 and np.load(tmp_path / "all.npy").shape[1] == 32
    found = rows(classify(tmp_path, ROOSTER, "--search", ROOSTER))
    assert found[0]["source"] == str(ROOSTER) and len(found) == 2


def test_events_of_one_class_alone_and_the_scores_of_all_over_time(classify, tmp_path):
    everything = rows(classify(ROOSTER, "--begin", "0.01", "--keep", "0"))[0]["events"]
    wanted = everything[0]["label"]
    assert {event["label"] for event in everything} > {wanted}
    outcome = classify(
        ROOSTER, "--keep", "0", "--class", f"{wanted}=0.01", "--frames", tmp_path / "all.csv"
    )
    (row,) = rows(outcome)
    assert row["events"] == [event for event in everything if event["label"] == wanted]
    assert row["options"]["classes"] == [f"{wanted}=0.01"]
    with (tmp_path / "all.csv").open() as file:
        table = list(csv.DictReader(file))
    labels = list(table[0])[3:]
    assert wanted in labels and float(table[-1]["end"]) > row["duration"] - 0.2
    highest = max(float(one[wanted]) for one in table)
    assert highest >= row["events"][0]["probability"] - 1e-3
    pyarrow = pytest.importorskip("pyarrow.parquet")
    classify(ROOSTER, "--frames", tmp_path / "all.parquet")
    stored = pyarrow.read_table(tmp_path / "all.parquet").to_pylist()
    assert len(stored) == len(table) and list(stored[0]) == list(table[0])
    assert stored[3][wanted] == pytest.approx(float(table[3][wanted]), abs=1e-3)


class Pipe(io.StringIO):
    def __init__(self, data: bytes):
        super().__init__()
        self.buffer = io.BufferedReader(io.BytesIO(data))


def test_a_live_stream_on_standard_input(classify, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stdin", Pipe((hiss(3) * 32767).astype("<i2").tobytes()))
    start = "2024-05-18T04:30:00+02:00"
    options = ("--begin", 0.1, "--keep", 0.1, "--start", start, "-o", tmp_path)
    outcome = classify("-", *options)
    assert outcome.status == 0, outcome.stderr
    begun, over = ([row for row in rows(outcome) if row["event"] == e] for e in ("begin", "end"))
    assert begun and len(begun) == len(over)
    assert all(row.keys() == {"event", "label", "start", "time"} for row in begun)
    assert over[0].keys() == {"event", "label", "start", "end", "probability", "time"}
    assert begun[0]["time"] == "2024-05-18T04:30:00.000+02:00"
    assert (tmp_path / "live.jsonl").read_text() == outcome.stdout


class Microphone:
    """A sound card that hands over ten seconds at once, as one that waited does."""

    def __init__(self, rate: int, blocksize: int, channels: int, callback):
        self.blocks, self.callback = np.split(hiss(10), 100), callback

    def __enter__(self):
        for block in self.blocks:
            self.callback(block[:, None], len(block), None, None)

    def __exit__(self, *_: object):
        pass


def test_of_a_microphone_the_oldest_blocks_are_dropped(monkeypatch, capsys):
    monkeypatch.setitem(
        sys.modules, "sounddevice", SimpleNamespace(InputStream=Microphone, PortAudioError=OSError)
    )
    blocks = microphone_blocks(RATE)
    kept = [next(blocks) for _ in range(WAITING_BLOCKS)]
    assert np.array_equal(np.concatenate(kept), hiss(10)[-WAITING_BLOCKS * 1600 :])
    assert capsys.readouterr().err.count("too slow for this microphone") == 100 - WAITING_BLOCKS


def test_ctrl_c_is_how_listening_ends(classify, monkeypatch):
    def blocks(rate: int):
        yield hiss(3)
        raise KeyboardInterrupt

    monkeypatch.setattr(live, "microphone_blocks", blocks)
    outcome = classify("--microphone", "--begin", 0.1, "--keep", 0.1)
    assert outcome.status == 0 and not outcome.stderr
    assert rows(outcome)  # what is open when it ends


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_waiting_for_sound_and_what_is_open_is_told(
    classify, monkeypatch, number
):
    before = signal.getsignal(number)

    class Endless(Pipe):
        """A pipe that brings three seconds, and then nothing more for as long as anyone waits."""

        def __init__(self):
            super().__init__((hiss(3) * 32767).astype("<i2").tobytes())
            first, self.buffer = self.buffer, self
            self.read1 = lambda size: first.read1(size) or self.wait()

        def wait(self) -> bytes:
            threading.Timer(0.2, os.kill, (os.getpid(), number)).start()
            time.sleep(60)
            raise AssertionError("the signal was not heard")

    monkeypatch.setattr(sys, "stdin", Endless())
    outcome = classify("-", "--begin", 0.1, "--keep", 0.1)
    assert outcome.status == 0, outcome.stderr
    (last,) = {row["end"] for row in rows(outcome) if row["event"] == "end"}
    assert last == pytest.approx(3, abs=0.2)
    assert signal.getsignal(number) is before


def test_a_signal_while_the_network_computes_loses_nothing():
    def blocks():
        yield hiss(1)
        raise AssertionError("asked for more after the signal")

    with until_stopped(blocks()) as heard:
        assert len(next(heard)) == RATE
        os.kill(os.getpid(), signal.SIGTERM)
        assert list(heard) == []


def test_a_file_on_standard_input_is_named_as_such(classify, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Pipe(b"RIFF" + bytes(1000)))
    outcome = classify("-")
    assert outcome.status == 1 and "raw samples" in outcome.stderr


@pytest.mark.parametrize(
    "arguments, problem",
    [
        ([], "SOURCE"),
        (["-", ROOSTER], "- alone"),
        ([ROOSTER, "--microphone"], "--microphone alone"),
        ([ROOSTER, "--hop", "9"], "--hop"),
        ([ROOSTER, "--keep", "0.9"], "--keep"),
        ([ROOSTER, "--embed", "a.txt"], ".npy or .parquet"),
        ([ROOSTER, "--embed", "a.npy", "--resume"], "--resume"),
        ([ROOSTER, "--frames", "a.npy"], ".csv or .parquet"),
        ([ROOSTER, "--frames", "a.csv", "--resume"], "--resume"),
        ([ROOSTER, "--class", "griffin"], "griffin"),
        ([ROOSTER, "--begin", "2"], "begin"),
        ([ROOSTER, "--channel", "0"], "channel"),
    ],
)
def test_unusable_calls(classify, arguments, problem):
    outcome = classify(*arguments)
    assert outcome.status == 2 and outcome.stdout == "" and problem in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1


def test_a_channel_that_is_not_there(classify):
    outcome = classify(ROOSTER, "--channel", 2)
    assert outcome.status == 1 and "has 1 channels" in outcome.stderr


def test_labels_of_the_wrong_number(classify, tmp_path):
    (tmp_path / "names.txt").write_text("one\ntwo\n")
    outcome = classify(ROOSTER, "--labels", tmp_path / "names.txt")
    assert outcome.status == 1 and "2 names for 3 classes" in outcome.stderr
