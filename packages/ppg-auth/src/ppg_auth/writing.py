"""The report page of one capture: decision, pulse wave, spectrum, scalogram, quality."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ppg_auth.decide.decision import Decision, Outcome
from ppg_auth.decide.presentation import SIGNS
from ppg_auth.signal.beats import REASONS
from ppg_auth.signal.filters import periodogram
from vitrail.report import Chart, Page, Series

if TYPE_CHECKING:
    from ppg_auth.result import Capture

REPORT_FILE = "report.html"
TONES: dict[Outcome, Literal["good", "bad", "open"]] = {
    Outcome.ACCEPTED: "good",
    Outcome.REJECTED: "bad",
}
LIMITS = (
    "A pulse is one factor of several. The bundled network lets wrong people through far more "
    "often than NIST SP 800-63B and FIDO allow, and a good recording of the right finger, shown "
    "to the sensor for the first time, is taken for a live one."
)
SHOWN_SECONDS = 20.0
MAX_FREQUENCY = 8.0  # Hz
IMAGE_WIDTH = 768
# From dark over violet and orange to pale yellow, of rising lightness, so that it reads in grey
# too.
_COLOURS = np.array([[12, 8, 38], [84, 18, 110], [181, 54, 84], [249, 142, 8], [252, 253, 191]])


def write(capture: "Capture", folder: Path) -> None:
    """Writes what a result folder of ``quality`` holds."""
    write_quality_page(capture, folder / REPORT_FILE)


def write_decision_page(capture: "Capture", decision: Decision, path: Path) -> None:
    """Writes the page of a verification or an identification."""
    page = Page(f"Pulse check: {Path(capture.source).name}")
    page.verdict(
        decision.outcome.value.upper(), decision.sentence(), TONES.get(decision.outcome, "open")
    )
    _add_reasons(page, decision.reasons, capture.damage)
    _add_signal(page, capture)
    page.write(path)


def write_quality_page(capture: "Capture", path: Path) -> None:
    """Writes the page of a recording that nobody was compared with."""
    page = Page(f"Pulse quality: {Path(capture.source).name}")
    sentence = (
        "good enough to enrol or to verify on"
        if capture.usable
        else "not good enough to be compared"
    )
    page.verdict(
        "USABLE" if capture.usable else "NOT USABLE", sentence, "good" if capture.usable else "open"
    )
    _add_reasons(page, capture.reasons, capture.damage)
    _add_signal(page, capture)
    page.write(path)


def _add_reasons(page: Page, reasons: tuple[str, ...], damage: tuple[str, ...]) -> None:
    explained = REASONS | SIGNS
    for reason in reasons:
        page.text(f"{reason}: {explained.get(reason, 'see the documentation')}.")
    for sentence in damage:
        page.text(f"The source: {sentence}.")


def _add_signal(page: Page, capture: "Capture") -> None:
    page.facts(
        {
            "Quality": f"{capture.quality:.2f} of 1",
            "Windows": f"{len(capture.embeddings)} of {capture.windows_total} are good",
            "Length": f"{capture.seconds:.1f} s",
        }
    )
    page.heading("Pulse wave")
    page.chart(_wave(capture))
    page.heading("Spectrum")
    page.chart(_spectrum(capture))
    if capture.windows_total:
        page.heading("Scalogram")
        page.picture(
            colour_map(np.flipud(capture.scalogram)),
            "Best window of five seconds as the network sees it: time to the right, frequency "
            "upwards.",
            lossless=True,
        )
    page.heading("How to read this")
    page.text(LIMITS)


def _wave(capture: "Capture") -> Chart:
    count = min(len(capture.pulse), round(SHOWN_SECONDS * capture.sample_rate))
    times = np.arange(count) / capture.sample_rate
    return Chart(
        "The first seconds, filtered, systole upwards",
        [Series("pulse", times, capture.pulse[:count])],
    )


def _spectrum(capture: "Capture") -> Chart:
    frequency, power = periodogram(capture.pulse, capture.sample_rate)
    shown = frequency <= MAX_FREQUENCY
    level = np.sqrt(power[shown] / max(power.max(), np.finfo(float).tiny))
    title = "Amplitude by frequency: the pulse and its overtones"
    return Chart(
        title, [Series("pulse", frequency[shown], level)], y_range=(0.0, 1.05), x_label="Hz"
    )


def colour_map(values: NDArray) -> NDArray[np.uint8]:
    """Values (H, W) as an image (k H, k W, 3) of about 760 columns, the lowest dark and the
    highest pale."""
    scale = max(1, IMAGE_WIDTH // values.shape[1])
    low, high = float(values.min()), float(values.max())
    share = (values - low) / max(high - low, 1e-12)
    anchors = np.linspace(0, 1, len(_COLOURS))
    image = np.stack([np.interp(share, anchors, channel) for channel in _COLOURS.T], axis=-1)
    return image.round().astype(np.uint8).repeat(scale, axis=0).repeat(scale, axis=1)
