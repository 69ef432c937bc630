"""The job: find the faces of a source, score each with both networks, follow each person, and
judge."""

from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from deepfake_detect import system
from deepfake_detect.decide.verdict import (
    MIN_FRAMES,
    Label,
    Observation,
    Thresholds,
    Verdict,
    judge,
)
from deepfake_detect.networks import FakeNetwork, NoisyEngine, choose_networks
from deepfake_detect.official import official_score, pool
from deepfake_detect.result import Moment, Result
from vitrail.engine import prepare
from vitrail.errors import InputError, UsageError
from vitrail.faces.detector import load_finder
from vitrail.faces.face import Face
from vitrail.faces.find import Finder
from vitrail.faces.follow import link
from vitrail.job import Ask, Engine, Steps
from vitrail.preprocess.frames import Arrays, FrameSource, chunks, open_frames
from vitrail.preprocess.image import normalise
from vitrail.preprocess.video import Frame, sample_indices
from vitrail.runner import solve
from vitrail.sources import Source

CASCADE_SURE = 0.1  # network A decides alone when its P(fake) is this near to 0 or 1
SCORINGS = ("person", "official")
NOISES = ("off", "seeded", "official")
# Where somebody is seen briefly, frames before and after are looked at too: at these shares of the
# way to the next frame that was looked at anyhow
CLOSER = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
TOLERANCE = 0.04  # of a logit: a change of at most 0.01 in P(fake)


@dataclass(frozen=True)
class Options:
    """What to look at and how to judge it; all of it changes numbers, so all of it stands in the
    row."""

    frames: int | None = 15
    rate: float | None = None
    scoring: str = "person"
    cascade: bool = False
    noise: str = "off"
    seed: int = 0
    threshold: float | None = None


@dataclass(frozen=True)
class SearchedFrame:
    """A frame's number and time, and its faces: for each the share of its crop that lies within
    the image, its width over the image's shorter side, and the logits (networks, 2)."""

    index: int
    time: float
    faces: list[Face]
    inside: list[float]
    shares: list[float]
    logits: np.ndarray


class DeepfakeJob:
    """Frames in, verdicts out. ``moments`` is how many of the most suspicious faces are explained
    by heat maps, for which PyTorch is loaded."""

    model, version = "GenConViT", system.version

    def __init__(
        self,
        fakes: Sequence[FakeNetwork],
        finder: Finder,
        options: Options = Options(),
        *,
        engine: str = "auto",
        device: str = "auto",
        moments: int = 0,
    ):
        if options.cascade and len(fakes) < 2:
            raise UsageError("cascade", "needs both networks", "use --net ed or --net vae for one")
        if options.cascade and options.scoring == "official":
            raise UsageError(
                "cascade", "leaves scores out that official scoring needs", "use --net both"
            )
        for name, value, known in (
            ("scoring", options.scoring, SCORINGS),
            ("noise", options.noise, NOISES),
        ):
            if value not in known:
                raise UsageError(value, f"is not a kind of {name}", f"use {' or '.join(known)}")
        self.fakes, self.finder, self.settings, self.moments = fakes, finder, options, moments
        self.crop = fakes[0].crop
        self.networks: Mapping[str, Engine] = finder.networks | {
            network.name: _engine(network, options, engine, device) for network in fakes
        }

    @property
    def options(self) -> dict[str, Any]:
        return asdict(self.settings)

    @property
    def thresholds(self) -> Thresholds:
        if self.settings.threshold is not None:
            return Thresholds(self.settings.threshold, self.settings.threshold)
        pairs = [network.thresholds for network in self.fakes]
        return Thresholds(
            fmean(pair.real_below for pair in pairs), fmean(pair.fake_above for pair in pairs)
        )

    def process(self, source: Source) -> Steps:
        with open_frames(source.path) as frames:
            result = yield from self._watch(frames, source.path.name)
        given = {name: value for name, value in self.options.items() if value is not None}
        settings = ", ".join(f"{name} {value}" for name, value in given.items())
        about = {"sha256": source.fingerprint, "version": self.version, "settings": settings}
        return replace(result, facts={**result.facts, **about})

    def predict(self, images: np.ndarray | Path | str) -> Result:
        """The result for a path, or for uint8 RGB of shape (H, W, 3) or (T, H, W, 3)."""
        if isinstance(images, Path | str):
            steps = self.process(Source.of(images))
        else:
            steps = self._watch(Arrays.of(images), "array")
        return solve(self.networks, steps)

    def _watch(self, reader: FrameSource, name: str) -> Generator[Ask, list, Result]:
        searched = yield from self._search(reader, self._indices(reader))
        observations = self._observe(searched)
        if closer := self._closer(reader, searched, observations):
            searched += yield from self._search(reader, closer)
            searched.sort(key=lambda frame: frame.index)
            observations = self._observe(searched, frozenset(closer))
        damage = tuple(dict.fromkeys(reader.damage))  # before frames are read again
        worst = sorted(observations, key=lambda seen: -seen.score)[: self.moments]
        return Result(
            name=name,
            verdict=self._judge(searched, observations, reader),
            observations=tuple(observations),
            frames=len(searched),
            frames_with_face=sum(bool(frame.faces) for frame in searched),
            damage=damage,
            thresholds=self.thresholds,
            has_time=reader.fps is not None,
            moments=tuple(self._explain(reader, worst)),
            facts=reader.facts,
            scene=self._scene(reader, observations) if self.moments else None,
        )

    def _search(
        self, reader: FrameSource, indices: Sequence[int]
    ) -> Generator[Ask, list, list[SearchedFrame]]:
        searched: list[SearchedFrame] = []
        for chunk in chunks(reader.frames(indices)):
            found = yield from self.finder.find([frame.image for frame in chunk])
            pairs = [
                (frame, face) for frame, faces in zip(chunk, found, strict=True) for face in faces
            ]
            logits = yield from self._score([self._item(*pair) for pair in pairs])
            rows = iter(logits)
            for frame, faces in zip(chunk, found, strict=True):
                inside = [self.crop.share_inside(frame.image, face) for face in faces]
                side = min(frame.image.shape[:2])
                shares = [(face.box[2] - face.box[0]) / side for face in faces]
                own = np.array([next(rows) for _ in faces]).reshape(-1, len(self.fakes), 2)
                searched.append(SearchedFrame(frame.index, frame.time, faces, inside, shares, own))
        return searched

    def _indices(self, reader: FrameSource) -> list[int]:
        rate = self.settings.rate
        if rate is not None and reader.fps is None:
            raise InputError(
                "images", "images have no time, so no rate", "use --frames for a folder of images"
            )
        number = None if rate is not None else self.settings.frames
        fps = reader.fps or np.nan  # unknown only where no rate asks for it
        indices = sample_indices(reader.frame_count, number=number, rate=rate, fps=fps)
        # The official rule counts a frame as often as it was drawn.
        return indices if self.settings.scoring == "official" else sorted(set(indices))

    def _closer(
        self,
        reader: FrameSource,
        searched: Sequence[SearchedFrame],
        observations: Sequence[Observation],
    ) -> list[int]:
        """More frames around those of a film in which somebody was seen too briefly to be judged;
        at most as many as were looked at."""
        settings, looked = self.settings, [frame.index for frame in searched]
        if reader.fps is None or settings.rate is not None or settings.scoring == "official":
            return []
        seen, needed = Counter(one.person for one in observations), min(MIN_FRAMES, len(looked))
        brief = [one for one in observations if seen[one.person] < needed and one.weakness is None]
        wanted: set[int] = set()
        for one in brief:
            place = looked.index(one.frame)
            ends = looked[max(0, place - 1)], looked[min(len(looked) - 1, place + 1)]
            wanted.update(
                round(one.frame + share * (end - one.frame)) for end in ends for share in CLOSER
            )
        return sorted(wanted - set(looked))[: len(looked)]

    def _item(self, frame: Frame, face: Face) -> np.ndarray:
        return normalise(self.crop.cut(frame.image, face), self.crop.mean, self.crop.std)

    def _score(self, crops: Sequence[np.ndarray]) -> Generator[Ask, list, np.ndarray]:
        """Logits (faces, networks, 2); NaN where the cascade left a network out."""
        logits = np.full((len(crops), len(self.fakes), 2), np.nan, np.float32)
        asked = np.arange(len(crops))
        for column, network in enumerate(self.fakes):
            rows = yield Ask(network.name, [crops[number] for number in asked.tolist()])
            logits[asked, column] = np.reshape(rows, (-1, 2))
            if self.settings.cascade:
                fake = network.probability(logits[asked, column])
                asked = asked[(fake > CASCADE_SURE) & (fake < 1 - CASCADE_SURE)]
        return logits

    def _observe(
        self, searched: Sequence[SearchedFrame], closer: frozenset[int] = frozenset()
    ) -> list[Observation]:
        """All faces, with their persons; of the frames of a ``closer`` look only of those who were
        seen too briefly before, so that everybody else is judged evenly over time."""
        people = link([frame.faces for frame in searched])
        found = [
            Observation(
                *(frame.index, frame.time, face, person, self._by_name(logits), inside),
                certain=self.finder.certain(share),
            )
            for frame, numbers in zip(searched, people, strict=True)
            for face, person, logits, inside, share in zip(
                frame.faces, numbers, frame.logits, frame.inside, frame.shares, strict=True
            )
        ]
        evenly = Counter(one.person for one in found if one.frame not in closer)
        return [one for one in found if one.frame not in closer or evenly[one.person] < MIN_FRAMES]

    def _by_name(self, logits: np.ndarray) -> dict[str, float]:
        """P(fake) by network from a face's logits (networks, 2)."""
        return {
            network.name: float(network.probability(pair[None])[0])
            for network, pair in zip(self.fakes, logits, strict=True)
            if not np.isnan(pair).any()
        }

    def _judge(
        self,
        searched: Sequence[SearchedFrame],
        observations: Sequence[Observation],
        reader: FrameSource,
    ) -> Verdict:
        if self.settings.scoring == "official":
            none = np.zeros((0, len(self.fakes), 2), np.float32)
            logits = np.concatenate([none, *(frame.logits for frame in searched)])
            value, _, label = official_score(pool(logits, self.settings.frames))
            return Verdict(Label(label), value, (), ())
        unit = "image " if reader.fps is None else "second "
        return judge(observations, len(searched), self.thresholds, unit)

    def _scene(
        self, reader: FrameSource, observations: Sequence[Observation]
    ) -> tuple[int, np.ndarray] | None:
        persons = Counter(one.frame for one in observations)
        try:
            frames = reader.frames([index for index, _ in persons.most_common(1)])
            return next(((frame.index, frame.image) for frame in frames), None)
        except InputError:  # a damaged film may give a frame in its course and not alone
            return None

    def _explain(self, reader: FrameSource, worst: Sequence[Observation]) -> Iterator[Moment]:
        if not worst:
            return
        from deepfake_detect.decide.explain import heat_maps

        frames = reader.frames(sorted({seen.frame for seen in worst}))
        images = {frame.index: frame.image for frame in frames}
        for seen in worst:
            crop = self.crop.cut(images[seen.frame], seen.face)
            yield Moment(seen, crop, heat_maps(self.fakes, crop))


def _engine(network: FakeNetwork, options: Options, engine: str, device: str) -> Engine:
    if network.name == "vae" and options.noise != "off":
        return NoisyEngine(network, options.noise, options.seed, device)
    return prepare(network, engine=engine, device=device, tolerance=TOLERANCE)


def load(
    weights: str | Sequence[str] | None = None,
    *,
    net: str | None = None,
    frames: int | None = Options.frames,
    rate: float | None = None,
    scoring: str = Options.scoring,
    threshold: float | None = None,
    noise: str = Options.noise,
    seed: int = 0,
    face_detector: str = "bundled",
    moments: int = 0,
    engine: str = "auto",
    device: str = "auto",
) -> DeepfakeJob:
    """The job with the bundled weights, or with those named: one file, or one per network.

    ``net`` is ed, vae, both or cascade (None: what the weights are for); ``frames`` None looks at
    all of them, ``rate`` at so many per second instead. The others are the command's options.
    Raises UsageError for what does not go together, and as ``choose_networks`` and ``load_finder``
    do.
    """
    names = [weights] if isinstance(weights, str) else weights or ()
    return DeepfakeJob(
        choose_networks(net, names),
        load_finder(face_detector, engine=engine, device=device),
        Options(frames, rate, scoring, net == "cascade", noise, seed, threshold),
        engine=engine,
        device=device,
        moments=moments,
    )
