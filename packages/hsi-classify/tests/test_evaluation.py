"""The tables of the model card, on a made scene."""

import json

import numpy as np
import pytest

from hsi_classify import evaluation
from hsi_classify.evaluation import BUILT_IN, evaluate, listed_splits, run_split
from hsi_classify.splits import GUARD, read_splits
from hsi_classify.training import Measured, Recipe
from vitrail.errors import UsageError

from .fakes import made_scene


@pytest.fixture
def recipe(tmp_path) -> Recipe:
    cube, labels = made_scene()
    for name, array in (("cube", cube), ("labels", labels)):
        np.save(tmp_path / f"{name}.npy", array.repeat(3, axis=0))
    return Recipe.model_validate(
        {
            "system": "hsi-classify",
            "name": "hsi-made",
            "data": {"cube": tmp_path / "cube.npy", "labels": tmp_path / "labels.npy"},
            "measured": {"per_class": 4, "seeds": [0, 1], "lists": tmp_path / "lists.json"},
            "optim": {"lr": 1e-3, "batch_size": 8},
            "budget": {"steps": 2},
            "monitor": {"metric": "val/loss", "mode": "min"},
        }
    )


def test_every_method_and_what_auto_took_for_both_splits(recipe):
    tables = evaluate(recipe)
    assert [table.title.split(":")[0] for table in tables] == ["random", "random", "patch", "patch"]
    for scores, taken in (tables[:2], tables[2:]):
        found = {row[0]: row[1] for row in scores.rows}
        assert tuple(found) == BUILT_IN and all(0 <= oa <= 1 for oa in found.values())
        assert found["svm"] > 0.9
        assert [row[0] for row in taken.rows] == [0, 1]
    assert f"a guard of {GUARD} pixels; 2 seeds" in tables[2].title


def test_lists_of_splits_are_kept_and_used_again(recipe):
    ids = np.load(recipe.data.labels)
    lists = recipe.measured.lists
    drawn = listed_splits(ids, recipe.measured)
    assert [(s.kind, s.seed) for s in drawn] == [
        ("random", 0), ("random", 1), ("patch", 0), ("patch", 1)
    ]  # fmt: skip
    content = json.loads(lists.read_text())
    content["splits"][0]["train"] = [0]
    lists.write_text(json.dumps(content))
    again = listed_splits(ids, Measured(per_class=4, seeds=(0, 2), lists=lists))
    assert again[0].train.tolist() == [0]
    np.testing.assert_array_equal(again[2].test, drawn[2].test)
    assert len(read_splits(lists, ids.shape)) == 6


def test_an_evaluation_that_was_stopped_goes_on(recipe, tmp_path, monkeypatch):
    def measured(**more) -> Recipe:
        changed = {"per_class": 4, "figures": tmp_path / "figures.json", "splits": ("patch",)}
        return recipe.model_copy(update={"measured": Measured(**changed | more)})

    first = evaluate(measured(seeds=(0,)))
    asked = []
    monkeypatch.setattr(
        evaluation,
        "run_split",
        lambda a, split, b: (asked.append(split.seed), run_split(a, split, b))[1],
    )
    both = evaluate(measured(seeds=(0, 1)))
    assert asked == [1]
    assert both[1].rows[0] == first[1].rows[0]
    assert evaluate(measured(seeds=(0, 1)))[0].rows == both[0].rows and asked == [1]
    with pytest.raises(UsageError, match="holds figures of another recipe"):
        evaluate(measured(per_class=5))
    (tmp_path / "figures.json").write_text("[]")
    with pytest.raises(UsageError, match="holds no figures"):
        evaluate(measured())
