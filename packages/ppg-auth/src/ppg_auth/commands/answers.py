"""How a verb answers: a sentence for people, a JSON line for machines."""

import json as json_module
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vitrail.errors import MAX_LINE, one_line

if TYPE_CHECKING:
    from vitrail.report import Table as ReportTable

COLOURS = {"accepted": "bold green", "rejected": "bold red"}


def say(row: dict, sentence: str, *, json: bool, quiet: bool, style: str = "") -> None:
    """Prints the row in a pipe or where ``json`` asks for it, the sentence in a terminal."""
    if json or not sys.stdout.isatty():
        print(json_module.dumps(row, allow_nan=False))
    elif not quiet:
        Console().print(Text(one_line(sentence, MAX_LINE), style=style))


def say_rows(rows: list[dict], columns: list[str], *, json: bool) -> None:
    """Prints one JSON line a row, or a table of some of its columns."""
    if json or not sys.stdout.isatty():
        for row in rows:
            print(json_module.dumps(row, allow_nan=False))
        return
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(one_line(str(row[column]), 80)) for column in columns))
    Console().print(table)


def warn(sentence: str) -> None:
    print(one_line(f"ppg-auth: {sentence}", MAX_LINE), file=sys.stderr)


def say_tables(tables: list["ReportTable"], *, json: bool) -> None:
    """Prints each table as a JSON line, or as people read it."""
    for table in tables:
        if json or not sys.stdout.isatty():
            print(json_module.dumps(table.to_dict(), allow_nan=False))
        else:
            Console().print(table.to_rich())
