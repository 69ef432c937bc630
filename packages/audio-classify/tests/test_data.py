"""Lists and folders of sounds, splits, and spectrograms in batches."""

import json

import numpy as np
import pytest
import soundfile
import torch

from audio_classify.data import (
    AlikeLengths,
    Spectrograms,
    at_level,
    collate,
    excerpt,
    excerpts,
    held_out,
    read_clips,
    spectrograms,
    statistics,
)
from audio_classify.sound.features import Features
from audio_classify.sound.level import TARGET_DB, loudest_stretch
from audio_classify.training import augment
from audio_classify.training.augment import Augment
from vitrail.errors import InputError
from vitrail.preprocess.filterbank import SILENCE, filterbank

from .fakes import RATE, hiss, tone

FEATURES = Features(RATE, 0.0, 1.0, 64)


@pytest.fixture
def folder(tmp_path):
    """Three classes of six sounds, in two groups each."""
    for label in ("low", "high", "noise"):
        for number in range(6):
            path = tmp_path / "sounds" / label / f"take{number % 2}" / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, hiss(0.2, seed=number), RATE)
    return tmp_path / "sounds"


def test_a_folder_a_class(folder):
    clips = read_clips(folder)
    assert len(clips) == 18 and {clip.label for clip in clips} == {"low", "high", "noise"}
    assert {clip.facts["group"] for clip in clips} == {"take0", "take1"}


def test_a_list_with_other_columns(folder):
    source = folder / "list.csv"
    source.write_text("path,word,speaker\nlow/take0/0.wav,one,ann\nhigh/take0/0.wav,two,bob\n")
    clips = read_clips(source, "word")
    assert [(clip.path, clip.label, clip.facts["speaker"]) for clip in clips] == [
        (folder / "low/take0/0.wav", "one", "ann"),
        (folder / "high/take0/0.wav", "two", "bob"),
    ]


def test_the_official_json(folder):
    source = folder / "list.json"
    rows = [
        {"wav": "low/take0/0.wav", "labels": "/m/1,/m/2"},
        {"wav": "high/take0/0.wav", "labels": "/m/3"},
    ]
    source.write_text(json.dumps({"data": rows}))
    assert [clip.label for clip in read_clips(source)] == ["/m/1", "/m/3"]


@pytest.mark.parametrize(
    "name, text",
    [
        ("a.csv", "path,label\n,x\n"),
        ("a.csv", "file,label\na,b\n"),
        ("a.csv", "path,label\na,b\n"),
        ("a.csv", "\0\xff"),
        ("a.json", "{}"),
        ("a.json", "[" * 100_000),
        ("a.json", '{"data": [{"wav": "a"}]}'),
    ],
)
def test_lists_that_are_none(name, text, tmp_path):
    source = tmp_path / name
    source.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError):
        read_clips(source)


def test_a_split_keeps_groups_whole_and_is_always_the_same(folder):
    clips = read_clips(folder)
    train, val = held_out(clips, "group", 0.5)
    assert {clip.facts["group"] for clip in train}.isdisjoint({clip.facts["group"] for clip in val})
    assert len(train) + len(val) == 18 and {clip.label for clip in val} == {"low", "high", "noise"}
    assert held_out(clips[::-1], "group", 0.5)[1] == val[::-1]
    assert held_out(clips, "group", 0.0) == (clips, [])


def test_statistics_leave_silence_out():
    clip = torch.cat(
        [torch.full((50, 128), SILENCE), torch.full((10, 128), -3.0), torch.full((10, 128), -5.0)]
    )
    mean, std = statistics([clip])
    assert mean == pytest.approx(-4) and std == pytest.approx(1, abs=1e-2)


def test_an_excerpt_is_the_loud_part():
    clip = torch.full((100, 128), SILENCE)
    clip[70:80] = 0.0
    assert (excerpt(clip, 20) == 0).sum() == 10 * 128
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        part = excerpt(clip, 20, generator)
        assert len(part) == 20 and (part == 0).any()
    assert excerpt(clip, 200) is clip


def test_long_files_are_cut_without_loss(tmp_path):
    path = tmp_path / "long.wav"
    soundfile.write(path, hiss(5), RATE, subtype="FLOAT")
    parts = list(excerpts([path], FEATURES))
    assert all(len(part) == 64 for part in parts[:-1]) and 7 * 64 <= sum(map(len, parts)) <= 498


def test_batches_of_alike_lengths_hold_each_clip_once():
    lengths = torch.randperm(32).tolist()
    batches = list(AlikeLengths(lengths, 8))
    assert (
        sorted(number for batch in batches for number in batch) == list(range(32))
        and len(batches) == 4
    )
    assert all(
        max(lengths[n] for n in batch) - min(lengths[n] for n in batch) == 7 for batch in batches
    )


def test_a_batch_is_padded_with_silence():
    batch = [(torch.zeros(5, 128), 1), (torch.zeros(9, 128), 0)]
    clips, classes = collate(batch, Features(RATE, 0.0, 0.5, 64), min_frames=4)
    assert clips.shape == (2, 9, 128) and classes.tolist() == [1, 0]
    assert (clips[0, 5:] == SILENCE).all() and not clips[0, :5].any()
    clips, _ = collate(batch, Features(RATE, 1.0, 2.0, 64, kept_bins=100), min_frames=12)
    assert (clips[:, :5, :100] == -1 / 4).all() and clips.shape[1] == 12
    assert torch.allclose(clips[:, :, 100:], torch.tensor((SILENCE - 1) / 4))


def test_samples_change_with_augment_only():
    clips = [torch.from_numpy(filterbank(hiss(0.5)))]
    plain, changed = (
        Spectrograms(clips, 64, [2]),
        Spectrograms(clips, 64, [2], Augment(gain_db=10, tempo=0.3)),
    )
    assert torch.equal(plain[0][0], plain[0][0]) and plain[0][1] == changed[0][1] == 2
    assert len({len(changed[0][0]) for _ in range(10)}) > 2


def test_every_change_leaves_a_spectrogram():
    clip = torch.from_numpy(filterbank(hiss(0.5)))
    rng = torch.Generator().manual_seed(0)
    strengths = dict.fromkeys(Augment.model_fields, 0.5) | {
        "roll": True,
        "gain_db": 10.0,
        "tilt_db": 5.0,
        "blur": 2.0,
        "pad": 0.1,
        "frequency_mask": 10,
        "time_mask": 10,
    }
    for name in Augment.model_fields:
        changed = Augment(**{name: strengths[name]})(clip, rng)
        assert (
            changed.shape[1] == 128 and changed.isfinite().all() and changed.min() >= SILENCE - 1e-3
        )
    assert torch.equal(Augment()(clip, rng), clip)


def test_warping_moves_a_tone_as_another_throat_would():
    def peak(hertz):
        return torch.from_numpy(filterbank(tone(hertz, 0.3))).mean(0)

    moved = augment.warp(peak(1000)[None], 1.2)[0]
    assert abs(int(moved.argmax()) - int(peak(1200).argmax())) <= 1


def test_stretching_keeps_the_pitch_and_echo_only_adds():
    sound = np.concatenate([tone(800, 0.2), np.zeros(4000, np.float32)])
    clip = torch.from_numpy(filterbank(sound))
    assert len(augment.stretch(clip, 2.0)) == round(len(clip) / 2)
    assert augment.stretch(clip, 0.8).mean(0).argmax() == clip.mean(0).argmax()
    assert (augment.echo(clip, 0.3, 0.3) >= clip - 1e-3).all()


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "bad.wav"
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"bad\.wav"):
        spectrograms([path], FEATURES)


@pytest.mark.parametrize("gain", [-20, -40])
def test_a_quiet_recording_is_learned_as_loud_as_it_is_judged(gain):
    sound = at_level(hiss(1), gain, RATE)
    assert loudest_stretch(sound, RATE // 10) == pytest.approx(TARGET_DB, abs=0.1)


def test_a_recording_at_fifty_below_has_the_noise_of_its_bits():
    clean, coarse = at_level(tone(440, 1), -10, RATE), at_level(tone(440, 1), -70, RATE)
    assert np.abs(clean / clean.std() - coarse / coarse.std()).max() > 0.03


def test_a_recording_that_is_too_loud_is_clipped():
    assert np.abs(at_level(tone(440, 1), 30, RATE)).max() == 1.0


def test_each_clip_is_learned_at_its_levels():
    clips, others = [torch.zeros(8, 128)], [[torch.full((8, 128), -9.0)]]
    sounds = Spectrograms(clips, 8, augment=Augment(), others=others)
    torch.manual_seed(0)
    assert {sounds[0][0].mean().item() for _ in range(20)} == {0.0, -9.0}
