"""``vitrail bench`` measures each installed engine beside eager, on the network's own example."""

import sys

import numpy as np
import pytest
import torch
from torch import nn

import vitrail.bench as bench
from vitrail.bench import compare_engines
from vitrail.engine import ENGINES, Network


@pytest.fixture(autouse=True)
def no_compiler(monkeypatch):
    """``torch.compile`` takes a minute."""
    monkeypatch.setattr(bench, "ENGINES", [name for name in ENGINES if name != "compile"])


def network() -> Network:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(48, 2))
    return Network("toy", lambda: module, np.ones((2, 3, 4, 4), np.float32), None)


def test_each_engine_has_a_row_with_its_speed_and_its_error():
    rows = {row["engine"]: row for row in compare_engines(network(), "cpu", 5)}
    assert list(rows) == ["eager", "bfloat16", "openvino", "openvino-bfloat16", "onnx"]
    assert rows["eager"]["speedup"] == 1.0 and rows["eager"]["error"] == 0.0
    for name in ("openvino", "bfloat16"):
        row = rows[name]
        assert row["network"] == "toy" and row["ms_per_item"] >= 0 and row["speedup"] >= 0
        assert row["error"] < (0.02 if name == "bfloat16" else 1e-5)


def test_an_engine_that_is_not_installed_has_a_row_that_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    row = {row["engine"]: row for row in compare_engines(network(), "cpu", 2)}["onnx"]
    assert row["note"] == "this library is not installed" and row["ms_per_item"] is None
