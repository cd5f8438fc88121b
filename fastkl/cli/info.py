"""`fastkl info`: what a bug report or a question about speed needs to say."""

import argparse
import json
import os
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
from numba.core.registry import cpu_target

from fastkl import __version__, kernels
from fastkl._threads import available_cpus
from fastkl.kernels._jit import attribute_of_loops

_DESCRIPTION = "What fastkl runs on here: paste it into a bug report."
_EXAMPLES = """\
examples:
  fastkl info                                                what this machine has
  fastkl info --json                                         the same for a program
  NUMBA_CPU_NAME=haswell NUMBA_CPU_FEATURES= fastkl info     what an older CPU would get
"""

_REQUIRED = ("numba", "llvmlite", "numpy", "scipy")
_OPTIONAL = (
    *("matplotlib", "dask", "zarr", "pyarrow", "xarray", "hist"),  # extras of fastkl
    *("numexpr", "torch", "jax", "numkong"),  # which `fastkl bench` compares with
)
_KERNELS = ("rows", "tiles", "columns", "pieces", "careful_pieces")

# Code for eight doubles shows by its registers how wide LLVM's vectors are on a target. The first attribute lets LLVM
# prefer narrower ones than the CPU has, as in all loops that it vectorises; the other is that of fastkl's loops.
_PROBE = """
define <8 x double> @probe(<8 x double> %x) "min-legal-vector-width"="0" ATTRIBUTE {
  %y = fadd <8 x double> %x, %x
  ret <8 x double> %y
}"""
_BITS_OF_REGISTER = {"zmm": 512, "ymm": 256, "xmm": 128}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which form the answer has."""
    parser.description, parser.epilog = _DESCRIPTION, _EXAMPLES
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print what `gather` finds."""
    facts = gather()
    print(json.dumps(facts, indent=2) if args.json else _as_text(facts))
    return 0


def gather() -> dict[str, Any]:
    """All facts, as JSON has them."""
    return {
        "versions": {"fastkl": __version__, "python": platform.python_version()}
        | {name: _version(name) for name in _REQUIRED},
        "system": {"platform": platform.platform(), "machine": platform.machine(), "python": sys.executable},
        "cpu": _cpu(),
        "threads": {"available": available_cpus(), "cpus": os.cpu_count()},
        "kernels": _kernel_cache(),
        "optional": {name: _version(name) if find_spec(name) else None for name in _OPTIONAL},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a copy on the path that no installer knows of
        return "unknown"


def _target() -> tuple[str, str, str]:
    """What Numba compiles for, here or by NUMBA_CPU_NAME and NUMBA_CPU_FEATURES: triple, CPU, features."""
    triple, cpu, features = cpu_target.target_context.codegen().magic_tuple()
    return triple, cpu, features


def _cpu() -> dict[str, Any]:
    triple, cpu, features = _target()
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, features=features)
    return {
        "name": cpu,
        "host": llvm.get_host_cpu_name(),
        "vector_bits": _vector_bits(machine, attribute_of_loops(cpu)),
    }


def _vector_bits(machine: Any, attribute: str | None) -> int | None:
    assembly = machine.emit_assembly(llvm.parse_assembly(_PROBE.replace("ATTRIBUTE", attribute or "")))
    if widths := [_BITS_OF_REGISTER[name] for name in re.findall(r"%([xyz]mm)\d", assembly)]:
        return max(widths)
    return 128 if re.search(r"\.2d\b", assembly) else None  # NEON


def _kernel_cache() -> dict[str, Any]:
    folder = getattr(getattr(kernels.rows, "_cache", None), "cache_path", None)
    if folder is None:
        return {"folder": None, "files": 0, "bytes": 0, "ready": {}, "warm": False}
    files = [path for path in Path(folder).glob("*.nb[ic]") if path.is_file()]
    ready = {name: _ready(getattr(kernels, name, None)) for name in _KERNELS}
    size = sum(path.stat().st_size for path in files)
    return {"folder": folder, "files": len(files), "bytes": size, "ready": ready, "warm": any(ready.values())}


def _ready(kernel: Any) -> int:
    """How many variants of a kernel the next process will find compiled for this CPU from this source."""
    try:
        index = kernel._cache._cache_file._load_index()  # empty if it is of other source or another Numba
        return sum(key[1] == _target() for key in index)
    except Exception:  # these names are Numba's own business, and may change
        return 0


def _as_text(facts: dict[str, Any]) -> str:
    cpu, threads, cache, optional = (facts[key] for key in ("cpu", "threads", "kernels", "optional"))
    lines = dict(facts["versions"])
    lines["system"] = facts["system"]["platform"]
    lines["cpu"] = cpu["name"] + (f", by NUMBA_CPU_NAME; here: {cpu['host']}" if cpu["name"] != cpu["host"] else "")
    bits = cpu["vector_bits"]
    lines["vectors"] = f"{bits} bits: {bits // 64} doubles or {bits // 32} floats" if bits else "unknown"
    lines["threads"] = f"{threads['available']} of {threads['cpus']} CPUs"
    lines["kernel cache"] = cache["folder"] or "none: kernels are compiled in every process"
    ready = ", ".join(f"{count} {name}" for name, count in cache["ready"].items() if count)
    state = f"warm, with {ready}" if cache["warm"] else "cold: the first call compiles"
    lines[""] = f"{state} ({cache['files']} files, {cache['bytes'] / 1e6:.1f} MB)"
    lines["optional"] = ", ".join(f"{name} {found}" for name, found in optional.items() if found) or "none"
    lines["absent"] = ", ".join(name for name, found in optional.items() if not found) or "none"
    return "\n".join(f"{name:<13} {value}" for name, value in lines.items())
