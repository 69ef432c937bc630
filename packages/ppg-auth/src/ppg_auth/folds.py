"""Cross-validation over people: a network for each group of people, trained without it and measured
on it."""

from collections import Counter
from pathlib import Path

from ppg_auth.data import Collection
from ppg_auth.evaluation import report, trial_of
from ppg_auth.networks import load_networks
from ppg_auth.training import Recipe
from vitrail.errors import UsageError
from vitrail.report import Chart, Table
from vitrail.training.loop import train


def cross_validate(recipe: Recipe, count: int, runs: Path) -> list[Table | Chart]:
    """The figures of ``count`` networks, joined; each person with several recordings is a test
    person once.

    The runs lie in ``runs``, a folder a fold: what is finished there is not trained again, what was
    stopped goes on.
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
