"""The page about a service, made from its schema: ``python -m vitrail.serve.document SYSTEM``.

A system's room ``service`` has ``schema()``, and ``PREFACE`` to stand above.
"""

import sys
from collections.abc import Iterator

from vitrail.system import find


def describe(schema: dict, preface: str) -> str:
    """The page as Markdown from an OpenAPI 3.1 schema."""
    parts = [preface]
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            parts += _operation(method.upper(), path, operation, schema["components"]["schemas"])
    return "\n".join(parts)


def _operation(method: str, path: str, operation: dict, models: dict) -> Iterator[str]:
    yield f"## {method} {path}\n{operation['summary']}.\n"
    for content in operation.get("requestBody", {}).get("content", {}).values():
        yield f"Form fields:\n\n{_table(_model(content['schema'], models), models)}\n"
    status, answer = next(iter(operation["responses"].items()))
    model = _model(answer["content"]["application/json"]["schema"], models)
    yield f"Answers {status} with JSON:\n\n{_table(model, models)}\n"


def _table(model: dict, models: dict) -> str:
    required = set(model.get("required", ()))
    rows = ["| field | type | what it is |", "|---|---|---|"]
    for name, field in model["properties"].items():
        optional = "" if name in required else ", optional"
        rows.append(
            f"| `{name}` | {_type(field, models)}{optional} | {field.get('description', '')} |"
        )
    return "\n".join(rows)


def _type(field: dict, models: dict) -> str:
    if "anyOf" in field:
        return " or ".join(_type(part, models) for part in field["anyOf"])
    field = _model(field, models)
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if field.get("type") == "array":
        return f"list of {_type(field['items'], models)}"
    return (
        "file"
        if "contentMediaType" in field or field.get("format") == "binary"
        else field.get("type", "object")
    )


def _model(field: dict, models: dict) -> dict:
    return models[field["$ref"].rsplit("/", 1)[1]] if "$ref" in field else field


if __name__ == "__main__":
    room = find(sys.argv[1]).room("service")
    print(describe(room.schema(), room.PREFACE), end="")
