"""When two names are one person's: written differently, they are filed under one key."""

import re
import unicodedata

from vitrail.errors import UsageError

MAX_NAME = 200
# Letters of these look alike; a name mixes none of them, while Japanese may mix its own with Latin
CONFUSABLE = {"LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "CHEROKEE", "COPTIC"}
# Printable for Python and yet invisible: joiners, fillers, variation selectors
INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def name_key(name: str) -> str:
    """``name`` as it is filed: NFKC, case-folded, blanks at the ends dropped and those within made
    one, nothing invisible."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join(INVISIBLE.sub("", folded).split())


def check_name(name: str) -> None:
    """UsageError unless ``name`` is 1 to 200 printable characters, of one of the scripts that are
    confused with each other."""
    if not name_key(name) or len(name) > MAX_NAME or not name.isprintable():
        raise UsageError(
            name or "''", "cannot be a name", f"use 1 to {MAX_NAME} printable characters"
        )
    scripts = {unicodedata.name(letter, "").split(" ")[0] for letter in name_key(name)}
    if len(mixed := sorted(scripts & CONFUSABLE)) > 1:
        problem = f"mixes letters that look alike ({', '.join(mixed).title()})"
        raise UsageError(name, problem, "write it in one script")
