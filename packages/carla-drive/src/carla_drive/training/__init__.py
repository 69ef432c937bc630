"""The system's own part of a recipe, and what is learned by it."""

from carla_drive.training.recipe import Recipe
from carla_drive.training.task import Task

__all__ = ["Recipe", "Task"]
