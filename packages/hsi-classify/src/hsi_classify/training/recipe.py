"""What a recipe says beside what every recipe says: scenes, the network, where it starts, what is
measured."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

import vitrail.training.recipe
from hsi_classify.data import Labelled
from hsi_classify.training.adapting import Adapters
from vitrail.training.recipe import Section

Way = Literal["network", "per-patch", "gated", "base", "adapters"]


class Measured(Section):
    """What ``vitrail evaluate`` does beside the weights: fits every method to few labels, for both
    splits, with ``per_class`` labels and each of ``seeds``. ``lists`` is a file of split lists:
    those that stand in it are used, the others drawn and added to it. ``figures`` is a file of what
    was measured: splits that stand in it are not measured again.

    ``ways`` are measured in place of the methods: the preset's network as it is, with each patch
    normalised, with the release's gated adapters; or from ``base``, a weights file that learned
    without labels, all of it or low-rank adapters on it.
    """

    per_class: PositiveInt = 10
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    splits: tuple[Literal["random", "patch"], ...] = ("random", "patch")
    lists: Path | None = None
    figures: Path | None = None
    ways: tuple[Way, ...] = ()
    base: Path | None = None

    @model_validator(mode="after")
    def _names_its_base(self) -> Self:
        if {"base", "adapters"} & {*self.ways} and self.base is None:
            raise ValueError("needs a base for these ways")
        return self


class Unlabelled(Section):
    """One of several scenes without labels; ``variable``, ``shape`` and ``bad_bands`` as in the
    command."""

    cube: Path
    variable: str | None = None
    shape: tuple[int, int] | None = None
    bad_bands: str = "auto"


class Scenes(Section):
    """Scenes to learn from without labels. In each patch that share of the pixels ``hidden_pixels``
    is hidden, and of the components ``hidden_components``; the network learns to say what was
    there. The lowest rows of each scene, ``val_share`` of all, validate."""

    scenes: Annotated[tuple[Unlabelled, ...], Field(min_length=1)]
    hidden_pixels: Annotated[float, Field(ge=0, lt=1)] = 0.4
    hidden_components: Annotated[float, Field(ge=0, lt=1)] = 0.3
    val_share: Annotated[float, Field(gt=0, lt=1)] = 0.15


class Recipe(vitrail.training.recipe.Recipe):
    """``preset`` is the network and how it looks at a scene, as in the command; ``per_patch`` the
    release's normalisation of each patch in place of the preset's way. ``start`` is a base, or
    weights of another scene: all tensors are taken but those of a head of other classes.
    ``adapters`` are those of a specvit.
    With ``data.scenes`` there are no labels, and what is learned is a base to start from."""

    data: Labelled | Scenes
    preset: Literal["small", "official", "conv"] = "small"
    per_patch: bool | None = None
    start: Path | None = None
    adapters: Adapters | None = None
    measured: Measured = Measured()
