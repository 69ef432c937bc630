"""How the network is trained: labelled pairs, changed in ways that do not matter; or dates alone,
of which a part is hidden."""

import vitrail.training.loop
from change_detect.training.masked import MaskedTask
from change_detect.training.recipe import Recipe
from change_detect.training.task import Task as LabelledTask

__all__ = ["Recipe", "Task"]


def Task(recipe: Recipe) -> vitrail.training.loop.Task:
    """What the recipe asks for."""
    return (MaskedTask if recipe.masked else LabelledTask)(recipe)
