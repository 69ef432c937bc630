"""The job: read a case, walk over it window by window, and bring what the network says back onto
the file's grid."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from medical_segment import dicom_seg, geometry, instances, system
from medical_segment.cleaning import clean, clean_labels
from medical_segment.networks import SegmentationNetwork, load_network
from medical_segment.numbering import renumber
from medical_segment.plan import Plan
from medical_segment.preprocess import network_shape, prepare
from medical_segment.reading import case_files, read_case
from medical_segment.result import Result
from medical_segment.volume import MAX_VOXELS, Kind, Volume
from medical_segment.windows import SURE, Canvas
from vitrail.engine import prepare as prepare_engine
from vitrail.errors import InputError, UsageError
from vitrail.pipeline import Pipeline, compute
from vitrail.sources import sha256

PREDICT_BATCH = 4
TOLERANCE = 0.04  # of a logit: at most 0.01 of a probability
GREY = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Options:
    """How to look and what to do with it; all of it changes the result, so all of it stands there.

    ``overlap`` of neighbouring windows, ``mirror``: the mean over all mirrored views, ``largest``:
    of each structure only its largest piece, ``fill``: no holes, ``min_area`` of a counted object
    in pixels, ``series`` and ``volume`` as in ``read_case``, ``convention``: whose numbers tumour
    regions get, ``probabilities``: keep them, ``dicom_seg``: write DICOM series as DICOM-SEG too.
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


@dataclass
class Plane:
    """What the network takes at once: the whole volume, or one slice of it (``where`` in the stored
    array)."""

    data: np.ndarray
    affine: np.ndarray
    canvas: Canvas | None = None
    probabilities: Tensor | None = None


@dataclass
class Sample:
    """One case while it is being computed. ``axis``: along which it is cut into slices, None for a
    whole."""

    source: Path
    volume: Volume
    planes: list[Plane]
    axis: int | None
    ticket: int
    windows: int = 0
    skipped: int = 0


class SegmentationPipeline(Pipeline[Sample, Result]):
    """Scans and pictures in, label maps out; several networks of one plan give the mean of their
    logits.

    An item is the address of a window, (case, plane, window), since the windows overlap and what
    came of each is added to its case's one buffer at once.
    """

    def __init__(
        self,
        networks: Sequence[SegmentationNetwork],
        options: Options = Options(),
        *,
        engine: str = "auto",
        device: str = "auto",
        cases: Mapping[Path, Sequence[Path]] = {},
    ):
        """``cases`` names the files of a case by its source, where these are not its own name's."""
        plan = networks[0].plan
        for other in networks[1:]:
            if other.plan != plan:
                problem = f"was not trained for the same task and input as {networks[0].name}"
                raise UsageError(other.name, problem, "average checkpoints of one recipe")
        if not 0 <= options.overlap < 1:
            raise UsageError(f"--overlap {options.overlap:g}", "is not in 0..1", "take 0.5")
        if options.dicom_seg:
            dicom_seg.require()
        self.networks, self.options, self.cases = list(networks), options, dict(cases)
        self.plan = renumber(plan, options.convention) if options.convention else plan
        self.engines = [
            prepare_engine(
                net.module,
                engine=engine,
                device=device,
                tolerance=TOLERANCE,
                key=net.weights.sha256,
            )
            for net in networks
        ]
        self._samples: dict[int, Sample] = {}
        self._tickets = itertools.count()

    def settings(self) -> dict:
        names = [
            f"{net.name}-{number}" if number else net.name
            for number, net in _numbered(self.networks)
        ]
        return {
            "model": "medical-segment",
            "version": system.version,
            "weights": {
                name: net.weights.sha256 for name, net in zip(names, self.networks, strict=True)
            },
            "plan": self.plan.to_dict(),
            **asdict(self.options),
        }

    def runtime(self) -> dict:
        return {
            "device": self.engines[0].device,
            "engine": "+".join(dict.fromkeys(e.name for e in self.engines)),
        }

    def fingerprint(self, source: Path) -> str:
        """The sha256 of the source's file, or of the lines of those of all its files."""
        from medical_segment.dicom import dicom_files

        files = self._files(source)
        if len(files) == 1 and files[0].is_dir():
            files = dicom_files(files[0])
        elif len(files) == 1:
            return sha256(files[0])
        return combined_sha256(files)

    def predict(self, case: np.ndarray | Path | str, affine: np.ndarray | None = None) -> Result:
        """The result for a path, or for an array (spatial…), (C, spatial…), or a picture (rows,
        columns, 3).

        ``affine`` (4, 4) maps an array's voxels to millimetres; without it a voxel has 1 mm each
        way.
        """
        sample = (
            self.read(Path(case)) if isinstance(case, Path | str) else self._in_memory(case, affine)
        )
        try:
            return compute(self, sample, batch_size=PREDICT_BATCH)
        finally:
            self.close(sample)

    def read(self, source: Path) -> Sample:
        volume = read_case(
            self._files(source), series=self.options.series, volume=self.options.volume
        )
        return self._sample(source, volume)

    def items(self, sample: Sample) -> Iterator[Tensor]:
        """Addresses (3,) of the windows that need the network."""
        background = torch.full((len(self.plan.labels),), -SURE)
        if self.plan.activation == "softmax":
            background[0] = SURE
        for number, plane in enumerate(sample.planes):
            image = prepare(plane.data, plane.affine, self.plan)
            plane.canvas = Canvas(image, self.plan.patch, self.options.overlap, background)
            for window in plane.canvas.windows():
                yield torch.tensor([sample.ticket, number, window])
            for begun in sample.planes[: number + 1]:
                self._settle(sample, begun)

    @torch.no_grad()
    def infer(self, batch: Tensor) -> Tensor:
        """Addresses (B, 3) -> nothing (B, 0): the logits are added to the buffers of their
        cases."""
        addresses = [tuple(map(int, address)) for address in batch]
        canvases = [self._samples[ticket].planes[plane].canvas for ticket, plane, _ in addresses]
        windows = torch.stack(
            [
                canvas.crop(window)
                for canvas, (_, _, window) in zip(canvases, addresses, strict=True)
            ]
        )
        logits = self._logits(windows)
        for canvas, (_, _, window), part in zip(canvases, addresses, logits, strict=True):
            canvas.add(window, part)
        return torch.empty(len(batch), 0)

    def collect(self, sample: Sample, outputs: Tensor) -> Result:
        for plane in sample.planes:
            self._settle(sample, plane)
        parts = [self._labels(plane) for plane in sample.planes]
        return self._result(sample, parts)

    def close(self, sample: Sample) -> None:
        self._samples.pop(sample.ticket, None)
        sample.planes.clear()

    def _files(self, source: Path) -> list[Path]:
        return list(self.cases.get(source) or case_files(source, len(self.plan.channels)))

    def _in_memory(self, array: np.ndarray, affine: np.ndarray | None) -> Sample:
        array, dims = np.asarray(array), self.plan.dims
        if array.dtype.kind not in "uif" or not array.size or not np.isfinite(array).all():
            raise InputError(
                "array", f"is {array.dtype} of shape {array.shape}", "give finite numbers"
            )
        if (
            dims == 2
            and array.ndim == 3
            and array.shape[-1] == 3
            and len(array) != len(self.plan.channels)
        ):
            array = np.moveaxis(array, -1, 0)
        array = array[None] if array.ndim == dims else array
        if array.ndim != dims + 1:
            raise InputError("array", f"has the shape {array.shape}", f"give {dims} spatial axes")
        kind = Kind.picture if self.plan.orientation is None and affine is None else Kind.array
        return self._sample(
            Path("array"), Volume(array, np.eye(4) if affine is None else np.asarray(affine), kind)
        )

    def _sample(self, source: Path, volume: Volume) -> Sample:
        if self.options.dicom_seg and volume.kind is not Kind.dicom:
            raise InputError(
                source, "is no DICOM series, which a DICOM-SEG refers to", "leave out --dicom-seg"
            )
        data = _fit_channels(source, volume, self.plan)
        axis, planes = _cut(source, volume, data, self.plan)
        sizes = [
            network_shape(plane.data.shape[1:], plane.affine, self.plan) for plane in planes[:1]
        ]
        if np.prod(sizes[0], dtype=float) > MAX_VOXELS:
            size = " x ".join(map(str, sizes[0]))
            raise InputError(
                source, f"would be {size} at the network's voxel size", "is its voxel size right?"
            )
        sample = Sample(source, volume, planes, axis, next(self._tickets))
        self._samples[sample.ticket] = sample
        return sample

    def _logits(self, windows: Tensor) -> Tensor:
        """(B, C, *patch) -> (B, K, *patch): the mean over networks and mirrored views."""
        axes = range(2, windows.ndim)
        flips = [f for n in range(self.plan.dims + 1) for f in itertools.combinations(axes, n)]
        flips = flips if self.options.mirror else [()]
        views = ((engine, flip) for engine in self.engines for flip in flips)
        total = sum(engine(windows.flip(flip)).float().cpu().flip(flip) for engine, flip in views)
        return total / (len(self.engines) * len(flips))

    def _settle(self, sample: Sample, plane: Plane) -> None:
        """Turns a plane's buffer into probabilities once all its windows are in; its image is let
        go."""
        if plane.canvas is None or plane.canvas.left:
            return
        logits = plane.canvas.logits()
        sample.windows += len(plane.canvas.starts)
        sample.skipped += plane.canvas.skipped
        if self.plan.activation == "sigmoid":
            plane.probabilities = logits.sigmoid_()
        else:
            plane.probabilities = torch.softmax(logits, dim=0)
        plane.canvas = None

    def _labels(self, plane: Plane) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """The plane's label map, its regions (K, …) where they overlap, and its probabilities where
        they are kept."""
        shape, plan = plane.data.shape[1:], self.plan
        channels = geometry.channels_back(plane.probabilities, shape, plane.affine, plan)
        kept = None
        if self.options.probabilities:
            kept = torch.stack(list(channels))
            channels = iter(kept)
        tidy = {"largest": self.options.largest, "fill": self.options.fill}
        if plan.activation == "sigmoid":
            masks = np.stack([clean((c >= geometry.THRESHOLD).numpy(), **tidy) for c in channels])
            labels = geometry.paint(masks, plan)
        else:
            masks = None
            labels = geometry.numbered(geometry.most_likely(channels), plan)
            labels = labels if plan.instances else clean_labels(labels, **tidy)
        plane.probabilities = None
        return labels, masks, None if kept is None else kept.numpy()

    def _result(self, sample: Sample, parts: list[tuple]) -> Result:
        labels, masks, probabilities = zip(*parts, strict=True)
        separated, things = None, []
        if self.plan.instances:
            separated, things = self._instances(labels, sample)
        return Result(
            source=sample.source,
            volume=sample.volume,
            plan=self.plan,
            labels=_joined(labels, sample.axis, 0),
            regions=_joined(masks, sample.axis, 1),
            probabilities=_joined(probabilities, sample.axis, 1),
            instances=separated,
            things=tuple(things),
            dicom_seg=self.options.dicom_seg,
            windows=sample.windows,
            skipped=sample.skipped,
        )

    def _instances(
        self, planes: Sequence[np.ndarray], sample: Sample
    ) -> tuple[np.ndarray, list[instances.Thing]]:
        """The instance map on the file's grid, numbered through all pages, and what was
        measured."""
        maps, things, count = [], [], 0
        roles = {value: role for role, value in enumerate(self.plan.values)}
        for page, labels in enumerate(planes):
            found = instances.separate(
                np.vectorize(roles.get, otypes=[np.uint8])(labels), self.options.min_area
            )
            found[found > 0] += count
            image = (
                sample.volume.data
                if sample.axis is None
                else np.take(sample.volume.data, page, sample.axis + 1)
            )
            things += instances.measure(found, image, page)
            count = max(count, int(found.max(initial=0)))
            maps.append(found)
        if count > instances.MAX_OBJECTS:
            raise InputError(
                sample.source, f"holds {count} objects, over 65,535", "cut it into pieces"
            )
        return _joined(maps, sample.axis, 0).astype(np.uint16), things


def combined_sha256(files: Sequence[Path]) -> str:
    """Of the lines ``name NUL digest LF`` of several files, in their order."""
    import hashlib

    lines = "".join(f"{path.name}\0{sha256(path)}\n" for path in files)
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def load(
    weights: str | Sequence[str] = "hippocampus", *, options: Options = Options(), **where
) -> SegmentationPipeline:
    """The whole system in one call; several names or files of one recipe are averaged, ``where`` as
    in the pipeline."""
    names = [weights] if isinstance(weights, str | Path) else list(weights)
    return SegmentationPipeline([load_network(str(name)) for name in names], options, **where)


def _numbered(networks: Sequence[SegmentationNetwork]) -> Iterator[tuple[int, SegmentationNetwork]]:
    seen: dict[str, int] = {}
    for net in networks:
        yield seen.setdefault(net.name, 0), net
        seen[net.name] += 1


def _joined(parts: Sequence[np.ndarray | None], axis: int | None, skip: int) -> np.ndarray | None:
    """Slices put together along the file's ``axis``; ``skip`` axes come before the spatial ones."""
    if parts[0] is None or axis is None:
        return parts[0]
    return np.stack(parts, axis=axis + skip)


def _fit_channels(source: Path, volume: Volume, plan: Plan) -> np.ndarray:
    """As many channels as the network takes: grey for three, three for grey; InputError for any
    other number."""
    data, wanted = volume.data, len(plan.channels)
    if len(data) == wanted:
        return data
    if len(data) == 1 and wanted == 3 and volume.kind is Kind.picture:
        return np.repeat(data, 3, axis=0)
    if len(data) == 3 and wanted == 1 and not volume.has_millimetres:
        return np.tensordot(np.array(GREY, np.float32), data.astype(np.float32), axes=1)[None]
    names = ", ".join(plan.channels[:4])
    remedy = (
        "choose one with --volume N"
        if wanted == 1
        else "name the files of one case with --together"
    )
    raise InputError(
        source, f"has {len(data)} channel(s), the network takes {wanted} ({names})", remedy
    )


def _cut(
    source: Path, volume: Volume, data: np.ndarray, plan: Plan
) -> tuple[int | None, list[Plane]]:
    """The planes that the network takes, and the stored axis along which they were cut."""
    flat = data.ndim == 3
    if not volume.has_millimetres and (plan.spacing or plan.orientation):
        raise InputError(
            source, "is a picture, and the network segments scans", "take other --weights"
        )
    if plan.dims == 3:
        if flat:
            raise InputError(
                source, "is flat, and the network segments volumes", "take other --weights"
            )
        return None, [Plane(data, volume.affine)]
    if flat:
        return None, [Plane(data, volume.affine)]
    axis = 0
    if (
        volume.has_millimetres
    ):  # between slices the distance is largest; of equals the last is the usual one
        spacing = volume.spacing
        axis = max(range(3), key=lambda number: (round(spacing[number], 3), number))
    order = [number for number in range(3) if number != axis]
    affine = volume.affine[:, [*order, axis, 3]]
    return axis, [
        Plane(np.take(data, number, axis + 1), affine) for number in range(data.shape[axis + 1])
    ]
