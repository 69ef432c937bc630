"""The HTTP service for devices: enroll, verify, identify, health; unlock and delete. Captures are
measured and forgotten."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, FastAPI, File, Form, HTTPException, Request, UploadFile
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from ppg_auth import system
from ppg_auth.decide.challenge import LIFETIME, Challenges
from ppg_auth.decide.decision import Decision, Outcome
from ppg_auth.decide.enrolment import Registry
from ppg_auth.decide.roster import Roster
from ppg_auth.decide.verification import Verifier
from ppg_auth.store.names import check_name
from ppg_auth.store.record import NameTakenError, ThrottledError
from vitrail.errors import UsageError
from vitrail.options import Serving
from vitrail.serve import Desk, Limits, make_app, needs_role, received, serve

if TYPE_CHECKING:
    from ppg_auth.job import PulseJob
    from ppg_auth.result import Capture

TOKEN_VARIABLE = "PPG_AUTH_TOKEN"
ENROL, ADMIN = "enrol", "admin"
ROLES = {ENROL: "PPG_AUTH_ENROL_TOKEN", ADMIN: "PPG_AUTH_ADMIN_TOKEN"}
SUFFIXES = {".csv", ".gif", ".mkv", ".mov", ".mp4", ".parquet", ".webm"}
MAX_CAPTURES = 10

PREFACE = """# The HTTP service of ppg-auth

`ppg-auth serve` answers on `http://127.0.0.1:8417`; it needs `vitrail-ppg-auth[serve]`. The
passphrase comes as for every subcommand. Each request carries `Authorization: Bearer TOKEN` with
the token of `PPG_AUTH_TOKEN`; without one the service starts only with `--insecure-no-token`, for
this machine alone. Enrolling is a role of its own, which has the token of `PPG_AUTH_ENROL_TOKEN`;
unlocking and deleting another, with that of `PPG_AUTH_ADMIN_TOKEN`; where none is set, nobody may.
Beyond one machine, put a proxy with TLS in front, and name it with `--proxy`, so that its clients
are told apart.

```
A="Authorization: Bearer"
F='-F captures=@1.csv -F captures=@2.csv -F captures=@3.csv'
S=http://127.0.0.1:8417
curl -H "$A $PPG_AUTH_ENROL_TOKEN" -F name=ann -F consent=true $F $S/enroll
curl -H "$A $PPG_AUTH_TOKEN" -F name=ann -F capture=@now.csv $S/verify
curl -H "$A $PPG_AUTH_ADMIN_TOKEN" -F name=ann $S/unlock
```

Who passes an answer on to somebody else asks for a challenge first (`POST /challenge`) and sends
it with the capture. It serves once and for two minutes; the answer repeats it and is signed with
the store's key (Ed25519, `signature` in hex, over the answer's other fields as JSON with sorted
keys and no blanks), so that no earlier answer can be shown in its place. `--hide-scores` leaves
scores and thresholds out of answers.

Limits: 64 MiB per request, 512 MiB of all that arrive at the same time, 10 s for a request's head
and 30 s for its body to arrive, 20 s to decode a video, 60 requests and five wrong tokens per
minute from one client, 10 captures per enrolment, four requests worked on at once and 12 more that
wait for up to 20 s. Pages of another origin may not ask. Captures are measured in a temporary
folder and forgotten; the network looks at the windows of several clients together.

Failures slow down the person who was claimed, the client that sent them (its address), and, when
they are very many, everybody: each for minutes at most. An enrolment of one who looks like somebody
counts as a failure.

Errors are JSON, `{"detail": "…"}`: 400 the capture cannot be used, 401 no or a wrong token, 403 no
consent, not the role, or a page of another origin, 404 nobody of that name, 408 too slow, 409 the
name is taken, 413 too large, 415 not a known kind of file, 422 a field is missing or wrong, 429 too
many requests, wrong tokens or failures, 503 too busy. `/openapi.json` holds the schema that this
page is made from.
"""

Name = Annotated[str, Form(description="Under which the person is enrolled", max_length=200)]
CaptureFile = Annotated[
    UploadFile, File(description="A recording (CSV, Parquet) or a fingertip video (MP4, MOV, …)")
]
Challenge = Annotated[str | None, Form(description="From /challenge, to be signed")]


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
    challenge: str | None = Field(None, description="As it was sent")
    signature: str | None = Field(None, description="Ed25519, of the other fields; hex")


class Enrolled(BaseModel):
    """What came of an enrolment."""

    name: str = Field(description="Under which the person is enrolled")
    windows: int = Field(description="Good windows of five seconds")
    placements: int = Field(description="Captures that the template is made of")
    lookalikes: list[str] = Field(description="People enrolled before whom the new one matches")


class Given(BaseModel):
    """A challenge, and what answers to it are checked with."""

    challenge: str = Field(description="Serves once")
    seconds: float = Field(description="For so long")
    public_key: str = Field(description="Of the store's signatures: Ed25519, raw, hex")


class Changed(BaseModel):
    """What became of a person."""

    name: str = Field(description="Under which the person is enrolled")
    state: str = Field(description="unlocked or deleted")


_THROTTLED: dict[int | str, dict[str, Any]] = {
    429: {"model": Verdict, "description": "Too many failures, or too many requests"}
}


def pulse_app(
    verifier: Verifier | None,
    desk: Desk | None,
    *,
    hosts: Sequence[str],
    token: str | None,
    roles: Mapping[str, str] | None = None,
    hide_scores: bool = False,
    limits: Limits = Limits(),
) -> FastAPI:
    """The application; ``hosts`` are the names under which it may be called. ``roles`` are the
    tokens of who may enrol and of who may unlock and delete; without them nobody may."""
    description = (
        "Enrol people by their fingertip pulse and verify them. One factor of several, never alone."
    )
    app = make_app(
        "ppg-auth",
        system.version,
        description,
        desk,
        hosts=hosts,
        token=token,
        roles=roles,
        limits=limits,
    )
    challenges = Challenges(verifier.store.master, verifier.clock) if verifier else None

    @app.exception_handler(NameTakenError)
    def taken(_: Request, error: NameTakenError) -> JSONResponse:
        return JSONResponse({"detail": error.reason}, 409)

    @app.exception_handler(ThrottledError)
    def throttled(_: Request, error: ThrottledError) -> JSONResponse:
        return JSONResponse({"detail": error.reason}, 429, _later(error.wait))

    @app.post(
        "/enroll",
        status_code=201,
        summary="Enrol a person who agreed",
        dependencies=[Depends(needs_role(ENROL))],
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

    def answer(
        capture: UploadFile, challenge: str | None, judge: Callable[["Capture"], Decision]
    ) -> Verdict | JSONResponse:
        assert challenges is not None and desk is not None
        if challenge is not None:
            challenges.take(challenge)
        with desk.place():
            decision = judge(_capture(desk, capture))
        if hide_scores:
            decision = replace(decision, score=None, threshold=None)
        verdict = Verdict(**decision.to_dict(), challenge=challenge)
        if challenge is not None:
            signed = challenges.sign(verdict.model_dump(mode="json"))
            verdict = verdict.model_copy(update={"signature": signed})
        if decision.outcome is not Outcome.THROTTLED:
            return verdict
        return JSONResponse(verdict.model_dump(mode="json"), 429, _later(verdict.wait))

    @app.post("/challenge", summary="A number that an answer will be signed with")
    def challenge() -> Given:
        assert challenges is not None
        return Given(challenge=challenges.new(), seconds=LIFETIME, public_key=challenges.public_key)

    @app.post(
        "/verify",
        summary="Whether a capture is of the person",
        response_model=Verdict,
        responses=_THROTTLED,
    )
    def verify(
        request: Request, name: Name, capture: CaptureFile, challenge: Challenge = None
    ) -> Verdict | JSONResponse:
        assert verifier is not None
        judge = partial(verifier.verify, name, client=_client(request))
        return answer(capture, challenge, judge)

    @app.post(
        "/identify", summary="Whose capture it is", response_model=Verdict, responses=_THROTTLED
    )
    def identify(
        request: Request, capture: CaptureFile, challenge: Challenge = None
    ) -> Verdict | JSONResponse:
        assert verifier is not None
        judge = partial(verifier.identify, client=_client(request))
        return answer(capture, challenge, judge)

    def change(name: str, state: str, act: Callable[[str], None]) -> Changed:
        try:
            act(name)
        except UsageError as error:
            raise HTTPException(404, error.reason) from None
        return Changed(name=name, state=state)

    admin = [Depends(needs_role(ADMIN))]

    @app.post("/unlock", summary="Forget a person's failures", dependencies=admin)
    def unlock(name: Name) -> Changed:
        assert verifier is not None
        return change(name, "unlocked", Roster(verifier.store, verifier.clock).unlock)

    @app.post("/delete", summary="Erase all of a person", dependencies=admin)
    def delete(name: Name) -> Changed:
        assert verifier is not None
        return change(name, "deleted", Roster(verifier.store, verifier.clock).delete)

    return app


def schema() -> dict:
    """The OpenAPI schema of the service, without a store or a network behind it."""
    return pulse_app(None, None, hosts=["localhost"], token=None).openapi()


def run(
    verifier: Verifier,
    job: "PulseJob",
    serving: Serving,
    token: str | None,
    roles: Mapping[str, str],
    *,
    hide_scores: bool = False,
) -> None:
    """Serves until interrupted."""
    desk = Desk(job)
    app = pulse_app(
        verifier, desk, hosts=serving.hosts, token=token, roles=roles, hide_scores=hide_scores
    )
    serve(app, desk, host=serving.host, port=serving.port, proxies=serving.proxy or ())


def _later(wait: float | None) -> dict[str, str]:
    return {} if wait is None else {"Retry-After": str(int(wait) + 1)}


def _client(request: Request) -> str:
    """Whose failures these would be: the address that the server saw."""
    return request.client.host if request.client else "unknown"


def _capture(desk: Desk, file: UploadFile) -> "Capture":
    with received(file, SUFFIXES) as source:
        return desk.run(source)
