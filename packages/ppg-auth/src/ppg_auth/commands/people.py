"""The subcommands that look at a person's captures: enroll, verify, identify, renew."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ppg_auth.commands.options import DecisionOptions, ModelOptions, Name, StoreOptions
from vitrail.errors import UsageError
from vitrail.options import Debug, Json, Quiet, Sources, bundled
from vitrail.say import say, warn

if TYPE_CHECKING:
    from ppg_auth.decide.decision import Decision
    from ppg_auth.decide.verification import Verifier
    from ppg_auth.job import PulseJob
    from ppg_auth.result import Capture
    from vitrail.sources import Source

STYLES = {"accepted": "bold green", "rejected": "bold red"}
BATCH_SIZE = 16


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
        from ppg_auth.signal.reading import source_of

        store, job = self.store.open(), self.model.load()
        verifier = self.decision.verifier(store, job)
        started = time.perf_counter()
        source = source_of(self.source)
        (capture,) = _captures(job, [source])
        decision = judge(verifier, capture)
        if self.report:
            from ppg_auth.writing import write_decision_page

            write_decision_page(capture, decision, self.report)
        facts = decision.to_dict() | {"quality": round(capture.quality, 2)}
        named = {"source": source.name, "sha256": _sha256(source)}
        row = _row(job, named, [capture], started, facts, fmr=self.decision.fmr)
        style = STYLES.get(decision.outcome.value, "bold yellow")
        say(row, decision.sentence(), json=self.json, quiet=self.quiet, style=style)
        return decision.exit_status


@bundled
def enroll(
    name: Name,
    sources: Sources,
    store: StoreOptions,
    model: ModelOptions,
    decision: DecisionOptions,
    consent: Annotated[
        bool,
        typer.Option(
            "--consent", help="The person has agreed: nobody is enrolled without. The time is kept."
        ),
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Enrol a person.

    From captures of together 20 s at least: best three SOURCEs, the finger laid on anew for each.
    """
    from ppg_auth.store.names import check_name

    check_name(name)
    if not consent:
        raise UsageError(
            name, "biometric data is kept only of people who agreed", "say so with --consent"
        )
    from ppg_auth.decide.enrolment import Registry, require_quality
    from ppg_auth.signal.reading import sources_of

    job = model.load()
    started = time.perf_counter()
    found = sources_of(sources)
    captures = _captures(job, found)
    require_quality(captures)  # before a store is made
    verifier = decision.verifier(store.open(create=True), job)
    enrolment = Registry(verifier).enroll(name, captures)
    row = _row(job, _named(found), captures, started, enrolment.to_dict())
    say(row, f"{name} is enrolled on {enrolment.placements} captures", json=json, quiet=quiet)
    if enrolment.lookalikes:
        likes = ", ".join(enrolment.lookalikes)
        warn("ppg-auth", f"{name} looks like {likes}: is it the same person?")
    if len(captures) < 3:
        warn("ppg-auth", "three captures with the finger laid on anew would be recognised better")


@bundled
def verify(name: Name, attempt: Attempt, debug: Debug = False) -> int:
    """Is SOURCE the pulse of NAME?

    Exit status 0 accepted, 4 not accepted: rejected, inconclusive, throttled or not enrolled, as
    the answer's verdict says. 1: SOURCE cannot be used, and there is no answer.
    """
    return attempt.answer(lambda verifier, capture: verifier.verify(name, capture))


@bundled
def identify(attempt: Attempt, debug: Debug = False) -> int:
    """Whose pulse is SOURCE?

    One of the enrolled, or nobody's: then it is rejected. Exit statuses as for verify.
    """
    return attempt.answer(lambda verifier, capture: verifier.identify(capture))


@bundled
def renew(
    name: Name,
    sources: Sources,
    store: StoreOptions,
    model: ModelOptions,
    decision: DecisionOptions,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Replace a template by one under a new key.

    Needs new captures that pass as NAME's, unless the template is revoked. Exit statuses as for
    verify.
    """
    from ppg_auth.decide.enrolment import Registry
    from ppg_auth.signal.reading import sources_of

    opened, job = store.open(), model.load()
    started = time.perf_counter()
    found = sources_of(sources)
    captures = _captures(job, found)
    outcome = Registry(decision.verifier(opened, job)).renew(name, captures)
    row = _row(job, _named(found), captures, started, outcome.to_dict(), fmr=decision.fmr)
    style = STYLES.get(outcome.outcome.value, "")
    say(row, outcome.sentence(), json=json, quiet=quiet, style=style)
    return outcome.exit_status


def _captures(job: "PulseJob", sources: Sequence["Source"]) -> list["Capture"]:
    """The captures of all sources; the first that cannot be used ends the call."""
    from vitrail.answers import fingerprinted
    from vitrail.job import Failure
    from vitrail.runner import run

    captures = []
    for source, outcome in run(job, fingerprinted(sources), batch_size=BATCH_SIZE):
        if isinstance(outcome, Failure):
            raise outcome.error
        source.require_unchanged()
        captures.append(outcome)
    return captures


def _named(sources: Sequence["Source"]) -> dict[str, list]:
    return {
        "sources": [source.name for source in sources],
        "sha256": [_sha256(source) for source in sources],
    }


def _sha256(source: "Source") -> str | None:
    """None for the camera, of which nothing is left."""
    return source.fingerprint if source.paths else None


def _row(
    job: "PulseJob",
    named: dict[str, Any],
    captures: Sequence["Capture"],
    started: float,
    facts: dict[str, Any],
    **options: Any,
) -> dict[str, Any]:
    from vitrail.answers import row_of

    damage = [sentence for capture in captures for sentence in capture.damage]
    taken = {channel for capture in captures for channel in capture.windows.channels}
    facts = facts | {"channels": sorted(taken)}
    row = row_of(job, named, damage, time.perf_counter() - started, facts)
    return row | {"options": row["options"] | options}
