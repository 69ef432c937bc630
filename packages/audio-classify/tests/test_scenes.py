"""Long recordings made of clips, and how events in them are judged."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from scipy.io import wavfile

pytest.importorskip("lightning")

from audio_classify.data import read_clips
from audio_classify.evaluation.events import agreement, scenes
from audio_classify.sound.events import Event
from audio_classify.training.voices import EACH_VOICE, made_words, write_lists

from .fakes import RATE, hiss, silence, tone


@pytest.fixture
def clips(tmp_path):
    """Ten clips of two kinds, each with silence around it."""
    for number in range(10):
        kind = ("low", "noise")[number % 2]
        sound = tone(200, 1) if kind == "low" else hiss(1)
        whole = np.concatenate([silence(0.5), sound, silence(0.5)])
        (tmp_path / kind).mkdir(exist_ok=True)
        soundfile.write(tmp_path / kind / f"{number}.wav", whole, RATE)
    return read_clips(tmp_path)


class Oracle:
    """Tells what is true, moved by ``late`` seconds, some of it under another label."""

    def __init__(self, heard, late: float = 0.0, wrong: int = 0):
        self.truth = {id(scene.sound): scene.truth for scene in heard}
        self.late, self.wrong = late, wrong

    def predict(self, sound):
        events = [
            Event("other" if n < self.wrong else one.label, one.start + self.late, one.end, 1.0)
            for n, one in enumerate(self.truth[id(sound)])
        ]
        return SimpleNamespace(events=events)


def test_scenes_hold_all_clips_without_their_silence(clips):
    heard = list(scenes(clips, RATE))
    assert [len(scene.truth) for scene in heard] == [8, 2]
    for scene in heard:
        for one in scene.truth:
            assert one.end - one.start == pytest.approx(1, abs=0.01)
            inside = scene.sound[round(one.start * RATE) : round(one.end * RATE)]
            assert inside.std() > 0.05
        assert np.std(scene.sound[:RATE]) == pytest.approx(1e-3, rel=0.05)


def test_the_truth_agrees_with_itself(clips):
    heard = list(scenes(clips, RATE))
    assert agreement(Oracle(heard), heard) == (1.0, 1.0, 10, 10)


def test_an_onset_may_be_a_fifth_of_a_second_off(clips):
    heard = list(scenes(clips, RATE))
    assert agreement(Oracle(heard, late=0.15), heard).onsets == 1.0
    assert agreement(Oracle(heard, late=0.25), heard).onsets == 0.0


def test_another_label_is_wrong(clips):
    heard = list(scenes(clips, RATE))
    found = agreement(Oracle(heard, wrong=1), heard)  # one in each of two scenes
    assert found.onsets == pytest.approx(0.8) and 0.7 < found.segments < 0.9


def test_the_lists_of_voices(tmp_path):
    for name in (
        "free-spoken-digit-dataset/recordings/7_ann_0.wav",
        "free-spoken-digit-dataset/recordings/7_ann_5.wav",
        "free-spoken-digit-dataset/recordings/7_ann_15.wav",
        "wake-word-benchmark/audio/alexa/a.flac",
        "speech-commands/data/examples/seven.wav",
        "speech-commands/data/examples/house.wav",
        "speech-commands/data/noises/rain.wav",
        "audioMNIST-classifier/predict_data/bob/bob_03.wav",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "esc10.csv").write_text("path,fold,split\nesc10/rain.ogg,3,test\n")
    write_lists(tmp_path, tmp_path / "esc10.csv")
    rows = {
        name: list(csv.reader((tmp_path / f"{name}.csv").open()))
        for name in ("digits", "elsewhere")
    }
    assert [row[1:] for row in rows["digits"]] == [
        ["digit", "group", "split"],
        ["7", "ann", "test"],
        ["7", "ann", "train"],
        ["unknown", "alexa", "train"],
        ["unknown", "fold 3", "test"],
    ]
    assert [row[1:3] for row in rows["elsewhere"][1:]] == [
        ["unknown", "words"],
        ["7", "digits"],
        ["unknown", "noises"],
        ["3", "digits"],
    ]
    assert all((tmp_path / row[0]).exists() for row in rows["elsewhere"][1:])


def test_words_are_made_of_the_end_of_one_digit_and_the_beginning_of_another(tmp_path):
    spoken = []
    for digit, level in (("3", 3000), ("4", 4000)):
        path = tmp_path / f"{digit}_ann_5.wav"
        wave = np.repeat(np.array([level, -level], np.int16), 4000)  # its beginning, and its end
        wavfile.write(path, 8000, wave)
        spoken.append((path, digit, "ann", "train"))
    rows = list(made_words([*spoken, (tmp_path / "none", "5", "bob", "train")], tmp_path / "made"))
    assert len(rows) == EACH_VOICE
    assert {row[1:] for row in rows} == {("unknown", "ann", "train")}
    found = set()
    for path, *_ in rows:
        rate, word = wavfile.read(path)
        assert rate == 8000 and len(word) == 8000 - 80  # a seam of 10 ms
        assert word[3920:4000].max() <= 4000 and word[3920:4000].min() >= -4000
        found.add((int(word[0]), int(word[-1])))
    assert found == {(-3000, 4000), (-4000, 3000)}
