"""Which numbers a run draws its batches from, and the processes that load them."""

import importlib
import os
import random
import sys

import pytest
import torch

from vitrail.training.loading import Numbers, loader


def test_each_epoch_has_its_own_batches():
    numbers = Numbers(3)
    first = list(numbers)
    numbers.set_epoch(2)
    assert (first, list(numbers), len(numbers)) == ([0, 1, 2], [6, 7, 8], 3)


FACTS = """
import multiprocessing, os, random
import cv2, torch
from torch.utils.data import Dataset

class Facts(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, number):
        return {
            "number": number,
            "process": os.getpid(),
            "start": multiprocessing.current_process().name,
            "drawn": (random.random(), float(torch.rand(()))),
            "threads": (torch.get_num_threads(), cv2.getNumThreads()),
        }
"""


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    """What the process is like that loads an item. A module of its own, since a test's module is
    not to be imported elsewhere."""
    (tmp_path / "loading_facts.py").write_text(FACTS)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("loading_facts").Facts()
    del sys.modules["loading_facts"]


def facts(dataset, workers: int, seed: int = 0) -> list[dict]:
    torch.manual_seed(seed)
    random.seed(seed)
    batches = loader(dataset, None, workers=workers)
    return [item for _ in range(2) for item in batches]


def test_processes_come_from_a_fork_server_and_live_through_all_epochs(dataset):
    torch.randn(512, 512) @ torch.randn(512, 512)  # the caller's thread pool has run
    found = facts(dataset, workers=1)
    assert [item["number"] for item in found] == [0, 1, 2, 3] * 2
    (process,) = {item["process"] for item in found}
    assert process != os.getpid()
    assert all(item["start"].startswith("ForkServerProcess") for item in found)
    assert all(list(item["threads"]) == [1, 1] for item in found)


def test_loading_leaves_the_callers_random_state_alone(dataset):
    torch.manual_seed(5)
    expected = torch.get_rng_state()
    for _ in range(2):
        list(loader(dataset, None, workers=1))
    assert torch.equal(torch.get_rng_state(), expected)


def test_random_numbers_follow_from_the_callers_seed(dataset):
    drawn = [[tuple(item["drawn"]) for item in facts(dataset, 1, seed)] for seed in (3, 3, 4)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) == 8


def test_without_workers_the_caller_loads(dataset):
    assert {item["process"] for item in facts(dataset, workers=0)} == {os.getpid()}


def test_what_cannot_be_sent_to_a_process_is_said(dataset):
    with (
        pytest.warns(UserWarning, match="pickle"),
        pytest.raises((AttributeError, TypeError, ValueError), match=r"pickle|local object"),
    ):
        next(iter(loader(dataset, None, workers=1, collate_fn=lambda item: item)))
