"""Text that may stand in HTML, whatever it holds, and elements that a page's policy admits."""

import base64
import hashlib
import html

from vitrail.errors import one_line

_LIMIT = 100_000


def escape(text: object) -> str:
    """``text`` for HTML content and attribute values: markup escaped, control and direction marks
    spelled out."""
    return html.escape(one_line(str(text), _LIMIT))


def policy_source(text: str) -> str:
    """How a content security policy names an inline style sheet or script: by its hash."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
