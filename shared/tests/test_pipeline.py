"""The runner on a toy job: order, full batches, bounded memory, failures that stay where they
belong."""

import gc
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from vitrail.errors import InputError
from vitrail.pipeline import MAX_OPEN, Failure, Pipeline, compute, run


@dataclass
class Sample:
    source: Path
    is_open: bool = True


class Toy(Pipeline[Sample, list[int]]):
    """The source ``name.4`` gives four items that count up from 0, and its result is their doubles.

    ``wrong`` maps a stage to the name of the source that fails there. ``sides`` maps a name to the
    sizes of its items.
    """

    def __init__(
        self,
        wrong: dict[str, str] | None = None,
        sides: dict[str, list[int]] | None = None,
        error=None,
    ):
        self.wrong, self.sides = wrong or {}, sides or {}
        self.error = error or InputError("toy", "is bad")
        self.batches: list[int] = []
        self.samples: list[Sample] = []
        self.events: list[str] = []
        self.live: set[int] = set()
        self.most_live = self.most_open = 0

    def read(self, source: Path) -> Sample:
        self._stumble("read", source)
        self.events.append(f"read {source.stem}")
        self.samples.append(Sample(source))
        self.most_open = max(self.most_open, sum(sample.is_open for sample in self.samples))
        return self.samples[-1]

    def items(self, sample: Sample) -> Iterator[Tensor]:
        for number in range(int(sample.source.suffix[1:])):
            assert sample.is_open
            if number == 2:
                self._stumble("items", sample.source)
            sides = self.sides.get(sample.source.stem, [1])
            self.events.append(f"item {sample.source.stem}{number}")
            yield self._counted(torch.full((sides[number % len(sides)],), float(number)))

    def infer(self, batch: Tensor) -> Tensor:
        self.batches.append(len(batch))
        self.events.append(f"infer {len(batch)}")
        if self.wrong.get("infer") == len(self.batches):
            raise self.error
        return 2 * batch[:, :1]

    def collect(self, sample: Sample, outputs: Tensor) -> list[int]:
        assert sample.is_open
        self._stumble("collect", sample.source)
        return outputs.flatten().int().tolist()

    def close(self, sample: Sample) -> None:
        assert sample.is_open, "closed twice"
        sample.is_open = False
        self._stumble("close", sample.source)

    def settings(self) -> dict:
        return {}

    def runtime(self) -> dict:
        return {}

    def _stumble(self, stage: str, source: Path) -> None:
        if self.wrong.get(stage) == source.stem:
            raise self.error

    def _counted(self, item: Tensor) -> Tensor:
        key = id(item)
        self.live.add(key)
        weakref.finalize(item, self.live.discard, key)
        self.most_live = max(self.most_live, len(self.live))
        return item


def outcomes(job: Toy, *names: str, batch_size: int = 4) -> dict[str, list[int] | str]:
    """What came of each source, by its name, in the order it came; a failure as its reason."""
    found = run(job, map(Path, names), batch_size=batch_size)
    result = {
        path.stem: outcome.reason if isinstance(outcome, Failure) else outcome
        for path, outcome in found
    }
    assert not any(sample.is_open for sample in job.samples)
    return result


def doubles(count: int) -> list[int]:
    return list(range(0, 2 * count, 2))


def test_results_come_in_order_with_their_own_rows():
    counts = {"a": 3, "b": 0, "c": 11, "d": 1, "e": 4}
    found = outcomes(Toy(), *(f"{name}.{count}" for name, count in counts.items()))
    assert list(found) == list(counts)
    assert found == {name: doubles(count) for name, count in counts.items()}


@pytest.mark.parametrize("batch_size", [1, 3, 4, 100])
def test_batches_are_full_across_sources(batch_size):
    job = Toy()
    outcomes(job, "a.3", "b.5", "c.1", "d.7", batch_size=batch_size)
    whole, rest = divmod(16, batch_size)
    assert job.batches == [batch_size] * whole + [rest] * bool(rest)


def test_no_source_gives_nothing():
    assert outcomes(Toy()) == {}


def test_items_of_another_shape_or_dtype_have_batches_of_their_own():
    job = Toy(sides={"a": [1, 2]})
    assert outcomes(job, "a.8", "b.4") == {"a": doubles(8), "b": doubles(4)}
    assert job.batches == [4, 4, 4]


def test_items_are_taken_only_as_they_are_needed():
    job = Toy()
    outcomes(job, "a.5", "b.3")
    assert job.events == [
        "read a", "item a0", "item a1", "item a2", "item a3", "infer 4", "item a4",
        "read b", "item b0", "item b1", "item b2", "infer 4",
    ]  # fmt: skip


def test_a_result_is_handed_over_before_the_next_source_is_opened():
    job = Toy()
    found = run(job, map(Path, ["a.4", "b.4"]), batch_size=4)
    assert next(found)[1] == doubles(4)
    assert "read b" not in job.events
    assert not job.samples[0].is_open
    assert next(found)[1] == doubles(4)


def test_a_long_source_passes_in_bounded_memory():
    job = Toy()
    assert outcomes(job, "a.1000", batch_size=8)["a"] == doubles(1000)
    gc.collect()
    assert job.most_live <= 2 * 8 and not job.live


def test_many_shapes_pass_in_bounded_memory():
    job = Toy(sides={"a": list(range(1, 101))})
    assert outcomes(job, "a.1000", batch_size=8)["a"] == doubles(1000)
    assert job.most_live <= 3 * 8


def test_a_rare_shape_does_not_keep_all_later_sources_open():
    job = Toy(sides={"odd": [2]})
    found = outcomes(job, "odd.1", *(f"s{number}.1" for number in range(500)), batch_size=16)
    assert list(found) == ["odd", *(f"s{number}" for number in range(500))]
    assert job.most_open <= MAX_OPEN


def test_many_small_sources_share_large_batches_without_keeping_more_than_some_open():
    job = Toy()
    outcomes(job, *(f"s{number}.1" for number in range(300)), batch_size=4096)
    assert job.most_open <= MAX_OPEN
    assert job.batches == [MAX_OPEN] * (300 // MAX_OPEN) + [300 % MAX_OPEN]


@pytest.mark.parametrize("stage", ["read", "items", "collect", "close"])
@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_a_source_that_fails_does_not_touch_the_others(stage, name):
    good = {"a": doubles(3), "b": doubles(5), "c": doubles(3)}
    assert outcomes(Toy({stage: name}), "a.3", "b.5", "c.3") == good | {name: "is bad"}


def test_a_batch_that_fails_fails_its_sources_and_no_other():
    job = Toy({"infer": 2})  # four items a batch: aaab bbcc c+dd
    assert outcomes(job, "a.3", "b.3", "c.3", "d.2") == {
        "a": doubles(3),
        "b": "is bad",
        "c": "is bad",
        "d": doubles(2),
    }


def test_a_failed_source_gives_no_more_items():
    job = Toy({"infer": 1})
    assert outcomes(job, "a.100", "b.2") == {"a": "is bad", "b": doubles(2)}
    assert job.batches == [4, 2]
    assert "item a5" not in job.events


def test_rows_of_several_shapes_are_a_failure():
    class Uneven(Toy):
        def infer(self, batch: Tensor) -> Tensor:
            return batch

    found = dict(run(Uneven(sides={"a": [1, 2]}), [Path("a.4"), Path("b.4")], batch_size=2))
    assert "shapes" in found[Path("a.4")].reason and found[Path("b.4")] == [0, 1, 2, 3]


def test_one_open_sample_gives_what_the_runner_gives():
    job = Toy(sides={"a": [1, 1, 2]})
    assert compute(job, Sample(Path("a.9")), batch_size=4) == doubles(9)
    assert job.batches == [2, 1, 2, 1, 2, 1]
    with pytest.raises(InputError):
        compute(Toy(wrong={"infer": 1}), Sample(Path("a.9")), batch_size=4)


def test_a_wrong_number_of_rows_is_a_failure():
    class Short(Toy):
        def infer(self, batch: Tensor) -> Tensor:
            return super().infer(batch)[1:]

    assert "3 rows came back for 4 items" in outcomes(Short(), "a.4")["a"]


def test_an_error_of_our_own_making_is_told_as_such():
    long = ZeroDivisionError("line\n" * 100)
    (_, failure), (_, good) = run(
        Toy({"collect": "a"}, error=long), [Path("a.1"), Path("b.1")], batch_size=1
    )
    assert failure.source == "a.1" and failure.error is long and good == [0]
    assert (
        failure.reason.startswith("unexpected ZeroDivisionError: line")
        and "\n" not in failure.reason
    )
    assert len(failure.reason) <= 120 and failure.reason.endswith("--debug shows where")


@pytest.mark.parametrize("stage", ["read", "items", "infer", "collect"])
def test_an_interrupt_passes_and_closes_every_sample(stage):
    job = Toy({stage: 2 if stage == "infer" else "b"}, error=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        list(run(job, map(Path, ["a.3", "b.6", "c.3"]), batch_size=4))
    assert job.samples and not any(sample.is_open for sample in job.samples)


def test_a_consumer_that_stops_early_leaves_nothing_open():
    job = Toy()
    found = run(job, map(Path, ["a.4", "b.3", "c.9"]), batch_size=4)
    next(found)
    found.close()
    assert job.events[-1] == "infer 4" and not any(sample.is_open for sample in job.samples)


def test_progress_counts_every_item_once():
    heard = []
    list(
        run(
            Toy(),
            map(Path, ["a.5", "b.3"]),
            batch_size=4,
            on_progress=lambda path, n: heard.append((path.stem, n)),
        )
    )
    assert heard == [("a", 4), ("a", 1), ("b", 3)]
