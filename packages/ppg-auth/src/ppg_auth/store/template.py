"""Protected templates: the sign bits of a keyed random projection.

What ISO/IEC 24745 asks of a template: without the key nothing of the embedding can be computed back
(irreversibility), another key gives another template (renewability), and templates under different
keys cannot be told to be of one person (unlinkability). With the key, the direction of the
embedding can be estimated: keep keys apart from templates. Sources: Jin et al., BioHashing, 2004;
Yu et al., Orthogonal random features, 2016, section 5, for the fast projection.
"""

import hashlib
from functools import cache

import numpy as np
from numpy.typing import NDArray

DIM = 128
BLOCKS = 4
BITS = BLOCKS * DIM
KEY_BYTES = 32
_ROUNDS = 3
_SIGN_BYTES = _ROUNDS * BLOCKS * DIM // 8


def expand_key(key: bytes) -> NDArray[np.uint8]:
    """The key's projection (192,): four orthogonal matrices, each three rounds of signs and a
    Hadamard matrix."""
    if len(key) != KEY_BYTES:
        raise ValueError(f"a projection key has {KEY_BYTES} bytes, not {len(key)}")
    return np.frombuffer(hashlib.shake_256(key).digest(_SIGN_BYTES), np.uint8)


def protect(embeddings: NDArray, projection: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """512 sign bits, packed in 64 bytes (..., 64), of unit rows (..., 128) under projections (...,
    192).

    Leading axes are broadcast: many rows under one key, or one row under many keys.
    """
    shape = (*projection.shape[:-1], _ROUNDS, BLOCKS, DIM)
    signs = np.unpackbits(projection, axis=-1).reshape(shape).astype(np.float32) * 2 - 1
    rows = np.asarray(embeddings, np.float32)[..., None, :]
    for number in range(_ROUNDS):
        rows = (rows * signs[..., number, :, :]) @ _hadamard()  # (..., blocks, dim)
    return np.packbits((rows > 0).reshape(*rows.shape[:-2], BITS), axis=-1)


def cosine(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The cosine of the embeddings behind packed bits (..., 64) of one key, estimated from their
    Hamming distance.

    A share h of differing bits stands for an angle of h times pi; the estimate's standard error is
    at most 0.07.
    """
    different = np.bitwise_count(np.bitwise_xor(first, second)).sum(axis=-1, dtype=np.int32)
    return np.cos(np.pi * different / BITS).astype(np.float32)


@cache
def _hadamard() -> NDArray[np.float32]:
    """The Hadamard matrix in Sylvester's order, orthonormal (128, 128)."""
    matrix = np.ones((1, 1), np.float32)
    while len(matrix) < DIM:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix / np.sqrt(DIM, dtype=np.float32)
