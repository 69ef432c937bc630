"""Speed of ppg-auth: the search for a person, a whole verification, the wavelet transform.

    python benchmarks/ppg-auth.py

CPU seconds of one thread, the fastest of three runs. Enrolled people are made up (random templates
and keys of their own); the capture that is verified is the example that the package brings.
"""

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pywt
import torch

from ppg_auth import load
from ppg_auth.decide.decision import Impostors
from ppg_auth.decide.enrolment import Registry
from ppg_auth.decide.gallery import Gallery, protected_cosine
from ppg_auth.decide.verification import Model, Verifier
from ppg_auth.signal.reading import read_recording
from ppg_auth.store.people import Person
from ppg_auth.store.record import Attempts, Record
from ppg_auth.store.session import open_store
from ppg_auth.store.template import expand_key
from vitrail.bench import cpu_seconds
from vitrail.preprocess.cwt import cwt
from vitrail.preprocess.wavelets import Wavelet

EXAMPLES = Path(__file__).parents[1] / "packages" / "ppg-auth" / "examples"
ENROLLED = (1_000, 10_000, 100_000)
ONE_BY_ONE = 1_000
REPEATS = 3
CAPTURE = 10.1  # seconds: three windows of five, half overlapping


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of the fastest of some runs."""
    return cpu_seconds(work, REPEATS)


def print_table(title: str, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    lines = [list(header), *rows]
    lines.insert(1, ["---"] * len(lines[0]))
    print(f"\n{title}\n")
    for line in lines:
        print(
            "| "
            + " | ".join(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in line)
            + " |"
        )


def strangers(number: int, model: Model) -> list[Person]:
    """People with templates of three placements that nobody has."""
    bits = np.random.default_rng(0).integers(0, 256, (number, 3, 64), np.uint8)
    people = []
    for place in range(number):
        record = Record(f"person {place}", model.sha256, bits[place], 1, 0.0, 0.0)
        people.append(Person(str(place), 1, str(place), os.urandom(32), record, Attempts()))
    return people


def _windows(number: int) -> np.ndarray:
    """Unit embeddings (number, 128) of nobody."""
    rows = np.random.default_rng(1).normal(size=(number, 128)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def compare_search() -> None:
    """Everyone at once against one person after the other, as a loop over ``verify`` would do
    it."""
    model, attempt = Model("a" * 64, Impostors(0.0, 0.15)), _windows(3)
    rows = []
    for number in ENROLLED:
        people = strangers(number, model)
        loading = seconds(lambda people=people: Gallery(people, model.sha256))
        gallery = Gallery(people, model.sha256)
        searching = seconds(lambda gallery=gallery: gallery.search(attempt, model.impostors))
        some = people[:ONE_BY_ONE]
        one_by_one = seconds(
            lambda some=some: [
                protected_cosine(attempt, expand_key(p.projection_key), p.record.placements)
                for p in some
            ]
        )
        peer = one_by_one * number / len(some)
        rows.append((f"{number:,}", loading, searching, peer, f"{peer / searching:.1f}x"))
    header = ("enrolled", "expanding the keys, s", "search, s", "one by one, s", "speed")
    print_table("identify: one capture against everyone", header, rows)


def measure_verification() -> None:
    """From the file to the decision that is written down, after loading."""
    job = load(device="cpu")
    model = Model(job.network.weights.sha256, job.network.checkpoint.impostors)
    whole = read_recording(EXAMPLES / "ann-later.csv")
    kept = whole.seconds < whole.seconds[0] + CAPTURE
    recording = replace(whole, seconds=whole.seconds[kept], values=whole.values[kept])
    with TemporaryDirectory() as folder:
        store = open_store(f"{folder}/people.db", None, b"a passphrase for measuring", create=True)
        verifier = Verifier(store, model)
        Registry(verifier).enroll("ann", [job.predict(EXAMPLES / "ann.csv")])
        captured = seconds(lambda: job.predict(recording))
        taken = job.predict(recording)
        started = time.process_time()
        verifier.verify("ann", taken)  # once: a second time it would be a replay
        decided = time.process_time() - started
    rows = [
        ("recording to embeddings", captured),
        ("decision, written down", decided),
        ("both", captured + decided),
    ]
    print_table(f"verify: {CAPTURE:.0f} s, {taken.windows_total} windows", ("step", "CPU, s"), rows)


def compare_transform() -> None:
    """The scalogram's wavelet transform against PyWavelets, which takes the windows one by one."""
    windows = np.random.default_rng(0).normal(size=(64, 350)).astype(np.float32)
    scales = Wavelet.of("cmor1.5-1.0").scales(np.geomspace(0.5, 8, 64), 70.0)
    batch, rows = torch.from_numpy(windows), []
    cwt(batch, scales.tolist())  # builds the filter bank, once for a length and its scales
    ours = seconds(lambda: cwt(batch, scales.tolist())) / len(windows)
    for method in ("conv", "fft"):
        peer = seconds(
            lambda method=method: [
                pywt.cwt(row, scales, "cmor1.5-1.0", method=method) for row in windows[:8]
            ]
        )
        rows.append((f"pywt.cwt, {method}", 1e3 * ours, 1e3 * peer / 8, f"{peer / 8 / ours:.1f}x"))
    print_table(
        "wavelet transform of a window of 350 samples, 64 scales",
        ("peer", "ours, ms", "peer, ms", "speed"),
        rows,
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    compare_transform()
    compare_search()
    measure_verification()
