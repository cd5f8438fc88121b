"""The only place that decides how fastkl's functions are compiled.

`inline` compiles a helper that kernels call; `term` the same for per-bin mathematics; `entry` compiles a function
that Python calls, releases the GIL in it and keeps the machine code on disk.
"""

import ctypes
import hashlib
import logging
from collections.abc import Callable, Mapping
from functools import cache, wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import binding
from numba import types
from numba.extending import intrinsic, overload

from fastkl.kernels._memory import callback_type

F = TypeVar("F", bound=Callable[..., Any])

# Division by zero gives inf or NaN as in C: the Python rule puts a branch in every loop and none of them vectorises.
# What is not said here Numba takes from the caller, which may be anybody's function: fast mathematics, for one, which
# would find no NaN, in what the next caller gets too.
_C_ARITHMETIC = {"error_model": "numpy", "fastmath": False}
_ENTRY = {"nogil": True, "forceinline": False, **_C_ARITHMETIC}
# Python calls no helper: without the functions for that, a kernel compiles in 3.0 instead of 3.5 s.
_UNWRAPPED = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
# Only fused multiply-adds may be formed. Reassociation would undo the exact differences on which the terms rest,
# and would make a row's last bits depend on the vector width.
_SUMS = {"fastmath": {"reassoc", "nsz", "contract"}}
_TERM = {"error_model": "numpy", "fastmath": {"contract"}}


def inline(function: F) -> F:
    """Compile a helper of the kernels."""
    return cast(F, numba.njit(forceinline=True, **_UNWRAPPED, **_C_ARITHMETIC)(function))


def apart(function: F) -> F:
    """Compile a helper with loops over many terms, which stays a function of its own.

    So their constants have registers to stay in, which they would not find beside the rest of a kernel, and loops that
    are wanted in several places are compiled once. Addresses are to be passed, since arrays would be taken apart.
    """
    return cast(F, numba.njit(forceinline=False, **_UNWRAPPED, **_C_ARITHMETIC)(function))


def term(function: F) -> F:
    """Compile per-bin mathematics."""
    return numba.njit(**_UNWRAPPED, **_TERM)(function)  # type: ignore[no-any-return]


def inline_term(function: F) -> F:
    """Compile per-bin mathematics so long that LLVM would call it."""
    return cast(F, numba.njit(forceinline=True, **_UNWRAPPED, **_TERM)(function))


def sums(function: F) -> F:
    """Compile a loop that only adds up, in the order that suits the machine's vectors."""
    return cast(F, numba.njit(forceinline=True, **_UNWRAPPED, **(_C_ARITHMETIC | _SUMS))(function))


def by_precision(single: F, double: F) -> F:
    """The function that is ``single`` where its first argument is a float32 and ``double`` otherwise."""

    @wraps(double)
    def generic(*args: Any) -> Any:
        return (single if isinstance(args[0], np.float32) else double)(*args)

    @overload(generic, jit_options=_UNWRAPPED | _TERM, strict=False)
    def _choose(*args):
        return single if args[0] is types.float32 else double

    return cast(F, generic)


def by_kind(generic: F, implementations: Mapping[Any, F], *, are_apart: bool = False) -> None:
    """Let compiled code choose the implementation of ``generic`` by the NamedTuple class of its first argument.

    Implementations may be compiled `apart`; otherwise they are as their callers are.
    """
    inlining = {"forceinline": False} if are_apart else {}

    @overload(generic, jit_options=_UNWRAPPED | _C_ARITHMETIC | inlining, strict=False)
    def _choose(kind, *args):
        return implementations[kind.instance_class]


def entry(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that Python calls, without the GIL, and keep it on disk where a disk can be written."""
    if numba.config.DISABLE_JIT:
        return np.errstate(all="ignore")(function)  # machine code does not warn either
    try:
        dispatcher = numba.njit(cache=True, **_ENTRY)(function)
    except RuntimeError as error:  # numba found neither a writable package folder nor a writable home
        logging.getLogger("fastkl").info("kernels are compiled anew in this process: %s", error)
        dispatcher = numba.njit(**_ENTRY)(function)
    else:
        _stamp_with_all_kernels(dispatcher, function)
    return cast(Callable[..., Any], dispatcher)


def code_for(function: Callable[..., Any], *arguments: Any) -> Callable[..., Any]:
    """What an `entry` calls for arguments of these types: without the choice, which takes longer than a short row."""
    if numba.config.DISABLE_JIT:
        return function
    dispatcher: Any = function
    return cast(Callable[..., Any], dispatcher.compile(tuple(numba.typeof(argument) for argument in arguments)))


def widest_vectors() -> None:
    """Give the loops of the function that calls this vectors of 512 bits where the CPU has them.

    LLVM prefers half of that on all CPUs of Intel, as the first ones with so many lower their clock for them; these are
    left as they are. The others do a fourth to a half more of our arithmetic in the same time.
    """


_SLOWED_BY_WIDE_VECTORS = ("skylake-avx512", "cascadelake", "cooperlake", "cannonlake")


def attribute_of_loops(cpu: str) -> str | None:
    """The attribute of LLVM that functions with such loops have on a CPU, by LLVM's name for it."""
    return None if cpu in _SLOWED_BY_WIDE_VECTORS else '"prefer-vector-width"="512"'


def divides_quickly(cpu: str | None = None) -> bool:
    """True for CPUs, by LLVM's name, ours if there is none, that divide vectors at about the rate of other operations.

    AMD's do: eight doubles in 4 cycles. Intel's take 16, and loops with two divisions wait for these and little else.
    """
    return (cpu or numba.config.CPU_NAME or binding.get_host_cpu_name()).startswith("znver")


def never_inlined() -> None:
    """Keep the function that calls this a function of its own.

    LLVM would take it into a kernel where it finds it small, and there are no registers left for its constants.
    """


@overload(never_inlined, inline="always", jit_options=_UNWRAPPED)
def _never_inlined():
    return lambda: _stay_apart()


@intrinsic
def _stay_apart(typingctx):
    def codegen(context, builder, signature, arguments):
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), codegen


@overload(widest_vectors, inline="always", jit_options=_UNWRAPPED)  # or it would be the loops of this one
def _widest_vectors():
    return lambda: _prefer_wide_vectors()


@intrinsic
def _prefer_wide_vectors(typingctx):
    def codegen(context, builder, signature, arguments):
        _, cpu, _ = context.codegen().magic_tuple()
        if attribute := attribute_of_loops(cpu):
            set.add(builder.function.attributes, attribute)  # their own add refuses what llvmlite does not know
        return context.get_dummy_value()

    return types.void(), codegen


def address_of(function: Callable[..., None], arguments: int) -> int:
    """The address of ``function``, an `entry` of so many integers, for other machine code to `call`."""
    if numba.config.DISABLE_JIT:
        callback = callback_type(arguments)(function)
        _callbacks.append(callback)
        return cast(int, ctypes.cast(callback, ctypes.c_void_p).value)
    dispatcher: Any = function
    signature = types.void(*[types.intp] * arguments)
    dispatcher.compile(signature)
    compiled = dispatcher.get_compile_result(signature)
    return cast(int, compiled.library.get_pointer_to_function(compiled.fndesc.llvm_cfunc_wrapper_name))


_callbacks: list[Any] = []  # keeps them alive


def _stamp_with_all_kernels(dispatcher: Any, function: Callable[..., Any]) -> None:
    # Numba dates a cached function by its own file alone, by time and size: a change in a file that it calls, or a new
    # release whose files carry the archive's fixed date, would run the old machine code.
    cache_file = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if cache_file is not None:
        cache_file._source_stamp = (_digest(Path(function.__code__.co_filename)), numba.__version__)


@cache
def _digest(file: Path) -> str:
    files = sorted({*Path(__file__).parent.glob("*.py"), file})
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
