"""Results for people: tables for terminal, page and spreadsheet; time charts; one-file HTML pages."""

from vitrine.report.chart import Chart, Series
from vitrine.report.page import Page
from vitrine.report.table import Table

__all__ = ["Chart", "Page", "Series", "Table"]
