"""The HTTP service for devices: enroll, verify, identify, health. Captures are measured and
forgotten."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Annotated

from fastapi import FastAPI, File, Form, HTTPException, UploadFile
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from ppg_auth import system
from ppg_auth.decision import Decision, Outcome
from ppg_auth.enrolment import Registry
from ppg_auth.names import NameTakenError, check_name
from ppg_auth.service_limits import Limits
from ppg_auth.verification import Verifier
from vitrail.errors import VitrailError

if TYPE_CHECKING:
    from ppg_auth.capture import Capture
    from ppg_auth.pipeline import PulsePipeline

TOKEN_VARIABLE = "PPG_AUTH_TOKEN"
SUFFIXES = {".csv", ".gif", ".mkv", ".mov", ".mp4", ".parquet", ".webm"}
MOST_CAPTURES = 10
AT_ONCE = 4

Name = Annotated[str, Form(description="Under which the person is enrolled", max_length=200)]
CaptureFile = Annotated[
    UploadFile, File(description="A recording (CSV, Parquet) or a fingertip video (MP4, MOV, …)")
]


class Verdict(BaseModel):
    """What a capture was found to be."""

    verdict: Outcome = Field(description="What was decided")
    name: str | None = Field(description="Whose pulse it is, or claimed to be")
    reasons: list[str] = Field(description="Codes of what was wrong with the capture")
    score: float | None = Field(
        description="Standard deviations above other people, in steps of 0.01"
    )
    threshold: float | None = Field(description="From which score on a capture is accepted")
    wait: float | None = Field(
        None, description="Seconds until the next attempt when throttled; null when locked"
    )


class Enrolled(BaseModel):
    """What came of an enrolment."""

    name: str = Field(description="Under which the person is enrolled")
    windows: int = Field(description="Good windows of five seconds")
    placements: int = Field(description="Captures that the template is made of")
    lookalikes: list[str] = Field(description="People enrolled before whom the new one matches")


class Health(BaseModel):
    """That the service works, and with what."""

    status: str = Field(description="ok")
    version: str = Field(description="Of ppg-auth")
    weights: str = Field(description="sha256 of the network's weights")


_THROTTLED = {429: {"model": Verdict, "description": "Too many failures, or too many requests"}}


def make_app(
    verifier: Verifier | None,
    pipeline: "PulsePipeline | None",
    *,
    hosts: Sequence[str],
    token: str | None,
) -> FastAPI:
    """The application; ``hosts`` are the names under which it may be called."""
    app = FastAPI(
        title="ppg-auth",
        version=system.version,
        description="Enrol people by their fingertip pulse and verify them. One factor of several, never alone.",
        docs_url=None,  # they would load scripts from elsewhere
        redoc_url=None,
    )
    busy = BoundedSemaphore(AT_ONCE)

    @app.exception_handler(VitrailError)
    def refuse(_, error: VitrailError) -> JSONResponse:
        return JSONResponse(
            {"detail": error.reason}, 409 if isinstance(error, NameTakenError) else 400
        )

    @app.get("/health", summary="Whether the service works")
    def health() -> Health:
        return Health(status="ok", version=system.version, weights=verifier.model.sha256)

    @app.post("/enroll", status_code=201, summary="Enrol a person who agreed")
    def enroll(
        name: Name,
        captures: Annotated[
            list[UploadFile], File(description="20 s together; best three placements")
        ],
        consent: Annotated[bool, Form(description="The person has agreed; must be true")],
    ) -> Enrolled:
        check_name(name)
        if not consent:
            raise HTTPException(403, "nobody is enrolled who has not agreed")
        if len(captures) > MOST_CAPTURES:
            raise HTTPException(413, f"more than {MOST_CAPTURES} captures")
        with _slot(busy):
            enrolment = Registry(verifier).enroll(
                name, [_capture(pipeline, file) for file in captures]
            )
        return Enrolled(**enrolment.to_dict())

    @app.post("/verify", summary="Whether a capture is of the person", responses=_THROTTLED)
    def verify(name: Name, capture: CaptureFile) -> Verdict:
        with _slot(busy):
            return _answer(verifier.verify(name, _capture(pipeline, capture)))

    @app.post("/identify", summary="Whose capture it is", responses=_THROTTLED)
    def identify(capture: CaptureFile) -> Verdict:
        with _slot(busy):
            return _answer(verifier.identify(_capture(pipeline, capture)))

    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    app.add_middleware(Limits, token=token)
    return app


def schema() -> dict:
    """The OpenAPI schema of the service, without a store or a network behind it."""
    return make_app(None, None, hosts=["localhost"], token=None).openapi()


def run(verifier: Verifier, pipeline: "PulsePipeline", *, host: str, port: int) -> None:
    """Serves until interrupted; a token in ``PPG_AUTH_TOKEN`` is asked of every caller."""
    import uvicorn

    hosts = {host, "127.0.0.1", "localhost"}
    app = make_app(verifier, pipeline, hosts=sorted(hosts), token=os.environ.get(TOKEN_VARIABLE))
    uvicorn.run(
        app, host=host, port=port, timeout_keep_alive=5, limit_concurrency=16, server_header=False
    )


def _answer(decision: Decision) -> Verdict | JSONResponse:
    verdict = Verdict(**decision.to_dict())
    if decision.outcome is not Outcome.THROTTLED:
        return verdict
    later = {} if verdict.wait is None else {"Retry-After": str(int(verdict.wait) + 1)}
    return JSONResponse(verdict.model_dump(mode="json"), 429, later)


@contextmanager
def _slot(busy: BoundedSemaphore) -> Iterator[None]:
    """One of the few captures that are worked on at once; 503 where all are taken for long."""
    if not busy.acquire(timeout=20):
        raise HTTPException(503, "too many captures at once, try again", {"Retry-After": "5"})
    try:
        yield
    finally:
        busy.release()


def _capture(pipeline: "PulsePipeline", file: UploadFile) -> "Capture":
    """Measures an upload, of whose name nothing but a known ending is used."""
    suffix = Path(file.filename or "").suffix.lower()
    if suffix not in SUFFIXES:
        raise HTTPException(415, f"send one of {', '.join(sorted(SUFFIXES))}")
    with tempfile.TemporaryDirectory(prefix="ppg-auth-") as folder:
        path = Path(folder) / f"capture{suffix}"
        path.write_bytes(file.file.read())
        return pipeline.capture(path)
