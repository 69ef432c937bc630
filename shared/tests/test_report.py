"""Reports: tables three ways, charts that hold their shape, pages that need nothing and leak
nothing."""

import base64
import csv
import io
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from hashlib import sha256
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from vitrail.errors import InputError
from vitrail.report import Bars, Chart, Page, Series, Table
from vitrail.report.axes import time_ticks
from vitrail.testing.media import pattern

HOSTILE = [
    "<script>alert(1)</script>.mp4",
    '"><img src=x onerror=alert(1)>.mp4',
    "' onload='alert(1)",
    "&lt;b&gt; & co",
    "line\nbreak\x00\x1b[31m",
    "\u202egpj.exe",
    "broken \udcff name",
    "]]></style><svg/onload=alert(1)>",
    "[bold red]rich markup[/]",
    "$title ${style}",
    "=1+1",
]


class Elements(HTMLParser):
    """Collects every element with its attributes, all text, and what stays open at the end."""

    VOID = frozenset({"meta", "img"})

    def __init__(self, html):
        super().__init__()
        self.found, self.text, self.open = [], "", []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def full_page(name="clip.mp4"):
    page = Page(name)
    page.verdict(name, name, "open")
    page.facts({name: name})
    page.heading(name)
    page.text(name)
    page.table(Table(name, [name, "score"], [[name, 0.5]]))
    series = Series(name, [0, 1, 2], [0.1, 0.9, 0.4])
    page.chart(
        Chart(name, [series], y_label=name, threshold=0.5, shaded=[(0, 1)], shaded_label=name)
    )
    page.chart(Bars(name, [name, "other"], [0.5, -1], x_label=name))
    page.picture(pattern(), name)
    page.gallery([(pattern(seed=1), name), (pattern(seed=2), "")])
    return page


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text_and_nothing_else(tmp_path, name):
    full_page(name).write(tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text("utf-8")
    hostile, harmless = Elements(html), Elements(full_page().html())
    assert [tag for tag, _ in hostile.found] == [tag for tag, _ in harmless.found]
    assert [set(attributes) for _, attributes in hostile.found] == [
        set(attributes) for _, attributes in harmless.found
    ]
    assert hostile.open == []
    assert not set(html) & set("\0\x1b\u202e\udcff")


def test_a_page_runs_nothing_and_fetches_nothing():
    html = full_page().html()
    elements = Elements(html)
    tags = {tag for tag, _ in elements.found}
    assert not tags & {"script", "iframe", "object", "embed", "link", "form", "a", "base"}
    for _, attributes in elements.found:
        assert not any(
            name.startswith("on") or name in ("style", "href", "srcset") for name in attributes
        )
        assert attributes.get("src", "data:image/webp;").startswith("data:image/webp;")
    assert not re.search(r"https?:|url\(|@import", html)


def test_the_policy_admits_this_style_sheet_only():
    html = full_page().html()
    style = re.search("<style>(.*?)</style>", html, re.DOTALL)[1]
    policy = re.search('Content-Security-Policy" content="(.*?)"', html)[1]
    assert (
        f"style-src 'sha256-{base64.b64encode(sha256(style.encode()).digest()).decode()}'" in policy
    )
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "prefers-color-scheme: dark" in style
    assert "@media print" in style


def test_the_policy_admits_the_given_scripts_only():
    page = full_page()
    assert "script-src 'none'" in page.html() and "<script" not in page.html()
    codes = ["document.title = '$title &amp; <b>';", "let a = 1 < 2;"]
    for code in codes:
        page.script(code)
    html = page.html()
    policy = re.search('Content-Security-Policy" content="(.*?)"', html)[1]
    found = re.findall("<script>(.*?)</script>", html, re.DOTALL)
    hashes = [base64.b64encode(sha256(code.encode()).digest()).decode() for code in found]
    admitted = " ".join(f"'sha256-{digest}'" for digest in hashes)
    assert found == codes
    assert f"script-src {admitted};" in policy
    assert "unsafe" not in policy
    for code in ("'</script>'", "'<!-- '", "'</SCRIPT '"):
        with pytest.raises(ValueError, match="a script may not hold"):
            page.script(code)


def pictures(page):
    sources = [attributes["src"] for tag, attributes in Elements(page.html()).found if tag == "img"]
    return [
        Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) for source in sources
    ]


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 3), (20, 30, 4), (1, 1, 3), (1, 3000, 3)])
def test_pictures_of_every_shape_come_back(shape):
    page = Page("pictures")
    page.picture(np.full(shape, 200, np.uint8))
    (picture,) = pictures(page)
    assert picture.size == (min(shape[1], 1600), shape[0])
    assert np.abs(np.asarray(picture.convert("RGBA"))[..., 0].astype(int) - 200).max() < 8


def test_lossless_pictures_are_exact():
    labels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    page = Page("labels")
    page.picture(labels, lossless=True)
    assert np.array_equal(np.asarray(pictures(page)[0]), labels)


def test_a_page_is_written_whole_or_not_at_all(tmp_path):
    with pytest.raises(InputError):
        full_page().write(tmp_path)
    assert list(tmp_path.iterdir()) == []


ROWS = [
    ['a, "quoted"', 3, 0.123456789, None],
    ["line\nbreak", -1, math.nan, True],
    ["[red]x[/]", 20, 1e-9, False],
]
TABLE = Table("Result", ["name", "count", "score", "seen"], ROWS)


def test_table_as_csv_keeps_full_precision():
    header, *rows = csv.reader(io.StringIO(TABLE.to_csv()))
    assert header == list(TABLE.columns)
    assert [float(row[2]) if row[2] else None for row in rows] == [0.123456789, None, 1e-9]
    assert [row[0] for row in rows] == ['a, "quoted"', r"line\nbreak", "[red]x[/]"]
    assert rows[0][3] == ""


def test_table_in_the_terminal_shows_text_as_it_is():
    console = Console(file=io.StringIO(), width=100)
    console.print(TABLE.to_rich())
    shown = console.file.getvalue()
    for text in ("0.1235", "[red]x[/]", r"line\nbreak", "yes", "–"):
        assert text in shown


def test_table_as_html_aligns_numbers():
    cells = Elements(TABLE.to_html()).found
    assert [attributes.get("class") for tag, attributes in cells if tag == "th"] == [
        None,
        "number",
        "number",
        None,
    ]


def test_table_refuses_a_ragged_row():
    with pytest.raises(ValueError, match="a row of 1 cells under 2 columns"):
        Table("t", ["a", "b"], [[1]])


def test_an_empty_table_is_a_header():
    table = Table("t", ["a", "b"], [])
    assert table.to_csv() == "a,b\n"
    assert [tag for tag, _ in Elements(table.to_html()).found].count("td") == 0


def parts(chart, tag, kind):
    return [
        element
        for element in ElementTree.fromstring(chart.to_svg()).iter(tag)
        if element.get("class") == kind
    ]


def points(chart, kind="s0"):
    """The drawn line's runs, each a list of (x, y)."""
    (path,) = parts(chart, "path", kind)
    runs = path.get("d").split("M")[1:]
    return [[tuple(map(float, point.split())) for point in run.strip().split("L")] for run in runs]


def test_chart_places_values_proportionally():
    chart = Chart(
        "c", [Series("a", [0, 5, 10], [0, 0.5, 1])], y_range=(0, 1), threshold=0.5, shaded=[(5, 10)]
    )
    ((first, middle, last),) = points(chart)
    assert middle == pytest.approx(((first[0] + last[0]) / 2, (first[1] + last[1]) / 2), abs=0.11)
    assert first[1] > last[1]
    assert float(parts(chart, "line", "threshold")[0].get("y1")) == middle[1]
    shade = parts(chart, "rect", "shade")[0]
    assert float(shade.get("x")) == middle[0]
    assert float(shade.get("x")) + float(shade.get("width")) == pytest.approx(last[0])


def test_an_axis_is_time_unless_it_is_named():
    series = [Series("a", [0, 600], [0, 1])]
    time, rate = (Chart("c", series, x_label=label).to_svg() for label in ("", "FMR, %"))
    assert ">10:00<" in time and "time (minutes:seconds)" in time
    assert ">600<" in rate and "FMR, %" in rate and "minutes" not in rate


def test_missing_values_interrupt_the_line():
    chart = Chart("c", [Series("a", range(6), [0, 1, math.nan, 1, math.nan, 0])])
    assert [len(run) for run in points(chart)] == [2, 1, 1]
    assert len(parts(chart, "circle", "s0")) == 4


def test_a_long_series_keeps_its_peaks_and_gaps():
    x = np.arange(100_000) / 25
    y = np.zeros(100_000)
    y[61_234], y[70_000] = 1, -1
    y[90_000:95_000] = math.nan
    chart = Chart("c", [Series("a", x, y)], y_range=(-1, 1))
    runs = points(chart)
    heights = [height for run in runs for _, height in run]
    flat = runs[0][0][1]
    assert len(heights) <= 1500
    assert min(heights) < flat < max(heights)
    assert len(runs) == 2


def test_dots_come_in_any_order_and_without_a_line():
    chart = Chart("c", [Series("a", [3, -1, 2], [0, 1, math.nan], dots=True)], x_label="x")
    assert parts(chart, "path", "s0") == []
    last, first = (float(dot.get("cx")) for dot in parts(chart, "circle", "s0"))
    assert first < last and ">-1<" in chart.to_svg() and "M0 6" not in chart.to_html()


def test_bars_start_at_zero():
    bars = Bars("b", ["a", "b", "c", "d"], [2, -1, math.nan, 0], x_label="share")
    places = [(float(bar.get("x")), float(bar.get("width"))) for bar in parts(bars, "rect", "bar")]
    (zero, long), (start, short), (nothing, none) = places
    assert start + short == pytest.approx(zero, abs=0.11) and nothing == zero and none == 0
    assert long == pytest.approx(2 * short, abs=0.21)
    with pytest.raises(ValueError, match="1 names for 2 values"):
        Bars("b", ["a"], [1, 2])


@pytest.mark.parametrize(
    "chart",
    [
        Bars("nothing", [], []),
        Bars("one", ["a" * 300], [math.inf]),
        Bars("beyond", ["a", "b"], [-5, 70], x_range=(0, 1)),
        Chart("dots", [Series("a", [1, math.nan, -3], [1, 2, math.inf], dots=True)]),
        Chart("nothing", []),
        Chart("no values", [Series("a", [], [])]),
        Chart("unknown", [Series("a", [0, 1], [math.nan, math.nan])]),
        Chart("one", [Series("a", [3], [0.2])], threshold=0.2),
        Chart("beyond", [Series("a", [0, 1], [-5, math.inf])], y_range=(0, 1), shaded=[(-3, 9)]),
        Chart("many", [Series(str(number), [0, 1], [0, number]) for number in range(9)]),
    ],
)
def test_odd_charts_stay_inside_the_picture(chart):
    svg = ElementTree.fromstring(chart.to_svg())
    _, _, width, height = map(float, svg.get("viewBox").split())
    limits = dict.fromkeys(("x", "x1", "x2", "cx", "width"), width) | dict.fromkeys(
        ("y", "y1", "y2", "cy"), height
    )
    places = [
        (name, float(value))
        for element in svg.iter()
        for name, value in element.items()
        if name in limits
    ]
    assert places
    assert all(0 <= value <= limits[name] for name, value in places)


@pytest.mark.parametrize("span", [0.5, 7, 89, 91, 1000, 5000, 40_000, 200_000])
def test_time_ticks_are_few_and_inside(span):
    ticks = time_ticks(3, 3 + span)
    assert 3 <= len(ticks) <= 12
    assert all(3 - 1e-6 <= tick <= 3 + span + 1e-6 for tick in ticks)


def test_a_table_is_strict_json():
    table = Table("t", ("a", "b"), [(1, float("nan")), (0.5, None)])
    assert json.loads(json.dumps(table.to_dict(), allow_nan=False))["rows"] == [
        [1, None],
        [0.5, None],
    ]
