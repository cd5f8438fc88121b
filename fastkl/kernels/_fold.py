"""Totals over the bins of a row, of whatever a function makes of one bin, in the order that `_lanes` lays down."""

from contextlib import contextmanager
from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from fastkl.kernels._lanes import LANES_BYTES, Vectors, fold
from fastkl.kernels._loops import Step
from fastkl.kernels._memory import LINE, ask_for_line, view

_AHEAD = 4 * LANES_BYTES  # of items that a first step is ahead of the second


def add_up(begin: Any, add: Any, how: Any, nothing: Any, addresses: Any, n: Any, ahead: Any) -> tuple[Any, ...]:
    """Totals over the ``n`` items at each of the addresses, while memory fetches what lies at the two ``ahead``.

    ``nothing`` are the totals of no items: numbers, or unsigned integers of as many bits, whose bits are collected. The
    items are of the type of the first. ``add(how, *totals, *items)`` gives the totals with one item more; items of zero
    are to change nothing. If that takes so many operations that a loop waits, as the processor looks ahead over too few
    items, ``begin(how, *items)`` is not None and makes more items of them, which take part in the addition: it is
    done for items some rounds ahead, so that both steps are at work at any time.
    """
    lanes = [np.zeros(LANES_BYTES // zero.itemsize, type(zero)) for zero in nothing]
    operands = [view(address, n, type(nothing[0])) for address in addresses]
    for i in range(n):
        lane, items = i % len(lanes[0]), [operand[i] for operand in operands]
        more = begin(how, *items) if begin else ()
        for total, value in zip(lanes, add(how, *(total[lane] for total in lanes), *items, *more), strict=True):
            total[lane] = value
    return tuple(fold(total) for total in lanes)


@overload(add_up, inline="always")
def _add_up(begin, add, how, nothing, addresses, n, ahead):
    return lambda begin, add, how, nothing, addresses, n, ahead: _totals(begin, add, how, nothing, addresses, n, ahead)


@intrinsic
def _totals(typingctx, begin, add, how, nothing, addresses, n, ahead):
    items = [nothing[0]] * len(addresses)
    begun = None if begin is types.none else Step.of(typingctx, begin, how, items)
    added = Step.of(typingctx, add, how, [*nothing, *items, *(begun.results if begun else ())])

    def codegen(context, builder, signature, arguments):
        _, _, how, _, addresses, n, ahead = arguments
        v = Vectors(builder, nothing[0])
        lanes = v.index(LANES_BYTES // v.size)
        totals = [v.lanes(context.get_value_type(zero)) for zero in nothing]
        operands = _Operands(v, cgutils.unpack_tuple(builder, addresses), n)

        def rounds(start, stop):
            return cgutils.for_range_slice(builder, start, stop, lanes, v.index)

        def ask_for(first):
            for address in cgutils.unpack_tuple(builder, ahead):
                for line in range(0, LANES_BYTES, LINE):
                    ask_for_line(builder, builder.add(v.offset(address, first), v.index(line)))

        with operands.in_turn() as (begin, end):
            if begun is None:
                with rounds(begin, end) as (first, _):
                    ask_for(first)
                    data = [*totals, *operands.at(first)]
                    added.repeat(context, builder, how, data, totals, lanes, is_unrolled=True)
            else:
                ahead_by = v.index(_AHEAD // v.size)
                ring = [v.buffer(context.get_value_type(kind), ahead_by.constant) for kind in begun.results]
                with rounds(begin, builder.add(end, ahead_by)) as (first, _):
                    place = builder.and_(first, v.index(ahead_by.constant - 1))
                    begun_items = [builder.gep(part, [place]) for part in ring]
                    before = builder.sub(first, ahead_by)
                    with builder.if_then(builder.icmp_signed(">=", before, begin)):
                        data = [*totals, *operands.at(before), *begun_items]
                        added.repeat(context, builder, how, data, totals, lanes, is_unrolled=True)
                    with builder.if_then(builder.icmp_signed("<", first, end)):
                        ask_for(first)
                        begun.repeat(context, builder, how, operands.at(first), begun_items, lanes, is_unrolled=True)
        return context.make_tuple(builder, signature.return_type, [v.total(lanes) for lanes in totals])

    return types.Tuple(list(nothing))(begin, add, how, nothing, addresses, n, ahead), codegen


class _Operands:
    """Where the items of a round lie: in place, or if they do not fill it on the stack, with zeros behind them."""

    def __init__(self, v, addresses, n):
        self._v, self._addresses, self._n = v, addresses, n
        builder, rest = v.builder, v.builder.urem(n, v.index(LANES_BYTES // v.size))
        self._whole = builder.sub(n, rest)
        self._rests = [v.lanes(v.real.element) for _ in addresses]
        with builder.if_then(builder.icmp_signed("!=", rest, v.index(0))):
            for address, lanes in zip(addresses, self._rests, strict=True):
                for k in range(LANES_BYTES // v.bytes):
                    at, mask = v.plus(self._whole, k * v.width), v.first_lanes(v.plus(rest, -k * v.width))
                    builder.store(v.load(address, at, mask), v.vector(lanes, k))

    @contextmanager
    def in_turn(self):
        """A loop over the two places: where the items in one begin, and where they end.

        To choose between them for each round takes 6 % longer for KL.
        """
        builder, v = self._v.builder, self._v
        with cgutils.for_range(builder, v.index(2), intp=v.index) as loop:
            is_rest = builder.icmp_signed("!=", loop.index, v.index(0))
            self._places = [
                builder.select(is_rest, v.offset(builder.ptrtoint(rest, v.index), builder.neg(self._whole)), address)
                for address, rest in zip(self._addresses, self._rests, strict=True)
            ]
            begin, end = builder.select(is_rest, self._whole, v.index(0)), builder.select(is_rest, self._n, self._whole)
            yield begin, end

    def at(self, first):
        return [self._v.item(place, first) for place in self._places]
