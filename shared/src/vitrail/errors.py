"""Errors that a person can act on: one line that says what is wrong with which input and how to
mend it."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

MAX_LINE = 200
MAX_SUBJECT = 80
COPY_AGAIN = "copy it again from where it came"


def one_line(text: object, limit: int) -> str:
    """Makes ``text`` safe to print on one line: control characters escaped, the middle of a long
    text cut out."""
    line = "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode()
        for c in str(text)
    )
    if len(line) <= limit:
        return line
    head = (limit - 1) // 2
    return f"{line[:head]}…{line[-(limit - 1 - head) :]}"


class VitrailError(Exception):
    """An error whose text is ``<subject>: <problem>; <remedy>``, one line of at most 200
    characters.

    ``exit_status`` is what a command ends with when the error reaches it.
    """

    exit_status = 1

    def __init__(self, subject: object, problem: str, remedy: str = ""):
        self.subject, self.problem, self.remedy = str(subject), problem, remedy
        super().__init__(str(self))

    def __reduce__(self) -> tuple:
        return type(self), (self.subject, self.problem, self.remedy)  # it may come from a worker

    @property
    def reason(self) -> str:
        """The line without its subject."""
        return one_line(
            "; ".join(part for part in (self.problem, self.remedy) if part),
            MAX_LINE - MAX_SUBJECT - 2,
        )

    def __str__(self) -> str:
        return f"{one_line(self.subject, MAX_SUBJECT)}: {self.reason}"


class InputError(VitrailError):
    """An input that cannot be used: damaged, empty, of the wrong kind, too large."""


class UsageError(VitrailError):
    """A call that cannot be carried out as it stands."""

    exit_status = 2


class MissingError(VitrailError):
    """Something that is not installed: weights, an optional library, a device."""

    exit_status = 3


@contextmanager
def plain(
    subject: object, problem: str, remedy: str = COPY_AGAIN, *, log: str = "", private: bool = False
) -> Iterator[None]:
    """Around a library that decodes what strangers made: its errors become ``subject: problem;
    remedy``, its warnings are not shown, and the logger called ``log`` stays quiet.

    ``private``: the library's own words may name a person, so that no traceback shows them.
    """
    logger = logging.getLogger(log or "vitrail")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except VitrailError:
        raise
    except EOFError as error:
        raise InputError(subject, "is cut short", remedy) from (None if private else error)
    except Exception as error:  # damaged files make decoders raise nearly every kind there is
        raise InputError(subject, problem, remedy) from (None if private else error)
    finally:
        logger.setLevel(level)
