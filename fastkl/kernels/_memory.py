"""Raw memory and machine code by address: how kernels serve operands whose type is known only when they run.

A kernel that took NumPy arrays would be compiled again for every dtype, layout, read-only flag and number of
dimensions. Ours take addresses, so that one machine code serves them all. Every function has a twin for the
interpreter.
"""

import ctypes
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

LINE = 64  # bytes of the cache


def callback_type(arguments: int) -> Any:
    """The C type of the functions that `call` takes: of so many integers, without a result."""
    return ctypes.CFUNCTYPE(None, *[ctypes.c_ssize_t] * arguments)


def view(address: int, n: int, dtype: Any) -> np.ndarray[Any, Any]:
    """The ``n`` contiguous items of ``dtype`` at ``address``, as an array that shares the memory."""
    size = np.dtype(dtype).itemsize * int(n)
    return np.frombuffer((ctypes.c_byte * size).from_address(int(address)), dtype)


def unowned(x: Any) -> Any:
    """The contiguous array ``x`` without its share in the ownership, which its holder must keep.

    Numba counts references of every array that is passed from function to function, each with two locked
    instructions: a row of 40 bins spent 800 ns on that.
    """
    return x


def keep(owner: Any) -> None:
    """Hold memory that is used by address until here.

    Numba gives an array back after the last line that names it, while others still use its address.
    """


def prefetch(address: int) -> None:
    """Ask for the cache line at ``address``, which need not be readable."""


def byteswap(x: Any, like: Any) -> Any:
    """The bytes of an unsigned scalar in the other order, as a scalar of the type of ``like``."""
    return x.byteswap().view(type(like))


def call(function: int, arguments: tuple[int, ...]) -> None:
    """Call the machine code at the address ``function`` with integers."""
    callback_type(len(arguments))(int(function))(*map(int, arguments))


@overload(unowned)
def _unowned(x):
    return lambda x: carray(_pointer(x.ctypes.data, x.dtype.type), len(x))


@overload(keep)
def _keep(owner):
    return lambda owner: None


@overload(view)
def _view(address, n, dtype):
    return lambda address, n, dtype: carray(_pointer(address, dtype), n)


@intrinsic
def _pointer(typingctx, address, dtype):
    pointer_type = types.CPointer(dtype.dtype)

    def codegen(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(pointer_type))

    return pointer_type(address, dtype), codegen


@overload(prefetch)
def _prefetch(address):
    return lambda address: _prefetch_instruction(address)


@intrinsic
def _prefetch_instruction(typingctx, address):
    def codegen(context, builder, signature, arguments):
        ask_for_line(builder, arguments[0])
        return context.get_dummy_value()

    return types.void(types.intp), codegen


def ask_for_line(builder: Any, address: Any) -> None:
    """The instruction of `prefetch`."""
    pointer, flag = builder.inttoptr(address, ir.PointerType(ir.IntType(8))), ir.IntType(32)
    instruction = builder.module.declare_intrinsic(
        "llvm.prefetch", [pointer.type], ir.FunctionType(ir.VoidType(), [pointer.type, flag, flag, flag])
    )
    builder.call(instruction, [pointer, flag(0), flag(3), flag(1)])  # read, near, data


@overload(byteswap)
def _byteswap(x, like):
    return lambda x, like: _byteswap_instruction(x, like)


@intrinsic
def _byteswap_instruction(typingctx, x, like):
    def codegen(context, builder, signature, arguments):
        return builder.bitcast(builder.bswap(arguments[0]), context.get_value_type(like))

    return like(x, like), codegen


@overload(call)
def _call(function, arguments):
    return lambda function, arguments: _call_instruction(function, arguments)


@intrinsic
def _call_instruction(typingctx, function, arguments):
    def codegen(context, builder, signature, values):
        address, packed = values
        integers = [
            context.cast(builder, value, kind, types.intp)
            for value, kind in zip(cgutils.unpack_tuple(builder, packed), signature.args[1], strict=True)
        ]
        kind = ir.FunctionType(ir.VoidType(), [address.type] * len(integers))
        builder.call(builder.inttoptr(address, ir.PointerType(kind)), integers)
        return context.get_dummy_value()

    return types.void(types.intp, arguments), codegen
