"""The options that every command has, under the same names, and how they come in bundles.

A parameter of an option class becomes that class's options: each stands once, with its help.
"""

import inspect
import os
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import StrEnum
from functools import wraps
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, get_type_hints

import typer

from vitrail.errors import UsageError


class Device(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class EngineName(StrEnum):
    auto = "auto"
    eager = "eager"
    bfloat16 = "bfloat16"
    compile = "compile"
    openvino = "openvino"
    openvino_bfloat16 = "openvino-bfloat16"
    onnx = "onnx"


Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE", help="Files, folders, patterns or file:// addresses.", show_default=False
    ),
]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where the networks run.")]
BatchSize = Annotated[
    int, typer.Option("--batch-size", min=1, max=4096, help="Items computed at once.")
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", help="One JSON line per source on standard output (the default in a pipe)."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bar and no table.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@dataclass(frozen=True)
class Computing:
    """Where and how networks run."""

    device: DeviceOption = Device.auto
    engine: Annotated[
        EngineName,
        typer.Option("--engine", help="How they run; auto keeps the fastest that agrees."),
    ] = EngineName.auto

    def to_dict(self) -> dict[str, str]:
        """As ``vitrail.engine.prepare`` takes them."""
        return {"device": self.device.value, "engine": self.engine.value}


@dataclass(frozen=True)
class Answering:
    """How many are computed at once, and what becomes of the results."""

    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FOLDER", help="Write each result into this folder."
        ),
    ] = None
    batch_size: BatchSize = 16
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Skip sources whose result is in the output folder already."),
    ] = False
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Spread the sources over a Ray cluster; 'local' starts one here.",
            show_default=False,
        ),
    ] = None
    json: Json = False
    quiet: Quiet = False
    debug: Debug = False


@dataclass(frozen=True)
class Serving:
    """Where a service listens, and whom it believes."""

    host: Annotated[
        str,
        typer.Option(help="Where to listen; beyond this machine put a proxy with TLS in front."),
    ] = "127.0.0.1"
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8417
    proxy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="A proxy whose word about a request's sender is believed; may be repeated.",
            show_default=False,
        ),
    ] = None
    insecure_no_token: Annotated[
        bool,
        typer.Option("--insecure-no-token", help="Whoever is on this machine may ask."),
    ] = False

    @property
    def hosts(self) -> list[str]:
        """The names under which the service may be called."""
        return sorted({self.host, "127.0.0.1", "localhost"})

    def token(self, variable: str) -> str | None:
        """What callers must send, from the environment; None where the user wants none.

        UsageError where neither was said, or a service without a token would be open to others.
        """
        token = os.environ.get(variable)
        if token and self.insecure_no_token:
            raise UsageError("--insecure-no-token", f"{variable} is set too", "drop one of them")
        if not (token or self.insecure_no_token):
            advice = f"set {variable}, or say --insecure-no-token on a machine of your own"
            raise UsageError("token", "whoever reaches the service could use it", advice)
        if not token and not _is_loopback(self.host):
            problem = f"{self.host} can be reached from other machines"
            raise UsageError("--insecure-no-token", problem, f"set {variable}")
        return token


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def bundled(verb: Callable) -> Callable:
    """``verb`` as Typer sees it: each option class is replaced by its fields, nested ones too."""
    hints = get_type_hints(verb).items()
    kinds = {name: hint for name, hint in hints if isinstance(hint, type) and is_dataclass(hint)}
    options = []
    for name, parameter in inspect.signature(verb).parameters.items():
        if name in kinds:
            options += _options(kinds[name])
        else:
            options.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(verb)
    def call(**values):
        for name, kind in kinds.items():
            values[name] = _filled(kind, values)
        return verb(**values)

    # What inspect and Typer look for; functools' own type does not know it.
    call.__signature__ = inspect.Signature(options)  # pyright: ignore[reportAttributeAccessIssue]
    call.__annotations__ = {option.name: option.annotation for option in options}
    return call


def _options(kind: type) -> list[inspect.Parameter]:
    hints, options = get_type_hints(kind, include_extras=True), []
    for item in fields(kind):
        hint = hints[item.name]
        if isinstance(hint, type) and is_dataclass(hint):
            options += _options(hint)
            continue
        default = inspect.Parameter.empty if item.default is MISSING else item.default
        kept = inspect.Parameter.KEYWORD_ONLY
        options.append(inspect.Parameter(item.name, kept, default=default, annotation=hint))
    return options


def _filled(kind: type, values: dict) -> object:
    """An option class with its values, which are taken out of ``values``."""
    hints = get_type_hints(kind)
    return kind(
        **{
            item.name: _filled(hints[item.name], values)
            if is_dataclass(hints[item.name])
            else values.pop(item.name)
            for item in fields(kind)
        }
    )
