"""Errors that a person can act on: one line that says what is wrong with which input and how to
mend it."""

MAX_LINE = 200
MAX_SUBJECT = 80


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
