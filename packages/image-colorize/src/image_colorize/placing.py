"""Results as files under their sources' own paths and names; ``results.jsonl`` beside them tells
which of them are ours."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitrail.errors import InputError
from vitrail.keeping import ROWS_FILE, Row, write_rows
from vitrail.output import passing_folder
from vitrail.sources import Source, sha256

MAX_COPIES = 1000


def free_place(
    wished: Path, data: bytes | Path, *, overwrite: bool, barred: Iterable[Path] = ()
) -> Path | None:
    """Where ``data``, or a file's, may go: ``wished``, or else ``NAME-2.EXT`` and so on.

    A file that is there is taken only with ``overwrite`` or where it holds the same; what is
    ``barred`` never. None where 1000 names are taken.
    """
    taken = {os.path.realpath(path) for path in barred}
    for number in range(1, MAX_COPIES + 1):
        name = wished.stem + ("" if number == 1 else f"-{number}") + wished.suffix
        target = wished.with_name(name)
        if os.path.realpath(target) in taken:
            continue
        if not os.path.lexists(target) or holds(target, data):
            return target
        if overwrite and target.is_file():
            return target
    return None


def holds(path: Path, data: bytes | Path) -> bool:
    """Whether a file holds this, or the same as another one."""
    if isinstance(data, Path):
        same_size = path.is_file() and path.stat().st_size == data.stat().st_size
        return same_size and sha256(path) == sha256(data)
    return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data


def made_before(folders: Iterable[Path]) -> set[Path]:
    """The files, resolved, that rows in ``results.jsonl`` of these folders call their own."""
    made: set[Path] = set()
    for folder in folders:
        for row in _rows(folder / ROWS_FILE):
            if row.get("written"):
                made.add((folder / row["written"]["file"]).resolve())
    return made


@dataclass
class ResultFiles:
    """``places`` says for each source where below ``output`` its result belongs, but for the
    ending.

    A file of somebody else's is left alone unless ``overwrite``, one that an earlier call made of
    the same source also with ``renew``: else the new one gets a number. No source is ever replaced.
    """

    output: Path
    write: Callable[[Any, Path], None]
    places: Mapping[Source, Path]
    overwrite: bool = False
    renew: bool = False
    _earlier: dict[str, Row] = field(init=False)
    _taken: set[Path] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        rows = _rows(self.output / ROWS_FILE)
        self._earlier = {os.path.abspath(row["source"]): row for row in rows}
        self._inputs = [path for source in self.places for path in source.paths]

    def earlier(self, source: Source) -> Row:
        row = self._earlier.get(os.path.abspath(source.name), {})
        return row if row and self._is_there(row) else {}

    def keep(self, source: Source, row: Row, result: Any) -> Row:
        options = row["options"]
        row = {key: value for key, value in row.items() if key != "options"}
        place = self.output / self.places[source]
        with passing_folder(place) as folder:
            self.write(result, folder)
            made = sorted(folder.iterdir())
            row["written"] = self._place(source, made[0], place.parent) if made else None
            row["options"] = options
            self._append(row)
        return row

    def finish(self, rows: Sequence[Row]) -> None:
        here = {os.path.abspath(row["source"]) for row in rows}
        others = [row for source, row in self._earlier.items() if source not in here]
        write_rows(self.output, [*filter(self._is_there, others), *rows])

    def _append(self, row: Row) -> None:
        with (self.output / ROWS_FILE).open("a") as rows:  # what --resume goes on from
            rows.write(json.dumps(row, allow_nan=False) + "\n")

    def _place(self, source: Source, file: Path, folder: Path) -> dict[str, str]:
        data = file.read_bytes()
        own = self._own(source)
        if own and self.renew and own.suffix == file.suffix and own not in self._taken:
            target = own
        else:
            barred = (*self._inputs, *self._taken, *self._of_others(source))
            target = free_place(folder / file.name, data, overwrite=self.overwrite, barred=barred)
        if target is None:
            raise InputError(source.name, "has too many copies there", "name another folder")
        if not holds(target, data):
            file.replace(target)
        self._taken.add(target)
        return {"file": target.relative_to(self.output).as_posix(), "sha256": sha256(target)}

    def _own(self, source: Source) -> Path | None:
        """The file that an earlier call made of the source, as it made it."""
        row = self.earlier(source)
        return self.output / row["written"]["file"] if row.get("written") else None

    def _of_others(self, source: Source) -> Iterator[Path]:
        """Files that earlier calls made of other sources, as they made them."""
        own = os.path.abspath(source.name)
        for other, row in self._earlier.items():
            if other != own and row.get("written") and self._is_there(row):
                yield self.output / row["written"]["file"]

    def _is_there(self, row: Row) -> bool:
        written = row.get("written")
        if not written:
            return row.get("status") == "done"
        path = self.output / written["file"]
        return path.is_file() and sha256(path) == written.get("sha256")


class FilmRows(ResultFiles):
    """Films, which the job puts into their places while it makes them: their rows."""

    def keep(self, source: Source, row: Row, result: Any) -> Row:
        file = Path(os.path.relpath(result.written, self.output)).as_posix()
        row = row | {"written": {"file": file, "sha256": result.sha256}}
        self._append(row)
        return row

    def renewable(self, source: Source) -> Path | None:
        """The film that an earlier call made of the source, where it may be replaced."""
        return self._own(source) if self.renew else None


def _rows(path: Path) -> Iterator[Row]:
    """The rows of a file; a line that is none is passed over."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            row = json.loads(line)
            written = row.get("written")
            if isinstance(row["source"], str) and (not written or isinstance(written["file"], str)):
                yield row
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
