"""The network measured on photographs that training never saw, beside colourings without one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from image_colorize import DEFAULT, load
from image_colorize.baselines import levin, nearest
from image_colorize.color import rgb_to_lab
from image_colorize.hints import read_hints
from image_colorize.job import ColorizeJob
from image_colorize.merge import lightness_of, merge
from image_colorize.result import Result
from image_colorize.scores import boundary_psnr, patch_error_variance, propagation, psnr
from image_colorize.seen import Placed, Shape, cell_of, look, mean_chroma, place
from image_colorize.training import Recipe
from vitrail.errors import UsageError
from vitrail.metrics.bootstrap import bootstrap_interval
from vitrail.preprocess.image import read_image
from vitrail.report import Table
from vitrail.runner import solve
from vitrail.sources import image_files

COUNTS = (0, 1, 5, 10, 50, 200)  # of hints
CELLS = Shape(224, 2, False)  # on which the colourings without a network are computed
PATCH = 16  # at 224x224, of B-PSNR and PEV
HINTED = 21  # hints of each photograph whose answers are looked at
SCALES = (0.5, 2, 4)  # of the photographs
HONOURED = 10.0  # distance of a and b, up to which a hint counts as honoured
PROPAGATED = 20  # hints that are added one at a time

Colour = Callable[[np.ndarray, Sequence], np.ndarray]


@dataclass(frozen=True)
class Case:
    """A photograph and its hints by their number."""

    name: str
    rgb: np.ndarray
    hints: dict[int, tuple]


def evaluate(recipe: Recipe, weights: str | None = None) -> list[Table]:
    """PSNR at full size for each number of hints beside grey, nearest hint and Levin's
    optimisation; how the hints are honoured; the release's other figures."""
    if recipe.data.test is None:
        raise UsageError("data.test", "is needed to evaluate", "name imgs and hints")
    name = weights or DEFAULT
    # Eager: figures must not hang on what another machine's converter rounds.
    jobs = {
        name: load(name, engine="eager"),
        f"{name}, network alone": load(name, engine="eager", follow=False),
    }
    cases = [read_case(path, recipe.data.test) for path in image_files(recipe.data.test / "imgs")]
    found = {label: _psnrs(cases, _by(job), job.shape) for label, job in jobs.items()}
    for label, fill in (("nearest hint", nearest), ("Levin", levin)):
        found[label] = _psnrs(cases, fill, CELLS)
    job = jobs[name]
    return [
        _psnr_table(found, len(cases)),
        _differences(found, name),
        _steps_table(found[name]),
        _honoured_table(cases, jobs),
        _kept_table(cases, job),
        _other_table(cases, jobs[name]),
        _propagation_table(cases[:8], job),
    ]


def read_case(path: Path, folder: Path) -> Case:
    """A photograph of a set in the release's layout."""
    hints = {
        count: read_hints(folder / "hints" / f"h2-n{count}" / f"{path.stem}.txt", path).hints
        if count
        else ()
        for count in COUNTS
    }
    return Case(path.stem, read_image(path), hints)


def _by(job: ColorizeJob) -> Colour:
    return lambda lightness, placed: solve(job.networks, job.colour(lightness, placed))


def coloured(case: Case, count: int, colour: Colour, shape: Shape) -> np.ndarray:
    """The photograph (H, W, 3) in 0..1, its chroma from its lightness and so many hints."""
    cells = shape.image_size if shape is not CELLS else shape.cells
    lightness = look(case.rgb, cells).lightness
    grid = shape if shape is not CELLS else Shape(shape.cells, 1, False)
    placed = place(case.hints[count], lightness, grid)
    return merge(case.rgb, colour(lightness, placed)).rgb / np.float32(255)


def _psnrs(cases: Sequence[Case], colour: Colour, shape: Shape) -> np.ndarray:
    """dB (cases, counts)."""
    return np.array(
        [
            [
                psnr(coloured(case, count, colour, shape), case.rgb / np.float32(255))
                for count in COUNTS
            ]
            for case in cases
        ]
    )


def _psnr_table(found: dict[str, np.ndarray], cases: int) -> Table:
    rows = [(label, *values.mean(0).round(2).tolist()) for label, values in found.items()]
    columns = ("", *(f"{count}" for count in COUNTS))
    return Table(
        f"PSNR in dB at full size, {cases} photographs, by the number of hints", columns, rows
    )


def _differences(found: dict[str, np.ndarray], name: str) -> Table:
    """The network against what stands beside it, with the interval over photographs."""
    rows = []
    for label in ("nearest hint", "Levin"):
        for count in COUNTS:
            column = COUNTS.index(count)
            difference = found[name][:, column] - found[label][:, column]
            low, high = bootstrap_interval(np.mean, difference)
            rows.append((label, count, float(difference.mean()), low, high))
    title = "dB above it, with the 95 % interval of the paired differences (0 hints: above grey)"
    return Table(title, ("beside", "hints", "difference", "from", "to"), rows)


def _steps_table(values: np.ndarray) -> Table:
    """Whether more hints make it better."""
    rows = [
        (f"{first} to {second}", float((values[:, n + 1] > values[:, n]).mean()))
        for n, (first, second) in enumerate(pairwise(COUNTS))
    ]
    rows.append(("all steps", float((np.diff(values, axis=1) > 0).all(1).mean())))
    return Table("Share of photographs that improve", ("hints", "share"), rows)


def _honoured_table(cases: Sequence[Case], jobs: dict[str, ColorizeJob]) -> Table:
    """How far the answer is from the displayable wish at the hints: true colours, and saturated
    and grey ones in their places."""
    rng = np.random.default_rng(0)
    rows = []
    for label, job in jobs.items():
        for kind in ("true", "saturated", "grey"):
            off = []
            for case in cases:
                lightness = look(case.rgb, job.size).lightness
                placed = place(_wished(case.hints[50][:HINTED], kind, rng), lightness, job.shape)
                chroma = solve(job.networks, job.colour(lightness, placed))
                off += [_off(chroma, one, job.shape) for one in placed]
            distances = np.array(off)
            share = float((distances <= HONOURED).mean())
            rows.append((label, kind, len(off), share, float(np.median(distances))))
    title = f"Hints, {HINTED} a photograph, within {HONOURED:g} of the displayable a and b"
    return Table(title, ("", "colours", "hints", "share", "median distance"), rows)


def _wished(hints: Sequence, kind: str, rng: np.random.Generator) -> list:
    if kind == "true":
        return list(hints)
    if kind == "grey":
        return [replace(hint, rgb=(128, 128, 128)) for hint in hints]
    vivid = rng.permuted(np.array([[230, 200, 30]] * len(hints)), axis=1)
    return [replace(hint, rgb=tuple(rgb)) for hint, rgb in zip(hints, vivid.tolist(), strict=True)]


def _off(chroma: np.ndarray, one: Placed, shape: Shape) -> float:
    return float(np.hypot(*(chroma[cell_of(one, shape)].mean((0, 1)) - np.array(one.ab))))


def _kept_table(cases: Sequence[Case], job: ColorizeJob) -> Table:
    """What must not change: the lightness, and the answer for the same photograph again and at
    other sizes; the mean over the photographs and the worst of them."""
    light, same = [], []
    sizes: dict[float, list[float]] = {scale: [] for scale in SCALES}
    for case in cases:
        grey, hints = cv2.cvtColor(case.rgb, cv2.COLOR_RGB2GRAY), case.hints[50]
        result, again = (job.predict(grey, hints) for _ in range(2))
        same.append(float(np.array_equal(result.rgb(), again.rgb())))
        off = np.abs(lightness_of(result.rgb()) - lightness_of(grey))
        light.append(float(np.percentile(off, 99)))
        for scale, found in sizes.items():
            how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
            other = job.predict(
                cv2.resize(grey, None, fx=scale, fy=scale, interpolation=how), hints
            )
            found.append(_apart(other, result))
    rows = [("L off at the 99th percentile", float(np.mean(light)), max(light))]
    for scale, found in sizes.items():
        rows.append((f"a and b off at {scale:g} times the size", float(np.mean(found)), max(found)))
    rows.append(("the same bytes again, share", float(np.mean(same)), min(same)))
    return Table("What stays, with 50 hints", ("", "mean", "worst"), rows)


def _other_table(cases: Sequence[Case], job: ColorizeJob) -> Table:
    """The release's other figures, and the chroma against the truth."""
    rows = []
    for count in COUNTS:
        made = [coloured(case, count, _by(job), job.shape) for case in cases]
        truth = [case.rgb / np.float32(255) for case in cases]
        pairs = [(_square(m), _square(t)) for m, t in zip(made, truth, strict=True)]
        rows.append(
            (
                count,
                float(np.mean([boundary_psnr(*pair, PATCH) for pair in pairs])),
                float(np.mean([patch_error_variance(*pair, PATCH) for pair in pairs])),
                float(np.mean([_chroma_of(image) for image in made])),
            )
        )
    real = [_chroma_of(case.rgb / np.float32(255)) for case in cases]
    title = f"At 224x224: B-PSNR, PEV; mean chroma at full size (of the truth {np.mean(real):.1f})"
    return Table(title, ("hints", "B-PSNR", "PEV", "chroma"), rows)


def _apart(one: Result, other: Result) -> float:
    """The mean distance in a and b."""
    assert one.chroma is not None and other.chroma is not None, "no option leaves it alone"
    return mean_chroma(one.chroma - other.chroma)


def _chroma_of(image: np.ndarray) -> float:
    return mean_chroma(rgb_to_lab(image)[..., 1:])


def _square(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA)


def _propagation_table(cases: Sequence[Case], job: ColorizeJob) -> Table:
    """How far one more hint reaches."""
    distances = []
    for case in cases:
        lightness = look(case.rgb, job.size).lightness
        before = None
        for count in range(PROPAGATED + 1):
            placed = place(case.hints[50][:count], lightness, job.shape)
            chroma = solve(job.networks, job.colour(lightness, placed))
            lab = np.dstack([lightness, chroma])
            if before is not None:
                last = placed[-1]
                centre = [(part + 0.5) * job.shape.hint_size for part in (last.row, last.column)]
                found = propagation(before, lab, (centre[0], centre[1]))
                if found.size:
                    distances.append(float(found.mean()) * 224 / job.size)
            before = lab
    row = (len(distances), float(np.mean(distances)), float(np.std(distances)))
    title = f"Hint propagation range in pixels of 224, {len(cases)} photographs"
    return Table(title, ("hints", "mean", "deviation"), [row])
