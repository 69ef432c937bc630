"""Kills, and a disk that is really full: what they leave of a store of ppg-auth.

    python benchmarks/ppg-auth-kills.py           100 kills
    python benchmarks/ppg-auth-kills.py --disk    and a file system of 4 MB (Linux, as root)

Each kill (SIGKILL) hits a command that enrols, verifies, renews, revokes or deletes, at a random
moment of its work on the store. After each the log must verify, the person who was enrolled before
be accepted, and the one who was being changed be as before or as after. Ends with status 1 where
anything is otherwise.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from ppg_auth import load
from ppg_auth.decide.decision import Outcome
from ppg_auth.decide.roster import Roster
from ppg_auth.decide.verification import Model, Verifier
from ppg_auth.store.session import open_store
from vitrail.errors import VitrailError

EXAMPLES = Path(__file__).parents[1] / "packages" / "ppg-auth" / "examples"
COMMAND = Path(sys.executable).with_name("ppg-auth")
PASSPHRASE = "correct horse battery staple"
ENROL_ANN = ("enroll", "ann", "ann.csv", "--consent")
ENROL_BOB = ("enroll", "bob", "bob.csv", "--consent")
KINDS = {  # what is cut off, and whether Bob was enrolled before
    "enroll": (ENROL_BOB, False),
    "verify": (("verify", "ann", "bob.csv"), True),
    "renew": (("renew", "bob", "bob.csv"), True),
    "revoke": (("revoke", "bob"), True),
    "delete": (("delete", "bob"), True),
}
KILLS = 20  # of each kind
SMALL_DISK = "4m"


def started(store: Path, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [COMMAND, *words, "--store", store],
        cwd=EXAMPLES,
        env=os.environ | {"PPG_AUTH_PASSPHRASE": PASSPHRASE, "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run(store: Path, *words: str) -> tuple[int, str]:
    process = started(store, *words)
    said = b"".join(process.communicate()).decode()
    return process.returncode, said.strip()


class Check:
    """Whether a store is as it must be, by a network that is loaded once."""

    def __init__(self) -> None:
        job = load()
        assert job.network.weights is not None
        self._model = Model(job.network.weights.sha256, job.network.checkpoint.impostors)
        self._ann = job.predict(EXAMPLES / "ann-later.csv")

    def faults(self, path: Path) -> list[str]:
        try:
            store = open_store(str(path), None, PASSPHRASE.encode())
            with store.session() as session:
                session.audit.verify()
            names = {person.record.name for person in Roster(store).people()}
            Roster(store).unlock_everyone()
            outcome = Verifier(store, self._model).verify("ann", self._ann).outcome
        except VitrailError as error:
            return [str(error)]
        found = [] if names in ({"ann"}, {"ann", "bob"}) else [f"people: {sorted(names)}"]
        return found if outcome is Outcome.ACCEPTED else [*found, f"ann: {outcome}"]


def prepared(folder: Path, *, bob: bool) -> Path:
    store = folder / "people.db"
    for words in (ENROL_ANN, *([ENROL_BOB] if bob else [])):
        status, said = run(store, *words)
        if status:
            raise SystemExit(said)
    return store


def kill_often(check: Check, rng: random.Random) -> Iterator[tuple[str, Counter[str]]]:
    for kind, (words, bob) in KINDS.items():
        counts: Counter[str] = Counter()
        with TemporaryDirectory() as folder:
            store = prepared(Path(folder), bob=bob)
            for _ in range(KILLS):
                with TemporaryDirectory() as place:
                    copy = Path(shutil.copytree(folder, place, dirs_exist_ok=True)) / store.name
                    process = started(copy, *words)
                    killed = kill_at_work(process, copy, rng)
                    counts["killed" if killed else "ended first"] += 1
                    for fault in check.faults(copy):
                        counts["faults"] += 1
                        print(f"  {kind}: {fault}")
        yield kind, counts


def kill_at_work(process: subprocess.Popen[bytes], store: Path, rng: random.Random) -> bool:
    """Kills a command within 30 ms of the first change of the store's files; whether it still
    ran."""
    before = touched(store)
    while process.poll() is None and touched(store) == before:
        time.sleep(0.0005)
    time.sleep(rng.uniform(0, 0.03))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


def touched(store: Path) -> list[tuple[str, int, int]]:
    files = sorted(store.parent.iterdir())
    return [(file.name, (stat := file.stat()).st_mtime_ns, stat.st_size) for file in files]


@contextmanager
def small_disk() -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", folder], check=True
        )
        try:
            yield Path(folder)
        finally:
            # Lazily: the store that was checked last may still be open in this process
            subprocess.run(["umount", "-l", folder], check=True)


def fill_disk(check: Check) -> Iterator[tuple[str, Counter[str]]]:
    """Each command on a store whose disk has not a byte left."""
    with small_disk() as folder:
        store = prepared(folder, bob=True)
        filler = folder / "filler"
        with suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(b"\0" * 1024)
                file.flush()
        for kind in KINDS:
            words = (
                ("enroll", "eve", "bob.csv", "--consent") if kind == "enroll" else KINDS[kind][0]
            )
            counts: Counter[str] = Counter()
            status, said = run(store, *words)
            counts["refused" if status == 1 and "Traceback" not in said else "went through"] += 1
            print(f"  full disk, {kind}: {said.splitlines()[-1] if said else status}")
            yield f"full disk, {kind}", counts
        filler.unlink()
        faults = check.faults(store)
        print(*(f"  full disk: {fault}" for fault in faults), sep="\n")
        yield "after the disk has room again", Counter(faults=len(faults))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--disk", action="store_true", help="also on a small file system")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    check, bad = Check(), 0
    print("| command | killed | ended first | refused | faults |\n| --- | --- | --- | --- | --- |")
    works = [kill_often(check, random.Random(arguments.seed))]
    if arguments.disk:
        works.append(fill_disk(check))
    for work in works:
        for kind, counts in work:
            cells = (counts[name] for name in ("killed", "ended first", "refused", "faults"))
            print(f"| {kind} | " + " | ".join(map(str, cells)) + " |")
            bad += counts["faults"] + counts["went through"]
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
