"""iColoriT: a grey photograph and a few colours at points in, a coloured photograph out."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitrail.system import System

if TYPE_CHECKING:
    from image_colorize.job import ColorizeJob

DEFAULT = "tiny"

system = System(
    name="image-colorize",
    title="iColoriT",
    summary="Colours grey photographs from a few colour hints",
    package="image_colorize",
    distribution="vitrail-image-colorize",
    command="image-colorize",
    paper="Yun et al., iColoriT, WACV 2023, arXiv 2207.06831",
)


def load(
    weights: str | Path | None = None,
    *,
    engine: str = "auto",
    device: str = "auto",
    **options: Any,
) -> "ColorizeJob":
    """The whole system in one call: ``load().predict("scan.png", hints).rgb()``.

    ``options`` are those of ``job.Options``, such as ``strength=0.8``; ``engine`` and ``device`` as
    in ``vitrail.engine.prepare``.
    """
    from image_colorize.job import ColorizeJob, Options
    from image_colorize.networks import load_network

    network = load_network(str(weights or DEFAULT))
    return ColorizeJob(network, Options(**options), engine=engine, device=device)
