"""Protected templates: faithful under one key, unlinkable under two."""

import numpy as np
import pytest
from made_people import units

from ppg_auth.measure.figures import system_unlinkability
from ppg_auth.store.template import BITS, KEY_BYTES, cosine, expand_key, protect


def keys(number: int, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).bytes(number * KEY_BYTES)
    return np.array([expand_key(drawn[n * KEY_BYTES : (n + 1) * KEY_BYTES]) for n in range(number)])


def test_bits_keep_angles():
    rng = np.random.default_rng(1)
    first = units(rng, 300, 128)
    second = first + rng.uniform(0, 2, (300, 1)).astype(np.float32) * units(rng, 300, 128)
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    projection = keys(1)[0]
    estimated = cosine(protect(first, projection), protect(second, projection))
    assert np.abs(estimated - (first * second).sum(axis=1)).mean() < 0.05


def test_a_block_is_orthogonal():
    projection = keys(1)[0]
    axes = np.eye(128, dtype=np.float32)
    plus, minus = protect(axes, projection), protect(-axes, projection)
    assert (np.unpackbits(plus, axis=1) != np.unpackbits(minus, axis=1)).mean() > 0.99
    distances = 1 - cosine(plus[:, None], plus[None])[~np.eye(128, dtype=bool)]
    assert abs(distances.mean() - 1) < 0.01  # orthogonal rows stay so


def test_one_row_under_many_keys_is_as_one_by_one():
    row, projections = units(np.random.default_rng(2), 128), keys(5)
    together = protect(row, projections)
    assert together.shape == (5, BITS // 8)
    assert (together == [protect(row, projection) for projection in projections]).all()


def test_a_key_of_another_length():
    with pytest.raises(ValueError, match="32 bytes"):
        expand_key(b"short")


def test_templates_under_two_keys_cannot_be_linked():
    """Of 400 people, two takes each, every template under a key of its own: ISO/IEC 24745's
    unlinkability."""
    rng = np.random.default_rng(3)
    people, takes = 400, 2
    centres = units(rng, people, 1, 128)
    rows = centres + 0.4 * units(rng, people, takes, 128)
    rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
    templates = protect(rows, keys(people * takes).reshape(people, takes, -1))
    mated = cosine(templates[:, 0], templates[:, 1])
    shifts = range(1, 51)
    other = np.concatenate(
        [cosine(templates[:, 0], np.roll(templates[:, 1], s, axis=0)) for s in shifts]
    )
    assert system_unlinkability(mated, other) < 0.05
    one_key = protect(rows, keys(1)[0])
    linked = cosine(one_key[:, 0], one_key[:, 1])
    apart = cosine(one_key[:, 0], np.roll(one_key[:, 1], 1, axis=0))
    assert system_unlinkability(linked, apart) > 0.9
