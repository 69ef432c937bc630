"""A tiny network's file with fresh weights, small scans."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from vitrail.weights.files import save

from .fakes import PLAN_3D, write_dicom_series

TINY = {
    "in_channels": 1,
    "num_classes": 3,
    "embed_dims": [8, 8, 8, 8],
    "num_heads": [1, 1, 1, 1],
    "depths": [1, 1, 1, 1],
    "mlp_ratios": [1, 1, 1, 1],
    "patch_kernel": [3, 3, 3, 3],
    "patch_stride": [2, 2, 2, 2],
    "decoder_dim": 8,
}


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory) -> Path:
    """SegFormer3D with fresh weights as a file: what it says is meaningless and always the same."""
    from medical_segment.models import build_model

    torch.manual_seed(0)
    module = build_model("segformer3d", TINY)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    metadata = {
        "system": "medical-segment",
        "architecture": "segformer3d",
        "config": TINY,
        "plan": PLAN_3D.to_dict(),
    }
    save(path, module.state_dict(), metadata, dtype=torch.float32)
    return path


@pytest.fixture
def blob() -> np.ndarray:
    """int16 (20, 26, 18): a bright ball in noise, off the middle."""
    grid = np.mgrid[:20, :26, :18]
    centre = np.array([8, 15, 10]).reshape(3, 1, 1, 1)
    ball = (((grid - centre) ** 2).sum(axis=0) < 25) * 400
    return (ball + np.random.default_rng(0).normal(100, 10, ball.shape)).astype(np.int16)


@pytest.fixture
def scan(tmp_path, blob) -> Path:
    """The ball as NIfTI at 1 mm."""
    path = tmp_path / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(blob, np.eye(4)), path)
    return path


@pytest.fixture
def series(tmp_path, blob) -> Path:
    """The ball as a DICOM series whose order by name is not that of its slices."""
    return write_dicom_series(tmp_path / "series", blob)
