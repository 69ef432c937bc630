"""The job: a cube and a few labels to a map, or a cube and weights that know its like."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hsi_classify import system
from hsi_classify.files.cube import Cube, Layout
from hsi_classify.files.opening import arrange, open_cube
from hsi_classify.fit.methods import softmax
from hsi_classify.fit.network import patches_of
from hsi_classify.mapping import fill, map_result
from hsi_classify.networks import SceneNetwork, load_networks, the_one
from hsi_classify.options import Options
from hsi_classify.result import Result, Spectrum
from hsi_classify.scene.canvas import Canvas
from hsi_classify.scene.components import Components, fit_components
from hsi_classify.scene.labels import Labels
from hsi_classify.scene.patches import standardised
from hsi_classify.scene.scene import Block, Scene, mean_spectra
from vitrail.engine import prepare
from vitrail.errors import InputError, UsageError
from vitrail.job import Ask, Engine, Steps
from vitrail.runner import solve
from vitrail.sources import Source

if TYPE_CHECKING:
    from hsi_classify.fit.choose import Choice

PREDICT_BATCH = 256
TOLERANCE = 0.04  # of a logit: at most 0.01 of a probability
FEW = 5  # labels of a class; with fewer the row says so


class SceneJob:
    """Cubes in, maps of classes out: by networks that know such scenes, or fitted to labels."""

    model, version = system.name, system.version

    def __init__(
        self,
        networks: Sequence[SceneNetwork] = (),
        settings: Options = Options(),
        *,
        labels: Path | np.ndarray | None = None,
        save: Path | None = None,
        engine: str = "auto",
        device: str = "auto",
    ):
        if save and (labels is None or settings.method in ("svm", "svm-mean", "angle")):
            problem = "keeps a network, and none is fitted in this call"
            raise UsageError("--save", problem, "give --labels, and --method network or auto")
        self.settings, self.labels, self.save = settings, labels, save
        self.known = networks
        self.networks: Mapping[str, Engine] = {
            network.name: prepare(network, engine=engine, device=device, tolerance=TOLERANCE)
            for network in networks
        }

    @property
    def options(self) -> dict[str, Any]:
        labels = self.labels
        kept = Source.of(labels).fingerprint if isinstance(labels, Path) else "array"
        return {**asdict(self.settings), "labels_sha256": None if labels is None else kept}

    def process(self, source: Source) -> Steps:
        """One cube from its file to its map."""
        return (yield from self._steps(open_cube(source.paths[-1], self._layout())))

    def predict(self, cube: np.ndarray | Path | str) -> Result:
        """The result for a path, or for an array (rows, columns, bands)."""
        if isinstance(cube, Path | str):
            steps = self.process(Source.of(cube))
        else:
            if isinstance(cube, np.ma.MaskedArray):
                cube = np.ma.filled(cube.astype(np.float32), np.nan)
            steps = self._steps(self._in_memory(np.asarray(cube)))
        return solve(self.networks, steps, batch_size=PREDICT_BATCH)

    def _layout(self) -> Layout:
        settings, size = self.settings, None
        if isinstance(self.labels, np.ndarray):
            size = (self.labels.shape[0], self.labels.shape[1])
        elif self.labels is not None:
            from hsi_classify.files.labels import label_size

            size = label_size(self.labels)
        counts = {network.bands for network in self.known if network.bands}
        count = counts.pop() if len(counts) == 1 and self.labels is None else None
        return Layout(settings.variable, settings.shape, settings.bands, size, count)

    def _in_memory(self, array: np.ndarray) -> Cube:
        if array.dtype.kind not in "uif":
            raise InputError("array", f"is {array.dtype}", "give real numbers")
        notes: list[str] = []
        view = arrange("array", array, self._layout(), notes)
        return Cube("array", view.shape, lambda rows: view[rows], notes=tuple(notes))

    def _steps(self, cube: Cube) -> Steps:
        if self.labels is not None:
            return (yield from self._learned(cube, self.labels))
        network = the_one(self.known, cube)
        components = network.components
        if components is None:
            scene = Scene.of(cube, "none")
            components = fit_components(scene.moments, network.inputs[0].shape[1])
        else:
            scene = Scene.known(cube, np.array(network.kept), components.mean)

        def answer(block: Block, rows: np.ndarray, columns: np.ndarray) -> Steps:
            patches = self._patches(network, components, block, rows, columns)
            return softmax(np.stack((yield Ask(network.name, list(patches)))))

        canvas = Canvas(scene.size, network.classes)
        figures, compared = yield from fill(scene, canvas, answer, components.axes, self.settings)
        if not canvas.classes.any():
            raise InputError(cube.name, "has no pixel with data", "give another file")
        made_by = {"method": "network", "weights": network.name, **figures}
        reasons = (*network.remarks(cube, scene), *compared)
        return map_result(scene, canvas, made_by, network.names, network.colours, reasons=reasons)

    def _patches(
        self,
        network: SceneNetwork,
        components: Components,
        block: Block,
        rows: np.ndarray,
        columns: np.ndarray,
    ) -> np.ndarray:
        patches = patches_of(block, rows, columns, components.axes, network.patch)
        return standardised(patches) if network.per_patch else patches

    def _learned(self, cube: Cube, given: Path | np.ndarray) -> Steps:
        """Fitted to labels, so that nothing is asked of a network that was there before."""
        from hsi_classify.files.labels import fitted_ids, read_labels
        from hsi_classify.fit.learn import fit_scene, makers
        from hsi_classify.fit.network import components_of
        from hsi_classify.fit.presets import PRESETS

        settings = self.settings
        if isinstance(given, Path):
            labels = read_labels(given, cube, settings.field)
        else:
            labels = Labels(fitted_ids("labels", given, cube.size))
        scene = Scene.of(cube, settings.bad_bands)
        fitted = fit_scene(
            scene,
            labels,
            makers(scene, settings.method, settings.preset, settings.seed),
            settings.per_class,
            settings.seed,
        )
        choice, canvas = fitted.choice, Canvas(scene.size, tuple(labels.classes))

        def answer(block: Block, rows: np.ndarray, columns: np.ndarray) -> Steps:
            yield from ()
            shares = [
                method.probabilities(method.features(block, rows, columns))
                for method in choice.methods
            ]
            return np.mean(shares, axis=0)

        exact, preset = settings.is_exact, PRESETS[settings.preset]
        axes = np.empty((0, 0)) if exact else components_of(scene, preset).axes
        figures, compared = yield from fill(scene, canvas, answer, axes, settings)
        score = fitted.score(canvas.classes)
        reasons = _why(choice, labels)
        if score:
            reasons.append("labels left over lie among those learned from: their figures flatter")
        if self.save:
            fitted.save(self.save, scene, labels)
            if choice.methods != (fitted.network,):
                kept = f"{self.save.name} keeps the network alone, and the map is by {choice.name}"
                reasons.append(kept)
        more = {
            "reasons": (*reasons, *fitted.reasons, *compared),
            "score": score,
            "spectra": {
                value: Spectrum(*found) for value, found in mean_spectra(scene, labels.ids).items()
            },
        }
        return map_result(
            scene,
            canvas,
            {**fitted.facts, **figures},
            {v: labels.name(v) for v in labels.classes},
            labels.colours,
            notes=labels.notes,
            **more,
        )


def load(
    weights: str | None = None,
    *,
    labels: Path | str | np.ndarray | None = None,
    save: Path | None = None,
    engine: str = "auto",
    device: str = "auto",
    **options: Any,
) -> SceneJob:
    """The job that fits to ``labels`` (a path, or ids (rows, columns)); without them, the job with
    the weights of a catalogued name or a file, by default with all that are bundled. ``options``
    are those of ``Options``; ``save`` keeps the fitted network."""
    if labels is None:
        known = load_networks([weights] if weights else ())
    elif weights is None:
        known = []
    else:
        raise UsageError("--weights", "has no use beside --labels", "give one of the two")
    given = Path(labels) if isinstance(labels, str) else labels
    settings = Options(**options)
    return SceneJob(known, settings, labels=given, save=save, engine=engine, device=device)


def _why(choice: "Choice", labels: Labels) -> list[str]:
    few = [labels.name(v) for v, count in labels.counts.items() if count < FEW]
    said = [f"the map is by {choice.name}, since {choice.reason}"] if choice.reason else []
    if few:
        said.append(f"fewer than {FEW} labels of {', '.join(few[:5])}")
    return said
