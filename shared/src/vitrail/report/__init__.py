"""Results for people: tables for terminal, page and spreadsheet; charts and overlays; one-file HTML
pages."""

from vitrail.report.bars import Bars
from vitrail.report.chart import Chart, Series
from vitrail.report.heatmap import HeatMap, Span
from vitrail.report.overlay import Overlay
from vitrail.report.page import Page
from vitrail.report.palette import class_colours
from vitrail.report.table import Table

__all__ = [
    "Bars",
    "Chart",
    "HeatMap",
    "Overlay",
    "Page",
    "Series",
    "Span",
    "Table",
    "class_colours",
]
