"""How the networks are trained: the pose networks, and the finder of people."""

from pose_estimate.training.recipe import Recipe
from pose_estimate.training.task import Task

__all__ = ["Recipe", "Task"]
