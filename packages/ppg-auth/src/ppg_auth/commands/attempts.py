"""One attempt to be recognised: capture, decision, answer, report."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ppg_auth.commands.answers import COLOURS, say
from ppg_auth.commands.bundles import DecisionOptions, ModelOptions, StoreOptions
from vitrail.options import Json, Quiet

if TYPE_CHECKING:
    from ppg_auth.capture import Capture
    from ppg_auth.decision import Decision
    from ppg_auth.verification import Verifier


@dataclass(frozen=True)
class Attempt:
    """What ``verify`` and ``identify`` are asked for."""

    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A recording, a fingertip video, or camera:0.",
            show_default=False,
        ),
    ]
    store: StoreOptions
    model: ModelOptions
    decision: DecisionOptions
    report: Annotated[
        Path | None,
        typer.Option(
            "--report", metavar="FILE.html", help="Also write a page about it.", show_default=False
        ),
    ] = None
    json: Json = False
    quiet: Quiet = False

    def answer(self, judge: Callable[["Verifier", "Capture"], "Decision"]) -> int:
        """Captures, decides, prints the decision and writes the report; the exit status."""
        from ppg_auth.decision import EXIT_STATUS
        from ppg_auth.taking import fingerprint, take

        store, pipeline = self.store.open(), self.model.load()
        verifier = self.decision.verifier(store, pipeline)
        started = time.perf_counter()
        capture = take(pipeline, self.source)
        decision = judge(verifier, capture)
        row = {
            "source": self.source,
            "sha256": fingerprint(self.source),
            "status": "done",
            **decision.to_dict(),
        }
        row |= {
            "quality": round(capture.quality, 2),
            "settings": {**pipeline.settings(), "fmr": self.decision.fmr},
        }
        row |= {**pipeline.runtime(), "seconds": round(time.perf_counter() - started, 3)}
        if self.report:
            from ppg_auth.page import write_decision_page

            write_decision_page(capture, decision, self.report)
        style = COLOURS.get(decision.outcome.value, "bold yellow")
        say(row, decision.sentence(), json=self.json, quiet=self.quiet, style=style)
        return EXIT_STATUS[decision.outcome]
