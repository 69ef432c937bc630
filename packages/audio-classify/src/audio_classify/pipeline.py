"""The job: cut a recording into windows, classify those that are not silent, and join them to
labels and events."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import soxr
import torch
from torch import Tensor

from audio_classify import system
from audio_classify.events import EventTracker, Rule
from audio_classify.networks import AudioNetwork, WithEmbedding, load_network
from audio_classify.result import Result
from audio_classify.windows import Moments, Window, cut_windows
from vitrail.engine import prepare
from vitrail.errors import InputError, UsageError
from vitrail.pipeline import Pipeline, compute
from vitrail.preprocess.audio import Recording, open_audio

PREDICT_BATCH = 16
HOPS_PER_WINDOW = 5
TOLERANCE = 0.04  # of a logit: at most 0.01 of a probability


@dataclass(frozen=True)
class Options:
    """What to look at and how to judge it; all of it changes numbers, so all of it stands in the
    result.

    ``window`` and ``hop`` in seconds; None: the longest that the network takes, and a fifth of it.
    ``exact`` pads each window as the release does, where ``fast`` computes nothing for what is not
    there. ``channel``: one instead of all channels' mean. ``embed`` keeps the windows' embeddings.
    """

    window: float | None = None
    hop: float | None = None
    exact: bool = False
    channel: int | None = None
    embed: bool = False
    rule: Rule = field(default_factory=Rule)


@dataclass
class Sample:
    """One open recording, and the windows that were cut from it so far: (start, end, silent) in
    samples."""

    source: Path
    recording: "Recording | Sound"
    windows: list[tuple[int, int, bool]] = field(default_factory=list)
    loudness: float = -np.inf


@dataclass
class Sound:
    """A waveform in memory, as the reader of a file would give it."""

    samples: np.ndarray
    rate: int
    damage: list[str] = field(default_factory=list)

    def blocks(self, sample_rate: int, channel: int | None = None) -> Iterator[np.ndarray]:
        samples = (
            self.samples
            if self.rate == sample_rate
            else soxr.resample(self.samples, self.rate, sample_rate)
        )
        yield samples.astype(np.float32)


class AudioPipeline(Pipeline[Sample, Result]):
    """Recordings in, labels and events out."""

    def __init__(
        self,
        network: AudioNetwork,
        options: Options = Options(),
        *,
        engine: str = "auto",
        device: str = "auto",
    ):
        self.network, self.options = network, options
        self.on_result: Callable[[Result], None] | None = None
        features = network.features
        longest = features.window_samples / features.sample_rate
        self.window = min(options.window or longest, longest)
        self.hop = options.hop or self.window / HOPS_PER_WINDOW
        if not 0.01 <= self.hop <= self.window:
            raise UsageError(
                f"--hop {self.hop:g}",
                f"does not go with a window of {self.window:.2f} s",
                "take a shorter one",
            )
        if options.embed or not network.labels:
            module, key = WithEmbedding(network.module), f"{network.weights.sha256}-embedding"
        else:
            module, key = network.module, network.weights.sha256
        self.engine = prepare(module, engine=engine, device=device, tolerance=TOLERANCE, key=key)

    def settings(self) -> dict:
        return {
            "model": "SSAST",
            "version": system.version,
            "weights": {self.network.name: self.network.weights.sha256},
            "features": self.network.features.to_dict(),
            **asdict(self.options),
        }

    def runtime(self) -> dict:
        return {"device": self.engine.device, "engine": self.engine.name}

    def predict(self, sound: np.ndarray | Path | str, sample_rate: int | None = None) -> Result:
        """The result for a path, or for a mono waveform (samples,) in -1..1 of ``sample_rate`` (the
        network's own)."""
        sample = (
            self.read(Path(sound))
            if isinstance(sound, Path | str)
            else self._in_memory(sound, sample_rate)
        )
        return compute(self, sample, batch_size=PREDICT_BATCH)

    def read(self, source: Path) -> Sample:
        return Sample(source, open_audio(source))

    def _in_memory(self, sound: np.ndarray, sample_rate: int | None) -> Sample:
        sound = np.asarray(sound)
        if (
            sound.ndim != 1
            or not sound.size
            or sound.dtype.kind != "f"
            or not np.isfinite(sound).all()
        ):
            problem = f"is {sound.dtype} of shape {sound.shape}"
            raise InputError("array", problem, "give finite floating-point numbers (samples,)")
        return Sample(Path("array"), Sound(sound, sample_rate or self.network.features.sample_rate))

    def items(self, sample: Sample) -> Iterator[Tensor]:
        rate = self.network.features.sample_rate
        for window in self.windows(sample.recording.blocks(rate, self.options.channel)):
            silent = window.silent
            sample.loudness = max(sample.loudness, window.loudness)
            sample.windows.append((window.start, window.start + len(window.samples), silent))
            if not silent:
                yield self.prepare(window)

    def windows(self, blocks: Iterator[np.ndarray]) -> Iterator[Window]:
        """The windows of a stream of blocks at the network's rate."""
        rate = self.network.features.sample_rate
        return cut_windows(blocks, round(self.window * rate), round(self.hop * rate))

    def prepare(self, window: Window) -> Tensor:
        """The network's input (frames, bins)."""
        waveform = torch.from_numpy(window.samples)
        return self.network.features.network_input(
            waveform, exact=self.options.exact, shortest=self.network.shortest
        )

    def infer(self, batch: Tensor) -> Tensor:
        """(B, frames, bins) -> probabilities (B, classes), and after them the embedding where it is
        kept."""
        outputs = self.engine(batch).float().cpu()
        classes = len(self.network.labels)
        return torch.cat(
            [self.network.probabilities(outputs[:, :classes]), outputs[:, classes:]], dim=1
        )

    def tracker(self) -> EventTracker:
        return EventTracker(
            self.network.labels,
            self.hop_samples / self.network.features.sample_rate,
            self.options.rule,
        )

    @property
    def hop_samples(self) -> int:
        return round(self.hop * self.network.features.sample_rate)

    def collect(self, sample: Sample, outputs: Tensor) -> Result:
        rate, classes = self.network.features.sample_rate, len(self.network.labels)
        heard = [(start, end) for start, end, silent in sample.windows if not silent]
        probabilities = (
            outputs[:, :classes].numpy() if heard else np.zeros((0, classes), np.float32)
        )
        seconds = sample.windows[-1][1] / rate
        mean = probabilities.mean(axis=0) if len(heard) else np.zeros(0)
        order = np.argsort(-mean, kind="stable")
        result = Result(
            source=sample.source,
            seconds=seconds,
            probabilities={self.network.labels[number]: float(mean[number]) for number in order},
            events=tuple(self._events(sample.windows, probabilities, seconds)),
            silent=not heard,
            loudness=max(sample.loudness, -200.0),
            damage=tuple(sample.recording.damage),
            starts=np.array([start / rate for start, _ in heard]),
            window_seconds=self.window,
            embeddings=outputs[:, classes:].numpy()
            if heard and outputs.shape[1] > classes
            else None,
        )
        if self.on_result:
            self.on_result(result)
        return result

    def _events(
        self, windows: list[tuple[int, int, bool]], probabilities: np.ndarray, seconds: float
    ) -> list:
        if not self.network.labels:
            return []
        moments, tracker, rows = Moments(self.hop_samples), self.tracker(), iter(probabilities)
        nothing = np.zeros(len(self.network.labels), np.float32)
        events = []
        for start, end, silent in windows:
            for scores in moments.add(start, end, nothing if silent else next(rows)):
                events += tracker.add(scores)
        for scores in moments.end():
            events += tracker.add(scores)
        events += tracker.end(seconds)
        return sorted(events, key=lambda event: (event.start, event.end, event.label))


def load(
    weights: str = "sounds", *, labels: Path | None = None, options: Options = Options(), **where
) -> AudioPipeline:
    """The whole system in one call: ``load().predict("rain.wav").labels``; ``where`` as in
    AudioPipeline."""
    return AudioPipeline(load_network(weights, labels), options, **where)
