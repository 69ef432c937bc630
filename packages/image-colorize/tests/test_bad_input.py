"""Damaged hint files: refused with a line, never half read."""

import json

import numpy as np

from image_colorize.hints import MAX_HINTS, Hint, HintFile, read_hints
from vitrail.errors import MAX_LINE, InputError

GOOD = HintFile(
    tuple(Hint(n / 20, 1 - n / 20, (n, 2 * n, 255 - n), n) for n in range(1, 20)), "0" * 64, 80, 60
).to_json()


def test_mutants_of_a_hint_file(tmp_path):
    """What is read is what Python's own parser finds in the file."""
    rng = np.random.default_rng(11)
    path = tmp_path / "a.hints.json"
    read = 0
    for number in range(300):
        data = bytearray(GOOD.encode())
        for _ in range(int(rng.integers(1, 4))):
            data[int(rng.integers(len(data)))] = int(rng.integers(256))
        if number % 5 == 0:
            data = data[: int(rng.integers(1, len(data)))]
        path.write_bytes(bytes(data))
        try:
            found = read_hints(path)
        except InputError as error:
            assert len(str(error)) <= MAX_LINE and "\n" not in str(error)
            continue
        read += 1
        content = json.loads(bytes(data))
        assert len(found.hints) == len(content["hints"]) <= MAX_HINTS
        for hint, entry in zip(found.hints, content["hints"], strict=True):
            assert (hint.x, hint.y, list(hint.rgb)) == (entry["x"], entry["y"], entry["rgb"])
    assert 0 < read < 300
