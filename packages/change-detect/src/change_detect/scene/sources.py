"""Which files are the dates of one place: arguments, TIFFs of several pages, lists of pairs."""

import csv
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from vitrail.errors import InputError, VitrailError, plain
from vitrail.raster import count_pages
from vitrail.sources import Source, expand_sources, require_file

COLUMNS = ("before", "after")
DATES = 2
MAX_LIST = 10_000_000  # bytes


def find_scenes(arguments: Sequence[str]) -> list[Source]:
    """Two files or more are the dates of one place, in their order, each compared with the one
    before; of TIFFs with a date on each page every file is a place of its own."""
    found = expand_sources(arguments)
    if len(found) < 2 or any(one.fault for one in found) or any(_pages(one) > 1 for one in found):
        return found
    return [scene_of([one.path, next_one.path]) for one, next_one in pairwise(found)]


def scene_of(paths: Sequence[Path], name: str = "") -> Source:
    """A source of several files, named after the first and the last."""
    first, last = paths[0], paths[-1]
    named = f"{first.stem}-{last.stem}" if last != first else first.stem
    return Source(str(first.parent / (name or named)), tuple(paths))


def dates_of(source: Source) -> tuple[tuple[Path, ...], tuple[int, ...]]:
    """The files of the dates, and which page of each.

    InputError for a single file that holds a single date.
    """
    if len(source.paths) > 1:
        return source.paths, (0,) * len(source.paths)
    count = count_pages(source.path)
    if count < 2:
        problem = "is one date"
        raise InputError(source.path, problem, "give a second one, or a TIFF with one on each page")
    if count > DATES:
        problem = f"holds {count} dates"
        raise InputError(source.path, problem, "give the two to compare in a file of their own")
    return (source.path,) * count, tuple(range(count))


def read_pairs(path: Path) -> list[Source]:
    """The pairs of a CSV with the columns ``before`` and ``after``, and perhaps ``name``; paths are
    relative to it.

    Raises InputError for a file that is not such a list.
    """
    path = require_file(path)
    if path.stat().st_size > MAX_LIST:
        raise InputError(path, "is too large for a list of pairs", "give a CSV")
    with plain(path, "is not a list of pairs", "give a CSV with the columns before and after"):
        text = path.read_text("utf-8-sig")
        separator = max(",;\t", key=text.partition("\n")[0].count)
        rows = list(csv.DictReader(text.splitlines(), delimiter=separator))
        lacking = [name for name in COLUMNS if not rows or name not in rows[0]]
    if lacking:
        problem = f"lacks the column {lacking[0]}" if rows else "lists no pair"
        raise InputError(path, problem, "give a CSV with the columns before and after")
    sources = []
    for number, row in enumerate(rows, 2):
        given = [str(row[name] or "").strip() for name in COLUMNS]
        if not all(given):
            fault = InputError(path, f"row {number} lacks a file", "name before and after")
            sources.append(Source(f"{path}:{number}", fault=fault))
            continue
        sources.append(
            scene_of([path.parent / one for one in given], (row.get("name") or "").strip())
        )
    return sources


def _pages(source: Source) -> int:
    try:
        return count_pages(source.path)
    except VitrailError:  # the job's own reader says it
        return 1
