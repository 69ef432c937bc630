"""How the network is trained: labelled pairs, changed in ways that do not matter."""

from change_detect.training.recipe import Recipe
from change_detect.training.task import Task

__all__ = ["Recipe", "Task"]
