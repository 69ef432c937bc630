"""Options that several subcommands share, bundled."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vitrail.options import Computing

if TYPE_CHECKING:
    from ppg_auth.decide.verification import Verifier
    from ppg_auth.job import PulseJob
    from ppg_auth.store.session import Store

Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="Under which the person is enrolled.", show_default=False),
]
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
        from ppg_auth.store.session import is_there, open_store

        new = create and not is_there(self.store)
        return open_store(self.store, self.keys, self.passphrase(new=new), create=new)

    def passphrase(self, *, new: bool = False) -> bytes:
        from ppg_auth.store.passphrase import find_passphrase

        return find_passphrase(self.store, key_file=self.key_file, keyring=self.keyring, new=new)


@dataclass(frozen=True)
class ModelOptions:
    """Which network reads the recordings, and how."""

    computing: Computing
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
    channel: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The pulse's column, where names do not tell; its number where there are none.",
            show_default=False,
        ),
    ] = None

    def load(self, **options) -> "PulseJob":
        from ppg_auth import load

        where = self.computing.to_dict()
        reading = {"sample_rate": self.sample_rate, "channel": self.channel}
        return load(self.weights, **reading, **where, **options)


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
            metavar="N",
            min=0,
            help="Failures in a row that lock a person until 'unlock'; 0: they only slow down.",
        ),
    ] = 0

    def verifier(self, store: "Store", job: "PulseJob") -> "Verifier":
        from ppg_auth.decide.verification import Model, Verifier
        from ppg_auth.store.record import Policy

        assert job.network.weights is not None
        model = Model(job.network.weights.sha256, job.network.checkpoint.impostors)
        return Verifier(store, model, fmr=self.fmr, policy=Policy(lock=self.lock_after or None))
