"""The tables and DET charts that the model card quotes, of networks each measured on people whom it
never saw."""

from collections.abc import Callable, Mapping, Sequence

from ppg_auth.decide.decision import threshold
from ppg_auth.measure.figures import VERIFICATION, Attempts, errors_at, verification
from ppg_auth.measure.trials import (
    ATTEMPT,
    TEMPLATE,
    Measured,
    Trial,
    Way,
    at_camera_rate,
    failure_to_acquire,
    measure,
    shipped,
    template,
    unprotected,
    with_share,
)
from ppg_auth.networks import PulseNetwork
from vitrail.metrics.verification import det_points, eer
from vitrail.report import Chart, Series, Table

SHIPPED, COSINE = "as shipped: protected", "embeddings, cosine"
WAYS: Mapping[str, Callable[[PulseNetwork], Way]] = {
    SHIPPED: shipped,
    COSINE: unprotected,
    TEMPLATE: template,
}
ATTEMPTS = (5.5, 10.0, 20.0, 30.0)  # seconds
ENROLMENTS = (20.0, 60.0, None)  # seconds; None is the whole recording
RATES = (0.01, 0.02, 0.05)
DET_LIMIT = 0.005  # rates below it cannot be told from 0 with so few people


def report(trials: Sequence[Trial]) -> list[Table | Chart]:
    """All figures of the networks of ``trials``, joined."""
    scored = {name: measure(trials, way) for name, way in WAYS.items()}
    return [
        _verification_table(scored, trials),
        _threshold_table(trials),
        _length_table(trials),
        _enrolment_table(trials),
        _acquisition_table(trials),
        _parts_table(trials),
        *(_det_chart(protocol, scored) for protocol in scored[SHIPPED]),
    ]


def _verification_table(scored: Mapping[str, Measured], trials: Sequence[Trial]) -> Table:
    rows = [
        (protocol, name, *verification(measured[protocol]))
        for protocol in scored[SHIPPED]
        for name, measured in scored.items()
    ]
    people = len({take.person for trial in trials for take in trial.takes})
    groups = (
        f" in {len(trials)} groups, each by a network that was trained without it"
        if len(trials) > 1
        else ""
    )
    title = (
        f"Verification of {people} people whom training never saw{groups}; {ATTEMPT:g} s an attempt"
    )
    return Table(title, ("protocol", "scorer", *VERIFICATION), rows)


def _threshold_table(trials: Sequence[Trial]) -> Table:
    rows = []
    for seconds in (10.0, ATTEMPT):
        parts = [measure([trial], shipped, seconds) for trial in trials]
        for protocol in parts[0]:
            fta = failure_to_acquire(trials, seconds, protocol)
            for rate in RATES:
                limits = [
                    trial.network.checkpoint.impostors.unnormalised(threshold(rate))
                    for trial in trials
                ]
                fmr, fnmr = errors_at([part[protocol] for part in parts], limits)
                far, frr = fmr * (1 - fta), fta + fnmr * (1 - fta)
                rows.append((protocol, seconds, rate, fmr, fnmr, fta, far, frr))
    columns = ("protocol", "attempt, s", "FMR aimed at", "FMR", "FNMR", "FTA", "FAR", "FRR")
    return Table("At the thresholds that follow from other people", columns, rows)


def _length_table(trials: Sequence[Trial]) -> Table:
    rows = []
    for seconds in ATTEMPTS:
        for name in (SHIPPED, TEMPLATE):
            measured = measure(trials, WAYS[name], seconds)
            rows.append((seconds, name, *(_rate(attempts) for attempts in measured.values())))
    return Table("EER by the length of an attempt", ("attempt, s", "scorer", *measured), rows)


def _enrolment_table(trials: Sequence[Trial]) -> Table:
    rows = []
    for seconds in ENROLMENTS:
        for name in (SHIPPED, TEMPLATE):
            measured = measure(trials, WAYS[name], ATTEMPT, seconds)
            length = "all (1 to 2 min)" if seconds is None else f"{seconds:g}"
            rows.append((length, name, *(_rate(attempts) for attempts in measured.values())))
    return Table(
        "EER by the length of each recording that enrols",
        ("enrolment, s", "scorer", *measured),
        rows,
    )


def _acquisition_table(trials: Sequence[Trial]) -> Table:
    protocols = measure(trials, shipped)
    rows = [
        (protocol, *(failure_to_acquire(trials, seconds, protocol) for seconds in ATTEMPTS))
        for protocol in protocols
    ]
    columns = ("protocol", *(f"FTA of {seconds:g} s" for seconds in ATTEMPTS))
    return Table(
        "Failure to acquire: captures without three good windows (5 s: without one)", columns, rows
    )


def _parts_table(trials: Sequence[Trial]) -> Table:
    ways = {"branches and beat expert": unprotected}
    module = trials[0].network.module
    if module.expert is not None and module.fusion is not None:
        ways |= {"branches alone": with_share(0.0), "beat expert alone": with_share(1.0)}
    ways["from 14 samples a second"] = at_camera_rate
    rows = [
        (name, *(_rate(attempts) for attempts in measure(trials, way).values()))
        for name, way in ways.items()
    ]
    return Table(
        "EER of parts and variants, cosine", ("variant", *measure(trials, unprotected)), rows
    )


def _det_chart(protocol: str, scored: Mapping[str, Measured]) -> Chart:
    curves = []
    for name, measured in scored.items():
        attempts = measured[protocol]
        if attempts.genuine.any():
            points = det_points(attempts.scores, attempts.genuine.astype(int), limit=DET_LIMIT)
            curves.append(Series(name, *points))
    axis = "in normal deviates (-1.64 is 5 %, -1.28 is 10 %, 0 is 50 %)"
    return Chart(
        f"DET: {protocol}", curves, y_label="false non-matches", x_label=f"false matches, {axis}"
    )


def _rate(attempts: Attempts) -> float | None:
    genuine = attempts.genuine
    return (
        eer(attempts.scores, genuine.astype(int)).rate
        if genuine.any() and not genuine.all()
        else None
    )
