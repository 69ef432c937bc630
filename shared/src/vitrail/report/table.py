"""One table, shown three ways."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import rich.table
from rich.text import Text

from vitrail.errors import one_line
from vitrail.report.markup import escape

_LONGEST_CELL = 1000


@dataclass(frozen=True)
class Table:
    """Rows of values under named columns; numbers show four significant digits, None and NaN a
    dash."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]

    def __post_init__(self):
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"{self.title}: a row of {len(row)} cells under {len(self.columns)} columns"
                )

    def to_rich(self) -> rich.table.Table:
        table = rich.table.Table(title=Text(self.title), title_justify="left")
        for column, numeric in zip(self.columns, self._numeric(), strict=True):
            table.add_column(Text(column), justify="right" if numeric else "left")
        for row in self.rows:
            table.add_row(*(Text(_shown(value)) for value in row))
        return table

    def to_html(self) -> str:
        kinds = [' class="number"' if numeric else "" for numeric in self._numeric()]
        caption = f"<caption>{escape(self.title)}</caption>" if self.title else ""
        head = _html_row("th", self.columns, kinds)
        body = "\n".join(_html_row("td", row, kinds) for row in self.rows)
        table = f"<table>{caption}<thead>{head}</thead>\n<tbody>\n{body}\n</tbody></table>"
        return f'<div class="scroll">{table}</div>'

    def to_dict(self) -> dict:
        """Title, columns and rows as JSON values; NaN becomes None."""
        rows = [[None if _missing(value) else value for value in row] for row in self.rows]
        return {"title": self.title, "columns": list(self.columns), "rows": rows}

    def to_csv(self) -> str:
        """Comma-separated with a header line; numbers in full precision, None and NaN empty."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(map(_exact, self.columns))
        writer.writerows(map(_exact, row) for row in self.rows)
        return text.getvalue()

    def _numeric(self) -> list[bool]:
        """For each column, whether every value in it is a number or missing."""
        columns = zip(*self.rows, strict=True) if self.rows else [[""]] * len(self.columns)
        return [all(_missing(value) or _is_number(value) for value in column) for column in columns]


def _html_row(tag: str, values: Sequence[object], kinds: Sequence[str]) -> str:
    cells = (
        f"<{tag}{kind}>{escape(_shown(value))}</{tag}>"
        for value, kind in zip(values, kinds, strict=True)
    )
    return f"<tr>{''.join(cells)}</tr>"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _shown(value: object) -> str:
    if _missing(value):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else one_line(str(value), _LONGEST_CELL)


def _exact(value: object) -> str:
    if _missing(value):
        return ""
    return repr(float(value)) if isinstance(value, float) else one_line(str(value), _LONGEST_CELL)
