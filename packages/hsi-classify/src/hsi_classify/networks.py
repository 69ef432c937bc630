"""The networks, ready to run: bundled, from the user's own fitting or training, or official."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hsi_classify import system
from hsi_classify.files.cube import Cube
from hsi_classify.scene.components import Components
from hsi_classify.scene.scene import Scene
from vitrail.engine import Network
from vitrail.errors import InputError
from vitrail.weights.catalogue import Weights, catalogue, resolve
from vitrail.weights.header import complete

if TYPE_CHECKING:
    from torch import nn

CODE = ("hsi_classify.models",)
UNLIKE = 2.0  # deviations that a scene's mean may lie beside that of the training
MAX_GAIN = 3.0  # times as bright
SAME_WAVE = 10.0  # nm, within which two bands are the same


@dataclass(frozen=True, kw_only=True)
class SceneNetwork(Network):
    """A network and the scene that it knows: ``classes`` are ids in the order of its logits.

    It was trained on the bands ``kept`` of ``bands``, at ``wavelengths`` in nanometres where they
    were known. ``components`` are None for an official checkpoint, which keeps none: then they are
    fitted to each scene. ``per_patch`` is the release's normalisation.
    """

    classes: tuple[int, ...]
    names: dict[int, str]
    colours: dict[int, tuple[int, int, int]]
    patch: int
    bands: int = 0
    kept: tuple[int, ...] = ()
    wavelengths: tuple[float, ...] | None = None
    components: Components | None = None
    per_patch: bool = False

    def refusal(self, cube: Cube) -> str:
        """Why the network does not fit a cube; empty where it does."""
        if self.components is None:
            return ""
        bands, known = cube.shape[2], self.wavelengths
        wanted = f"{self.bands} bands"
        if known:
            wanted += f" from {known[0]:.0f} to {known[-1]:.0f} nm"
        if bands != self.bands:
            return f"{self.name} wants {wanted}, the file has {bands}"
        if known and cube.wavelengths:
            off = np.abs(np.subtract(known, cube.wavelengths)).max()
            if off > SAME_WAVE:
                waves = f"{cube.wavelengths[0]:.0f} to {cube.wavelengths[-1]:.0f} nm"
                return f"{self.name} wants {wanted}, the file has {waves}"
        return ""

    def remarks(self, cube: Cube, scene: Scene) -> tuple[str, ...]:
        """What could not be checked, and how the scene is unlike that of the training."""
        if self.components is None:
            said = (
                "the weights keep no principal components: fitted to this scene, signs may differ"
            )
            return (said, f"that {cube.name} is of their sensor was not checked")
        said = []
        if not (self.wavelengths and cube.wavelengths):
            who = "the file names" if self.wavelengths else "the weights know"
            said.append(f"{who} no wavelengths: only the number of bands was compared")
        shift = scene.mean_shift()
        there = np.linalg.norm(self.components.mean)
        gain = float(np.linalg.norm(self.components.mean + shift) / max(there, 1e-12))
        # Components have a variance of 1 in the mean.
        far = float(np.sqrt(((shift @ self.components.axes) ** 2).mean()))
        if far > UNLIKE or not 1 / MAX_GAIN < gain < MAX_GAIN:
            said.append(
                f"the spectra are unlike those that the weights learned from ({gain:.2g} times as "
                f"bright, {far:.1f} deviations off): the map is likely wrong"
            )
        return tuple(said)


def load_networks(weights: Sequence[str] = ()) -> list[SceneNetwork]:
    """The named or given weights files, by default all bundled classifiers."""
    names = weights or [entry.name for entry in catalogue(system) if entry.default]
    return [load_network(name) for name in names]


def load_network(name: str) -> SceneNetwork:
    """One weights file by its catalogued name or its path."""
    weights = resolve(system, name)
    if "architecture" in weights.metadata:
        return _own(weights)
    return _official(weights)


def _own(weights: Weights) -> SceneNetwork:
    facts = weights.metadata
    if facts.get("base"):
        problem = "is a base without classes"
        raise InputError(weights.path, problem, "train on it by a recipe's 'start'")
    with complete(weights.path, system.name):
        config, classes = facts["config"], tuple(int(value) for value in facts["classes"])
        scene = facts["scene"]
        axes = np.array(scene["axes"], np.float32)
        waves = scene["wavelengths"]
        network = _network(
            weights,
            {**config},
            classes=classes,
            names={int(k): str(v) for k, v in facts["names"].items()},
            colours={
                int(k): (int(v[0]), int(v[1]), int(v[2])) for k, v in facts["colours"].items()
            },
            bands=int(scene["bands"]),
            kept=tuple(int(value) for value in scene["kept"]),
            wavelengths=tuple(float(value) for value in waves) if waves else None,
            components=Components(np.array(scene["mean"], np.float32), axes, np.empty(0)),
            per_patch=bool(facts["per_patch"]),
        )
        if axes.shape != (len(network.kept), config["components"]):
            raise ValueError(f"axes of {axes.shape}")
        if len(classes) != config["num_classes"]:
            raise ValueError(f"{len(classes)} names for {config['num_classes']} classes")
    return network


def _official(weights: Weights) -> SceneNetwork:
    """Only the tensors' shapes tell what it is; of the scene it keeps nothing."""
    from hsi_classify.checkpoint import read_checkpoint

    config = read_checkpoint(weights.path).config
    classes = tuple(range(1, config["num_classes"] + 1))
    names = {value: f"class {value}" for value in classes}
    return _network(weights, dict(config), classes=classes, names=names, colours={}, per_patch=True)


def _network(weights: Weights, config: dict[str, Any], **facts: Any) -> SceneNetwork:
    patch, components = int(config["patch"]), int(config.get("components", 15))
    return SceneNetwork(
        name=weights.name,
        build=partial(_built, weights),
        example=np.zeros((2, components, patch, patch), np.float32),
        weights=weights,
        code=CODE,
        patch=patch,
        **facts,
    )


def _built(weights: Weights) -> "nn.Module":
    from hsi_classify.checkpoint import read_checkpoint

    return read_checkpoint(weights.path).build()


def the_one(networks: Sequence[SceneNetwork], cube: Cube) -> SceneNetwork:
    """The network that knows such a cube; InputError says what was wanted."""
    refusals = [network.refusal(cube) for network in networks]
    fitting = [n for n, refusal in zip(networks, refusals, strict=True) if not refusal]
    if not fitting:
        problem = refusals[0] if len(networks) == 1 else _none(networks, cube)
        raise InputError(cube.name, problem, "give --labels")
    return fitting[0]


def _none(networks: Sequence[SceneNetwork], cube: Cube) -> str:
    known = " or ".join(str(n.bands) for n in networks)
    return f"has {cube.shape[2]} bands, the bundled networks know {known}"
