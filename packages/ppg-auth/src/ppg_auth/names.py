"""What may be a person's name in the store."""

from vitrail.errors import UsageError

LONGEST = 200


class NameTakenError(UsageError):
    """Someone is enrolled under this name already."""


def check_name(name: str) -> None:
    """UsageError unless ``name`` is 1 to 200 printable characters."""
    if not name.strip() or len(name) > LONGEST or not name.isprintable():
        raise UsageError(
            name or "''", "cannot be a name", f"use 1 to {LONGEST} printable characters"
        )
