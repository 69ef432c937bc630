"""The job of every command that turns sources into results: progress, rows, files, resuming, exit
status."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from vitrail.command import report_failure
from vitrail.errors import UsageError, VitrailError, one_line
from vitrail.output import atomic_file, atomic_folder, result_names
from vitrail.pipeline import Failure, Pipeline, run

RESULT_FILE = "result.json"
ROWS_FILE = "results.jsonl"


@dataclass(frozen=True)
class Batch:
    """One call of a command: its pipeline, and what the caller wants to see and keep.

    The pipeline's ``settings()`` stand in every row; ``resume`` skips a source only when they and
    the input's sha256 are those of the earlier result.
    """

    command: str
    pipeline: Pipeline
    batch_size: int
    output: Path | None = None
    resume: bool = False
    json: bool = False
    quiet: bool = False

    def run(self, sources: Sequence[Path]) -> int:
        """Runs all sources; the exit status is 1 when at least one failed, else 0."""
        names = result_names(sources)
        self._spare_inputs(names)
        done = {
            source: row for source in sources if (row := self._done_before(source, names[source]))
        }
        if done and not self.quiet:
            print(f"{self.command}: {len(done)} of {len(sources)} done before", file=sys.stderr)
        rows, table = dict(done), Table(box=None, pad_edge=False)
        for source, outcome, seconds in self._outcomes(
            [source for source in sources if source not in done]
        ):
            row, outcome = self._finish(source, names[source], outcome, seconds)
            rows[source] = row
            if isinstance(outcome, Failure):
                report_failure(self.command, source, outcome)
            else:
                _add_cells(table, source, outcome.cells())
            if self._for_machines and (len(sources) > 1 or row["status"] == "done"):
                print(json.dumps(row, allow_nan=False), flush=True)
        if not (self._for_machines or self.quiet) and table.row_count:
            Console().print(table)
        if self.output and any(row["status"] == "done" for row in rows.values()):
            self._write_rows([rows[source] for source in sources])
        return 1 if any(row["status"] == "failed" for row in rows.values()) else 0

    def _spare_inputs(self, names: dict[Path, str]) -> None:
        """UsageError where a result's folder would take the place of an input that is a folder
        itself."""
        for source, name in names.items():
            if (
                self.output
                and source.is_dir()
                and source.resolve().is_relative_to((self.output / name).resolve())
            ):
                raise UsageError(
                    source, "would be replaced by its own result", "choose another output folder"
                )

    @property
    def _for_machines(self) -> bool:
        return self.json or not sys.stdout.isatty()

    def _done_before(self, source: Path, name: str) -> dict | None:
        if not (self.resume and self.output):
            return None
        try:
            row = json.loads((self.output / name / RESULT_FILE).read_text())
            same = row["settings"] == json.loads(json.dumps(self.pipeline.settings()))
            same = same and row["sha256"] == self.pipeline.fingerprint(source)
            return row if same and row["status"] == "done" else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError, VitrailError):
            return None

    def _outcomes(self, sources: Sequence[Path]) -> Iterator[tuple[Path, Any, float]]:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        console = Console(stderr=True)
        with Progress(
            *columns, console=console, transient=True, disable=self.quiet or not console.is_terminal
        ) as bar:
            task = bar.add_task("", total=len(sources))
            items = 0

            def show(source: Path, count: int) -> None:
                nonlocal items
                items += count
                bar.update(task, description=f"{one_line(source.name, 40)} · {items} items")

            started = time.perf_counter()
            for source, outcome in run(
                self.pipeline, sources, batch_size=self.batch_size, on_progress=show
            ):
                yield source, outcome, time.perf_counter() - started
                bar.advance(task)
                started = time.perf_counter()

    def _finish(self, source: Path, name: str, outcome: Any, seconds: float) -> tuple[dict, Any]:
        if not isinstance(outcome, Failure):
            try:
                row = {
                    "source": str(source),
                    "sha256": self.pipeline.fingerprint(source),
                    "status": "done",
                }
                row |= outcome.to_dict()
                row |= {
                    "settings": self.pipeline.settings(),
                    **self.pipeline.runtime(),
                    "seconds": round(seconds, 3),
                }
                if self.output:
                    self._write(name, row, outcome)
                return row, outcome
            except VitrailError as error:
                outcome = Failure(str(source), error.reason, error)
        return {"source": str(source), "status": "failed", "reason": outcome.reason}, outcome

    def _write(self, name: str, row: dict, result: Any) -> None:
        with atomic_folder(self.output / name) as folder:
            result.write(folder)
            (folder / RESULT_FILE).write_text(json.dumps(row, indent=1, allow_nan=False) + "\n")

    def _write_rows(self, rows: Sequence[dict]) -> None:
        with atomic_file(self.output / ROWS_FILE) as temporary:
            temporary.write_text("".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))


def _add_cells(table: Table, source: Path, cells: dict[str, str]) -> None:
    if not table.columns:
        for title in ("source", *cells):
            table.add_column(title, overflow="fold")
    table.add_row(Text(one_line(source.name, 60)), *cells.values())
