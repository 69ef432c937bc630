"""Text that may stand in HTML, whatever it holds."""

import html

from vitrail.errors import one_line

_LIMIT = 100_000


def escape(text: object) -> str:
    """``text`` for HTML content and attribute values: markup escaped, control and direction marks
    spelled out."""
    return html.escape(one_line(str(text), _LIMIT))
