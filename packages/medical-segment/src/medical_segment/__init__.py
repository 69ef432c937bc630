"""SegFormer3D and xLSTM-UNet: which part of this scan, or of this image, is what? Not a medical
device."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitrail.system import System

if TYPE_CHECKING:
    from medical_segment.job import SegmentationJob

DEFAULT = "hippocampus"

system = System(
    name="medical-segment",
    title="SegFormer3D and xLSTM-UNet",
    summary="Outlines structures in scans and cells in images",
    package="medical_segment",
    distribution="vitrail-medical-segment",
    command="medical-segment",
    paper="Perera et al., SegFormer3D, CVPRW 2024; Chen et al., xLSTM-UNet, arXiv 2407.01530",
)


def load(
    weights: str | Path | Sequence[str] | None = None,
    *,
    engine: str = "auto",
    device: str = "auto",
    **options: Any,
) -> "SegmentationJob":
    """The whole system in one call: ``load().predict("scan.nii.gz").labels``.

    Several names or files of one recipe are averaged. ``options`` are those of ``job.Options``,
    such as ``mirror=True``; ``engine`` and ``device`` as in ``vitrail.engine.prepare``.
    """
    from medical_segment.job import Options, SegmentationJob
    from medical_segment.networks import load_network

    names = [weights or DEFAULT] if isinstance(weights, str | Path | None) else list(weights)
    networks = [load_network(str(name)) for name in names]
    return SegmentationJob(networks, Options(**options), engine=engine, device=device)
