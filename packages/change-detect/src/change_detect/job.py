"""The job: two dates onto one grid, window by window through a network or a classical method, and
what changed put together again."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from change_detect import system
from change_detect.networks import DEFAULT, WINDOW, ChangeNetwork, load_network
from change_detect.objects import NODATA, find_objects
from change_detect.options import Options
from change_detect.result import Place, Result, in_levels, step_of
from change_detect.scene.gathering import Counts, Pictures, Strips, crops_of
from change_detect.scene.scene import Scene, open_scene, scene_of_arrays, stretch_scene
from change_detect.scene.series import Series, side_by_side
from change_detect.scene.shift import align
from change_detect.scene.sources import dates_of, scene_of
from change_detect.scene.spool import Spool
from vitrail.engine import prepare
from vitrail.errors import InputError, UsageError
from vitrail.grids import Canvas, Grid, cosine
from vitrail.job import Ask, Engine, Failure, Steps
from vitrail.runner import solve
from vitrail.sources import Source

CHUNK = 8  # windows in memory at once
PREDICT_BATCH = 4
TOLERANCE = 0.04  # of a logit: at most 0.01 of a probability
GSD_RANGE = 2.0  # times coarser or finer than what was trained on; beyond it is said
MEDIUM = 8.0  # metres: from here on a network for roofs is the wrong tool


class ChangeJob:
    """Two dates in, maps of what changed out."""

    version = system.version

    def __init__(
        self,
        network: ChangeNetwork | None,
        settings: Options = Options(),
        *,
        engine: str = "auto",
        device: str = "auto",
    ):
        self.network, self.settings = network, settings
        self.model = system.name if network else settings.method
        self.networks: Mapping[str, Engine] = {}
        if network:
            halves = (network.dates, network.pairs)
            self.networks = {
                half.name: prepare(half, engine=engine, device=device, tolerance=TOLERANCE)
                for half in halves
            }
        self.options = {**asdict(settings), "threshold": self.threshold}

    @property
    def threshold(self) -> float | None:
        """The one that was asked for, or the weights'; None: found in each scene."""
        if self.settings.threshold is None and self.network:
            return self.network.threshold
        return self.settings.threshold

    def process(self, source: Source) -> Steps:
        """One pair from its files to its maps; of a series what came of each of its pairs."""
        if isinstance(source, Series):
            return (yield from self._series(source.pairs))
        return (yield from self._pair(source))

    def _series(self, pairs: Sequence[Source]) -> Steps:
        chunk = max(1, CHUNK // len(pairs))
        return side_by_side(pairs, [self._pair(pair, chunk) for pair in pairs])

    def _pair(self, source: Source, chunk: int = CHUNK) -> Steps:
        paths, pages = dates_of(source)
        try:
            scene = open_scene(paths, pages, bands=self.settings.bands, gsd=self.settings.gsd)
            try:
                return (yield from self._steps(scene, chunk))
            finally:
                scene.close()
        except InputError as error:
            raise _naming(source, error) from error

    def predict(
        self, before: Path | str | np.ndarray, after: Path | str | np.ndarray | None = None
    ) -> Result:
        """The result for two paths (or one TIFF of two pages), or for two arrays: (H, W), (H, W, C)
        with at most four channels, or (C, H, W); masked ones where there is no data."""
        if isinstance(before, Path | str):
            paths = tuple(
                map(Path, (before, after) if isinstance(after, Path | str) else (before,))
            )
            return solve(self.networks, self.process(Source(str(before), paths)))
        scene = scene_of_arrays(before, after, self.settings.bands)
        return solve(self.networks, self._steps(scene), batch_size=PREDICT_BATCH)

    def predict_series(self, dates: Sequence[Path | str]) -> list[Result]:
        """The results of three paths or more, each with the one before; raises what was wrong with
        the first pair that failed."""
        pairs = [scene_of([Path(one), Path(other)]) for one, other in pairwise(dates)]
        outcomes = solve(self.networks, self._series(pairs), batch_size=PREDICT_BATCH)
        for one in outcomes:
            if isinstance(one, Failure):
                raise one.error
        return outcomes

    def _steps(self, scene: Scene, chunk: int = CHUNK) -> Steps:
        settings = self.settings
        align(scene, move=settings.align)
        if settings.stretch != "never" or scene.dates[0].dtype != np.uint8:
            stretch_scene(scene, settings.stretch)
        numbers = (0, 1)
        scene.reasons += self._doubts(scene)
        pictures = Pictures(scene)
        kind = np.float32 if settings.float32 else np.uint8
        probabilities, mask = Spool(scene.shape, kind), Spool(scene.shape, np.uint8)
        if self.network:
            threshold, found = self.threshold or 0.5, self._looked(scene, numbers, pictures, chunk)
        else:
            threshold, found = (
                settings.threshold or 0.5,
                _measured(scene, numbers, pictures, settings),
            )
        counts = Counts(scene)
        # Either way strips of probabilities come from the top, NaN where there is no data.
        strips: Any = yield from found
        for top, strip in strips:
            probabilities.add(strip if settings.float32 else in_levels(strip))
            mask.add(np.where(np.isnan(strip), NODATA, strip >= threshold))
            counts.add(top, ~np.isnan(strip))
        return self._result(scene, numbers, mask, probabilities, counts, pictures, threshold)

    def _looked(
        self, scene: Scene, numbers: tuple[int, int], pictures: Pictures, chunk: int
    ) -> Steps:
        """Asks the network about every window that holds data; strips of probabilities."""
        assert self.network is not None
        grid = Grid(scene.shape, (WINDOW, WINDOW), self.settings.overlap)
        canvas, done = Canvas(grid, 2, cosine), Strips(scene.shape)
        windows = iter(range(len(grid)))
        while some := list(itertools.islice(windows, chunk)):
            items, asked = [], []
            for number in some:
                crops, valid = crops_of(scene, numbers, grid, number, pictures)
                if crops is None:
                    canvas.add(number, np.zeros(2, np.float32))
                else:
                    items += crops
                    asked.append((number, valid))
            maps = yield Ask(self.network.dates.name, items)
            both = zip(maps[::2], maps[1::2], strict=True)
            rows = yield Ask(self.network.pairs.name, [(*one, *other) for one, other in both])
            for (number, valid), row in zip(asked, rows, strict=True):
                probability = 0.5 * (1 + np.tanh(0.5 * np.asarray(row, np.float32)))
                canvas.add(number, np.concatenate([probability, valid[None]]))
            for top, strip in canvas.strips():
                done.add(top, np.where(strip[1] > 0.5, strip[0], np.nan))
        return done.read()

    def _doubts(self, scene: Scene) -> list[str]:
        """What speaks against the answer though nothing is wrong with the dates."""
        said, gsd, trained = [], scene.gsd, self.network and self.network.gsd
        if scene.crs is None and scene.transform is not None:
            said.append("without a reference system areas are in pixels, outlines as the dates lie")
        elif scene.crs is None:
            said.append("without a place on the earth areas are in pixels")
        elif gsd is None:
            said.append(
                "the reference system is neither projected nor in degrees: areas are unknown"
            )
        if gsd and trained and not trained / GSD_RANGE <= gsd <= trained * GSD_RANGE:
            line = f"a pixel covers {gsd:.3g} m, and {trained:.3g} m in training"
            finer = f"; --gsd {trained:.3g} resamples" if gsd < MEDIUM else "; try --method irmad"
            said.append(line + finer)
        return said

    def _result(
        self,
        scene: Scene,
        numbers: tuple[int, int],
        mask: Spool,
        probabilities: Spool,
        counts: Counts,
        pictures: Pictures,
        threshold: float,
    ) -> Result:
        clean, objects = find_objects(
            mask,
            probabilities,
            step_of(probabilities),
            scene.pixel_area,
            min_area=self.settings.min_area,
        )
        for rows, strip in clean.strips():
            counts.add_changed(rows.start, strip == 1)
        damage = list(scene.damage)
        if not counts.pixels["valid"]:
            raise InputError(
                scene.paths[numbers[1]],
                "shares no pixel that holds data with the first",
                "give dates that overlap",
            )
        names = tuple(scene.names[number] for number in numbers)
        return Result(
            names=(names[0], names[1]),
            method=self.settings.method,
            threshold=threshold,
            place=Place(scene.crs, scene.transform, scene.gsd),
            mask=clean,
            probabilities=probabilities,
            objects=tuple(objects),
            pixels=counts.pixels,
            areas=counts.areas if counts.knows_area else None,
            pictures=pictures.both,
            reduced=pictures.step,
            facts=scene.facts,
            damage=tuple(damage),
            reasons=tuple(scene.reasons),
            smooth=self.settings.smooth,
        )


def _measured(
    scene: Scene, numbers: tuple[int, int], pictures: Pictures, settings: Options
) -> Steps:
    """Strips by a classical method, which asks no network."""
    yield from ()
    from change_detect.classical.variates import Variates
    from change_detect.classical.vectors import ChangeVectors, strips

    method = (ChangeVectors if settings.method == "cva" else Variates)(scene, numbers)
    scene.facts["limit"] = round(method.limit, 4)

    def found() -> Iterator[tuple[int, np.ndarray]]:
        for rows, dates, valid in strips(scene, numbers):
            for place, which in enumerate(numbers):
                part = scene.colours(scene.read(which, (rows, slice(0, scene.shape[1]))))
                pictures.add(place, rows.start, 0, part)
            yield rows.start, np.where(valid, method.probability(dates), np.nan)

    return found()


def _naming(source: Source, error: InputError) -> InputError:
    """The same error about a source of several files, of which it names the one that it means."""
    name = Path(error.subject).name
    if len(source.paths) < 2 or error.subject == source.name or name in error.problem:
        return error
    return InputError(source.name, f"{name} {error.problem}", error.remedy)


def load(
    weights: str | Path | None,
    *,
    method: str = "network",
    engine: str = "auto",
    device: str = "auto",
    **options: Any,
) -> ChangeJob:
    """``weights`` is a catalogued name or a file; ``method`` and ``options`` as in ``Options``.

    Raises UsageError for an option that does not exist, MissingError without such weights.
    """
    try:
        settings = Options(method=method, **options)
    except TypeError as error:
        raise UsageError("options", str(error).partition("() ")[2], "see job.Options") from None
    network = load_network(str(weights or DEFAULT)) if method == "network" else None
    return ChangeJob(network, settings, engine=engine, device=device)
