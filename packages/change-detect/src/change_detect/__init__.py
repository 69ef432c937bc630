"""ChangeViT: what changed between two pictures of one place?"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitrail.system import System

if TYPE_CHECKING:
    from change_detect.job import ChangeJob

system = System(
    name="change-detect",
    title="ChangeViT",
    summary="Finds what changed between two images of one place",
    package="change_detect",
    distribution="vitrail-change-detect",
    command="change-detect",
    paper="Zhu et al., ChangeViT: Unleashing Plain Vision Transformers in Change Detection, "
    "arXiv 2406.12847",
)


def load(weights: str | Path | None = None, **options: Any) -> "ChangeJob":
    """The whole system in one call: ``load().predict(before, after).share``.

    ``options`` are those of ``job.load``, such as ``method="cva"``.
    """
    return system.room("job").load(weights, **options)
