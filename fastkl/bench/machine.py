"""Where figures were measured: a figure without its machine means nothing."""

import math
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from fastkl._threads import available_cpus


def describe(packages: set[str]) -> dict[str, str | int | float | dict[str, str]]:
    """The machine, the interpreter and the versions of those of the packages that are installed."""
    return {
        "cpu": _cpu(),
        "cpus": available_cpus(),
        "caches": ", ".join(f"L{cache.level} {cache.size // 1024}K" for cache in caches()),
        "memory_gb": _memory_gb(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "versions": {name: found for name in sorted(packages | {"numba", "numpy"}) if (found := _version(name))},
    }


class Others:
    """Watches what other processes take of the CPUs: with one of them busy, two threads measure as one does."""

    def __init__(self) -> None:
        self._start = self._now()

    def share(self) -> float | None:
        """Their part of all CPU time since the start; None where the system doesn't tell."""
        if self._start is None or (now := self._now()) is None:
            return None
        busy, own, everything = (after - before for before, after in zip(self._start, now, strict=True))
        return min(1.0, max(0.0, busy - own) / everything) if everything else None  # a sum of ticks may round beyond

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        try:
            ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        except (OSError, ValueError):  # not Linux
            return None
        second = os.sysconf("SC_CLK_TCK")
        idle = ticks[3] + ticks[4]
        return (sum(ticks) - idle) / second, sum(os.times()[:4]), sum(ticks) / second


class Cache(NamedTuple):
    """A cache that data go through on their way to the first CPU."""

    level: int
    size: int  # in bytes


def caches() -> list[Cache]:
    """Those of the machine, the nearest first; none where the system doesn't tell."""
    found = []
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction":
            found.append(Cache(int(level), int(size.removesuffix("K")) * 1024))
    return found


def cores() -> int | None:
    """How many cores the CPUs are that this process may use; None where the system doesn't tell."""
    try:
        topologies = [Path(f"/sys/devices/system/cpu/cpu{cpu}/topology") for cpu in os.sched_getaffinity(0)]
        ids = {tuple((each / name).read_text() for name in ("physical_package_id", "core_id")) for each in topologies}
    except (OSError, AttributeError):  # not Linux
        return None
    return len(ids)


def free_memory() -> float:
    """Bytes that a process may still ask for."""
    try:
        pages = Path("/proc/meminfo").read_text().split("MemAvailable:")[1].split()[0]
        return float(pages) * 1024
    except (OSError, IndexError):  # not on Linux: there is no portable word for it
        return math.inf


def forget_peak() -> bool:
    """Let the peak of this process' memory be what it is now; False where the system does not know of that."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # not Linux, or not allowed
        return False
    return True


def status(key: str) -> float:
    """Bytes of this process, as Linux tells them: "VmRSS" now, "VmHWM" at the peak."""
    return float(Path("/proc/self/status").read_text().split(f"{key}:")[1].split()[0]) * 1024


def _cpu() -> str:
    from llvmlite.binding import get_host_cpu_name

    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"{model} ({get_host_cpu_name()})"


def _memory_gb() -> float:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError):
        return 0.0


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
