"""Live sound: blocks of samples from a pipe or a microphone, as they come."""

import queue
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedIOBase

import numpy as np
import soxr

from vitrail.errors import InputError, MissingError

FULL_SCALE = 32768.0
WAITING_BLOCKS = 64  # of the microphone; older ones are dropped when the computer cannot keep up


def pcm_blocks(stream: BufferedIOBase, rate: int, sample_rate: int) -> Iterator[np.ndarray]:
    """Raw signed 16-bit little-endian mono sound of ``rate`` as blocks at ``sample_rate``, as they
    arrive.

    Raises InputError where the stream is a file of some format, and where it is empty.
    """
    resampler = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32")
    rest, first = b"", True
    while data := stream.read1(2 * rate):
        if first and data.startswith((b"RIFF", b"fLaC", b"OggS", b"ID3")):
            problem = "is a file; a pipe should bring raw samples"
            raise InputError("standard input", problem, "ffmpeg -i FILE -f s16le -ac 1 -ar 16000 -")
        first, data = False, rest + data
        data, rest = data[: len(data) // 2 * 2], data[len(data) // 2 * 2 :]
        yield resampler.resample_chunk(np.frombuffer(data, "<i2").astype(np.float32) / FULL_SCALE)
    if first:
        raise InputError("standard input", "is empty", "pipe raw 16-bit samples into it")
    yield resampler.resample_chunk(np.empty(0, np.float32), last=True)


def microphone_blocks(sample_rate: int) -> Iterator[np.ndarray]:
    """The default microphone, mono, until ctrl-C; blocks that nobody took in time are dropped and
    counted on stderr."""
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: the system library PortAudio is not there
        raise MissingError(
            "sounddevice", str(error), "install vitrail-audio-classify[microphone]"
        ) from error
    waiting: queue.Queue[np.ndarray] = queue.Queue(WAITING_BLOCKS)

    def keep(block: np.ndarray, *_: object) -> None:
        with suppress(queue.Empty):  # taken by the reader in the meantime
            if waiting.full():
                waiting.get_nowait()
                print(
                    "audio-classify: too slow for this microphone, a block was dropped",
                    file=sys.stderr,
                )
        waiting.put_nowait(block[:, 0].copy())

    try:
        with sounddevice.InputStream(
            sample_rate, blocksize=sample_rate // 10, channels=1, callback=keep
        ):
            while True:
                yield waiting.get()
    except sounddevice.PortAudioError as error:
        raise MissingError("microphone", str(error), "see the system's sound settings") from error


@contextmanager
def until_stopped(blocks: Iterator[np.ndarray]) -> Iterator[Iterator[np.ndarray]]:
    """``blocks`` up to the first interrupt or SIGTERM, which end them as the sound's own end would:
    at once where they are waited for, else before the next. A second signal stops all."""
    stopped = waiting = False

    def stop(*_: object) -> None:
        nonlocal stopped
        if waiting or stopped:
            raise KeyboardInterrupt
        stopped = True

    def heard() -> Iterator[np.ndarray]:
        nonlocal waiting
        while not stopped:
            try:
                waiting = True
                block = next(blocks, None)
            except KeyboardInterrupt:
                return
            finally:
                waiting = False
            if block is None:
                return
            yield block

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield heard()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
