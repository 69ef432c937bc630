"""A training run's folder: the resolved recipe, the checkpoints, and the record of how the weights
came about."""

import json
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vitrail.errors import UsageError
from vitrail.output import atomic_file
from vitrail.system import find
from vitrail.training.recipe import Recipe

LIBRARIES = ("vitrail", "torch", "lightning", "timm", "numpy")


class Run:
    """The files of one recipe's run; a folder belongs to one recipe."""

    def __init__(self, folder: Path, recipe: Recipe):
        self.folder, self.recipe = Path(folder), recipe
        self.weights = self.folder / "weights.safetensors"
        self.best = self.folder / "best.ckpt"
        self.last = self.folder / "last.ckpt"
        self.record = self.folder / "run.json"
        self.resolved = self.folder / "recipe.yaml"

    @property
    def finished(self) -> bool:
        return self.record.exists() and self.weights.exists()

    def open(self, resume: bool) -> None:
        """Makes the folder and writes the resolved recipe; without ``resume`` what an earlier run
        left goes first.

        Raises UsageError where the folder holds the run of another recipe, InputError where it
        cannot be written.
        """
        if not resume:
            self._clear()
        head = f"# sha256 {self.recipe.sha256}\n"
        if self.resolved.exists() and not self.resolved.read_text().startswith(head):
            raise UsageError(
                self.folder, "holds the run of another recipe", "give another folder or begin again"
            )
        with atomic_file(self.resolved) as temporary:
            temporary.write_text(head + self.recipe.to_yaml())

    def _clear(self) -> None:
        for path in (self.weights, self.best, self.last, self.record, self.resolved):
            path.unlink(missing_ok=True)
        for logs in ("csv", "tensorboard"):
            shutil.rmtree(self.folder / logs, ignore_errors=True)

    def write_record(self, **facts: Any) -> None:
        """Writes ``run.json``: ``facts`` and all that is needed to do the run again."""
        record = {
            "system": self.recipe.system,
            "name": self.recipe.name,
            "recipe_sha256": self.recipe.sha256,
            "expected": self.recipe.expect,
            **facts,
            "git_revision": git_revision(),
            "versions": _versions(find(self.recipe.system).distribution),
        }
        with atomic_file(self.record) as temporary:
            temporary.write_text(json.dumps(record, indent=2) + "\n")


def git_revision() -> str | None:
    """The commit of the checkout that the command runs in, with ``+`` where files differ from it;
    None without one."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _versions(distribution: str) -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in dict.fromkeys((*LIBRARIES, distribution)):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
