"""Rules of the gate as people write them."""

import json
from pathlib import Path

from pydantic import ValidationError

from face_quality.gate import Rules
from vitrail.errors import UsageError
from vitrail.sources import require_file
from vitrail.training.yaml import read_yaml


def read_rules(path: Path) -> Rules:
    """Rules of a YAML file; what it leaves out is as by default, but ``measures`` are all that it
    names. UsageError for a key or a value that is none, twice the same key, and a file without
    rules."""
    content = read_yaml(require_file(path).read_bytes(), str(path))
    if not isinstance(content, dict) or not content:
        raise UsageError(path, "holds no rules", "write min_score, one_face or measures")
    try:
        # Strict: a word or a flag in place of a number is none.
        return Rules.model_validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"])) or "rules"
        problem = first["msg"].removeprefix("Value error, ")
        raise UsageError(path, f"{key}: {problem}", "see the README") from None
