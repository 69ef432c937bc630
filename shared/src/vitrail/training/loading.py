"""Loaders whose processes start clean, and samplers for data that is composed from a number."""

import multiprocessing
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, RandomSampler, Sampler


def loader(
    dataset: Any, batch_size: int | None = 1, *, workers: int = 0, **options: Any
) -> DataLoader:
    """PyTorch's loader, the one that every training of the house uses.

    ``workers`` processes (0: the caller's own) load ahead and live through all epochs. They come
    from a fork server, never from a fork of this process, which copies locked locks once a thread
    pool has run in it; so ``dataset``, ``collate_fn`` and their kin must be picklable, classes at
    the top of a module. Their random numbers follow from the caller's seed. ``options`` are
    DataLoader's.
    """
    if not workers:
        return DataLoader(dataset, batch_size, **options)
    # Processes that live on are seeded once a run, not once an epoch. Were that seed drawn from the
    # caller's random state, a run that is continued would draw once more than one that never
    # stopped; the order of the items, which is drawn each epoch, is part of that state.
    seeded = torch.Generator().manual_seed(torch.initial_seed())
    if options.pop("shuffle", False):
        options["sampler"] = RandomSampler(dataset)
    context = multiprocessing.get_context("forkserver")
    # Read once, when the server starts: what it has imported its processes need not.
    context.set_forkserver_preload([__name__, type(dataset).__module__])
    return DataLoader(
        dataset,
        batch_size,
        num_workers=workers,
        persistent_workers=True,
        multiprocessing_context=context,
        worker_init_fn=_start_worker,
        generator=seeded,
        **options,
    )


def _start_worker(number: int) -> None:
    """PyTorch has seeded the process and limited its own threads; OpenCV's would be one per core in
    each of them."""
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(1)


class Numbers(Sampler[int]):
    """The numbers of an epoch's batches; each epoch has its own."""

    def __init__(self, length: int):
        self.length, self.epoch = length, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.epoch * self.length, (self.epoch + 1) * self.length))

    def __len__(self) -> int:
        return self.length
