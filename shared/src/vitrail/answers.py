"""How a command answers for many sources: progress, rows, files, resuming, exit status."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from vitrail.command import report_failure
from vitrail.errors import VitrailError, one_line
from vitrail.job import Failure, Job, Result, failure
from vitrail.keeping import Keeper, ResultFolders, Write
from vitrail.options import Answering
from vitrail.runner import run
from vitrail.sources import Source

SAME = ("model", "version", "weights", "options")  # what ``--resume`` compares, beside the content


@dataclass(frozen=True)
class Answers:
    """One call of a command: its job, what the caller wants to see and keep, and who writes files.

    ``write`` puts a result into a folder; ``on_result`` hears of each that is done, ``on_rows`` at
    the end of the rows of all sources, in their order. With ``resume`` a source is skipped only
    when its content and all that changes numbers are those of the earlier result. ``keeper`` is how
    results lie in the output folder.
    """

    command: str
    job: Job
    options: Answering
    write: Write
    on_result: Callable[[Any], None] | None = None
    on_rows: Callable[[Sequence[dict[str, Any]]], None] | None = None
    keeper: Callable[[Path, Write, Sequence[Source]], Keeper] = ResultFolders

    def run(self, sources: Sequence[Source]) -> int:
        """Runs all sources; the exit status is 1 when at least one failed, else 0."""
        output = self.options.output
        keeper = self.keeper(output, self.write, sources) if output else None
        done = {source: row for source in sources if (row := self._done_before(source, keeper))}
        if done and not self.options.quiet:
            print(f"{self.command}: {len(done)} of {len(sources)} done before", file=sys.stderr)
        rows, table = dict(done), Table(box=None, pad_edge=False)
        rest = [source for source in sources if source not in done]
        for source, outcome, seconds in self._outcomes(rest):
            row, outcome = self._finish(source, keeper, outcome, seconds)
            rows[source] = row
            if isinstance(outcome, Failure):
                report_failure(self.command, source.name, outcome)
            else:
                _add_cells(table, source, outcome.cells())
            if self._for_machines and (len(sources) > 1 or row["status"] == "done"):
                print(json.dumps(row, allow_nan=False), flush=True)
        if not (self._for_machines or self.options.quiet) and table.row_count:
            Console().print(table)
        if keeper and any(row["status"] == "done" for row in rows.values()):
            keeper.finish([rows[source] for source in sources])
        if self.on_rows:
            self.on_rows([rows[source] for source in sources])
        return 1 if any(row["status"] == "failed" for row in rows.values()) else 0

    @property
    def _for_machines(self) -> bool:
        return self.options.json or not sys.stdout.isatty()

    def _done_before(self, source: Source, keeper: Keeper | None) -> dict | None:
        if source.fault or not self.options.resume or keeper is None:
            return None
        row = keeper.earlier(source)
        wanted = json.loads(json.dumps(_origin(self.job)))
        if row.get("status") != "done" or any(row.get(key) != wanted[key] for key in SAME):
            return None
        with suppress(VitrailError, OSError):
            return row if row.get("sha256") == source.fingerprint else None
        return None

    def _outcomes(self, sources: Sequence[Source]) -> Iterator[tuple[Source, Any, float]]:
        bar = _bar(hidden=self.options.quiet)
        with bar:
            task = bar.add_task("", total=len(sources))
            items = 0

            def show(source: Source, count: int) -> None:
                nonlocal items
                items += count
                name = one_line(Path(source.name).name, 40)
                bar.update(task, description=f"{name} · {items} items")

            started = time.perf_counter()
            for source, outcome in self._run(sources, show):
                yield source, outcome, time.perf_counter() - started
                bar.advance(task)
                started = time.perf_counter()

    def _run(self, sources: Sequence[Source], show: Callable) -> Iterator[tuple[Source, Any]]:
        size = self.options.batch_size
        if self.options.ray:
            from vitrail import scale

            address = self.options.ray
            return scale.run(self.job, sources, batch_size=size, on_progress=show, ray=address)
        return run(self.job, fingerprinted(sources), batch_size=size, on_progress=show)

    def _finish(
        self, source: Source, keeper: Keeper | None, outcome: Any, seconds: float
    ) -> tuple[dict[str, Any], Any]:
        if not isinstance(outcome, Failure):
            try:
                source.require_unchanged()
                row = self._row(source, outcome, seconds)
                json.dumps(row, allow_nan=False)  # one that cannot be written fails alone
                if keeper:
                    row = keeper.keep(source, row, outcome)
                if self.on_result:
                    self.on_result(outcome)
                return row, outcome
            except Exception as error:
                outcome = failure(source, error)
        return self._failed_row(source, outcome, seconds), outcome

    def _row(self, source: Source, result: Result, seconds: float) -> dict[str, Any]:
        named = {"source": source.name, "sha256": source.fingerprint}
        return row_of(self.job, named, result.damage, seconds, result.to_dict())

    def _failed_row(self, source: Source, outcome: Failure, seconds: float) -> dict[str, Any]:
        origin = _origin(self.job)
        del origin["options"]
        row = {"source": source.name, "sha256": None, "status": "failed", **origin}
        with suppress(VitrailError, OSError):
            row["sha256"] = source.fingerprint
        return row | {"damage": [], "seconds": round(seconds, 3), "reason": outcome.reason}


def row_of(
    job: Job,
    named: Mapping[str, Any],
    damage: Sequence[str],
    seconds: float,
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """The row of what is done, as every command has it.

    ``named`` says of which sources it is: source and sha256, or lists of them; ``facts`` are the
    domain's own.
    """
    origin = _origin(job)
    options = origin.pop("options")
    row = {**named, "status": "done", **origin}
    row |= {"damage": list(damage), "seconds": round(seconds, 3)}
    return {**row, **facts, "options": options}


def _origin(job: Job) -> dict[str, Any]:
    """What made a row: all that two runs must share to give the same numbers, and where."""
    return {
        "model": job.model,
        "version": job.version,
        "weights": {name: engine.weights for name, engine in job.networks.items()},
        "engine": {name: engine.name for name, engine in job.networks.items()},
        "device": "+".join(dict.fromkeys(engine.device for engine in job.networks.values())),
        "options": dict(job.options),
    }


def fingerprinted(sources: Sequence[Source]) -> Iterator[Source]:
    """Each source with its sha256 taken just before it is read, so that the row tells what was."""
    for source in sources:
        with suppress(VitrailError, OSError):  # the job's own reader says it better
            _ = source.fingerprint
        yield source


def _bar(*, hidden: bool) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    hidden = hidden or not console.is_terminal
    return Progress(*columns, console=console, transient=True, disable=hidden)


def _add_cells(table: Table, source: Source, cells: dict[str, str]) -> None:
    if not table.columns:
        for title in ("source", *cells):
            table.add_column(title, overflow="fold")
    table.add_row(Text(one_line(Path(source.name).name, 60)), *cells.values())
