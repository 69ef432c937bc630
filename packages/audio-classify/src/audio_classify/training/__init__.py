"""The system's own part of a recipe, and what is learned by it."""

from audio_classify.training.recipe import Recipe
from audio_classify.training.task import Task

__all__ = ["Recipe", "Task"]
