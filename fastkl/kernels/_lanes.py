"""Totals in a fixed order: of one row, of short rows that follow each other, of rows that lie side by side.

The order is one for all three, so that a total depends neither on where the row lies nor on the width of the machine's
vectors: bin i goes to lane i modulo two vectors of 64 bytes, then the lanes are folded in halves. LLVM neither
vectorises a sum whose order is fixed nor keeps the order of one whose order is free, so the loops are built by hand.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from fastkl.kernels._logratio import HUGE_32, HUGE_64, TINY_32, TINY_64
from fastkl.kernels._memory import view

BYTES = 64  # of a vector
VECTORS = 2
LANES_BYTES = VECTORS * BYTES


def scan(x: Any) -> Any:
    """(sum of x, odd) for a contiguous row x; odd is nonzero if some bin is neither zero nor in [TINY, HUGE]."""
    tiny, huge = (TINY_32, HUGE_32) if x.dtype == np.float32 else (TINY_64, HUGE_64)
    ordinary = (x == 0) | ((x >= tiny) & (x <= huge))
    return _total(x), int(not ordinary.all())


def scan_for_high(x: Any) -> Any:
    """(sum of x, seen) for a contiguous row x; seen is nonzero if some bin has a minus sign or the sum is above HUGE.

    So it is where a bin is above HUGE, or NaN. To look at the signs alone takes one operation, which any part of the
    processor does.
    """
    total, huge = _total(x), HUGE_32 if x.dtype == np.float32 else HUGE_64
    return total, int(np.signbit(x).any() or not total <= huge)


def row_totals(address: Any, n: Any, count: Any, totals: Any) -> None:
    """Write the totals of ``count`` rows of ``n`` bins that follow each other in memory.

    ``totals`` has room for whole vectors of them.
    """
    totals[:count] = [_total(x) for x in view(address, count * n, totals.dtype.type).reshape(count, n)]


def spread(address: Any, n: Any, count: Any, values: Any) -> None:
    """Write each of ``count`` values to the ``n`` bins of a row, the rows one after the other at ``address``.

    Beyond the last there is room for a whole vector.
    """
    view(address, count * n, values.dtype.type).reshape(count, n)[:] = values[:count, None]


def fold(lanes: Any) -> Any:
    """The total of lanes by additions, or all bits of integers."""
    add = np.bitwise_or if lanes.dtype.kind == "u" else np.add
    while len(lanes) > 1:
        lanes = add(lanes[: len(lanes) // 2], lanes[len(lanes) // 2 :])
    return lanes[0]


def _total(x: Any) -> Any:
    lanes = np.zeros(LANES_BYTES // x.itemsize, x.dtype)
    for start in range(0, len(x), len(lanes)):
        part = x[start : start + len(lanes)]
        lanes[: len(part)] += part
    return fold(lanes)


@overload(scan)
def _scan(x):
    return lambda x: _scan_row(x.ctypes.data, len(x), x.dtype.type(0))


@overload(scan_for_high)
def _scan_for_high(x):
    return lambda x: _scan_row_for_high(x.ctypes.data, len(x), x.dtype.type(0))


@overload(row_totals)
def _row_totals(address, n, count, totals):
    return lambda address, n, count, totals: _add_up_rows(address, n, count, totals.ctypes.data, totals.dtype.type(0))


@overload(spread)
def _spread(address, n, count, values):
    return lambda address, n, count, values: _store_rows(address, n, count, values.ctypes.data, values.dtype.type(0))


@intrinsic
def _scan_row(typingctx, address, n, zero):
    def codegen(context, builder, signature, arguments):
        address, n, _ = arguments
        v = Vectors(builder, zero)
        totals, odds = v.variables(v.real, VECTORS), v.variables(v.integer, VECTORS)

        def add(start, mask):
            for k in range(VECTORS):
                value = v.load(address, v.plus(start, k * v.width), mask(k))
                v.add_to(totals[k], value)
                builder.store(builder.or_(builder.load(odds[k]), v.odd_bits(value)), odds[k])

        v.for_each_round(n, add)
        total = v.first_of(v.folded([builder.load(total) for total in totals], builder.fadd))
        odd = v.first_of(v.folded([builder.load(odd) for odd in odds], builder.or_))
        # Without the sign bit: what is left is zero only where all the bins out of range are zeros.
        odd = builder.shl(odd, ir.Constant(odd.type, 1))
        odd = builder.zext(odd, ir.IntType(64)) if zero is types.float32 else odd
        return context.make_tuple(builder, signature.return_type, [total, odd])

    return types.Tuple((zero, types.int64))(types.intp, types.intp, zero), codegen


@intrinsic
def _scan_row_for_high(typingctx, address, n, zero):
    def codegen(context, builder, signature, arguments):
        address, n, _ = arguments
        v = Vectors(builder, zero)
        totals, bits = v.variables(v.real, VECTORS), v.variables(v.integer, VECTORS)

        def add(start, mask):
            for k in range(VECTORS):
                value = v.load(address, v.plus(start, k * v.width), mask(k))
                v.add_to(totals[k], value)
                builder.store(builder.or_(builder.load(bits[k]), builder.bitcast(value, v.integer)), bits[k])

        v.for_each_round(n, add)
        total = v.first_of(v.folded([builder.load(total) for total in totals], builder.fadd))
        pattern = v.first_of(v.folded([builder.load(pattern) for pattern in bits], builder.or_))
        is_signed = builder.icmp_signed("<", pattern, ir.Constant(pattern.type, 0))
        is_high = builder.fcmp_unordered(">", total, ir.Constant(total.type, v.huge))
        seen = builder.zext(builder.or_(is_signed, is_high), ir.IntType(64))
        return context.make_tuple(builder, signature.return_type, [total, seen])

    return types.Tuple((zero, types.int64))(types.intp, types.intp, zero), codegen


@intrinsic
def _add_up_rows(typingctx, address, n, count, totals, zero):
    def codegen(context, builder, signature, arguments):
        address, n, count, totals_address, _ = arguments
        v = Vectors(builder, zero)
        totals = v.variables(v.real, v.width * VECTORS)
        last = builder.sub(count, v.index(1))
        with cgutils.for_range_slice(builder, v.index(0), count, v.index(v.width), v.index) as (first, _):
            rows = []
            for r in range(v.width):
                row = v.plus(first, r)
                # The last row again where there is none.
                row = builder.select(builder.icmp_signed("<", row, count), row, last)
                rows.append(v.offset(address, builder.mul(row, n)))

            def add(start, mask, rows=rows):
                for k in range(VECTORS):
                    at, part = v.plus(start, k * v.width), mask(k)
                    for r, row in enumerate(rows):
                        v.add_to(totals[k * v.width + r], v.load(row, at, part))

            with builder.if_else(builder.icmp_signed("<=", n, v.index(v.width))) as (is_one, are_more):
                with is_one:  # 8 bins: 37 instructions for 8 rows instead of 61
                    mask = v.first_lanes(n)
                    # From 0, as elsewhere: it takes the sign from a zero.
                    one = [builder.fadd(v.zeros, v.load(row, v.index(0), mask)) for row in rows]
                    one = v.folded_side_by_side(one)
                    end_of_one = builder.block
                with are_more:
                    for total in totals:
                        builder.store(v.zeros, total)
                    v.for_each_round(n, add)
                    sums = [builder.load(total) for total in totals]
                    sums = [builder.fadd(sums[r], sums[v.width + r]) for r in range(v.width)]
                    more = v.folded_side_by_side(sums)
                    end_of_more = builder.block
            folded = builder.phi(v.real)
            folded.add_incoming(one, end_of_one)
            folded.add_incoming(more, end_of_more)
            v.store(folded, totals_address, first)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, types.intp, zero), codegen


@intrinsic
def _store_rows(typingctx, address, n, count, values, zero):
    def codegen(context, builder, signature, arguments):
        address, n, count, values_address, _ = arguments
        v = Vectors(builder, zero)
        with cgutils.for_range_slice(builder, v.index(0), count, v.index(1), v.index) as (row, _):
            value, first = v.load_in_all_lanes(values_address, row), builder.mul(row, n)
            # Beyond the row's end too, where the next row's value comes later.
            with cgutils.for_range_slice(builder, v.index(0), n, v.index(v.width), v.index) as (i, _):
                v.store(value, address, builder.add(first, i))
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, types.intp, zero), codegen


class Vectors:
    """Vectors of 64 bytes, of the precision of ``zero``, in LLVM's words; each target splits them as it must."""

    def __init__(self, builder, zero):
        single = zero is types.float32
        tiny, huge = (TINY_32, HUGE_32) if single else (np.float64(TINY_64), np.float64(HUGE_64))
        self._least = int(tiny.view(f"i{tiny.itemsize}"))
        self._span = int(huge.view(f"i{huge.itemsize}")) - self._least
        self.size = tiny.itemsize
        self.huge = float(huge)
        self.builder, self.index, self.bytes, self.width = builder, ir.IntType(64), BYTES, BYTES // self.size
        self.real = ir.VectorType(ir.FloatType() if single else ir.DoubleType(), self.width)
        self.integer = ir.VectorType(ir.IntType(8 * self.size), self.width)
        self.zeros = self.constant(0.0, self.real)

    @staticmethod
    def constant(value, kind):
        return ir.Constant(kind, [value] * kind.count)

    def variables(self, kind, count):
        zeros = self.constant(0.0 if kind is self.real else 0, kind)
        return [cgutils.alloca_once_value(self.builder, zeros) for _ in range(count)]

    def buffer(self, kind, count):
        """A pointer to so many items on the stack."""
        with self.builder.goto_entry_block():
            place = self.builder.alloca(ir.ArrayType(kind, count))
        place.align = BYTES
        return self.builder.gep(place, [self.index(0), self.index(0)])

    def lanes(self, kind):
        """A pointer to lanes of a total, with zeros, on the stack."""
        first = self.buffer(kind, LANES_BYTES // self.size)
        for k in range(VECTORS):
            vector = self.vector(first, k)
            self.builder.store(ir.Constant(vector.type.pointee, None), vector)
        return first

    def vector(self, lanes, k):
        """A pointer to the k-th vector of lanes."""
        vectors = self.builder.bitcast(lanes, ir.PointerType(ir.VectorType(lanes.type.pointee, self.width)))
        return self.builder.gep(vectors, [self.index(k)])

    def total(self, lanes):
        """The total of lanes, or all bits of integers."""
        add = self.builder.or_ if isinstance(lanes.type.pointee, ir.IntType) else self.builder.fadd
        return self.first_of(self.folded([self.builder.load(self.vector(lanes, k)) for k in range(VECTORS)], add))

    def item(self, address, at):
        """A pointer to the item ``at`` of those at an address."""
        return self.builder.inttoptr(self.offset(address, at), ir.PointerType(self.real.element))

    def plus(self, i, k):
        return self.builder.add(i, self.index(k)) if k else i

    def offset(self, address, items):
        return self.builder.add(address, self.builder.mul(items, self.index(self.size)))

    def _pointer(self, address, at):
        return self.builder.inttoptr(self.offset(address, at), ir.PointerType(self.real))

    def load(self, address, at, mask=None):
        """The vector from item ``at`` on; zeros, and memory untouched, where the mask says no."""
        pointer = self._pointer(address, at)
        if mask is None:
            return self.builder.load(pointer, align=self.size)
        alignment = ir.IntType(32)
        kind = ir.FunctionType(self.real, [pointer.type, alignment, mask.type, self.real])
        name = f"llvm.masked.load.v{self.width}f{8 * self.size}.p0"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, [pointer, alignment(self.size), mask, self.zeros])

    def load_in_all_lanes(self, address, at):
        return self._splat(self.builder.load(self.item(address, at)), self.real)

    def store(self, value, address, at):
        self.builder.store(value, self._pointer(address, at), align=self.size)

    def add_to(self, total, value):
        self.builder.store(self.builder.fadd(self.builder.load(total), value), total)

    def first_lanes(self, count):
        """The mask of the first ``count`` lanes, of none if it is negative."""
        numbers = ir.VectorType(self.index, self.width)
        lanes = ir.Constant(numbers, list(range(self.width)))
        return self.builder.icmp_signed("<", lanes, self._splat(count, numbers))

    def for_each_round(self, n, add):
        """Call ``add`` with the first of each round of lanes, and a function that gives vector k's mask or None."""
        step = self.index(VECTORS * self.width)
        rounds = self.builder.mul(self.builder.udiv(n, step), step)
        with cgutils.for_range_slice(self.builder, self.index(0), rounds, step, self.index) as (i, _):
            add(i, lambda k: None)
        rest = self.builder.sub(n, rounds)
        with self.builder.if_then(self.builder.icmp_signed("!=", rest, self.index(0))):
            add(rounds, lambda k: self.first_lanes(self.builder.sub(rest, self.index(k * self.width))))

    def odd_bits(self, value):
        """As `_logratio` has them, but for the sign, which is left to the end."""
        pattern = self.builder.bitcast(value, self.integer)
        above = self.builder.sub(pattern, self.constant(self._least, self.integer))
        is_odd = self.builder.icmp_unsigned(">", above, self.constant(self._span, self.integer))
        return self.builder.select(is_odd, pattern, self.constant(0, self.integer))

    def folded(self, vectors, add):
        """A list of vectors folded to one, and that to one lane."""
        while len(vectors) > 1:
            half = len(vectors) // 2
            vectors = [add(vectors[k], vectors[half + k]) for k in range(half)]
        vector, size = vectors[0], self.width
        while size > 1:
            size //= 2
            low, high = range(size), range(size, 2 * size)
            vector = add(self._shuffled(vector, vector, low), self._shuffled(vector, vector, high))
        return vector

    def folded_side_by_side(self, vectors):
        """Each of as many vectors as they have lanes folded to one lane of the result."""
        size = self.width
        while len(vectors) > 1:
            size //= 2
            low = [start + lane for start in range(0, 2 * self.width, 2 * size) for lane in range(size)]
            high = [lane + size for lane in low]
            vectors = [
                self.builder.fadd(self._shuffled(x, y, low), self._shuffled(x, y, high))
                for x, y in zip(vectors[::2], vectors[1::2], strict=True)
            ]
        return vectors[0]

    def _splat(self, value, kind):
        single = self.builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.IntType(32)(0))
        return self._shuffled(single, single, [0] * self.width)

    def first_of(self, vector):
        return self.builder.extract_element(vector, ir.IntType(32)(0))

    def _shuffled(self, x, y, lanes):
        lanes = list(lanes)
        return self.builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes))
