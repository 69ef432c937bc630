"""Recipes: the YAML files that say how a system is trained, checked against that system's own
model."""

import difflib
import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from vitrail.errors import UsageError
from vitrail.system import find
from vitrail.training.yaml import MAX_BYTES, read_yaml, write_yaml

DATA_VARIABLE = "${VITRAIL_DATA}"


class Section(BaseModel):
    """A part of a recipe: its keys are the fields, and no others are taken."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Optim(Section):
    """AdamW's settings. ``warmup`` is a share of the run, ``clip`` the largest gradient norm."""

    lr: PositiveFloat
    weight_decay: NonNegativeFloat = 0.05
    batch_size: PositiveInt
    clip: PositiveFloat = 1.0
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05
    schedule: Literal["cosine", "poly", "constant"] = "cosine"
    precision: Annotated[Literal["32", "bf16"], BeforeValidator(str)] = "32"


class Budget(Section):
    """How long a run lasts: exactly one of passes over the data, optimiser steps, or minutes of
    training."""

    epochs: PositiveInt | None = None
    steps: PositiveInt | None = None
    minutes: PositiveFloat | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(value is not None for value in (self.epochs, self.steps, self.minutes)) != 1:
            raise ValueError("needs exactly one of epochs, steps, minutes")
        return self


class Monitor(Section):
    """The validation metric by which the best weights are chosen; a test metric cannot be named."""

    metric: Annotated[str, Field(pattern=r"^val/")]
    mode: Literal["min", "max"]


class Recipe(Section):
    """What every system's recipe has; ``expect`` holds the figures that the run gave when it was
    written down."""

    system: str
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    optim: Optim
    budget: Budget
    monitor: Monitor
    notes: str = ""
    expect: dict[str, float] = {}

    def to_yaml(self) -> str:
        """The recipe with all defaults filled in, its data paths given relative to
        ``${VITRAIL_DATA}`` again."""
        return write_yaml(_collapse(self.model_dump(mode="json")))

    @property
    def sha256(self) -> str:
        """The checksum of what makes the weights (not of ``notes`` and ``expect``), the same
        wherever the data lie."""
        making = _collapse(self.model_dump(mode="json", exclude={"notes", "expect"}))
        return hashlib.sha256(write_yaml(making).encode()).hexdigest()


def data_folder() -> str:
    """Where the data sets lie: the environment's ``VITRAIL_DATA``, or ``../shared/data``."""
    return str(Path(os.environ.get("VITRAIL_DATA") or "../shared/data"))


def load_recipe(path: Path | str, overrides: Sequence[str] = ()) -> Recipe:
    """Reads a recipe and applies ``a.b=value`` overrides; the class is the ``Recipe`` of the system
    that it names.

    Every fault raises a UsageError that names the file, the key's path and, for an unknown key, the
    nearest valid one.
    """
    path = Path(path)
    content = read_yaml(_read(path), path.name)
    if not isinstance(content, dict):
        raise UsageError(path.name, "a recipe is a mapping of keys to values")
    for override in overrides:
        _apply(content, override)
    content = _expand(content, path.name)
    if "system" not in content:
        raise UsageError(f"{path.name}: system", "this key is missing")
    try:
        system = find(str(content["system"]))
    except UsageError as error:
        raise UsageError(f"{path.name}: system", error.problem, error.remedy) from None
    return parse(system.room("training").Recipe, content, path.name)


def parse(model: type[BaseModel], content: dict[str, Any], source: str) -> Any:
    """Checks plain ``content`` against ``model``; a UsageError names ``source`` and the first
    faulty key's path."""
    try:
        # Strict JSON mode takes lists for tuples and strings for paths, but never a string or a
        # flag for a number.
        return model.model_validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        unknown = [fault for fault in faults if fault["type"] == "extra_forbidden"]
        raise _usage_error(model, content, (unknown or faults)[0], source) from None


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise UsageError(path, "there is no such recipe")
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(path, f"cannot be read ({error.strerror})") from None


def _apply(content: dict[str, Any], override: str) -> None:
    """Sets one ``a.b=value`` in place; the value is YAML, so that numbers, flags and lists can be
    given."""
    keys, equals, value = override.partition("=")
    *parents, last = keys.split(".")
    if not equals or not all((*parents, last)):
        raise UsageError(override, "is no override", "write key.path=value")
    for key in parents:
        content = content.setdefault(key, {})
        if not isinstance(content, dict):
            raise UsageError(override, f"{key} holds a value, not a section")
    content[last] = read_yaml(value.encode(), override)


def _expand(value: Any, source: str, at: str = "") -> Any:
    """``value`` with the data folder put in for its variable; ``at`` is the key's path."""
    if isinstance(value, dict):
        return {
            key: _expand(item, source, f"{at}.{key}" if at else key) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_expand(item, source, f"{at}.{index}") for index, item in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value
    rest = value.replace(DATA_VARIABLE, "", 1)
    if not value.startswith(DATA_VARIABLE) or "${" in rest:
        raise UsageError(
            f"{source}: {at}", f"only a leading {DATA_VARIABLE} is expanded", f"not {value!r}"
        )
    if ".." in rest.split("/"):
        raise UsageError(f"{source}: {at}", "leads out of the data folder", "leave out '..'")
    return data_folder() + rest


def _collapse(value: Any) -> Any:
    """The inverse of ``_expand``."""
    if isinstance(value, dict):
        return {key: _collapse(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_collapse(item) for item in value]
    folder = data_folder()
    if isinstance(value, str) and (value == folder or value.startswith(folder + "/")):
        return DATA_VARIABLE + value[len(folder) :]
    return value


def _usage_error(
    model: type[BaseModel], content: Any, fault: ErrorDetails, source: str
) -> UsageError:
    location = fault["loc"]
    subject = ": ".join(part for part in (source, ".".join(_written_path(content, fault))) if part)
    if fault["type"] == "extra_forbidden":
        keys = _keys_at(model, location[:-1])
        near = difflib.get_close_matches(str(location[-1]), keys, n=1)
        return UsageError(
            subject,
            "unknown key",
            f"did you mean {near[0]}?" if near else f"valid: {', '.join(keys)}",
        )
    if fault["type"] == "missing":
        return UsageError(subject, "this key is missing")
    if fault["type"] in ("model_type", "dict_type"):
        return UsageError(subject, "must be a section of keys")
    problem = re.sub(r"^\w+ should", "must", fault["msg"].removeprefix("Value error, "))
    given = (
        ""
        if isinstance(fault["input"], dict | list) or not location
        else f", not {fault['input']!r}"
    )
    return UsageError(subject, problem + given)


def _written_path(content: Any, fault: ErrorDetails) -> Iterator[str]:
    """The fault's location without pydantic's names for the branches of a union, which stand in no
    file."""
    for part in fault["loc"]:
        try:
            content = content[part]
        except (KeyError, IndexError, TypeError):
            if fault["type"] != "missing" or part is not fault["loc"][-1]:
                continue
        yield str(part)


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The valid keys at a place inside ``model``; list positions and union tags in ``location`` are
    passed over."""
    models = [model]
    for part in location:
        annotations = [
            item.model_fields[part].annotation for item in models if part in item.model_fields
        ]
        models = [found for annotation in annotations for found in _models_in(annotation)] or models
    return list(dict.fromkeys(key for item in models for key in item.model_fields))


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
