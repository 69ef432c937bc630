"""Any system's job over HTTP: a file in, its row out."""

import time
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import FastAPI, File, UploadFile

from vitrail.answers import row_of
from vitrail.errors import MAX_SUBJECT, one_line
from vitrail.serve.app import make_app
from vitrail.serve.desk import Desk
from vitrail.serve.guard import Limits
from vitrail.serve.uploads import received
from vitrail.system import System

TOKEN_VARIABLE = "VITRAIL_TOKEN"

Upload = Annotated[UploadFile, File(description="What the command takes as its source")]


def job_app(
    system: System,
    desk: Desk | None,
    *,
    hosts: Sequence[str],
    token: str | None = None,
    limits: Limits = Limits(),
) -> FastAPI:
    """The application; ``POST /predict`` answers with the row that the command would print."""
    app = make_app(
        system.name,
        system.version,
        system.summary,
        desk,
        hosts=hosts,
        token=token,
        limits=limits,
    )

    @app.post("/predict", summary="What comes of a file")
    def predict(file: Upload) -> dict[str, Any]:
        assert desk is not None  # where somebody calls
        started = time.perf_counter()
        with desk.place(), received(file) as source:
            name = one_line(file.filename or source.name, MAX_SUBJECT)
            named = {"source": name, "sha256": source.fingerprint}
            result = desk.run(source)
            seconds = time.perf_counter() - started
            return row_of(desk.job, named, result.damage, seconds, result.to_dict())

    return app
