"""Calls from compiled code to machine code that stands by itself: compiled once, kept on disk, and found by its name.

Numba takes the code of what a function calls into its own, and compiles all of it again: a row's divergence in every
function between a user's and it, 2 s each time. What is called by name is not taken along. Whoever calls it, and is
loaded from a cache, has it loaded first.
"""

import hashlib
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any, NamedTuple, TypeVar, cast

import llvmlite.binding as llvm
import numba
from numba import types
from numba.core import cgutils
from numba.core.codegen import CodeLibrary
from numba.extending import intrinsic, overload

F = TypeVar("F", bound=Callable[..., Any])

# Whether callers inherit what is to be done before machine code is loaded: since Numba 0.63. Before that, and should
# the attribute go away, they take along what they call.
can_link = "_reload_init" in CodeLibrary.__init__.__code__.co_names


class Link(NamedTuple):
    """An `entry` for arguments of some types: where it is defined, so that another process finds it."""

    module: str
    name: str
    arguments: tuple[Any, ...]

    @property
    def symbol(self) -> str:
        """The name by which machine code knows it."""
        return f"fastkl_{self.name}_{hashlib.sha256(repr(self).encode()).hexdigest()[:32]}"

    def __call__(self) -> Any:
        """Have the symbol mean its machine code in this process; what Numba knows of it is returned."""
        dispatcher = getattr(import_module(self.module), self.name)
        dispatcher.compile(self.arguments)
        result = dispatcher.overloads[self.arguments]
        llvm.add_symbol(self.symbol, result.library.get_pointer_to_function(result.fndesc.llvm_func_name))
        return result


def linked(function: F) -> F:
    """``function``, an `entry`, as compiled code is to call it."""
    if numba.config.DISABLE_JIT or not can_link:
        return function

    @wraps(function)
    def call(*args: Any) -> Any:
        return function(*args)

    @intrinsic
    def call_by_symbol(typingctx, packed):
        link = Link(function.__module__, function.__name__, tuple(types.unliteral(kind) for kind in packed))
        result = link().signature.return_type

        def codegen(context, builder, signature, arguments):
            convention = context.call_conv
            values = [
                context.cast(builder, value, kind, wanted)
                for value, kind, wanted in zip(
                    cgutils.unpack_tuple(builder, arguments[0]), packed, link.arguments, strict=True
                )
            ]
            kind = convention.get_function_type(result, link.arguments)
            callee = cgutils.get_or_insert_function(builder.module, kind, link.symbol)
            status, value = convention.call_function(builder, callee, result, link.arguments, values)
            with cgutils.if_unlikely(builder, status.is_error):
                convention.return_status_propagate(builder, status)
            context.active_code_library._reload_init.add(link)
            return value

        return result(packed), codegen

    @overload(call, strict=False)
    def _call(*args):
        return lambda *args: call_by_symbol(args)

    return cast(F, call)
