"""The verbs about people: enroll, verify, identify, renew; list, revoke, unlock, delete."""

import time
from typing import Annotated

import typer

from ppg_auth.commands.answers import COLOURS, say, say_rows, warn
from ppg_auth.commands.attempts import Attempt
from ppg_auth.commands.bundles import DecisionOptions, ModelOptions, StoreOptions, bundled
from ppg_auth.names import check_name
from vitrail.errors import UsageError
from vitrail.options import Debug, Json, Quiet, Sources

Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="Under which the person is enrolled.", show_default=False),
]


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
    check_name(name)
    if not consent:
        raise UsageError(
            name, "biometric data is kept only of people who agreed", "say so with --consent"
        )
    from ppg_auth.enrolment import Registry, require_quality
    from ppg_auth.taking import take_all

    pipeline = model.load()
    started = time.perf_counter()
    captures = take_all(pipeline, sources)
    require_quality(captures)  # before a store is made
    enrolment = Registry(decision.verifier(store.open(create=True), pipeline)).enroll(
        name, captures
    )
    row = {
        "status": "done",
        **enrolment.to_dict(),
        "sources": [str(capture.source) for capture in captures],
    }
    row |= {
        "settings": pipeline.settings(),
        **pipeline.runtime(),
        "seconds": round(time.perf_counter() - started, 3),
    }
    say(row, f"{name} is enrolled on {enrolment.placements} captures", json=json, quiet=quiet)
    if enrolment.lookalikes:
        warn(f"{name} looks like {', '.join(enrolment.lookalikes)}: is it the same person?")
    if len(captures) < 3:
        warn("three captures with the finger laid on anew would be recognised better")


@bundled
def verify(name: Name, attempt: Attempt, debug: Debug = False) -> int:
    """Is SOURCE the pulse of NAME?

    Exit status 0 accepted, 1 rejected, 4 not enough quality, 5 throttled, 6 not enrolled. A SOURCE
    that cannot be used at all has status 1 too, and prints no answer.
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
    from ppg_auth.decision import EXIT_STATUS
    from ppg_auth.enrolment import Registry
    from ppg_auth.taking import take_all

    opened, pipeline = store.open(), model.load()
    outcome = Registry(decision.verifier(opened, pipeline)).renew(name, take_all(pipeline, sources))
    row = {
        "status": "done",
        **outcome.to_dict(),
        "settings": pipeline.settings(),
        **pipeline.runtime(),
    }
    say(
        row,
        outcome.sentence(),
        json=json,
        quiet=quiet,
        style=COLOURS.get(outcome.outcome.value, ""),
    )
    return EXIT_STATUS[outcome.outcome]


@bundled
def list_people(store: StoreOptions, json: Json = False, debug: Debug = False) -> None:
    """Show who is enrolled."""
    from ppg_auth.roster import Roster, describe

    rows = [describe(person) for person in Roster(store.open()).people()]
    say_rows(rows, ["name", "state", "enrolled", "placements", "failures"], json=json)


@bundled
def revoke(
    name: Name, store: StoreOptions, json: Json = False, quiet: Quiet = False, debug: Debug = False
) -> None:
    """Destroy a template and its key.

    As after a theft: the name stays, for 'renew'.
    """
    from ppg_auth.roster import Roster

    Roster(store.open()).revoke(name)
    say(
        {"status": "done", "name": name, "state": "revoked"},
        f"{name} is revoked",
        json=json,
        quiet=quiet,
    )


@bundled
def unlock(
    name: Name, store: StoreOptions, json: Json = False, quiet: Quiet = False, debug: Debug = False
) -> None:
    """Forget a person's failed attempts."""
    from ppg_auth.roster import Roster

    Roster(store.open()).unlock(name)
    say(
        {"status": "done", "name": name, "state": "unlocked"},
        f"{name} may try again",
        json=json,
        quiet=quiet,
    )


@bundled
def delete(
    name: Name, store: StoreOptions, json: Json = False, quiet: Quiet = False, debug: Debug = False
) -> None:
    """Erase all of a person."""
    from ppg_auth.roster import Roster

    Roster(store.open()).delete(name)
    say(
        {"status": "done", "name": name, "state": "deleted"},
        f"{name} is deleted",
        json=json,
        quiet=quiet,
    )
