"""Goldens of what was released around TGBFormer, and the same attention as transformers'."""

import pytest
import torch

from video_detect.parity import check
from vitrail.errors import InputError
from vitrail.testing.beside import PARITY, needs

GOLDENS = PARITY / "video-detection"
EXPECTED = 50  # comparisons, at least


@needs(GOLDENS)
def test_every_golden():
    comparisons = check(GOLDENS)
    failed = [str(one) for one in comparisons if not one.passed]
    assert not failed and len(comparisons) >= EXPECTED


def test_a_checkpoint_of_another_network_is_refused():
    from video_detect.official import read_config

    with pytest.raises(InputError, match="not of Deformable DETR"):
        read_config({"conv.weight": torch.zeros(1)})
