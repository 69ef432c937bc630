"""When sounds happen in long recordings, measured on recordings made of single clips."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from audio_classify.data import Clip
from audio_classify.job import AudioJob
from vitrail.preprocess.audio import read_audio

CLIPS_PER_SCENE = 8
FIRST_SECONDS = 2.0
GAP_SECONDS = (1.0, 4.0)
NOISE = 1e-3  # the deviation of the background, -60 dB
SILENCE = 1e-4  # of a clip; what is quieter at its ends is padding
SEGMENT_SECONDS, COLLAR_SECONDS = 1.0, 0.2
SEED = 5


class Interval(NamedTuple):
    """What sounds from ``start`` to ``end`` seconds."""

    label: str
    start: float
    end: float


class Scene(NamedTuple):
    """A long recording (samples,) and what happens in it."""

    sound: np.ndarray
    truth: list[Interval]


class Agreement(NamedTuple):
    """F1 over segments of a second, and over onsets that may be 0.2 s off; and how many events
    there were, of how many true ones."""

    segments: float
    onsets: float
    found: int
    true: int


def scenes(clips: Sequence[Clip], rate: int) -> Iterator[Scene]:
    """All clips in a random order, eight in each scene, with pauses of 1 to 4 s of quiet noise."""
    rng = np.random.default_rng(SEED)
    order = rng.permutation(len(clips))
    for first in range(0, len(order), CLIPS_PER_SCENE):
        numbers = order[first : first + CLIPS_PER_SCENE]
        sounds = [(clips[n].label, _trimmed(clips[n].path, rate)) for n in numbers]
        yield _scene(sounds, rate, rng)


def _scene(sounds: Iterable[tuple[str, np.ndarray]], rate: int, rng: np.random.Generator) -> Scene:
    parts, truth = [np.zeros(round(FIRST_SECONDS * rate))], []
    at = FIRST_SECONDS
    for label, sound in sounds:
        end = at + len(sound) / rate
        truth.append(Interval(label, at, end))
        pause = np.zeros(round(rng.uniform(*GAP_SECONDS) * rate))
        parts += [sound, pause]
        at = end + len(pause) / rate
    whole = np.concatenate(parts)
    return Scene((whole + rng.normal(0, NOISE, len(whole))).astype(np.float32), truth)


def _trimmed(path: Path, rate: int) -> np.ndarray:
    sound = read_audio(path, rate)
    sounding = np.flatnonzero(np.abs(sound) > SILENCE)
    return sound[sounding[0] : sounding[-1] + 1] if len(sounding) else sound


def agreement(job: AudioJob, heard: Iterable[Scene]) -> Agreement:
    """How well the job's events of the scenes agree with what happens in them."""
    segments, onsets = np.zeros(2, int), 0  # right, and wrong or missed
    found = true = 0
    for scene in heard:
        events = [Interval(e.label, e.start, e.end) for e in job.predict(scene.sound).events]
        told, happened = _segments(events), _segments(scene.truth)
        segments += len(told & happened), len(told ^ happened)
        onsets += _matched(events, scene.truth)
        found, true = found + len(events), true + len(scene.truth)
    right, wrong = segments.tolist()
    return Agreement(
        2 * right / max(1, 2 * right + wrong), 2 * onsets / max(1, found + true), found, true
    )


def _segments(intervals: Iterable[Interval]) -> set[tuple[str, int]]:
    """The whole seconds in which each label sounds."""
    return {
        (one.label, second)
        for one in intervals
        for second in range(
            int(one.start // SEGMENT_SECONDS), int(np.ceil(one.end / SEGMENT_SECONDS))
        )
    }


def _matched(events: Iterable[Interval], truth: Iterable[Interval]) -> int:
    """How many events begin with a true one of their label, each with another."""
    left, count = list(truth), 0
    for event in events:
        for one in left:
            if one.label == event.label and abs(one.start - event.start) <= COLLAR_SECONDS:
                left.remove(one)
                count += 1
                break
    return count
