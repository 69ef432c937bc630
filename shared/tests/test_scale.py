"""Sources spread over Ray: the same results, in order; a worker that dies loses nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vitrail import runner, scale
from vitrail.errors import InputError, UsageError
from vitrail.job import Ask, Failure, Steps
from vitrail.sources import Source

ray = pytest.importorskip("ray", reason="needs vitrail[ray]")

CHILD = "VITRAIL_TESTS_OF_RAY"
in_child = pytest.mark.skipif(CHILD not in os.environ, reason="runs in a process of its own, below")


class Squares:
    name, device, weights = "toy", "cpu", ""

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        self.name = "squared"
        return batch**2


class Squaring:
    """The squares of the numbers in a source's name. ``mortal`` is the source at which a worker
    dies the first time; ``marker`` remembers that it did."""

    model, version, options = "squares", "1", {}

    def __init__(self, marker: Path, mortal: str = ""):
        self.marker, self.mortal = marker, mortal
        self.networks = {"square": Squares()}

    def process(self, source: Source) -> Steps:
        if source.name == self.mortal and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if source.name == "bad":
            raise InputError(source.name, "holds no numbers", "give some")
        if source.name == "worse":
            raise ZeroDivisionError("odd")
        rows = yield Ask("square", [np.float64(word) for word in source.name.split()])
        return [float(row) for row in rows]


@pytest.mark.timeout(900)
def test_in_a_process_of_its_own():
    """Ray changes how a process takes signals, which trainings in the same one would notice."""
    if CHILD in os.environ:
        return
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", __file__],
        capture_output=True,
        text=True,
        env={**os.environ, CHILD: "1"},
    )
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.fixture(scope="module")
def cluster():
    yield
    ray.shutdown()


NAMES = ["1 2 3", "bad", "4", *(str(number) for number in range(12)), "worse", "5 6"]


@in_child
@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("mortal", ["", "7"], ids=["all live", "one dies"])
def test_a_cluster_gives_what_this_process_gives(mortal, tmp_path):
    sources = [Source(name) for name in NAMES]
    local = dict(runner.run(Squaring(tmp_path / "local"), sources, batch_size=4))
    job, heard = Squaring(tmp_path / "died", mortal), []
    spread = list(
        scale.run(job, sources, batch_size=4, on_progress=lambda source, _: heard.append(source))
    )
    assert [source for source, _ in spread] == sources == heard
    for source, outcome in spread:
        if isinstance(outcome, Failure):
            assert outcome.reason == local[source].reason
        else:
            assert outcome == local[source]
    assert job.networks["square"].name == "squared"
    assert (tmp_path / "died").exists() is bool(mortal)


@in_child
def test_nothing_to_do_starts_no_cluster(monkeypatch):
    monkeypatch.setattr(scale, "_connect", lambda address: pytest.fail("connected"))
    assert list(scale.run(Squaring(Path("x")), [], batch_size=4)) == []


@in_child
def test_a_cluster_that_does_not_answer_is_told_in_one_line(monkeypatch):
    def refuse(**_):
        raise ConnectionError("nobody is there")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(UsageError, match=r"no Ray cluster answers .nobody is there"):
        list(scale.run(Squaring(Path("x")), [Source("1")], batch_size=4, ray="127.0.0.1:1"))
