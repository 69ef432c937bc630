"""The HTTP service for devices: enroll, verify, identify, health. Captures are measured and
forgotten."""

import os
from collections.abc import Sequence
from hmac import compare_digest
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, FastAPI, File, Form, Header, HTTPException, Request, UploadFile
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from ppg_auth import system
from ppg_auth.decide.decision import Decision, Outcome
from ppg_auth.decide.enrolment import Registry
from ppg_auth.decide.verification import Verifier
from ppg_auth.store.names import check_name
from ppg_auth.store.record import NameTakenError, ThrottledError
from vitrail.serve import Desk, Limits, make_app, received, serve

if TYPE_CHECKING:
    from ppg_auth.job import PulseJob
    from ppg_auth.result import Capture

TOKEN_VARIABLE, ENROL_VARIABLE = "PPG_AUTH_TOKEN", "PPG_AUTH_ENROL_TOKEN"
SUFFIXES = {".csv", ".gif", ".mkv", ".mov", ".mp4", ".parquet", ".webm"}
MAX_CAPTURES = 10

PREFACE = """# The HTTP service of ppg-auth

`ppg-auth serve` answers on `http://127.0.0.1:8417`; it needs `vitrail-ppg-auth[serve]`. The
passphrase comes as for every subcommand. Where `PPG_AUTH_TOKEN` is set, each request must carry
`Authorization: Bearer TOKEN`. Enrolling is a role of its own: it needs `Enrol-Token: TOKEN` with
that of `PPG_AUTH_ENROL_TOKEN`, and is refused where none is set. Beyond one machine, put a proxy
with TLS in front.

```
F='-F captures=@1.csv -F captures=@2.csv -F captures=@3.csv'
E="Enrol-Token: $PPG_AUTH_ENROL_TOKEN"
curl -H "$E" -F name=ann -F consent=true $F http://127.0.0.1:8417/enroll
curl -F name=ann -F capture=@now.csv http://127.0.0.1:8417/verify
```

Limits: 64 MiB per request, 512 MiB of all that arrive at the same time, 10 s for a request's head
and 30 s for its body to arrive, 20 s to decode a video, 60 requests per minute from one client, 10
captures per enrolment, four requests worked on at once and 12 more that wait for up to 20 s. Pages
of another origin may not ask. Captures are measured in a temporary folder and forgotten; the
network looks at the windows of several clients together.

Failures slow down the person who was claimed, the client that sent them (its address), and, when
they are very many, everybody: each for minutes at most. An enrolment of one who looks like somebody
counts as a failure.

Errors are JSON, `{"detail": "…"}`: 400 the capture cannot be used, 401 no or a wrong token, 403 no
consent, not the enrol role, or a page of another origin, 408 too slow, 409 the name is taken, 413
too large, 415 not a known kind of file, 422 a field is missing or wrong, 429 too many requests or
failures, 503 too busy. `/openapi.json` holds the schema that this page is made from.
"""

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


_THROTTLED: dict[int | str, dict[str, Any]] = {
    429: {"model": Verdict, "description": "Too many failures, or too many requests"}
}


def pulse_app(
    verifier: Verifier | None,
    desk: Desk | None,
    *,
    hosts: Sequence[str],
    token: str | None,
    enrol_token: str | None = None,
    limits: Limits = Limits(),
) -> FastAPI:
    """The application; ``hosts`` are the names under which it may be called. Nobody is enrolled
    without ``enrol_token``."""
    description = (
        "Enrol people by their fingertip pulse and verify them. One factor of several, never alone."
    )
    app = make_app(
        "ppg-auth", system.version, description, desk, hosts=hosts, token=token, limits=limits
    )

    @app.exception_handler(NameTakenError)
    def taken(_: Request, error: NameTakenError) -> JSONResponse:
        return JSONResponse({"detail": error.reason}, 409)

    @app.exception_handler(ThrottledError)
    def throttled(_: Request, error: ThrottledError) -> JSONResponse:
        return JSONResponse({"detail": error.reason}, 429, _later(error.wait))

    def may_enrol(enrol_token_: Annotated[str, Header(alias="Enrol-Token")] = "") -> None:
        if not enrol_token or not compare_digest(enrol_token_.encode(), enrol_token.encode()):
            raise HTTPException(403, "enrolling needs the Enrol-Token of its role")

    @app.post(
        "/enroll",
        status_code=201,
        summary="Enrol a person who agreed",
        dependencies=[Depends(may_enrol)],
    )
    def enroll(
        request: Request,
        name: Name,
        captures: Annotated[
            list[UploadFile], File(description="20 s together; best three placements")
        ],
        consent: Annotated[bool, Form(description="The person has agreed; must be true")],
    ) -> Enrolled:
        check_name(name)
        if not consent:
            raise HTTPException(403, "nobody is enrolled who has not agreed")
        if len(captures) > MAX_CAPTURES:
            raise HTTPException(413, f"more than {MAX_CAPTURES} captures")
        assert verifier is not None and desk is not None
        with desk.place():
            taken = [_capture(desk, file) for file in captures]
            found = Registry(verifier).enroll(name, taken, _client(request))
            return Enrolled(**found.to_dict())

    @app.post(
        "/verify",
        summary="Whether a capture is of the person",
        response_model=Verdict,
        responses=_THROTTLED,
    )
    def verify(request: Request, name: Name, capture: CaptureFile) -> Verdict | JSONResponse:
        assert verifier is not None and desk is not None
        with desk.place():
            found = _capture(desk, capture)
            return _answer(verifier.verify(name, found, _client(request)))

    @app.post(
        "/identify", summary="Whose capture it is", response_model=Verdict, responses=_THROTTLED
    )
    def identify(request: Request, capture: CaptureFile) -> Verdict | JSONResponse:
        assert verifier is not None and desk is not None
        with desk.place():
            return _answer(verifier.identify(_capture(desk, capture), _client(request)))

    return app


def schema() -> dict:
    """The OpenAPI schema of the service, without a store or a network behind it."""
    return pulse_app(None, None, hosts=["localhost"], token=None).openapi()


def run(verifier: Verifier, job: "PulseJob", *, host: str, port: int) -> None:
    """Serves until interrupted; a token in ``PPG_AUTH_TOKEN`` is asked of every caller, one in
    ``PPG_AUTH_ENROL_TOKEN`` of who enrols."""
    desk = Desk(job)
    hosts = sorted({host, "127.0.0.1", "localhost"})
    token, enrol_token = map(os.environ.get, (TOKEN_VARIABLE, ENROL_VARIABLE))
    app = pulse_app(verifier, desk, hosts=hosts, token=token, enrol_token=enrol_token)
    serve(app, desk, host=host, port=port)


def _answer(decision: Decision) -> Verdict | JSONResponse:
    verdict = Verdict(**decision.to_dict())
    if decision.outcome is not Outcome.THROTTLED:
        return verdict
    return JSONResponse(verdict.model_dump(mode="json"), 429, _later(verdict.wait))


def _later(wait: float | None) -> dict[str, str]:
    return {} if wait is None else {"Retry-After": str(int(wait) + 1)}


def _client(request: Request) -> str:
    """Whose failures these would be: the address that the server saw."""
    return request.client.host if request.client else "unknown"


def _capture(desk: Desk, file: UploadFile) -> "Capture":
    with received(file, SUFFIXES) as source:
        return desk.run(source)
