"""The network measured on people whom it never saw, beside a template matcher, and where its figures come from."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ppg_auth.baseline import TEMPLATE, closed_set_accuracy, expert_folds, mean_beats
from ppg_auth.comparison import Attempts, Embeddings, Protected, by_person, compare, halves, plain
from ppg_auth.data import Collection, Take, load_takes
from ppg_auth.figures import VERIFICATION, errors_at, failure_to_acquire, verification
from ppg_auth.networks import PulseNetwork, load_networks
from ppg_auth.preprocess import SignalConfig, Windows
from ppg_auth.training import Recipe, embed
from vitrine.errors import UsageError
from vitrine.metrics.verification import det_points
from vitrine.report import Chart, Series, Table

FOLDS = 5
SHIPPED, COSINE = "as shipped: protected, normalised", "embeddings, cosine"
CAMERA_RATE = 14.0
DET_LIMIT = 0.005  # rates below it cannot be told from 0 with so few people
Takes = Mapping[Take, Windows]
Scored = Mapping[str, Mapping[str, Attempts]]  # by protocol and scorer


def evaluate(recipe: Recipe, weights: str | None = None) -> list[Table | Chart]:
    """Tables of the bundled network, or of ``weights``, on the recipe's test people, and a DET chart of each protocol.

    Attempts are 10 s of signal; intervals are bootstrap intervals of 95 % over people. UsageError where a test person
    was in training or validation.
    """
    network = load_networks([weights] if weights else [])[0]
    people = _unseen(recipe, network)
    takes = load_takes(recipe.data, people, network.signal)
    scored = _scored(network, takes)
    parts = [
        _verification_table(scored, len(people)),
        _threshold_table(scored, network, takes),
        _acquisition_table(takes),
        _ablation_table(recipe, network, takes),
        *(_det_chart(protocol, scorers) for protocol, scorers in scored.items()),
    ]
    if isinstance(recipe.data, Collection):
        everyone = recipe.data.people("train") + recipe.data.people("val") + people
        all_takes = load_takes(recipe.data, everyone, network.signal)
        parts += [_cross_validation_table(all_takes), _paper_table(all_takes, network)]
    return parts


def _unseen(recipe: Recipe, network: PulseNetwork) -> list[str]:
    people = recipe.data.people("test")
    if len(people) < 2:
        raise UsageError("data.test", f"names {len(people)} people", "at least two are needed")
    for part, seen in network.people.items():
        for person in people:
            if person in seen:
                raise UsageError("data.test", f"{person} was in this network's {part} data", "test other people")
    return people


def protocols(embeddings: Embeddings) -> dict[str, tuple[dict, dict, Embeddings]]:
    """By name, who enrols with which takes, and who is verified with which; and the embeddings that belong to them."""
    postures = {
        posture: [take for take in embeddings if take.condition == posture] for posture in ("sitting", "standing")
    }
    if not all(postures.values()):
        return {"first recording → others": halves(embeddings)}
    found = {}
    for posture, takes in postures.items():
        pairs = {person: own for person, own in by_person(takes).items() if len(own) > 1}
        enrol, probe = {p: own[:1] for p, own in pairs.items()}, {p: own[1:] for p, own in pairs.items()}
        found[f"{posture} → {posture}, minutes later"] = enrol, probe, embeddings
    sitting, standing = (by_person(takes) for takes in postures.values())
    both = sorted(sitting.keys() & standing.keys())
    found["sitting → standing"] = {p: sitting[p] for p in both}, {p: standing[p] for p in both}, embeddings
    return found


def _scored(network: PulseNetwork, takes: Takes) -> Scored:
    ours = {take: embed(network.module, windows) for take, windows in takes.items()}
    sources = {SHIPPED: (ours, Protected(network.cohort)), COSINE: (ours, plain), TEMPLATE: (mean_beats(takes), plain)}
    scored: dict[str, dict[str, Attempts]] = {}
    for scorer, (embeddings, rule) in sources.items():
        for protocol, (enrol, probe, rows) in protocols(embeddings).items():
            scored.setdefault(protocol, {})[scorer] = compare(rows, enrol, probe, rule)
    return scored


def _verification_table(scored: Scored, people: int) -> Table:
    rows = [
        (protocol, scorer, *verification(attempts))
        for protocol, scorers in scored.items()
        for scorer, attempts in scorers.items()
    ]
    title = f"Verification of {people} people whom training never saw, 10 s an attempt"
    return Table(title, ("protocol", "scorer", *VERIFICATION), rows)


def _det_chart(protocol: str, scorers: Mapping[str, Attempts]) -> Chart:
    curves = [
        Series(scorer, *det_points(attempts.scores, attempts.genuine.astype(int), limit=DET_LIMIT))
        for scorer, attempts in scorers.items()
        if attempts.genuine.any()
    ]
    axis = "in normal deviates (-1.64 is 5 %, -1.28 is 10 %, 0 is 50 %)"
    return Chart(f"DET: {protocol}", curves, y_label="false non-matches", x_label=f"false matches, {axis}")


def _threshold_table(scored: Scored, network: PulseNetwork, takes: Takes) -> Table:
    fta = failure_to_acquire(list(takes.values()), 3)
    rows = []
    for protocol, scorers in scored.items():
        for rate, threshold in network.thresholds.items():
            fmr, fnmr = errors_at(scorers[SHIPPED], threshold)
            rows.append((protocol, float(rate), threshold, fmr, fnmr, fmr * (1 - fta), fta + fnmr * (1 - fta)))
    columns = ("protocol", "FMR aimed at", "threshold", "FMR", "FNMR", "FAR", "FRR")
    return Table("At the thresholds in the weight file, which come from other people", columns, rows)


def _acquisition_table(takes: Takes) -> Table:
    rows = []
    for condition in sorted({take.condition for take in takes}):
        chosen = [windows for take, windows in takes.items() if take.condition == condition]
        good = np.concatenate([windows.good for windows in chosen])
        rates = [failure_to_acquire(chosen, windows) for windows in (3, 5, 7)]
        rows.append((condition or "all", len(good), float(good.mean()), *rates))
    columns = ("condition", "windows", "good", "FTA of 10 s", "FTA of 15 s", "FTA of 20 s")
    return Table("Failure to acquire: fewer than three good windows", columns, rows)


def _ablation_table(recipe: Recipe, network: PulseNetwork, takes: Takes) -> Table:
    rows, share = [], network.module.share.item()

    def add(name: str, embeddings: Embeddings, windows: int = 3) -> None:
        rates = [
            verification(compare(rows_, enrol, probe, plain, windows))[0]
            for enrol, probe, rows_ in protocols(embeddings).values()
        ]
        rows.append((name, *rates))

    ours = {take: embed(network.module, windows) for take, windows in takes.items()}
    for windows in (1, 3, 7):
        add(f"{windows} window{'s' if windows > 1 else ''} an attempt", ours, windows)
    if network.module.expert is not None and network.module.fusion is not None:
        for name, value in (("branches alone", 0.0), ("beat expert alone", 1.0)):
            network.module.share.fill_(value)
            add(name, {take: embed(network.module, windows) for take, windows in takes.items()})
        network.module.share.fill_(share)
    slow = load_takes(recipe.data, sorted({take.person for take in takes}), camera_like(network.signal))
    add("at 14 samples a second", {take: embed(network.module, windows) for take, windows in slow.items()})
    return Table("EER of parts and variants, cosine", ("variant", *protocols(ours)), rows)


def camera_like(signal: SignalConfig) -> SignalConfig:
    """The same windows from 14 samples a second."""
    return replace(signal, grid=CAMERA_RATE)


def _cross_validation_table(takes: Takes) -> Table:
    """All people with several recordings, in five folds; the others only help to fit."""
    several = sorted(person for person, own in by_person(list(takes)).items() if len(own) > 1)
    folds = [several[number::FOLDS] for number in range(FOLDS)]
    rows = []
    sources = {"beat expert, fitted on the other folds": expert_folds(takes, folds), TEMPLATE: mean_beats(takes)}
    for scorer, embeddings in sources.items():
        parts: dict[str, list[Attempts]] = {}
        for fold in folds:
            inside = {take: rows_ for take, rows_ in embeddings.items() if take.person in fold}
            for protocol, (enrol, probe, rows_) in protocols(inside).items():
                parts.setdefault(protocol, []).append(compare(rows_, enrol, probe, plain))
        rows += [(protocol, scorer, *verification(_joined(found))) for protocol, found in parts.items()]
    title = f"Cross-validation over {len(several)} people in {FOLDS} folds, compared within folds (cosine)"
    return Table(title, ("protocol", "scorer", *VERIFICATION), sorted(rows, key=lambda row: row[0]))


def _joined(parts: list[Attempts]) -> Attempts:
    offsets = np.cumsum([0, *(part.number.max(initial=-1) + 1 for part in parts[:-1])])
    return Attempts(
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.claimed for part in parts]),
        np.concatenate([part.true for part in parts]),
        np.concatenate([part.number + offset for part, offset in zip(parts, offsets, strict=True)]),
    )


def _paper_table(takes: Takes, network: PulseNetwork) -> Table:
    first = {
        own[0]: takes[own[0]] for own in by_person([take for take in takes if take.condition == "sitting"]).values()
    }
    rows = [
        (name, closed_set_accuracy(first, network.module.config, contiguous=contiguous))
        for name, contiguous in (
            ("windows at random, as papers do", False),
            ("first 70 %, 5 s apart from the rest", True),
        )
    ]
    title = (
        f"Closed-set classification of windows, one recording of {len(first)} known people: the leak of random splits"
    )
    return Table(title, ("split", "accuracy of the nearest scalogram"), rows)
