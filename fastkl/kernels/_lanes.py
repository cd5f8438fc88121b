"""One pass over a row: its total, and whether every bin is an ordinary one.

The order in which a row is summed is fixed, so that its total does not depend on where the row came from nor on the
width of the machine's vectors: bin i goes to lane i modulo two vectors of 64 bytes, what does not fill a vector is
added last. LLVM neither vectorises a sum whose order is fixed nor keeps the order of one whose order is free, so the
loop is built by hand.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from fastkl.kernels._logratio import HUGE_32, HUGE_64, TINY_32, TINY_64

VECTORS = 2
BYTES = 64


def scan(x: Any) -> Any:
    """(sum of x, odd) for a contiguous row x; odd is nonzero if some bin is neither zero nor in [TINY, HUGE]."""
    tiny, huge = (TINY_32, HUGE_32) if x.dtype == np.float32 else (TINY_64, HUGE_64)
    width = BYTES // x.itemsize
    whole = len(x) // width * width
    lanes = np.zeros(VECTORS * width, x.dtype)
    for i in range(0, whole, width):
        lane = i % len(lanes)
        lanes[lane : lane + width] += x[i : i + width]
    total = _fold(lanes[:width] + lanes[width:])
    for i in range(whole, len(x)):
        total += x[i]
    ordinary = (x == 0) | ((x >= tiny) & (x <= huge))
    return total, int(not ordinary.all())


def _fold(vector: Any) -> Any:
    while len(vector) > 1:
        vector = vector[: len(vector) // 2] + vector[len(vector) // 2 :]
    return vector[0]


@overload(scan)
def _scan(x):
    return lambda x: _scan_vectors(x)


@intrinsic
def _scan_vectors(typingctx, x):
    single = x.dtype is types.float32
    real, integer = (ir.FloatType(), ir.IntType(32)) if single else (ir.DoubleType(), ir.IntType(64))
    tiny, huge = (TINY_32, HUGE_32) if single else (np.float64(TINY_64), np.float64(HUGE_64))
    least, span = (int(edge.view(f"i{edge.itemsize}")) for edge in (tiny, huge))
    span -= least
    width = BYTES // tiny.itemsize
    signature = types.Tuple((x.dtype, types.int64))(x)

    def codegen(context, builder, signature, arguments):
        row = context.make_array(signature.args[0])(context, builder, arguments[0])
        n = cgutils.unpack_tuple(builder, row.shape)[0]

        def constant(value, kind):
            return ir.Constant(kind, [value] * kind.count if isinstance(kind, ir.VectorType) else value)

        def odd_part(value, bits):
            # As `odd_bits`, but for the sign, which is left to the end.
            pattern = builder.bitcast(value, bits)
            above = builder.sub(pattern, constant(least, bits))
            return builder.select(builder.icmp_unsigned(">", above, constant(span, bits)), pattern, constant(0, bits))

        def accumulate(total, odd, kind, bits, at):
            pointer = builder.bitcast(builder.gep(row.data, [at]), ir.PointerType(kind))
            value = builder.load(pointer, align=real_bytes)
            builder.store(builder.fadd(builder.load(total), value), total)
            builder.store(builder.or_(builder.load(odd), odd_part(value, bits)), odd)

        real_bytes = 4 if single else 8
        index = n.type
        vector, mask = ir.VectorType(real, width), ir.VectorType(integer, width)
        totals = [cgutils.alloca_once_value(builder, constant(0.0, vector)) for _ in range(VECTORS)]
        odds = [cgutils.alloca_once_value(builder, constant(0, mask)) for _ in range(VECTORS)]
        step = ir.Constant(index, VECTORS * width)
        rounds = builder.mul(builder.udiv(n, step), step)
        whole = builder.mul(builder.udiv(n, ir.Constant(index, width)), ir.Constant(index, width))
        with cgutils.for_range_slice(builder, ir.Constant(index, 0), rounds, step, index) as (i, _):
            for k in range(VECTORS):
                accumulate(totals[k], odds[k], vector, mask, builder.add(i, ir.Constant(index, k * width)))
        for k in range(VECTORS - 1):
            at = builder.add(rounds, ir.Constant(index, k * width))
            with builder.if_then(builder.icmp_unsigned("<", at, whole)):
                accumulate(totals[k], odds[k], vector, mask, at)

        def reduced(values, add):
            first, second = (builder.load(value) for value in values)
            folded, size = add(first, second), width
            while size > 1:
                size //= 2
                low = builder.shuffle_vector(
                    folded, folded, ir.Constant(ir.VectorType(ir.IntType(32), size), list(range(size)))
                )
                high = builder.shuffle_vector(
                    folded,
                    folded,
                    ir.Constant(ir.VectorType(ir.IntType(32), size), list(range(size, 2 * size))),
                )
                folded = add(low, high)
            return builder.extract_element(folded, ir.Constant(ir.IntType(32), 0))

        total = cgutils.alloca_once_value(builder, reduced(totals, builder.fadd))
        odd = cgutils.alloca_once_value(builder, reduced(odds, builder.or_))
        with cgutils.for_range_slice(builder, whole, n, ir.Constant(index, 1), index) as (i, _):
            accumulate(total, odd, real, integer, i)
        # Without the sign bit: what is left is zero only where all the bins out of range are zeros.
        rest = builder.shl(builder.load(odd), ir.Constant(integer, 1))
        rest = builder.zext(rest, ir.IntType(64)) if single else rest
        return context.make_tuple(builder, signature.return_type, [builder.load(total), rest])

    return signature, codegen
