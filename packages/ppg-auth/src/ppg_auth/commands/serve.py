"""The verb that serves HTTP."""

from typing import Annotated

import typer

from ppg_auth.commands.options import DecisionOptions, ModelOptions, StoreOptions
from vitrail.options import Debug, bundled

DECODING = 20.0  # seconds of one upload


@bundled
def serve(
    store: StoreOptions,
    model: ModelOptions,
    decision: DecisionOptions,
    host: Annotated[
        str,
        typer.Option(help="Where to listen; beyond this machine put a proxy with TLS in front."),
    ] = ("127.0.0.1"),
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8417,
    debug: Debug = False,
) -> None:
    """Answer over HTTP.

    POST /enroll, /verify, /identify; GET /health; docs/ppg-auth-api.md describes them. Where
    PPG_AUTH_TOKEN is set, callers must send it as their bearer token.
    """
    from ppg_auth.service import run

    opened, job = store.open(create=True), model.load(patience=DECODING)
    run(decision.verifier(opened, job), job, host=host, port=port)
