"""Blocks of memory turned on their side, eight by eight in registers: the bins of neighbouring rows, read together.

One item at a time this takes 0.7 ns per item, more than the arithmetic on it.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from fastkl.kernels._jit import inline
from fastkl.kernels._memory import prefetch, view

_SIDE = 8


@inline
def transpose(address: Any, step: Any, n: Any, count: Any, out: Any, width: Any) -> Any:
    """Write item r of run i to ``out[r * width + i]``: ``n`` runs of ``count`` items, ``step`` bytes apart."""
    size = out.itemsize
    runs, items = n // _SIDE * _SIDE, count // _SIDE * _SIDE
    for i in range(0, runs, _SIDE):
        for r in range(0, items, _SIDE):
            for k in range(_SIDE):
                prefetch(address + (i + _SIDE + k) * step + r * size)
            _transpose_block(address + i * step + r * size, step, out, r * width + i, width)
    for i in range(n):
        run = view(address + i * step, count, out.dtype.type)
        for r in range(items if i < runs else 0, count):
            out[r * width + i] = run[r]


def _transpose_block(address: int, step: int, out: Any, at: int, width: int) -> None:
    for i in range(_SIDE):
        run = view(address + i * step, _SIDE, out.dtype.type)
        for r in range(_SIDE):
            out[at + r * width + i] = run[r]


@overload(_transpose_block)
def _transpose_block_in_registers(address, step, out, at, width):
    return lambda address, step, out, at, width: _shuffle_block(
        address, step, out.ctypes.data, at, width, out.dtype.type(0)
    )


@intrinsic
def _shuffle_block(typingctx, address, step, out, at, width, zero):
    real, size = (ir.FloatType(), 4) if zero is types.float32 else (ir.DoubleType(), 8)
    vector = ir.VectorType(real, _SIDE)
    signature = types.void(types.intp, types.intp, types.intp, types.intp, types.intp, zero)

    def codegen(context, builder, signature, arguments):
        address, step, out, at, width, _ = arguments
        index = address.type

        def pointer(base, offset):
            return builder.inttoptr(builder.add(base, offset), ir.PointerType(vector))

        def shuffle(a, b, lanes):
            return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), _SIDE), lanes))

        block = [builder.load(pointer(address, builder.mul(step, index(i))), align=size) for i in range(_SIDE)]
        # Three rounds exchange, between vectors 1, 2 and 4 apart, the lanes whose number has that bit in the one and
        # not in the other.
        for apart in (1, 2, 4):
            low = [lane if not lane & apart else lane - apart + _SIDE for lane in range(_SIDE)]
            high = [lane + apart if not lane & apart else lane + _SIDE for lane in range(_SIDE)]
            for i in range(_SIDE):
                if not i & apart:
                    a, b = block[i], block[i + apart]
                    block[i], block[i + apart] = shuffle(a, b, low), shuffle(a, b, high)
        for r in range(_SIDE):
            offset = builder.mul(builder.add(at, builder.mul(width, index(r))), index(size))
            builder.store(block[r], pointer(out, offset), align=size)
        return context.get_dummy_value()

    return signature, codegen
