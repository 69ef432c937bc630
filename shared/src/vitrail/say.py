"""How a command says something that is not a result of a job: a sentence for people, JSON lines for
machines.

Rich is loaded where a person looks; in a pipe it would be a third of a short command's start.
"""

import json as json_module
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitrail.errors import MAX_LINE, one_line

if TYPE_CHECKING:
    from vitrail.report import Table as ReportTable


def say(row: dict[str, Any], sentence: str, *, json: bool, quiet: bool, style: str = "") -> None:
    """Prints the row in a pipe or where ``json`` asks for it, the sentence in a terminal."""
    if _for_machines(json):
        print(json_module.dumps(row, allow_nan=False), flush=True)
    elif not quiet:
        from rich.console import Console
        from rich.text import Text

        Console().print(Text(one_line(sentence, MAX_LINE), style=style))


def say_rows(rows: Sequence[dict[str, Any]], columns: Sequence[str], *, json: bool) -> None:
    """Prints a JSON line per row, or a table of some of its columns; None is an empty cell."""
    if _for_machines(json):
        for row in rows:
            print(json_module.dumps(row, allow_nan=False))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        cells = ("" if row[column] is None else row[column] for column in columns)
        table.add_row(*(Text(one_line(str(cell), MAX_LINE)) for cell in cells))
    Console().print(table)


def say_tables(tables: Sequence["ReportTable"], *, json: bool) -> None:
    """Prints each table as a JSON line, or as people read it."""
    for table in tables:
        if _for_machines(json):
            print(json_module.dumps(table.to_dict(), allow_nan=False))
        else:
            from rich.console import Console

            Console().print(table.to_rich())


def warn(command: str, sentence: str) -> None:
    """Prints one line on standard error; what it says stops nothing."""
    print(one_line(f"{command}: {sentence}", MAX_LINE), file=sys.stderr)


def warn_left_out(command: str, folder: Path, paths: Sequence[Path], what: str) -> None:
    """A line about the files below a folder that are not taken, where there are any: how many, what
    they are not, and their names within it."""
    if paths:
        names = ", ".join(str(path.relative_to(folder)) for path in paths)
        warn(command, f"{folder}: {len(paths)} left out, {what}: {names}")


def _for_machines(json: bool) -> bool:
    return json or not sys.stdout.isatty()
