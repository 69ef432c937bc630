"""How TGBFormer is trained: the image detector first, then what carries memory across frames."""

from typing import TYPE_CHECKING

from video_detect.training.recipe import Recipe

if TYPE_CHECKING:
    import vitrail.training.loop

__all__ = ["Recipe", "Task"]


def Task(recipe: Recipe) -> "vitrail.training.loop.Task":
    """The task of the recipe's stage."""
    if recipe.stage == "image":
        from video_detect.training.image import ImageTask

        return ImageTask(recipe)
    from video_detect.training.clip import ClipTask

    return ClipTask(recipe)
