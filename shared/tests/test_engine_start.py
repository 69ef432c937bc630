"""What engines import and leave behind, each in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ARCHITECTURE = """
import torch
from torch import nn

class Toy(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.GELU(), nn.Flatten(), nn.Linear(8 * 36, 2)
        )

    def forward(self, image):
        return self.body(image)
"""
JOB = """
import json, sys
from pathlib import Path
import numpy as np
from vitrail.engine import Network, prepare
from vitrail.weights.catalogue import Weights

def build():
    from toy_architecture import Toy
    return Toy()

batch = np.random.default_rng(0).standard_normal((3, 3, 8, 8), np.float32)
weights = Weights("toy", Path("toy.safetensors"), "0" * 64)
network = Network("toy", build, batch[:2], weights, ("toy_architecture",))
engine = prepare(network, engine=sys.argv[1], device="cpu")
output = engine(batch)
heavy = ("torch", "sympy", "timm", "torchvision", "torch._dynamo", "torch._inductor", "openvino")
print(json.dumps([engine.name, output.tolist(), [name for name in heavy if name in sys.modules]]))
"""
SILENT = """
import socket, sys
socket.socket.connect = lambda *_: sys.exit("called home")
import numpy as np, torch
from vitrail.engine import Network, prepare
batch = np.ones((2, 2), np.float32)
network = Network("toy", lambda: torch.nn.Linear(2, 2), batch, None)
prepare(network, engine="openvino", device="cpu")(batch)
assert sys.modules["openvino_telemetry"] is None
"""
# OpenVINO's plug-in gives the thread an alternate signal stack with each Core and puts the former
# one back with its end: with a Core per network, the child that ends here ends this process.
TWO_NETWORKS = """
import gc, os, signal
import numpy as np, torch
from vitrail.engine import Network, prepare
batch = np.ones((2, 64), np.float32)

def made():
    module = torch.nn.Linear(64, 64)
    engine = prepare(Network("toy", lambda: module, batch, None), engine="openvino", device="cpu")
    engine(batch)
    return engine

first, second = made(), made()
del first
gc.collect()
del second
gc.collect()
signal.signal(signal.SIGCHLD, lambda *_: None)
child = os.fork()
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
print("lives")
"""

# With one thread OpenVINO's ``infer`` swallows an error and runs the failed task again with the
# next inference: that of another network, which then ends this process.
FAILED_INFERENCE = """
import gc
import numpy as np
import openvino.opset13 as ops
from openvino import Model
from vitrail.engine import ir

def run(build):
    given = ops.parameter([-1, 3], np.float32, name="x")
    return ir.compile_ir(Model([build(given)], [given], "toy"), "f32")

for _ in range(20):
    two_rows_only = run(lambda x: ops.concat([ops.relu(x), np.zeros((2, 3), np.float32)], 1))
    try:
        two_rows_only(np.zeros((1, 3), np.float32))
    except RuntimeError:
        del two_rows_only
        gc.collect()
    run(ops.relu)(np.ones((2, 3), np.float32))
    assert "two_rows_only" not in globals(), "no error came"
print("lives")
"""


@pytest.fixture
def python(tmp_path):
    """Runs code in a fresh interpreter that finds ``toy_architecture``; gives the finished
    process."""
    (tmp_path / "toy_architecture.py").write_text(ARCHITECTURE)
    paths = {"VITRAIL_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(tmp_path)}

    def run(code: str, *arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **paths})

    return run


def answer(finished: subprocess.CompletedProcess) -> list:
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def test_torch_is_imported_only_where_no_converted_network_lies_in_the_cache(python, tmp_path):
    name, numbers, heavy = answer(python(JOB, "auto"))
    assert (name, heavy) == ("openvino", ["torch", "openvino"])
    assert answer(python(JOB, "auto")) == ["openvino", numbers, ["openvino"]]
    _, eager, heavy = answer(python(JOB, "eager"))
    assert heavy == ["torch"]
    assert abs(eager[0][0] - numbers[0][0]) < 1e-5
    architecture = tmp_path / "toy_architecture.py"
    architecture.write_text(architecture.read_text().replace("manual_seed(0)", "manual_seed(1)"))
    _, changed, heavy = answer(python(JOB, "auto"))
    assert changed != numbers and "torch" in heavy, "other code, so it is converted again"


def test_without_torch_a_kept_network_runs_and_another_says_what_it_needs(python, tmp_path):
    _, numbers, _ = answer(python(JOB, "auto"))
    hidden = "import sys; sys.modules['torch'] = None\n" + JOB
    assert answer(python(hidden, "auto"))[1] == numbers
    for kept in (tmp_path / "cache").rglob("network.bin"):
        kept.write_bytes(b"")
    failed = python(hidden, "auto")
    assert failed.returncode and "torch" in Path(failed.stderr.strip().splitlines()[-1]).name


def test_openvino_is_kept_from_calling_home(python):
    finished = python(SILENT)
    assert (finished.returncode, finished.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs signals and fork")
def test_a_signal_after_two_networks_are_freed_does_not_kill_the_process(python):
    finished = python(TWO_NETWORKS)
    assert (finished.returncode, finished.stdout) == (0, "lives\n"), finished.stderr


@pytest.mark.parametrize("threads", ["1", "2"])
def test_an_inference_that_fails_says_so_and_leaves_nothing_behind(python, monkeypatch, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    finished = python(FAILED_INFERENCE)
    assert (finished.returncode, finished.stdout) == (0, "lives\n"), finished.stderr
