"""Where a command keeps its results, and what lies there of earlier calls."""

import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from vitrail.errors import UsageError, VitrailError
from vitrail.output import atomic_file, atomic_folder, result_names
from vitrail.sources import RESULT_FILE, Source

ROWS_FILE = "results.jsonl"

Write = Callable[[Any, Path], None]
Row = dict[str, Any]


class Keeper(Protocol):
    """The results of one call in one output folder."""

    def earlier(self, source: Source) -> Row:
        """The row of the result that lies there of ``source``; empty where there is none."""
        ...

    def keep(self, source: Source, row: Row, result: Any) -> Row:
        """Writes one result, whole or not at all, and gives its row, which may tell where it is."""
        ...

    def finish(self, rows: Sequence[Row]) -> None:
        """Hears of the rows of all sources, in their order, where at least one is done."""
        ...


class ResultFolders:
    """A folder for each source, which holds ``result.json`` and what ``write`` puts there;
    ``results.jsonl`` beside them."""

    def __init__(self, output: Path, write: Write, sources: Sequence[Source]):
        self._output, self._write = output, write
        self._names = self._named([source for source in sources if not source.fault])
        self._spare_inputs()

    def earlier(self, source: Source) -> Row:
        return _read(self._output / self._names[source])

    def keep(self, source: Source, row: Row, result: Any) -> Row:
        with atomic_folder(self._output / self._names[source]) as folder:
            self._write(result, folder)
            text = json.dumps(row, indent=1, allow_nan=False)
            (folder / RESULT_FILE).write_text(text + "\n")
        return row

    def finish(self, rows: Sequence[Row]) -> None:
        write_rows(self._output, rows)

    def _named(self, sources: Sequence[Source]) -> dict[Source, str]:
        """Where each source's result goes, which is where its earlier one lies."""
        paths, output = [Path(source.name) for source in sources], self._output
        # Only then a name relative to the working folder may mean another file than it did.
        elsewhere = output.is_absolute() or ".." in output.parts
        earlier: dict[str, Row] = {}

        def owned(number: int, name: str) -> bool | None:
            row = earlier.setdefault(name, _read(output / name))
            if not row:
                return None
            if os.path.abspath(row["source"]) != os.path.abspath(paths[number]):
                return False
            if os.path.isabs(row["source"]) or not elsewhere:
                return True
            with suppress(VitrailError, OSError):
                return row.get("sha256") == sources[number].fingerprint
            return False

        return dict(zip(sources, result_names(paths, owned), strict=True))

    def _spare_inputs(self) -> None:
        """UsageError where a result would take the place of a folder that is or holds its input."""
        for source, name in self._names.items():
            for path in source.paths:
                place = Path(os.path.realpath(self._output / name))
                if place.is_dir() and Path(os.path.realpath(path)).is_relative_to(place):
                    problem = "would be replaced by its own result"
                    raise UsageError(source.name, problem, "choose another output folder")


def write_rows(folder: Path, rows: Sequence[Row]) -> None:
    """``results.jsonl``: a line for each row."""
    with atomic_file(folder / ROWS_FILE) as temporary:
        temporary.write_text("".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))


def _read(folder: Path) -> Row:
    """The row of the result that lies in ``folder``; empty where there is none to be read."""
    try:
        row = json.loads((folder / RESULT_FILE).read_text())
        return row if isinstance(row["source"], str) else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
