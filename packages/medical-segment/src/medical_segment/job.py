"""The job: read a case, walk over it window by window, and bring what the network says back onto
the file's grid."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from medical_segment import postprocess, system
from medical_segment.familiar import unlike
from medical_segment.files.dicom_seg import require_dicom_seg, require_series
from medical_segment.files.finding import case_of
from medical_segment.files.imagej import require_roifile
from medical_segment.files.reading import read_source
from medical_segment.files.volume import Kind, Volume
from medical_segment.networks import SegmentationNetwork
from medical_segment.plan import renumber
from medical_segment.planes import Plane, cut
from medical_segment.preprocess import channels_back
from medical_segment.result import Result
from vitrail.engine import prepare
from vitrail.errors import InputError, UsageError
from vitrail.job import Ask, Engine, Steps
from vitrail.runner import solve
from vitrail.sources import Source

PREDICT_BATCH = 4
CHUNK = 8  # windows that a case has in memory at once, beside its canvas
TOLERANCE = 0.04  # of a logit: at most 0.01 of a probability


@dataclass(frozen=True)
class Options:
    """How to look and what to do with it; all of it changes the result, so all of it stands there.

    ``overlap`` of neighbouring windows, ``mirror``: the mean over all mirrored views, ``largest``:
    of each structure only its largest piece, ``fill``: no holes, ``min_area`` of a counted object
    in pixels, ``series`` and ``volume`` as in ``read_case``, ``convention``: whose numbers tumour
    regions get, ``probabilities``: keep them, ``dicom_seg``: write DICOM series as DICOM-SEG too,
    ``outlines``: write them too, as an RTSTRUCT of a DICOM series or as ImageJ's ROIs of an image.
    """

    overlap: float = 0.5
    mirror: bool = False
    largest: bool = False
    fill: bool = False
    min_area: int = 10
    series: int | None = None
    volume: int | None = None
    convention: str | None = None
    probabilities: bool = False
    dicom_seg: bool = False
    outlines: bool = False


@dataclass(frozen=True)
class Part:
    """What came of one plane, on its stored grid: the label map (spatial…), the masks (K, spatial…)
    of labels that overlap, and the probabilities (K, spatial…) where they are kept; and how sure
    the network is: the sum of probabilities of what was found, and over how many voxels."""

    labels: np.ndarray
    regions: np.ndarray | None
    probabilities: np.ndarray | None
    sure: tuple[float, int]


class SegmentationJob:
    """Scans and images in, label maps out; several networks of one plan give the mean of their
    logits."""

    model, version = system.name, system.version

    def __init__(
        self,
        networks: Sequence[SegmentationNetwork],
        settings: Options = Options(),
        *,
        engine: str = "auto",
        device: str = "auto",
    ):
        plan = networks[0].plan
        for other in networks[1:]:
            if other.plan != plan:
                problem = f"was not trained for the same task and input as {networks[0].name}"
                raise UsageError(other.name, problem, "average checkpoints of one recipe")
        if not 0 <= settings.overlap < 1:
            raise UsageError(f"--overlap {settings.overlap:g}", "is not in 0..1", "take 0.5")
        if settings.dicom_seg:
            require_dicom_seg()
        self.settings, self.seen = settings, networks[0].seen
        self.plan = renumber(plan, settings.convention) if settings.convention else plan
        self.networks: Mapping[str, Engine] = {
            name: prepare(network, engine=engine, device=device, tolerance=TOLERANCE)
            for name, network in _named(networks)
        }
        self.options = {"plan": self.plan.to_dict(), **asdict(settings)}

    def process(self, source: Source) -> Steps:
        """One case from its files to its label map."""
        wanted = {"series": self.settings.series, "volume": self.settings.volume}
        return (yield from self._steps(source.name, read_source(source, **wanted)))

    def predict(
        self, case: Source | Path | str | np.ndarray, affine: np.ndarray | None = None
    ) -> Result:
        """The result for a source, a path, or an array (spatial…), (C, spatial…), or an image
        (rows, columns, 3).

        ``affine`` (4, 4) maps an array's voxels to millimetres; without it a voxel has 1 mm each
        way.
        """
        if isinstance(case, Path | str):
            case = case_of(Path(case), len(self.plan.channels))
        if isinstance(case, Source):
            steps = self.process(case)
        else:
            steps = self._steps("array", self._in_memory(case, affine))
        return solve(self.networks, steps, batch_size=PREDICT_BATCH)

    def _in_memory(self, array: np.ndarray, affine: np.ndarray | None) -> Volume:
        array, dims = np.asarray(array), self.plan.dims
        if array.dtype.kind not in "uif" or not array.size or not np.isfinite(array).all():
            raise InputError(
                "array", f"is {array.dtype} of shape {array.shape}", "give finite numbers"
            )
        colours_last = array.ndim == 3 and array.shape[-1] == 3
        if dims == 2 and colours_last and len(array) != len(self.plan.channels):
            array = np.moveaxis(array, -1, 0)
        array = array[None] if array.ndim == dims else array
        if array.ndim != dims + 1:
            raise InputError("array", f"has the shape {array.shape}", f"give {dims} spatial axes")
        kind = Kind.image if self.plan.orientation is None and affine is None else Kind.array
        return Volume(array, np.eye(4) if affine is None else np.asarray(affine), kind)

    def _steps(self, name: str, volume: Volume) -> Steps:
        if self.settings.dicom_seg:
            require_series(name, volume, "a DICOM-SEG", "--dicom-seg")
        if self.settings.outlines and volume.kind is Kind.image:
            require_roifile()
        elif self.settings.outlines:
            require_series(name, volume, "an RTSTRUCT", "--outlines")
        axis, planes = cut(name, volume, self.plan, self.settings.overlap)
        # Through all planes in one walk, so that the pages of a stack fill batches together.
        windows = ((plane, *window) for plane in planes for window in plane.windows())
        while chunk := list(itertools.islice(windows, CHUNK)):
            logits = yield from self._logits([crop for _, _, crop in chunk])
            for (plane, number, _), part in zip(chunk, logits, strict=True):
                plane.add(number, part)
        counts = sum(plane.count for plane in planes), sum(plane.skipped for plane in planes)
        return self._result(name, volume, axis, [self._part(plane) for plane in planes], counts)

    def _logits(self, windows: Sequence[np.ndarray]) -> Steps:
        """(C, *patch) each -> (K, *patch) each: the mean over networks and mirrored views."""
        axes = range(1, windows[0].ndim)
        # All combinations of axes: two views per axis, eight of a volume.
        flips = [f for n in range(self.plan.dims + 1) for f in itertools.combinations(axes, n)]
        flips = flips if self.settings.mirror else [()]
        total: list[Any] = [0] * len(windows)
        for name, flip in itertools.product(self.networks, flips):
            rows = yield Ask(name, [np.flip(window, flip) for window in windows])
            total = [sum_ + np.flip(row, flip) for sum_, row in zip(total, rows, strict=True)]
        return [sum_ / (len(self.networks) * len(flips)) for sum_ in total]

    def _part(self, plane: Plane) -> Part:
        shape, plan = plane.data.shape[1:], self.plan
        assert plane.probabilities is not None
        sure = postprocess.sureness(plane.probabilities, plan)
        channels = channels_back(plane.probabilities, shape, plane.affine, plan)
        # One channel at a time is enough, unless all are to be kept.
        kept = None
        if self.settings.probabilities:
            kept = np.stack(list(channels))
            channels = iter(kept)
        tidy = {"largest": self.settings.largest, "fill": self.settings.fill}
        if plan.activation == "sigmoid":
            limit = postprocess.THRESHOLD
            masks = np.stack([postprocess.clean(c >= limit, **tidy) for c in channels])
            labels = postprocess.paint(masks, plan)
        else:
            masks = None
            labels = postprocess.numbered(postprocess.most_likely(channels), plan)
            labels = labels if plan.instances else postprocess.clean_labels(labels, **tidy)
        plane.probabilities = None
        return Part(labels, masks, kept, sure)

    def _result(
        self,
        name: str,
        volume: Volume,
        axis: int | None,
        parts: Sequence[Part],
        counts: tuple[int, int],
    ) -> Result:
        separated, things = None, []
        if self.plan.instances:
            maps, things = self._instances(name, volume, axis, [part.labels for part in parts])
            separated = _joined(maps, axis, 0).astype(np.uint16)
        total, count = (sum(part.sure[n] for part in parts) for n in range(2))
        result = Result(
            source=name,
            volume=volume,
            plan=self.plan,
            labels=_joined([part.labels for part in parts], axis, 0),
            regions=_all_joined([part.regions for part in parts], axis),
            probabilities=_all_joined([part.probabilities for part in parts], axis),
            instances=separated,
            things=tuple(things),
            confidence=total / count if count else None,
            dicom_seg=self.settings.dicom_seg,
            outlines=self.settings.outlines,
            windows=counts[0],
            skipped=counts[1],
        )
        return replace(result, reasons=unlike(result, self.seen))

    def _instances(
        self, name: str, volume: Volume, axis: int | None, planes: Sequence[np.ndarray]
    ) -> tuple[list[np.ndarray], list[postprocess.Thing]]:
        """Each page's objects on the file's grid, numbered through all pages, and what was
        measured."""
        maps, things, count = [], [], 0
        # Plans number their labels as they like; background, interior, boundary come in this order.
        roles = np.zeros(max(self.plan.values) + 1, np.uint8)
        roles[list(self.plan.values)] = range(len(self.plan.values))
        for page, labels in enumerate(planes):
            found = postprocess.separate(roles[labels], self.settings.min_area)
            found[found > 0] += count
            image = volume.data if axis is None else np.take(volume.data, page, axis + 1)
            things += postprocess.measure(found, image, page)
            count = max(count, int(found.max(initial=0)))
            maps.append(found)
        # Instance maps are 16-bit files.
        if count > postprocess.MAX_OBJECTS:
            raise InputError(name, f"holds {count} objects, over 65,535", "cut it into pieces")
        return maps, things


def _named(networks: Sequence[SegmentationNetwork]) -> Iterator[tuple[str, SegmentationNetwork]]:
    """Each under its own name, numbered where it stands there again."""
    seen: dict[str, int] = {}
    for network in networks:
        number = seen.setdefault(network.name, 0)
        seen[network.name] += 1
        yield f"{network.name}-{number}" if number else network.name, network


def _joined(parts: Sequence[np.ndarray], axis: int | None, skip: int) -> np.ndarray:
    """Slices put together along the file's ``axis``; ``skip`` axes come before the spatial ones."""
    return parts[0] if axis is None else np.stack(parts, axis=axis + skip)


def _all_joined(parts: Sequence[np.ndarray | None], axis: int | None) -> np.ndarray | None:
    """Slices of channels (K, spatial…); None where they were not kept."""
    kept = [part for part in parts if part is not None]
    return _joined(kept, axis, 1) if kept else None
