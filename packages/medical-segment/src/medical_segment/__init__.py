"""SegFormer3D and xLSTM-UNet: which part of this scan, or of this picture, is what? Not a medical
device."""

from typing import TYPE_CHECKING

from vitrail.system import System

if TYPE_CHECKING:
    from medical_segment.pipeline import SegmentationPipeline

system = System(
    name="medical-segment",
    title="SegFormer3D and xLSTM-UNet",
    summary="Outlines structures in scans and cells in pictures",
    package="medical_segment",
    distribution="vitrail-medical-segment",
    command="medical-segment",
    paper="Perera et al., SegFormer3D, CVPRW 2024; Chen et al., xLSTM-UNet, arXiv 2407.01530",
)


def load(weights: str = "hippocampus", **options) -> "SegmentationPipeline":
    """The whole system in one call: ``load().predict("scan.nii.gz").labels``; options as in
    ``pipeline.load``."""
    from medical_segment.pipeline import load as load_pipeline

    return load_pipeline(weights, **options)
