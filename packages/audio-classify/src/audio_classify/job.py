"""The job: cut a recording into windows, classify those that are not silent, and join them to
labels and events."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from audio_classify import system
from audio_classify.networks import AudioNetwork, load_network
from audio_classify.result import Embeddings, Frames, Result
from audio_classify.sound.clock import recorded_at
from audio_classify.sound.edges import Edges
from audio_classify.sound.events import MEDIAN, Begun, Event, EventTracker, Rule, thresholds
from audio_classify.sound.heard import Heard, Sound, Span
from audio_classify.sound.level import Level
from audio_classify.sound.spectrogram import SpectrogramBuilder
from audio_classify.sound.windows import SILENT_DB, Moments, Window, cut_windows
from vitrail.engine import prepare
from vitrail.errors import InputError, UsageError
from vitrail.job import Ask, Engine, Steps, Tell
from vitrail.preprocess.audio import Recording, open_audio
from vitrail.preprocess.filterbank import frame_length
from vitrail.runner import solve, stream
from vitrail.sources import Source

CHUNK = 32  # windows that are asked for together
HOPS_PER_WINDOW = 5
MIN_TOLD = 6.0  # dB
MIN_HOP = 0.01  # seconds
MIN_LOUDNESS = -200.0  # dB, for what is nothing but zeros
TOLERANCE = 0.04  # of a logit: at most 0.01 of a probability


@dataclass(frozen=True)
class Options:
    """What to look at and how to judge it; all of it changes numbers, so all of it stands in the
    row.

    ``window`` and ``hop`` in seconds; None: the longest that the network takes, and a fifth of it.
    ``exact`` gives the network each window as the release does, padded and as loud as it is;
    otherwise nothing is computed for what is not there, and quiet sound is raised (``level``).
    ``channel``, counted from 0: one instead of all channels' mean. ``embed`` keeps the windows'
    embeddings. ``silence_level`` is the loudness in dB below full scale under which a window is
    silence. ``track``, counted from 0, is one of the sound tracks of a file. ``begin``, ``keep``
    and ``gap`` are those of ``Rule``. ``start`` is when the sound begins, in ISO 8601, in place of
    what a file says. ``classes``: events of these alone, as ``("dog", "rooster=0.7")``, the number
    in place of ``begin``; empty: of all. ``frames`` keeps the scores of each hop.
    """

    window: float | None = None
    hop: float | None = None
    exact: bool = False
    channel: int | None = None
    track: int = 0
    silence_level: float = SILENT_DB
    embed: bool = False
    begin: float = Rule.begin
    keep: float = Rule.keep
    gap: float = Rule.gap
    start: str | None = None
    classes: tuple[str, ...] = ()
    frames: bool = False

    @property
    def rule(self) -> Rule:
        return Rule(self.begin, self.keep, self.gap)


class AudioJob:
    """Recordings in, labels and events out."""

    model = "SSAST"
    version = system.version

    def __init__(
        self,
        network: AudioNetwork,
        options: Options = Options(),
        *,
        engine: str = "auto",
        device: str = "auto",
    ):
        self.network, self.chosen = network, options
        features = network.features
        longest = features.window_samples / features.sample_rate
        self.window = min(options.window or longest, longest)
        self.started = _moment(options.start)
        self.begins = thresholds(options.classes, network.labels, options.begin)
        if network.unknown and not options.classes:
            self.begins = np.maximum(self.begins, network.accept)
            self.begins[network.labels.index(network.unknown)] = np.inf  # that is no event
        self.hop = options.hop or self.window / HOPS_PER_WINDOW
        if not MIN_HOP <= self.hop <= self.window:
            problem = f"does not go with a window of {self.window:.2f} s"
            raise UsageError(f"--hop {self.hop:g}", problem, "take a shorter one")
        wanted = network.with_embedding() if options.embed or not network.labels else network
        self.networks: Mapping[str, Engine] = {
            network.name: prepare(wanted, engine=engine, device=device, tolerance=TOLERANCE)
        }

    @property
    def options(self) -> dict[str, Any]:
        classes = hashlib.sha256("\n".join(self.network.labels).encode()).hexdigest()
        return {**asdict(self.chosen), "classes_sha256": classes}

    @property
    def hop_samples(self) -> int:
        return round(self.hop * self.network.features.sample_rate)

    def predict(self, sound: np.ndarray | Path | str, sample_rate: int | None = None) -> Result:
        """The result for a path, or for a mono waveform (samples,) in -1..1 of ``sample_rate`` (the
        network's own)."""
        if isinstance(sound, Path | str):
            steps = self.process(Source.of(sound))
        else:
            rate = sample_rate or self.network.features.sample_rate
            steps = self._classify("array", Sound.checked(sound, rate), self.started)
        return solve(self.networks, steps)

    def process(self, source: Source) -> Steps:
        """Asks for the windows that are not silent, tells each event when it is over, and returns
        the Result."""
        recording = open_audio(source.path, self.chosen.track)
        recorded = self.started or recorded_at(source.path)
        return (yield from self._classify(source.name, recording, recorded))

    def listen(self, blocks: Iterator[np.ndarray]) -> Iterator[Begun | Event]:
        """Each event of an endless sound as soon as it has begun, and again when it is over: at
        most two windows, two hops and (at its end) the rule's gap later.

        ``blocks`` are float32 (n,) at the network's sample rate. The events are those that the same
        sound gives as a file, in the order of their ends.
        """
        yield from stream(self.networks, self._hear(blocks, together=1), batch_size=1)

    def _classify(
        self, name: str, recording: "Recording | Sound", recorded: datetime | None
    ) -> Steps:
        rate = self.network.features.sample_rate
        drawn, heard = SpectrogramBuilder(rate), Heard()
        with closing(recording.blocks(rate, self.chosen.channel)) as blocks:
            yield from self._hear(_drawn(blocks, drawn), together=CHUNK, heard=heard)
        if heard.end < (frame := frame_length(rate)):
            problem = f"lasts {heard.end / rate:.4f} s at {rate} samples per second"
            remedy = f"record at least the {frame / rate:.3f} s of a frame"
            raise InputError(name, problem, remedy)
        mean = np.asarray(heard.total / max(1, len(heard.starts)))
        order = np.argsort(-mean, kind="stable") if heard.starts else ()
        starts = np.array(heard.starts) / rate
        found = heard.vectors.array() if heard.vectors.count else None
        probabilities = {self.network.labels[number]: float(mean[number]) for number in order}
        unknown = self._is_unknown(probabilities)
        reasons = list(self._reasons(heard))
        if unknown:
            reasons.append(f"no class is likely enough (from {self.network.accept:.2f} on)")
        return Result(
            source=name,
            seconds=heard.end / rate,
            probabilities=probabilities,
            unknown=unknown,
            events=tuple(sorted(heard.events, key=lambda e: (e.start, e.end, e.label))),
            silent=not heard.starts,
            loudness=max(heard.loudness, MIN_LOUDNESS),
            damage=(*recording.damage, *recording.notes),
            reasons=tuple(reasons),
            recorded=recorded,
            spectrogram=drawn.finish(),
            embeddings=None if found is None else Embeddings(name, starts, found),
            frames=Frames(name, self.hop_samples / rate, heard.cells.array())
            if self.chosen.frames
            else None,
        )

    def _is_unknown(self, probabilities: Mapping[str, float]) -> bool:
        """Whether no class but that of the unknown is likely enough; of silence there is none."""
        network = self.network
        known = [p for label, p in probabilities.items() if label != network.unknown]
        return network.unknown is not None and bool(known) and max(known) < network.accept

    def _reasons(self, heard: Heard) -> Iterator[str]:
        skipped = heard.silence / self.network.features.sample_rate
        if skipped and heard.starts:
            level = self.chosen.silence_level
            yield f"{skipped:.1f} s are quieter than {level:g} dB and were not judged"
        if heard.raised >= MIN_TOLD:
            yield f"quiet sound was raised by up to {heard.raised:.0f} dB before it was judged"

    def _hear(
        self, blocks: Iterator[np.ndarray], *, together: int, heard: "Heard | None" = None
    ) -> Steps:
        """Walks over sound of any length, asking for ``together`` windows at once.

        Tells each event when it is over. Files add up what they hear in ``heard``; of what has no
        end nothing is kept.
        """
        rate, classes = self.network.features.sample_rate, len(self.network.labels)
        moments = Moments(self.hop_samples)
        hop = self.hop_samples / rate
        # What is asked for together passes before its answers come
        edges = Edges(
            rate, self.window, (2 * self.window + (CHUNK + MEDIAN) * hop) + self.chosen.gap
        )
        tracker = EventTracker(self.network.labels, hop, self.chosen.rule, edges, self.begins)
        length = round(self.window * rate)
        windows = cut_windows(edges.watch(blocks), length, self.hop_samples)
        level = Level(rate, hop)
        end = 0
        while spans := list(islice((self._span(window, level) for window in windows), together)):
            items = [span.item for span in spans if span.item is not None]
            rows = iter(self._scores((yield Ask(self.network.name, items)) if items else []))
            for span in spans:
                end = span.end
                row = np.zeros(classes, np.float32) if span.item is None else next(rows)
                if heard:
                    heard.add(span, row[:classes], row[classes:])
                for cell in moments.add(span.start, span.end, row[:classes]):
                    self._keep_cell(cell, heard)
                    yield from _told(tracker.add(cell), heard)
        for cell in moments.end():
            self._keep_cell(cell, heard)
            yield from _told(tracker.add(cell), heard)
        yield from _told(tracker.end(end / rate), heard)

    def _keep_cell(self, cell: np.ndarray, heard: Heard | None) -> None:
        if heard and self.chosen.frames:
            heard.cells.add(cell)

    def _span(self, window: Window, level: Level) -> "Span":
        loudness, end = window.loudness, window.start + len(window.samples)
        gain = 0.0 if self.chosen.exact else level.gain(window.samples)
        if loudness < self.chosen.silence_level:
            return Span(window.start, end, loudness, 0.0, None)
        raised = window.samples * np.float32(10 ** (gain / 20))
        return Span(window.start, end, loudness, gain, self.prepare(Window(window.start, raised)))

    def prepare(self, window: Window) -> np.ndarray:
        """The network's input (frames, bins)."""
        return self.network.features.network_input(
            window.samples, exact=self.chosen.exact, min_frames=self.network.min_frames
        )

    def _scores(self, rows: list[np.ndarray]) -> np.ndarray:
        """Rows of the network -> probabilities (B, classes), and after them the embedding where it
        is kept."""
        if not rows:
            return np.empty((0, 0), np.float32)
        outputs, classes = np.stack(rows), len(self.network.labels)
        if not np.isfinite(outputs).all():
            problem = "gives no finite numbers for this sound"
            raise InputError(self.network.name, problem, "export the sound again as 16-bit WAV")
        scores = self.network.probabilities(outputs[:, :classes])
        return np.concatenate([scores, outputs[:, classes:]], axis=1)


def load(
    weights: str | None = None,
    *,
    labels: Path | None = None,
    engine: str = "auto",
    device: str = "auto",
    **options: Any,
) -> AudioJob:
    """The job with the weights of a catalogued name or a file (default: ``sounds``).

    ``labels`` is a file with the class names of an official checkpoint; ``options`` are those of
    ``Options``.
    """
    network = load_network(weights or "sounds", labels)
    return AudioJob(network, Options(**options), engine=engine, device=device)


def _moment(text: str | None) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--start {text}", "is no time", "write 2024-05-18T04:30:00") from error


def _told(events: Iterable[Begun | Event], heard: Heard | None) -> Steps:
    for event in events:
        if heard and isinstance(event, Event):
            heard.events.append(event)
        yield Tell(event)


def _drawn(blocks: Iterable[np.ndarray], drawn: SpectrogramBuilder) -> Iterator[np.ndarray]:
    for block in blocks:
        drawn.add(block)
        yield block
