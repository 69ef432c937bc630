"""The runner on toy jobs: order, full batches, bounded memory, failures that stay where they
belong, and the shapes of work to come."""

import gc
import weakref
from collections.abc import Sequence

import numpy as np
import pytest

from vitrail.errors import InputError
from vitrail.job import Ask, Failure, Steps, Tell
from vitrail.runner import MAX_OPEN, run, solve, stream
from vitrail.sources import Source


class Doubling:
    """An engine that doubles, and remembers the batches it saw."""

    name, device, weights = "toy", "cpu", ""

    def __init__(self, wrong: int = 0, error: BaseException | None = None):
        self.wrong, self.error = wrong, error or InputError("toy", "is bad")
        self.batches: list[int] = []

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        self.batches.append(len(batch))
        if self.wrong == len(self.batches) or (batch < 0).any():
            raise self.error
        return 2 * batch[:, :1]


class Toy:
    """The source ``name.4`` asks for four items that count up from 0, ``chunk`` at a time; its
    result is their doubles.

    ``wrong`` maps a stage to the name of the source that fails there. ``sides`` maps a name to the
    sizes of its items.
    """

    model, version, options = "toy", "1", {}

    def __init__(
        self,
        wrong: dict[str, str] | None = None,
        sides: dict[str, Sequence[int]] | None = None,
        error: BaseException | None = None,
        engine: Doubling | None = None,
        chunk: int = 1,
    ):
        self.wrong, self.sides, self.chunk = wrong or {}, sides or {}, chunk
        self.error = error or InputError("toy", "is bad")
        self.engine = engine or Doubling()
        self.networks = {"double": self.engine}
        self.events: list[str] = []
        self.live: set[int] = set()
        self.opened: set[str] = set()
        self.most_live = self.most_open = 0

    def process(self, source: Source) -> Steps:
        name, count = source.name.split(".")
        self._stumble("open", name)
        self.events.append(f"open {name}")
        self.opened.add(name)
        self.most_open = max(self.most_open, len(self.opened))
        try:
            found: list[int] = []
            for start in range(0, int(count), self.chunk):
                numbers = range(start, min(start + self.chunk, int(count)))
                if 2 in numbers:
                    self._stumble("items", name)
                rows = yield Ask("double", [self._item(name, number) for number in numbers])
                found += [int(row[0]) for row in rows]
            self._stumble("judge", name)
            return found
        finally:
            self.opened.discard(name)
            self._stumble("close", name)

    def _stumble(self, stage: str, name: str) -> None:
        if self.wrong.get(stage) == name:
            raise self.error

    def _item(self, name: str, number: int) -> np.ndarray:
        sides = self.sides.get(name, [1])
        self.events.append(f"item {name}{number}")
        item = np.full(sides[number % len(sides)], float(number))
        key = id(item)
        self.live.add(key)
        weakref.finalize(item, self.live.discard, key)
        self.most_live = max(self.most_live, len(self.live))
        return item


def sources(*names: str) -> list[Source]:
    return [Source(name) for name in names]


def outcomes(job, *names: str, batch_size: int = 4) -> dict[str, list[int] | str]:
    """What came of each source, by its name, in the order it came; a failure as its reason."""
    found = {
        source.name.split(".")[0]: outcome.reason if isinstance(outcome, Failure) else outcome
        for source, outcome in run(job, sources(*names), batch_size=batch_size)
    }
    assert not getattr(job, "opened", ())
    return found


def doubles(count: int) -> list[int]:
    return list(range(0, 2 * count, 2))


# Order, batches, memory


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_results_come_in_order_with_their_own_rows(chunk):
    counts = {"a": 3, "b": 0, "c": 11, "d": 1, "e": 4}
    found = outcomes(Toy(chunk=chunk), *(f"{name}.{count}" for name, count in counts.items()))
    assert list(found) == list(counts)
    assert found == {name: doubles(count) for name, count in counts.items()}


@pytest.mark.parametrize("batch_size", [1, 3, 4, 100])
def test_batches_are_full_across_sources(batch_size):
    job = Toy(chunk=100)
    outcomes(job, "a.3", "b.5", "c.1", "d.7", batch_size=batch_size)
    whole, rest = divmod(16, batch_size)
    assert job.engine.batches == [batch_size] * whole + [rest] * bool(rest)


def test_sources_that_ask_one_by_one_fill_a_batch_together():
    job = Toy()
    outcomes(job, *(f"s{number}.5" for number in range(4)), batch_size=4)
    assert job.engine.batches == [4] * 5


def test_no_source_gives_nothing():
    assert outcomes(Toy()) == {}


def test_items_of_another_shape_or_dtype_have_batches_of_their_own():
    job = Toy(sides={"a": [1, 2]}, chunk=8)
    assert outcomes(job, "a.8", "b.4") == {"a": doubles(8), "b": doubles(4)}
    assert job.engine.batches == [4, 4, 4]


def test_a_result_is_handed_over_before_the_next_source_is_opened():
    job = Toy(chunk=4)
    found = run(job, sources("a.4", "b.4"), batch_size=4)
    assert next(found)[1] == doubles(4)
    assert "open b" not in job.events and not job.opened
    assert next(found)[1] == doubles(4)


def test_a_long_source_passes_in_bounded_memory():
    job = Toy(chunk=8)
    assert outcomes(job, "a.1000", batch_size=8)["a"] == doubles(1000)
    gc.collect()
    assert job.most_live <= 2 * 8 and not job.live


def test_many_shapes_pass_in_bounded_memory():
    job = Toy(sides={f"s{number}": [number + 1] for number in range(300)})
    outcomes(job, *(f"s{number}.3" for number in range(300)), batch_size=8)
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
    assert job.engine.batches == [MAX_OPEN] * (300 // MAX_OPEN) + [300 % MAX_OPEN]


# What goes wrong


@pytest.mark.parametrize("stage", ["open", "items", "judge", "close"])
@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_a_source_that_fails_does_not_touch_the_others(stage, name):
    good = {"a": doubles(3), "b": doubles(5), "c": doubles(3)}
    assert outcomes(Toy({stage: name}), "a.3", "b.5", "c.3") == good | {name: "is bad"}


def test_a_batch_that_fails_once_is_computed_again_for_each_of_its_sources():
    job = Toy(engine=Doubling(wrong=1), chunk=4)
    good = {"a": doubles(2), "b": doubles(3), "c": doubles(2)}
    assert outcomes(job, "a.2", "b.3", "c.2", batch_size=7) == good
    assert job.engine.batches == [7, 2, 3, 2]


def test_one_bad_item_in_a_batch_fails_its_source_alone():
    class Poisoned(Toy):
        def _item(self, name: str, number: int) -> np.ndarray:
            item = super()._item(name, number)
            return -item - 1 if name == "b" else item

    good = {"a": doubles(3), "c": doubles(3)}
    assert outcomes(Poisoned(), "a.3", "b.3", "c.3", batch_size=16) == good | {"b": "is bad"}


def test_a_failed_source_gives_no_more_items():
    job = Toy(engine=Doubling(wrong=1))
    assert outcomes(job, "a.100") == {"a": "is bad"}
    assert job.engine.batches == [1] and "item a1" not in job.events


def test_a_network_that_fails_throws_into_the_job_which_may_go_on():
    class Careful(Toy):
        def process(self, source):
            try:
                yield Ask("double", [np.array([-1.0])])
            except InputError:
                rows = yield Ask("double", [np.array([4.0])])
                return int(rows[0][0])

    assert outcomes(Careful(), "a.1") == {"a": 8}
    assert solve(Careful().networks, Careful().process(Source("a.1"))) == 8


@pytest.mark.parametrize("rows", [lambda batch: batch[1:], lambda batch: list(batch) * 2])
def test_a_wrong_number_of_rows_is_a_failure(rows):
    job = Toy(chunk=4)
    job.networks = {"double": rows}
    assert "rows came back for 4 items" in outcomes(job, "a.4")["a"]


def test_a_network_that_nobody_knows_fails_its_source():
    job = Toy()
    job.networks = {}
    assert "KeyError" in outcomes(job, "a.1", "b.0")["a"]


def test_an_error_of_our_own_making_is_told_as_such():
    long = ZeroDivisionError("line\n" * 100)
    (_, failed), (_, good) = run(
        Toy({"judge": "a"}, error=long), sources("a.1", "b.1"), batch_size=1
    )
    assert failed.source == "a.1" and failed.error is long and good == [0]
    assert failed.reason.startswith("unexpected ZeroDivisionError: line")
    assert "\n" not in failed.reason
    assert len(failed.reason) <= 120 and failed.reason.endswith("--debug shows where")


@pytest.mark.parametrize("stage", ["open", "items", "network", "judge"])
def test_an_interrupt_passes_and_closes_every_source(stage):
    stop = KeyboardInterrupt()
    engine = Doubling(wrong=2 if stage == "network" else 0, error=stop)
    job = Toy({stage: "b"}, error=stop, engine=engine)
    with pytest.raises(KeyboardInterrupt):
        list(run(job, sources("a.3", "b.6", "c.3"), batch_size=4))
    assert job.events and not job.opened


def test_a_consumer_that_stops_early_leaves_nothing_open():
    job = Toy(chunk=3)
    found = run(job, sources("a.3", "b.3", "c.9"), batch_size=4)
    next(found)
    assert job.opened
    found.close()
    assert not job.opened


def test_progress_counts_every_item_once():
    heard: dict[str, int] = {}

    def hear(source: Source, count: int) -> None:
        heard[source.name] = heard.get(source.name, 0) + count

    list(run(Toy(), sources("a.5", "b.3"), batch_size=4, on_progress=hear))
    assert heard == {"a.5": 5, "b.3": 3}


# The shapes of work


class Faces:
    """Two networks in a row: the first finds between none and two things per frame."""

    model, version, options = "faces", "1", {}

    def __init__(self):
        self.calls: list[tuple[str, int]] = []
        self.networks = {"detector": self._find, "score": self._score}

    def _find(self, frames: np.ndarray) -> list:
        self.calls.append(("detector", len(frames)))
        return [[frame, frame + 1][: int(frame) % 3] for frame in frames]

    def _score(self, faces: np.ndarray) -> np.ndarray:
        self.calls.append(("score", len(faces)))
        return faces * 10

    def process(self, source: Source) -> Steps:
        numbers = [float(word) for word in source.name.split(",")]
        scores = []
        for start in range(0, len(numbers), 4):
            frames = [np.float64(number) for number in numbers[start : start + 4]]
            found = yield Ask("detector", frames)
            scores += yield Ask("score", [face for faces in found for face in faces])
        return [float(score) for score in scores]


def test_both_networks_of_a_job_are_batched_across_sources():
    job = Faces()
    found = [outcome for _, outcome in run(job, sources("1,2,3,4,5", "7,8", "0"), batch_size=4)]
    assert found == [[10, 20, 30, 40, 50, 60], [70, 80, 90], []]
    assert sum(count for name, count in job.calls if name == "detector") == 8
    assert max(count for _, count in job.calls) == 4


class Change:
    """A pair of inputs per item and a pair of outputs per row."""

    model, version, options = "change", "1", {}

    def __init__(self):
        self.networks = {"change": lambda before, after: (after - before, after + before)}

    def process(self, source: Source) -> Steps:
        before, after = np.arange(4.0), np.arange(4.0) ** 2
        total = np.zeros((2, 4))
        for at in range(0, 4, 2):
            items = [(before[i : i + 1], after[i : i + 1]) for i in range(at, at + 2)]
            rows = yield Ask("change", items)
            total[:, at : at + 2] = np.array(rows)[..., 0].T
        return total.tolist()


def test_items_and_rows_may_be_tuples():
    before, after = np.arange(4.0), np.arange(4.0) ** 2
    wanted = [(after - before).tolist(), (after + before).tolist()]
    found = [outcome for _, outcome in run(Change(), sources("x", "y"), batch_size=3)]
    assert found == [wanted, wanted]
    assert solve(Change().networks, Change().process(Source("x"))) == wanted


class Drive:
    """A closed loop: the next input depends on the last output; it tells where it is."""

    model, version, options = "drive", "1", {}

    def __init__(self):
        self.calls: list[int] = []
        self.networks = {"policy": self._policy}

    def _policy(self, seen: np.ndarray) -> np.ndarray:
        self.calls.append(len(seen))
        return (seen < 5).astype(float)

    def process(self, source: Source) -> Steps:
        place, steps = float(source.name), 0
        while True:
            (action,) = yield Ask("policy", [np.float64(place)])
            yield Tell(place)
            if not action:
                return steps
            place, steps = place + float(action), steps + 1


def test_several_worlds_share_a_batch_and_tell_where_they_are():
    job, told = Drive(), []
    found = run(
        job,
        sources("0", "3", "9"),
        batch_size=3,
        on_tell=lambda source, value: told.append((source.name, value)),
    )
    assert [steps for _, steps in found] == [5, 2, 0]
    assert job.calls[0] == 3
    assert [value for name, value in told if name == "3"] == [3, 4, 5]


def test_a_stream_hands_out_what_is_told_at_once():
    job = Drive()
    heard = stream(job.networks, job.process(Source("3")), batch_size=1)
    assert next(heard) == 3 and len(job.calls) == 1
    assert list(heard) == [4, 5]


def test_one_source_alone_gives_what_the_runner_gives():
    job = Toy(sides={"a": [1, 1, 2]}, chunk=9)
    assert solve(job.networks, job.process(Source("a.9")), batch_size=4) == doubles(9)
    assert job.engine.batches == [2, 1, 2, 1, 2, 1]
    job = Toy(engine=Doubling(wrong=1))
    with pytest.raises(InputError):
        solve(job.networks, job.process(Source("a.9")))
    assert not job.opened
