"""MATLAB files, opened in a process of their own: a damaged one can crash the library that reads
it, and one that lies about its size can ask for all the memory."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from vitrail.errors import InputError

SECONDS = 60
AGAIN = "copy it again, or save it as .npy"


@dataclass(frozen=True)
class Variables:
    """Of a .mat file: ``arrays`` of real numbers by name, axes as MATLAB has them; ``others`` are
    the kinds of what is none (struct, cell, char, sparse, complex), by name."""

    arrays: Mapping[str, np.ndarray]
    others: Mapping[str, str]

    def told(self) -> str:
        """What there is, in a few words for an error."""
        parts = [f"{k} {'x'.join(map(str, v.shape))}" for k, v in self.arrays.items()]
        parts += [f"{k} ({kind})" for k, kind in self.others.items()]
        return ", ".join(parts)[:70] or "nothing"


def read_variables(path: Path) -> Variables:
    """``_read`` of a file as it is now; the last two are kept, as labels are looked at twice."""
    stat = path.stat()
    return _read(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=2)
def _read(path: Path, size: int, changed: int) -> Variables:
    """All variables of a .mat file of version 5 or 7.3.

    Raises InputError where the file is damaged, and where reading it crashes, takes too long or too
    much memory.
    """
    with tempfile.TemporaryDirectory(prefix="hsi-classify-") as folder:
        command = [sys.executable, "-m", "hsi_classify.files.mat_child", str(path), folder]
        try:
            done = subprocess.run(command, capture_output=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            raise InputError(path, f"could not be read in {SECONDS} s", AGAIN) from None
        if done.returncode != 0:
            raise InputError(path, _problem(done), AGAIN)
        found = json.loads(done.stdout)
        # Not mapped: the files go with the folder.
        arrays = {name: np.load(Path(folder) / file) for name, file in found["arrays"].items()}
        return Variables(arrays, found["others"])


def _problem(done: subprocess.CompletedProcess) -> str:
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    if done.returncode == 1 and said and said[-1].startswith("problem: "):
        return said[-1].removeprefix("problem: ")
    return "is damaged"
