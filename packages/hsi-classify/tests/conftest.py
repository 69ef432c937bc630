"""A made scene as files, and a network fitted to it."""

from pathlib import Path

import numpy as np
import pytest

from hsi_classify.fit import presets

from .fakes import QUICK, QUICK_CONV, made_scene


@pytest.fixture(autouse=True)
def quick_networks(monkeypatch):
    """Fitting takes a moment in place of a minute."""
    monkeypatch.setitem(presets.PRESETS, "small", QUICK)
    monkeypatch.setitem(presets.PRESETS, "conv", QUICK_CONV)


@pytest.fixture
def scene() -> tuple[np.ndarray, np.ndarray]:
    return made_scene()


@pytest.fixture
def files(tmp_path, scene) -> tuple[Path, Path]:
    """The cube and its labels as .npy."""
    paths = tmp_path / "cube.npy", tmp_path / "labels.npy"
    for path, array in zip(paths, scene, strict=True):
        np.save(path, array)
    return paths
