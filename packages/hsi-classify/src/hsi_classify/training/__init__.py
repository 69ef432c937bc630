"""How a network is trained by recipe: on a scene with many labels, for scenes of its sensor; or on
scenes without labels, of whose pixels a part is hidden."""

import vitrail.training.loop
from hsi_classify.training.masked import MaskedTask
from hsi_classify.training.recipe import Measured, Recipe, Scenes
from hsi_classify.training.task import Task as LabelledTask

__all__ = ["Measured", "Recipe", "Task"]


def Task(recipe: Recipe) -> vitrail.training.loop.Task:
    """What the recipe asks for."""
    return (MaskedTask if isinstance(recipe.data, Scenes) else LabelledTask)(recipe)
