"""Networks measured on people whom they never saw: the bundled one, or one per group of people,
trained without it."""

from collections import Counter
from pathlib import Path

from ppg_auth.data import Collection
from ppg_auth.measure.tables import report
from ppg_auth.measure.trials import Trial
from ppg_auth.networks import PulseNetwork, load_networks
from ppg_auth.training import Recipe
from vitrail.errors import UsageError
from vitrail.report import Chart, Table
from vitrail.training.loop import train
from vitrail.training.recipe import load_recipe

__all__ = ["cross_validate", "deal", "evaluate", "load_recipe", "trial_of"]


def evaluate(recipe: Recipe, weights: str | None = None) -> list[Table | Chart]:
    """Tables and DET charts of the bundled network, or of ``weights``, on the recipe's test people.

    Intervals are bootstrap intervals of 95 % over people. UsageError where a test person was in
    training or validation.
    """
    network = load_networks([weights] if weights else [])[0]
    return report([trial_of(recipe, network)])


def trial_of(recipe: Recipe, network: PulseNetwork) -> Trial:
    """The network and the recordings of the recipe's test people, whom it must not have seen."""
    people = recipe.data.people("test")
    if len(people) < 2:
        raise UsageError("data.test", f"names {len(people)} people", "at least two are needed")
    for part, seen in network.checkpoint.people.items():
        for person in people:
            if person in seen:
                raise UsageError(
                    "data.test", f"{person} was in this network's {part} data", "test other people"
                )
    return Trial(network, [take for take in recipe.data.takes() if take.person in people])


def cross_validate(recipe: Recipe, count: int, runs: Path) -> list[Table | Chart]:
    """The figures of ``count`` networks, joined; each person with several recordings is a test
    person once.

    The runs lie in ``runs``, a folder per fold: what is finished there is not trained again, what
    was stopped goes on.
    """
    trials = []
    for number, fold in enumerate(deal(recipe, count), 1):
        weights = train(fold, runs / f"fold-{number}")
        trials.append(trial_of(fold, load_networks([str(weights)])[0]))
    return report(trials)


def deal(recipe: Recipe, count: int) -> list[Recipe]:
    """A recipe for each fold: its people are tested, the next fold's validate, and all others
    train.

    People with one recording stay where the recipe has them: they cannot be tested on another
    recording.
    """
    data = recipe.data
    if not isinstance(data, Collection):
        raise UsageError(
            "data.format", "folds need a recipe that names its people", "use the format collection"
        )
    recordings = Counter(take.person for take in data.takes())
    named = [*data.train, *data.val, *data.test]
    several = sorted(person for person in named if recordings[person] > 1)
    if not 3 <= count <= len(several) // 2:
        problem = (
            f"{len(several)} people with several recordings cannot be dealt into {count} folds"
        )
        raise UsageError("--folds", problem, "3 folds at least, of two people at least")
    hands = [tuple(several[number::count]) for number in range(count)]
    recipes = []
    for number, test in enumerate(hands):
        val = (
            *hands[(number + 1) % count],
            *(person for person in data.val if recordings[person] == 1),
        )
        train_people = tuple(person for person in named if person not in (*test, *val))
        parts = data.model_copy(update={"train": train_people, "val": val, "test": test})
        recipes.append(
            recipe.model_copy(update={"data": parts, "name": f"{recipe.name}-fold-{number + 1}"})
        )
    return recipes
