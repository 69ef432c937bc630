"""Results for people: tables for terminal, page and spreadsheet; time charts; one-file HTML
pages."""

from vitrail.report.chart import Chart, Series
from vitrail.report.page import Page
from vitrail.report.table import Table

__all__ = ["Chart", "Page", "Series", "Table"]
