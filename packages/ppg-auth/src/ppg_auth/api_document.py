"""The page about the HTTP service, made from its schema: ``python -m ppg_auth.api_document >
docs/ppg-auth-api.md``."""

from collections.abc import Iterator

PREFACE = """# The HTTP service of ppg-auth

`ppg-auth serve` answers on `http://127.0.0.1:8417`; it needs `vitrail-ppg-auth[serve]`. The passphrase comes as for every verb.
Where `PPG_AUTH_TOKEN` is set, each request must carry `Authorization: Bearer TOKEN`. Beyond one machine, put a proxy
with TLS in front.

```
curl -F name=ann -F consent=true -F captures=@1.csv -F captures=@2.csv -F captures=@3.csv http://127.0.0.1:8417/enroll
curl -F name=ann -F capture=@now.csv http://127.0.0.1:8417/verify
```

Limits: 64 MiB a request, 30 s for it to arrive, 20 s to decode a video, 60 requests a minute from one client, 10
captures an enrolment, four captures worked on at once. Captures are measured in a temporary folder and forgotten.
Errors are JSON, `{"detail": "…"}`: 400 the capture cannot be used, 401 no or a wrong token, 403 no consent, 408 too
slow, 409 the name is taken, 413 too large, 415 not a known kind of file, 422 a field is missing or wrong, 429 too many
requests or failures, 503 too busy. `/openapi.json` holds the schema that this page is made from.
"""


def describe(schema: dict) -> str:
    """The page as Markdown from an OpenAPI 3.1 schema."""
    parts = [PREFACE]
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
    from ppg_auth.service import schema

    print(describe(schema()), end="")
