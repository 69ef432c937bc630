"""A report as one HTML file that needs nothing but a browser: no request, nothing unescaped, and
no script but those that the page itself was given."""

import base64
import io
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Literal

import numpy as np
from PIL import Image

from vitrail.output import atomic_file
from vitrail.report.bars import Bars
from vitrail.report.chart import Chart
from vitrail.report.markup import escape, policy_source
from vitrail.report.table import Table

_LONGEST_SIDE = 1600
_STYLE = files("vitrail.report").joinpath("page.css").read_text("utf-8")
_TEMPLATE = Template(files("vitrail.report").joinpath("page.html").read_text("utf-8"))


class Page:
    """Collects the parts of a report in the order they are added; ``write`` makes the file."""

    def __init__(self, title: str):
        self.title = title
        self._parts: list[str] = []
        self._scripts: list[str] = []

    def verdict(self, word: str, reason: str, tone: Literal["good", "bad", "open"]) -> None:
        """The answer in one word, and why, in a box whose colour is the tone's."""
        self._add(
            f'<p class="verdict {escape(tone)}"><strong>{escape(word)}</strong>'
            f"<span>{escape(reason)}</span></p>"
        )

    def facts(self, facts: Mapping[str, object]) -> None:
        """Names and values side by side."""
        rows = (
            f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
            for name, value in facts.items()
        )
        self._add(f"<dl>{''.join(rows)}</dl>")

    def heading(self, text: str) -> None:
        self._add(f"<h2>{escape(text)}</h2>")

    def text(self, text: str) -> None:
        """A paragraph."""
        self._add(f"<p>{escape(text)}</p>")

    def table(self, table: Table) -> None:
        self._add(table.to_html())

    def chart(self, chart: Chart | Bars) -> None:
        self._add(chart.to_html())

    def add(self, parts: Iterable[Table | Chart | Bars]) -> None:
        """Tables and charts, in their order."""
        for part in parts:
            self._add(part.to_html())

    def picture(self, image: np.ndarray, caption: str = "", *, lossless: bool = False) -> None:
        """An image: uint8 (H, W), (H, W, 3) or (H, W, 4). ``lossless`` is for label maps and
        drawings."""
        self._add(_figure(image, caption, lossless))

    def gallery(self, pictures: Iterable[tuple[np.ndarray, str]]) -> None:
        """Small images in rows, each with its caption."""
        figures = "".join(_figure(image, caption) for image, caption in pictures)
        self._add(f'<div class="gallery">{figures}</div>')

    def markup(self, markup: str) -> None:
        """HTML of the caller's own, for a script to work with; whoever writes it escapes what goes
        into it (``report.markup.escape``)."""
        self._add(markup)

    def script(self, code: str) -> None:
        """JavaScript that runs when the page is there. The policy admits it by its hash, so that
        nothing else runs. Raises ValueError where the code would end its own element."""
        if any(sign in code.lower() for sign in ("</script", "<script", "<!--")):
            raise ValueError("a script may not hold <script, </script or <!--")
        self._scripts.append(code)

    def html(self) -> str:
        """The whole page. Its content security policy admits this style sheet, inline images and
        the scripts given to ``script``, nothing else."""
        scripts = " ".join(map(policy_source, self._scripts)) or "'none'"
        policy = "; ".join(
            [
                "default-src 'none'",
                "img-src data:",
                f"style-src {policy_source(_STYLE)}",
                f"script-src {scripts}",
                "base-uri 'none'",
                "form-action 'none'",
            ]
        )
        title, body = escape(self.title), "\n".join(self._parts)
        scripts = "".join(f"<script>{code}</script>\n" for code in self._scripts)
        return _TEMPLATE.substitute(
            policy=policy, title=title, style=_STYLE, body=body, scripts=scripts
        )

    def write(self, path: Path) -> None:
        """Writes the file whole or not at all; InputError where it cannot be written."""
        with atomic_file(path) as temporary:
            temporary.write_text(self.html(), "utf-8")

    def _add(self, part: str) -> None:
        self._parts.append(part)


def _figure(image: np.ndarray, caption: str, lossless: bool = False) -> str:
    text = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure><img src="{data_uri(image, lossless)}" alt="{escape(caption)}">{text}</figure>'


def data_uri(image: np.ndarray, lossless: bool = False) -> str:
    """An image as an address that holds it, of at most 1600 pixels along a side."""
    picture = Image.fromarray(image)
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    data = io.BytesIO()
    picture.save(data, "WEBP", quality=84, lossless=lossless)
    return f"data:image/webp;base64,{base64.b64encode(data.getvalue()).decode()}"
