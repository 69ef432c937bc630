"""What this machine computes with, found without importing PyTorch."""

import ctypes
import os
import platform
from functools import cache
from importlib import metadata
from pathlib import Path

PROCESSORS, CPUINFO = Path("/sys/devices/system/cpu"), Path("/proc/cpuinfo")


@cache
def cuda_devices() -> int:
    """How many CUDA devices the driver counts; 0 without a driver, or with a PyTorch for CPUs."""
    try:
        if metadata.version("torch").endswith("+cpu"):
            return 0
    except metadata.PackageNotFoundError:
        return 0
    for name in ("libcuda.so.1", "nvcuda.dll"):
        try:
            driver = ctypes.CDLL(name)
        except OSError:
            continue
        count = ctypes.c_int()
        if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0:
            return count.value
    return 0


def threads() -> int:
    """How many threads a network may use, as PyTorch counts them: ``OMP_NUM_THREADS``, else the
    cores of this process, two threads of a core counted once."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if wanted.isdecimal() and int(wanted):
        return int(wanted)
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    return len({_core_of(processor) for processor in os.sched_getaffinity(0)})


def _core_of(processor: int) -> str:
    """The processors that share a core with this one, as Linux writes them."""
    try:
        return (PROCESSORS / f"cpu{processor}/topology/thread_siblings_list").read_text()
    except OSError:
        return str(processor)


@cache
def has_bfloat16() -> bool:
    """Whether this processor computes in bfloat16; where it does not, libraries only imitate it.
    True where nothing tells."""
    flags = {
        word
        for line in _cpuinfo()
        if line.startswith(("flags", "Features"))
        for word in line.split()
    }
    return not flags or not flags.isdisjoint(("avx512_bf16", "amx_bf16", "bf16"))


@cache
def cpu() -> str:
    """The processor's name."""
    names = (line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


@cache
def _cpuinfo() -> list[str]:
    try:
        return CPUINFO.read_text().splitlines()
    except OSError:
        return []
