"""The report: one page that says what the map shows, how it came about and how far to trust it."""

from pathlib import Path

import numpy as np

from hsi_classify.result import Result
from hsi_classify.show.picture import draw_confusion, draw_map, thinning
from vitrail.report import Bars, Chart, Page, Series, Table

MAX_SPECTRA = 6  # in one chart


def build_report(result: Result) -> Page:
    page = Page(f"Classes of {Path(result.source).name}")
    method = _method(result)
    score = result.score
    if score is not None:
        word = f"{score.oa:.1%} right"
        reason = f"of {score.count} labelled pixels that nobody learned from; by {method}"
        page.verdict(word, reason, "open")
    page.facts(_facts(result))
    for sentence in (*result.damage, *result.reasons):
        page.text(sentence[:1].upper() + sentence[1:] + ".")
    step = thinning(result)
    shown = f"; of every {step} rows and columns one" if step > 1 else ""
    page.picture(draw_map(result), f"Class map, shares of the scene{shown}", lossless=True)
    page.table(Table("Areas", ("id", "class", "pixels", "share", "m²"), result.areas))
    if accuracy := result.made_by.get("cross_validated_recall"):
        title = "Mean recall in cross-validation over groups of neighbouring labels"
        page.chart(Bars(title, list(accuracy), list(accuracy.values()), x_range=(0.0, 1.0)))
    if score is not None:
        _add_score(page, result)
    if result.spectra:
        _add_spectra(page, result)
    return page


def _facts(result: Result) -> dict[str, object]:
    made = result.made_by
    facts: dict[str, object] = {
        "size": f"{result.classes.shape[0]} rows, {result.classes.shape[1]} columns",
        "bands used": made.get("bands", ""),
        "method": _method(result),
        "mean probability": f"{result.confidence:.2f} (not calibrated)",
    }
    if "labels" in made:
        facts["labels learned from"] = made["labels"]
        facts["labels left over"] = made["labels_left_over"]
    if "weights" in made:
        facts["weights"] = made["weights"]
    return facts


def _method(result: Result) -> str:
    name, of = str(result.made_by.get("method", "")), result.made_by.get("of", ())
    return f"{name} of {', '.join(of)}" if len(of) > 1 else name


def _add_score(page: Page, result: Result) -> None:
    score = result.score
    assert score is not None
    page.heading("What the labels left over say")
    page.text(
        f"Overall accuracy {score.oa:.3f}, mean recall of the classes {score.aa:.3f}, kappa "
        f"{score.kappa:.3f}. Labels near those that were learned from share pixels with them, so "
        "that such figures flatter every method."
    )
    rows = [
        (int(v), result.names.get(int(v), ""), int(n), float(r), float(p))
        for v, n, r, p in zip(
            score.classes, score.totals, score.recall, score.precision, strict=True
        )
    ]
    page.table(Table("By class", ("id", "class", "labels", "recall", "precision"), rows))
    page.picture(
        draw_confusion(result), "True classes in rows, the map's in columns", lossless=True
    )


def _add_spectra(page: Page, result: Result) -> None:
    page.heading("What the labelled pixels look like")
    x_label = "wavelength (nm)" if result.has_wavelengths else "band"
    listed = list(result.spectra.items())
    x = np.array(result.axis)
    for start in range(0, len(listed), MAX_SPECTRA):
        series = [
            Series(result.names.get(value, str(value)), x, spectrum.mean)
            for value, spectrum in listed[start : start + MAX_SPECTRA]
        ]
        page.chart(Chart("Mean spectra of the labels", series, x_label=x_label))
    page.table(_separability(result))


def _separability(result: Result) -> Table:
    """For each class the one that is hardest to tell from it by a single band: the largest
    distance of means over the bands, in mean deviations, is smallest."""
    listed = list(result.spectra.items())
    rows = []
    for value, mine in listed:
        best: tuple[float, int] | None = None
        for other, its in listed:
            if other == value:
                continue
            spread = np.maximum((mine.spread + its.spread) / 2, 1e-12)
            distance = float((np.abs(mine.mean - its.mean) / spread).max())
            if best is None or distance < best[0]:
                best = distance, other
        if best:
            name = result.names.get(value, str(value))
            spread = float(mine.spread.mean())
            rows.append((name, result.names.get(best[1], str(best[1])), best[0], spread))
    columns = (
        "class",
        "nearest class",
        "best band tells them apart by (deviations)",
        "mean spread",
    )
    return Table("Separability of the labels", columns, rows)
