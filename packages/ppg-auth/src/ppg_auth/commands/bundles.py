"""Options that several verbs share, bundled: a parameter of an option class becomes that class's
options."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_type_hints

import typer

from vitrail.options import Device, DeviceOption, EngineName, EngineOption

if TYPE_CHECKING:
    from ppg_auth.pipeline import PulsePipeline
    from ppg_auth.store import Store
    from ppg_auth.verification import Verifier

DEFAULT_STORE = "~/.local/share/ppg-auth/people.db"


@dataclass(frozen=True)
class StoreOptions:
    """Which store, and how it is opened."""

    store: Annotated[
        str,
        typer.Option(
            metavar="FILE|URL",
            envvar="PPG_AUTH_STORE",
            help="Who is enrolled: a file or postgresql://…",
        ),
    ] = DEFAULT_STORE
    keys: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|URL",
            envvar="PPG_AUTH_KEYS",
            help="Their keys (default: beside the store).",
            show_default=False,
        ),
    ] = None
    key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Holds the passphrase, if PPG_AUTH_PASSPHRASE does not.",
            show_default=False,
        ),
    ] = None
    keyring: Annotated[
        bool, typer.Option("--keyring", help="The system's key store holds the passphrase.")
    ] = False

    def open(self, *, create: bool = False) -> "Store":
        """Opens the store, or makes it where ``create`` allows it and there is none."""
        from ppg_auth.passphrase import find_passphrase
        from ppg_auth.store import is_there, open_store

        new = create and not is_there(self.store)
        passphrase = find_passphrase(
            self.store, key_file=self.key_file, keyring=self.keyring, new=new
        )
        return open_store(self.store, self.keys, passphrase, create=new)


@dataclass(frozen=True)
class ModelOptions:
    """Which network reads the recordings, and how."""

    weights: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE", help="Other weights than the bundled ones.", show_default=False
        ),
    ] = None
    sample_rate: Annotated[
        float | None,
        typer.Option(
            metavar="HZ", min=1, help="Of files that have no time column.", show_default=False
        ),
    ] = None
    device: DeviceOption = Device.auto
    engine: EngineOption = (
        EngineName.eager
    )  # measuring them all would take longer than thousands of captures

    def load(self, **options) -> "PulsePipeline":
        from ppg_auth.pipeline import load

        where = {"engine": self.engine.value, "device": self.device.value}
        return load(self.weights, sample_rate=self.sample_rate, **where, **options)


@dataclass(frozen=True)
class DecisionOptions:
    """How strictly attempts are judged."""

    fmr: Annotated[
        float,
        typer.Option(
            metavar="RATE",
            min=0.001,
            max=0.2,
            help="Wrong people meant to pass: 0.05 is one in twenty.",
        ),
    ] = 0.05
    lock_after: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="Failures in a row that lock a person out; 0: never."
        ),
    ] = 20

    def verifier(self, store: "Store", pipeline: "PulsePipeline") -> "Verifier":
        from ppg_auth.throttle import Policy
        from ppg_auth.verification import Model, Verifier

        network = pipeline.network
        model = Model(network.weights.sha256, network.impostors)
        return Verifier(store, model, fmr=self.fmr, policy=Policy(lock=self.lock_after or None))


def bundled(verb: Callable) -> Callable:
    """``verb`` as Typer sees it: each parameter of an option class becomes that class's fields,
    nested ones too."""
    kinds = {name: kind for name, kind in get_type_hints(verb).items() if is_dataclass(kind)}
    options = []
    for name, parameter in inspect.signature(verb).parameters.items():
        options += (
            _options(kinds[name])
            if name in kinds
            else [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
        )

    @wraps(verb)
    def call(**values):
        for name, kind in kinds.items():
            values[name] = _filled(kind, values)
        return verb(**values)

    call.__signature__ = inspect.Signature(options)
    call.__annotations__ = {option.name: option.annotation for option in options}
    return call


def _options(kind: type) -> list[inspect.Parameter]:
    hints, options = get_type_hints(kind, include_extras=True), []
    for item in fields(kind):
        default = inspect.Parameter.empty if item.default is MISSING else item.default
        option = inspect.Parameter(
            item.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[item.name]
        )
        options += _options(hints[item.name]) if is_dataclass(hints[item.name]) else [option]
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
