"""The libraries that read files: loaded without what we do not use, and kept quiet."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType

from vitrail.errors import InputError, VitrailError

COPY_AGAIN = "copy it again from where it came"


@contextmanager
def plain_errors(
    path: Path, library: str, problem: str, remedy: str = COPY_AGAIN, *, private: bool = False
) -> Iterator[None]:
    """Every error but our own becomes ``path: problem; remedy``, and the library's log stays quiet.

    ``private``: the library's own words may name a patient, so that no traceback shows them.
    """
    logger = logging.getLogger(library)
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except VitrailError:
        raise
    except EOFError as error:
        raise InputError(path, "is cut short", remedy) from (None if private else error)
    except Exception as error:  # a damaged file makes readers raise nearly every kind there is
        raise InputError(path, problem, remedy) from (None if private else error)
    finally:
        logger.setLevel(level)


def load_nibabel() -> ModuleType:
    """The package nibabel. It would load pydicom, for one kind of extension of a header, which
    takes three times as long as itself."""
    hidden = "pydicom" not in sys.modules
    if hidden:
        sys.modules["pydicom"] = None
    try:
        return import_module("nibabel")
    finally:
        if hidden:
            del sys.modules["pydicom"]
