"""The HTTP service: decisions, limits, and nothing left behind."""

import json
import tempfile
from pathlib import Path
from typing import ClassVar

import pytest

pytest.importorskip("fastapi", reason="needs vitrail-ppg-auth[serve]")
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from made_people import capture, fake_model
from starlette.testclient import TestClient

from ppg_auth.commands.store import check_tokens
from ppg_auth.decide.challenge import LIFETIME, Challenges, signed_text
from ppg_auth.decide.verification import Verifier
from ppg_auth.service import PREFACE, pulse_app, schema
from ppg_auth.store.session import open_store
from vitrail.errors import InputError, UsageError
from vitrail.serve import Desk, Limits
from vitrail.serve.document import describe
from vitrail.sources import Source

ROOT = Path(__file__).parents[3]


ENROL, ADMIN = "the enrol role's", "the admin's"
ROLE = {"Authorization": f"Bearer {ENROL}"}


class NamedTakes:
    """A job without a network: a file that holds "person take" becomes that fake capture."""

    networks: ClassVar = {}

    def process(self, source: Source):
        try:
            person, take = map(int, source.path.read_text().split())
        except ValueError:
            raise InputError(source.path, "is no recording", "send another") from None
        yield from ()
        return capture(person, take, usable=take != 999, reasons=("noisy",) if take == 999 else ())


@pytest.fixture
def verifier(tmp_path) -> Verifier:
    return Verifier(
        open_store(str(tmp_path / "s.db"), None, b"long enough", create=True), fake_model()
    )


def client_of(
    verifier: Verifier, token: str | None = None, hide_scores: bool = False, **limits
) -> TestClient:
    app = pulse_app(
        verifier,
        Desk(NamedTakes()),
        hosts=["testserver"],
        token=token,
        roles={"enrol": ENROL, "admin": ADMIN},
        hide_scores=hide_scores,
        limits=Limits(**limits),
    )
    return TestClient(app)


@pytest.fixture
def client(verifier) -> TestClient:
    return with_alice(client_of(verifier))


def with_alice(client: TestClient) -> TestClient:
    files = [("captures", (f"{take}.csv", f"1 {take}")) for take in range(3)]
    answer = client.post(
        "/enroll", headers=ROLE, data={"name": "alice", "consent": "true"}, files=files
    )
    assert answer.status_code == 201, answer.text
    assert answer.json() == {"name": "alice", "windows": 24, "placements": 3, "lookalikes": []}
    return client


def show(client: TestClient, person: int, take: int, name: str | None = "alice", **data):
    data |= {} if name is None else {"name": name}
    return client.post(
        "/verify" if name else "/identify",
        data=data,
        files={"capture": ("x.csv", f"{person} {take}")},
    )


def test_verdicts(client):
    assert show(client, 1, 100).json()["verdict"] == "accepted"
    assert show(client, 2, 100).json()["verdict"] == "rejected"
    assert show(client, 1, 999).json() | {"score": None} == {
        "verdict": "inconclusive", "name": "alice", "reasons": ["noisy"], "score": None,
        "threshold": None, "wait": None, "challenge": None, "signature": None,
    }  # fmt: skip
    assert show(client, 1, 101, name="nobody").json()["verdict"] == "not enrolled"
    assert show(client, 1, 102, name=None).json()["name"] == "alice"
    assert show(client, 3, 102, name=None).json() | {"score": 0} == {
        "verdict": "rejected", "name": None, "reasons": [], "score": 0,
        "threshold": None, "wait": None, "challenge": None, "signature": None,
    }  # fmt: skip


def test_failures_are_throttled(client):
    for take in range(5):
        assert show(client, 2, take).status_code == 200
    answer = show(client, 1, 50)
    assert answer.status_code == 429 and answer.json()["verdict"] == "throttled"
    assert 0 < int(answer.headers["retry-after"]) <= 31


@pytest.mark.parametrize(
    ("data", "status"),
    [({"name": "alice", "consent": "true"}, 409), ({"name": "bob", "consent": "false"}, 403),
     ({"name": "bob"}, 422),
     ({"name": "a\nb", "consent": "true"}, 400), ({"name": "x" * 201, "consent": "true"}, 422)],
)  # fmt: skip
def test_enrolments_that_are_refused(client, data, status):
    files = [("captures", (f"{take}.csv", f"5 {take}")) for take in range(3)]
    answer = client.post("/enroll", headers=ROLE, data=data, files=files)
    assert answer.status_code == status and "Traceback" not in answer.text


def test_enrolling_is_a_role_of_its_own(client):
    files = [("captures", (f"{take}.csv", f"1 {take}")) for take in range(3)]
    data = {"name": "eve", "consent": "true"}
    for given in ("", "Bearer wrong", ENROL, f"Bearer {ADMIN}"):
        headers = {"Authorization": given}
        answer = client.post("/enroll", headers=headers, data=data, files=files)
        assert answer.status_code == 403 and "alice" not in answer.text
    assert client.post("/enroll", headers=ROLE, data=data, files=files).json()["lookalikes"]


def test_files_that_are_refused_leave_nothing(client, tmp_path, monkeypatch):
    folder = tmp_path / "uploads"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    for name, content, status in [
        ("x.csv", b"no recording", 400),
        ("../../etc/passwd", b"1 1", 415),
        ("../../escape.csv", b"1 700", 200),
        ("x" * 5000 + ".csv", b"1 701", 400),
        ("noending", b"1 1", 415),
    ]:
        answer = client.post("/verify", data={"name": "alice"}, files={"capture": (name, content)})
        assert answer.status_code == status, (name[:20], answer.text)
    assert list(folder.iterdir()) == [] and not list(tmp_path.glob("**/escape*"))


def test_a_request_that_is_too_large_is_not_read(verifier):
    client = client_of(verifier, max_bytes=1000)
    answer = client.post(
        "/verify", data={"name": "alice"}, files={"capture": ("x.csv", b"1" * 2000)}
    )
    assert answer.status_code == 413

    def chunks():
        yield from [b"x" * 600] * 3

    assert (
        client.post(
            "/verify", content=chunks(), headers={"content-type": "multipart/form-data"}
        ).status_code
        == 413
    )


def test_a_client_that_asks_too_often(verifier):
    client = client_of(verifier, max_requests=3)
    statuses = [client.get("/health").status_code for _ in range(6)]
    assert statuses.count(429) >= 2


def test_a_token_is_asked_of_everyone(verifier):
    client = client_of(verifier, token="secret")
    assert client.get("/health").status_code == 401
    assert client.get("/health", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert (
        client.get("/health", headers={"Authorization": "Bearer secret"}).json()["status"] == "ok"
    )


def as_role(client: TestClient, path: str, token: str, name: str = "alice") -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return client.post(path, headers=headers, data={"name": name}).status_code


def test_unlocking_and_deleting_are_the_admins(verifier):
    client = with_alice(client_of(verifier, max_guesses=100))
    for take in range(5):
        show(client, 2, take)
    assert show(client, 1, 50).status_code == 429
    for path in ("/unlock", "/delete"):
        assert as_role(client, path, ENROL) == as_role(client, path, "wrong") == 403
        assert as_role(client, path, ADMIN, "nobody") == 404
    assert as_role(client, "/unlock", ADMIN) == 200
    assert show(client, 1, 51).json()["verdict"] == "accepted"
    assert as_role(client, "/delete", ADMIN) == 200
    assert show(client, 1, 52).json()["verdict"] == "not enrolled"


def test_an_answer_to_a_challenge_is_signed_and_serves_once(verifier):
    client = with_alice(client_of(verifier))
    given = client.post("/challenge").json()
    answer = show(client, 1, 100, challenge=given["challenge"]).json()
    assert answer["verdict"] == "accepted" and answer["challenge"] == given["challenge"]
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(given["public_key"]))
    signature = bytes.fromhex(answer.pop("signature"))
    key.verify(signature, json.dumps(answer, sort_keys=True, separators=(",", ":")).encode())
    with pytest.raises(InvalidSignature):
        key.verify(signature, signed_text(answer | {"challenge": "another"}))
    with pytest.raises(InvalidSignature):
        key.verify(signature, signed_text(answer | {"name": "mallory"}))
    again = show(client, 1, 101, challenge=given["challenge"])
    assert again.status_code == 400 and "used or too old" in again.text
    assert show(client, 1, 102, challenge="ab" * 16).status_code == 400


def test_a_challenge_grows_old(verifier):
    now = [1000.0]
    challenges = Challenges(verifier.store.master, lambda: now[0])
    early, late = challenges.new(), challenges.new()
    now[0] += LIFETIME
    challenges.take(early)
    now[0] += 1
    with pytest.raises(InputError, match="too old"):
        challenges.take(late)
    other = Challenges(verifier.store.master, lambda: now[0])
    assert challenges.public_key == other.public_key, "the store's, whoever serves it"


def test_scores_can_be_kept_back(verifier):
    client = with_alice(client_of(verifier, hide_scores=True))
    answer = show(client, 1, 100).json()
    assert answer["verdict"] == "accepted" and answer["score"] is answer["threshold"] is None


def test_two_roles_never_share_a_token():
    check_tokens(["one", None, "two"])
    with pytest.raises(UsageError, match="two roles have the same one"):
        check_tokens(["one", "two", "one"])


def test_another_host_name_is_refused(client):
    assert client.get("/health", headers={"Host": "evil.example"}).status_code == 400
    assert client.get("/docs").status_code == 404  # it would load scripts from elsewhere


def test_the_page_about_the_service_is_made_from_its_schema():
    assert (ROOT / "docs" / "ppg-auth-api.md").read_text() == describe(schema(), PREFACE)
