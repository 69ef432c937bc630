"""The job: find the faces of a source, score each with both networks, follow each person, and
judge."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from deepfake_detect import system
from deepfake_detect.frames import Arrays, FrameSource, open_frames
from deepfake_detect.networks import FakeNetwork, choose_networks
from deepfake_detect.noise import NoisyEngine
from deepfake_detect.official import official_score, pool
from deepfake_detect.result import Moment, Result
from deepfake_detect.verdict import Label, Observation, Thresholds, Verdict, judge
from vitrail.engine import Engine, prepare
from vitrail.errors import InputError, UsageError
from vitrail.faces.detector import load_detector
from vitrail.faces.face import Face
from vitrail.faces.tracks import link
from vitrail.pipeline import Pipeline, compute
from vitrail.preprocess.image import normalise
from vitrail.preprocess.video import Frame, sample_indices

PREDICT_BATCH = 16
CASCADE_SURE = 0.1  # network A decides alone when its P(fake) is this near to 0 or 1


@dataclass(frozen=True)
class Options:
    """What to look at and how to judge it; all of it changes numbers, so all of it stands in the
    result."""

    frames: int | None = 15
    rate: float | None = None
    scoring: str = "person"
    cascade: bool = False
    noise: str = "off"
    seed: int = 0
    threshold: float | None = None


@dataclass(frozen=True)
class SearchedFrame:
    """A frame's number and time, its faces, and for each the share of its crop that lies within the
    picture."""

    index: int
    time: float
    faces: list[Face]
    inside: list[float]


@dataclass
class Sample:
    """One open source, and the frames of it that were searched so far."""

    source: Path
    reader: FrameSource
    indices: list[int]
    searched: list[SearchedFrame] = field(default_factory=list)


class DeepfakePipeline(Pipeline[Sample, Result]):
    """Frames in, verdicts out. ``moments`` is how many of the most suspicious faces are explained
    by heat maps."""

    def __init__(
        self,
        networks: list[FakeNetwork],
        options: Options = Options(),
        *,
        face_detector: str = "bundled",
        engine: str = "auto",
        device: str = "auto",
        moments: int = 0,
    ):
        if options.cascade and len(networks) < 2:
            raise UsageError("cascade", "needs both networks", "use --net ed or --net vae for one")
        if options.cascade and options.scoring == "official":
            raise UsageError(
                "cascade", "leaves scores out that official scoring needs", "use --net both"
            )
        self.networks, self.options, self.moments = networks, options, moments
        self.detector = load_detector(face_detector)
        self.crop = networks[0].crop
        self.engines = [self._engine(network, engine, device) for network in networks]

    def _engine(self, network: FakeNetwork, engine: str, device: str) -> Engine | NoisyEngine:
        if network.name == "vae" and self.options.noise != "off":
            return NoisyEngine(network, self.options.noise, self.options.seed, device)
        # The tolerance bounds logits: a change of 0.04 in a logit is one of at most 0.01 in
        # P(fake).
        return prepare(
            network.module, engine=engine, device=device, tolerance=0.04, key=network.weights.sha256
        )

    def settings(self) -> dict:
        return {
            "model": "GenConViT",
            "version": system.version,
            "weights": {network.name: network.weights.sha256 for network in self.networks},
            "face_detector": self.detector.sha256,
            **asdict(self.options),
        }

    def runtime(self) -> dict:
        return {
            "device": self.engines[0].device,
            "engine": {n.name: e.name for n, e in zip(self.networks, self.engines, strict=True)},
        }

    @property
    def thresholds(self) -> Thresholds:
        if self.options.threshold is not None:
            return Thresholds(self.options.threshold, self.options.threshold)
        pairs = [network.thresholds for network in self.networks]
        return Thresholds(
            fmean(pair.real_below for pair in pairs), fmean(pair.fake_above for pair in pairs)
        )

    def predict(self, images: np.ndarray | Path | str) -> Result:
        """The result for a path, or for uint8 RGB of shape (H, W, 3) or (T, H, W, 3)."""
        sample = (
            self.read(Path(images))
            if isinstance(images, Path | str)
            else self._in_memory(np.asarray(images))
        )
        return compute(self, sample, batch_size=PREDICT_BATCH)

    def read(self, source: Path) -> Sample:
        return self._sample(source, open_frames(source))

    def _in_memory(self, images: np.ndarray) -> Sample:
        if (
            images.dtype != np.uint8
            or images.ndim not in (3, 4)
            or images.shape[-1] != 3
            or images.size == 0
        ):
            raise InputError(
                "array",
                f"is {images.dtype} of shape {images.shape}",
                "give uint8 RGB (H, W, 3) or (T, H, W, 3)",
            )
        return self._sample(Path("array"), Arrays(images if images.ndim == 4 else images[None]))

    def _sample(self, source: Path, reader: FrameSource) -> Sample:
        count, rate = reader.frame_count, self.options.rate
        if rate is not None and reader.fps is None:
            raise InputError(
                source, "pictures have no time, so no rate", "use --frames for a folder of pictures"
            )
        number = None if rate is not None else self.options.frames
        indices = sample_indices(count, number=number, rate=rate, fps=reader.fps)
        return Sample(
            source, reader, indices if self.options.scoring == "official" else sorted(set(indices))
        )

    def items(self, sample: Sample) -> Iterator[Tensor]:
        for frame in sample.reader.frames(sample.indices):
            faces = self.detector(frame.image)
            inside = [self.crop.share_inside(frame.image, face) for face in faces]
            sample.searched.append(SearchedFrame(frame.index, frame.time, faces, inside))
            for face in faces:
                yield self._tensor(frame, face)

    def _tensor(self, frame: Frame, face: Face) -> Tensor:
        return normalise(self.crop.cut(frame.image, face)[None], self.crop.mean, self.crop.std)[0]

    def infer(self, batch: Tensor) -> Tensor:
        """Logits (B, networks, 2); NaN where the cascade left a network out."""
        logits = torch.full((len(batch), len(self.networks), 2), float("nan"))
        rows = torch.arange(len(batch))
        for column, (network, engine) in enumerate(zip(self.networks, self.engines, strict=True)):
            if len(rows):
                logits[rows, column] = engine(batch[rows]).float().cpu()
            if self.options.cascade:
                fake = network.probability(logits[rows, column])
                rows = rows[(fake > CASCADE_SURE) & (fake < 1 - CASCADE_SURE)]
        return logits

    def collect(self, sample: Sample, outputs: Tensor) -> Result:
        outputs = outputs.reshape(
            -1, len(self.networks), 2
        )  # without a face there was no batch to give it a shape
        observations = self._observe(sample, outputs)
        frames = len(sample.searched)
        if self.options.scoring == "official":
            value, _, label = official_score(pool(outputs, self.options.frames))
            verdict = Verdict(Label(label), value, (), ())
        else:
            verdict = judge(observations, frames, self.thresholds, self.detector.certain)
        worst = sorted(observations, key=lambda seen: -seen.score)[: self.moments]
        return Result(
            source=sample.source,
            verdict=verdict,
            observations=tuple(observations),
            frames=frames,
            frames_with_face=sum(bool(frame.faces) for frame in sample.searched),
            damage=tuple(sample.reader.damage),
            thresholds=self.thresholds,
            has_time=sample.reader.fps is not None,
            moments=tuple(self._explain(sample, worst)),
        )

    def _observe(self, sample: Sample, outputs: Tensor) -> list[Observation]:
        probabilities = torch.stack(
            [
                network.probability(outputs[:, column])
                for column, network in enumerate(self.networks)
            ],
            dim=1,
        )
        people = link([frame.faces for frame in sample.searched])
        rows = iter(probabilities.tolist())
        return [
            Observation(frame.index, frame.time, face, person, self._by_name(next(rows)), inside)
            for frame, numbers in zip(sample.searched, people, strict=True)
            for face, person, inside in zip(frame.faces, numbers, frame.inside, strict=True)
        ]

    def _by_name(self, row: list[float]) -> dict[str, float]:
        return {network.name: p for network, p in zip(self.networks, row, strict=True) if p == p}

    def _explain(self, sample: Sample, worst: list[Observation]) -> Iterator[Moment]:
        from deepfake_detect.explain import heat_maps

        by_frame = {
            frame.index: frame.image
            for frame in sample.reader.frames(sorted({seen.frame for seen in worst}))
        }
        for seen in worst:
            crop = self.crop.cut(by_frame[seen.frame], seen.face)
            yield Moment(seen, crop, heat_maps(self.networks, crop))


def load(
    net: str | None = None, *, weights: Sequence[str] = (), options: Options | None = None, **where
) -> DeepfakePipeline:
    """The whole system in one call: ``load().predict("video.mp4").verdict``; ``where`` as in
    DeepfakePipeline."""
    options = options or Options(cascade=net == "cascade")
    return DeepfakePipeline(choose_networks(net, weights), options, **where)
