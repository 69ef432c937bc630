"""Samplers for data that is composed from a number."""

from collections.abc import Iterator

from torch.utils.data import Sampler


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
