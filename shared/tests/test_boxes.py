"""Non-maximum suppression in NumPy: torchvision's is the oracle."""

import numpy as np
import pytest
import torch
from torchvision.ops import nms as torchvision_nms

from vitrail.preprocess.boxes import nms


@pytest.mark.parametrize("max_overlap", [0.0, 0.2, 0.4, 0.9])
@pytest.mark.parametrize("count", [0, 1, 300])
def test_equals_torchvisions(count, max_overlap):
    rng = np.random.default_rng(count)
    corners = rng.uniform(0, 100, (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0, 40, (count, 2))], axis=1)
    boxes = boxes.astype(np.float32)
    scores = rng.integers(0, 50, count).astype(np.float32)  # many are equal
    expected = torchvision_nms(torch.from_numpy(boxes), torch.from_numpy(scores), max_overlap)
    kept = nms(boxes, scores, max_overlap)
    assert kept.dtype == np.int64 and kept.tolist() == expected.tolist()


def test_boxes_without_an_area_overlap_nothing():
    boxes = np.array([[5, 5, 5, 5], [5, 5, 5, 5], [0, 0, 10, 10]], np.float32)
    assert nms(boxes, np.array([0.1, 0.2, 0.3], np.float32), 0.4).tolist() == [2, 1, 0]
