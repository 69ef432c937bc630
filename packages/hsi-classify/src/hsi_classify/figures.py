"""Scores that an evaluation has measured, kept in a file: work that is stopped goes on."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hsi_classify.scores import Score
from vitrail.errors import UsageError
from vitrail.output import atomic_file

Entry = tuple[dict[str, Score], str]  # scores by method, and which one was chosen


class Figures:
    """Scores by split. ``of`` tells what they are figures of; UsageError for a file of others."""

    def __init__(self, path: Path | None, of: str):
        self.path, self.of = path, of
        self.splits: dict[str, Any] = {}
        if path is None or not path.exists():
            return
        try:
            content = json.loads(path.read_text("utf-8"))
            found, self.splits = content["of"], dict(content["splits"])
        except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise UsageError(path, "holds no figures", "name a new file") from error
        if found != of:
            raise UsageError(path, "holds figures of another recipe", "name a new file")

    def get(self, split: str) -> Entry | None:
        """What was measured on a split, None where nothing was."""
        if (kept := self.splits.get(split)) is None:
            return None
        scores = {
            name: Score(np.array(one["classes"]), np.array(one["confusion"]))
            for name, one in kept["scores"].items()
        }
        return scores, kept["chosen"]

    def put(self, split: str, scores: Mapping[str, Score], chosen: str = "") -> Entry:
        """Keeps what was measured, in the file too where there is one."""
        kept = {
            name: {"classes": one.classes.tolist(), "confusion": one.confusion.tolist()}
            for name, one in scores.items()
        }
        self.splits[split] = {"scores": kept, "chosen": chosen}
        if self.path is not None:
            with atomic_file(self.path) as temporary:
                temporary.write_text(json.dumps({"of": self.of, "splits": self.splits}), "utf-8")
        return dict(scores), chosen
