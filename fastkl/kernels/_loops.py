"""Loops over items that do not depend on each other, and what LLVM is told about them.

Of its own accord LLVM unrolls a loop of few items before it could be vectors, compares addresses before a loop that
writes to memory it does not know, and computes two vectors in turn where there are registers for one.
"""

from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from fastkl.kernels._memory import LINE, ask_for_line


def for_each(function: Any, how: Any, results: Any, operands: Any, ahead: Any = ()) -> None:
    """Write ``function(how, *results, *operands)``, item by item, to the results; no array overlaps another.

    ``function`` takes the items that the results had before and gives as many new ones. All arrays are contiguous and
    as long as the first. Meanwhile memory fetches as many bytes from each of the addresses ``ahead`` on, a line at a
    time: what is asked for at once a processor drops in part.
    """
    for i in range(len(results[0])):
        items = [array[i] for array in (*results, *operands)]
        for array, value in zip(results, function(how, *items), strict=True):
            array[i] = value


# In the caller's own code, as it is vectorised before others take it in.
@overload(for_each, inline="always")
def _for_each(function, how, results, operands, ahead=()):
    def write_each(function, how, results, operands, ahead=()):
        _write_each(function, how, results, operands, len(results[0]), ahead)

    return write_each


@intrinsic
def _write_each(typingctx, function, how, results, operands, n, ahead):
    arrays = [*results, *operands]
    step = Step.of(typingctx, function, how, [array.dtype for array in arrays])

    def codegen(context, builder, signature, arguments):
        _, how, result_arrays, operand_arrays, n, addresses = arguments
        values = *cgutils.unpack_tuple(builder, result_arrays), *cgutils.unpack_tuple(builder, operand_arrays)
        data = [context.make_array(k)(context, builder, value).data for k, value in zip(arrays, values, strict=True)]
        size = n.type(arrays[0].dtype.bitwidth // 8)
        line, first = n.type(LINE // size.constant), n.type(0)

        def repeat(first, count, **told):
            items = [builder.gep(pointer, [first]) for pointer in data]
            step.repeat(context, builder, how, items, items[: len(results)], count, **told)

        if len(ahead):
            first = builder.sub(n, builder.srem(n, line))
            with cgutils.for_range_slice(builder, n.type(0), first, line, n.type) as (i, _):
                for address in cgutils.unpack_tuple(builder, addresses):
                    ask_for_line(builder, builder.add(address, builder.mul(i, size)))
                repeat(i, line, is_unrolled=True)
        with builder.if_then(builder.icmp_signed("<", first, n)):
            repeat(first, builder.sub(n, first), is_unrolled=False, is_masked=len(ahead) > 0)
        return context.get_dummy_value()

    return types.void(function, how, results, operands, n, ahead), codegen


class Step(NamedTuple):
    """A compiled function of what is the same for all items and of one item of each operand, which gives a tuple."""

    function: Any
    signature: Any

    @classmethod
    def of(cls, typingctx: Any, function: Any, how: Any, items: list[Any]) -> "Step":
        """The function for items of these types."""
        return cls(function, typingctx.resolve_function_type(function, (how, *items), {}))

    @property
    def results(self) -> list[Any]:
        """The types of what it gives."""
        return list(self.signature.return_type)

    def repeat(
        self,
        context: Any,
        builder: Any,
        how: Any,
        operands: Any,
        results: Any,
        n: Any,
        *,
        is_unrolled: bool,
        is_masked: bool = False,
    ) -> None:
        """Build the loop over ``n`` items, at least one, from where the operands point to where the results do.

        If it is unrolled, where n is known, results on the stack become registers. If it is masked, items that do not
        fill a vector are taken together too, not one by one.
        """
        before, body, end = builder.block, builder.append_basic_block(), builder.append_basic_block()
        builder.branch(body)
        builder.position_at_end(body)
        group = _Distinct(builder.module)
        i = builder.phi(n.type)
        i.add_incoming(n.type(0), before)
        items = [_in_group(group, builder.load(builder.gep(operand, [i]))) for operand in operands]
        values = context.get_function(self.function, self.signature)(
            builder, self._arguments(context, builder, how, items)
        )
        for value, result in zip(cgutils.unpack_tuple(builder, values), results, strict=True):
            _in_group(group, builder.store(value, builder.gep(result, [i])))
        following = builder.add(i, n.type(1))
        i.add_incoming(following, builder.block)
        back = builder.cbranch(builder.icmp_signed("<", following, n), body, end)
        back.set_metadata("llvm.loop", _told(builder.module, group, is_unrolled, is_masked))
        builder.position_at_end(end)

    def _arguments(self, context, builder, how, items):
        # What a parameter with a star gathers is one tuple, the last of the signature.
        arguments, last = [how, *items], self.signature.args[-1]
        if not isinstance(last, types.StarArgTuple | types.StarArgUniTuple):
            return arguments
        first = len(self.signature.args) - 1
        return [*arguments[:first], context.make_tuple(builder, last, arguments[first:])]


def _in_group(group, access):
    access.set_metadata("llvm.access.group", group)
    return access


def _told(module, group, is_unrolled, is_masked):
    # The metadata of a loop, in LLVM's words: https://llvm.org/docs/TransformMetadata.html
    def say(name, *values):
        return module.add_metadata([ir.MetaDataString(module, name), *values])

    unrolled, as_it_is = say("llvm.loop.unroll.enable"), say("llvm.loop.unroll.disable")
    loop = _Own(module)
    loop.operands = (  # the first is itself: so no loop is taken for another
        loop,
        say("llvm.loop.parallel_accesses", group),
        say("llvm.loop.interleave.count", ir.IntType(32)(1)),
        say("llvm.loop.vectorize.predicate.enable", ir.IntType(1)(is_masked)),
        as_it_is,  # until it is vectorised
        say("llvm.loop.vectorize.followup_vectorized", unrolled if is_unrolled else as_it_is),
        say("llvm.loop.vectorize.followup_epilogue", as_it_is),
    )
    return loop


class _Own(ir.values.MDValue):  # type: ignore[misc]
    """Metadata that is no other, whatever it says."""

    __eq__, __hash__ = object.__eq__, object.__hash__

    def __init__(self, module):
        super().__init__(module, (), str(len(module.metadata)))


class _Distinct(_Own):
    """Metadata that says nothing."""

    def descr(self, buf):
        buf += ("distinct !{}", "\n")
