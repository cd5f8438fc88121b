"""Where figures were measured: a figure without its machine means nothing."""

import os
import platform
from importlib import metadata
from pathlib import Path

from fastkl._threads import available_cpus


def describe(packages: set[str]) -> dict[str, str | int | float | dict[str, str]]:
    """The machine, the interpreter and the versions of those of the packages that are installed."""
    return {
        "cpu": _cpu(),
        "cpus": available_cpus(),
        "caches": _caches(),
        "memory_gb": _memory_gb(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "versions": {name: found for name in sorted(packages | {"numba", "numpy"}) if (found := _version(name))},
    }


def _cpu() -> str:
    from llvmlite.binding import get_host_cpu_name

    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"{model} ({get_host_cpu_name()})"


def _caches() -> str:
    folders = sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"))
    words = []
    for folder in folders:
        level, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction":
            words.append(f"L{level} {size}")
    return ", ".join(words)


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
