"""Whatever goes wrong with one source, and at which stage, that source fails alone."""

import json
from collections.abc import Generator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from vitrail.job import Ask
from vitrail.system import System
from vitrail.testing.commands import call, results_in

STAGES = ("reading", "computing", "collecting", "writing")  # of the source that has that name
BOOM = "something that nobody foresaw"


class BrokenResult:
    """Cannot be made a row."""

    damage = ()

    def to_dict(self) -> dict:
        raise RuntimeError(BOOM)


@dataclass
class Poisoned:
    """An engine that fails on every batch in which one of ``items`` is, other sources' too."""

    engine: Any
    items: list

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def __call__(self, *batch: np.ndarray) -> Any:
        rows = list(zip(*batch, strict=True))
        if any(all(map(np.array_equal, item, row)) for item in self.items for row in rows):
            raise RuntimeError(BOOM)
        return self.engine(*batch)


def with_faults(process: Any) -> Any:
    """A job's ``process`` that fails where the name of its source says."""

    def failing(self, source) -> Generator:
        stage = next((stage for stage in STAGES if stage in source.name), "")
        if stage == "reading":
            raise RuntimeError(BOOM)
        steps = process(self, source)
        if stage == "computing":
            steps = poisoned(self.networks, steps)
        result = yield from steps
        return BrokenResult() if stage == "collecting" else result

    return failing


def poisoned(networks: dict, steps: Generator) -> Generator:
    """What ``steps`` ask for, with other items, on which the networks fail."""
    poison: list[tuple] = []
    for name, engine in list(networks.items()):
        networks[name] = Poisoned(engine, poison)
    answer = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as end:
            return end.value
        if isinstance(step, Ask):
            # Other values than its neighbours have, which hold the same file.
            step = Ask(step.network, [_changed(item) for item in step.items])
            poison += [item if isinstance(item, tuple) else (item,) for item in step.items]
        answer = yield step


def _changed(item: Any) -> Any:
    return tuple(map(_changed, item)) if isinstance(item, tuple) else np.full_like(item, 1)


def test_one_source_fails_alone(command: System, example, tmp_path, monkeypatch):
    kind, room = type(import_module(command.package).load()), command.room("writing")
    write, suffix = room.write, "".join(example.suffixes)

    def failing(result: Any, folder: Path) -> None:
        if "writing" in folder.name:
            (folder / "half").write_text("half a result")
            raise RuntimeError(BOOM)
        write(result, folder)

    monkeypatch.setattr(kind, "process", with_faults(kind.process))
    monkeypatch.setattr(room, "write", failing)
    sources = [tmp_path / f"{name}{suffix}" for name in ("first", *STAGES, "last")]
    for source in sources:
        source.write_bytes(example.read_bytes())
    output = tmp_path / "out"
    outcome = call(command.package, *command.job, *sources, "--json", "-o", output)
    rows = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [row["status"] for row in rows] == ["done", *["failed"] * len(STAGES), "done"], outcome
    assert outcome.status == 1 and all(BOOM in row["reason"] for row in rows[1:-1])
    assert len(outcome.stderr.splitlines()) == len(STAGES) and "Traceback" not in outcome.stderr
    kept = [json.loads(line) for line in (output / "results.jsonl").read_text().splitlines()]
    assert kept == rows
    results = results_in(output)
    assert results.keys() == {str(sources[0]), str(sources[-1])}
    assert all(path.is_file() for path in results.values())
    assert not list(output.rglob("half")) and not list(output.rglob(".*"))
