"""How the network is trained; ``Recipe`` and ``Task`` are what the core asks for."""

from face_quality.training.recipe import Recipe
from face_quality.training.task import Task

__all__ = ["Recipe", "Task"]
