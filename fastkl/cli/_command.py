"""What the sub-commands share: how they fail, and how they read their arguments."""

import argparse
from collections.abc import Callable, Collection
from typing import Any, NoReturn


class CommandError(Exception):
    """One line for the user, and the exit status."""

    status = 1


class UsageError(CommandError):
    """The command was called wrongly; nothing was read or computed."""

    status = 2


class Parser(argparse.ArgumentParser):
    """Keeps the lines of its examples, and raises `UsageError` where other ArgumentParsers end the process."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(f"{message} (see `{self.prog} --help`)")


def number(
    kind: type, check: Callable[[Any], object], description: str, names: Collection[str] = ()
) -> Callable[[str], Any]:
    """A type of argument: a number of ``kind`` for which ``check`` raises no ValueError, or one of some names.

    ``description`` is what is accepted, in words.
    """

    def parse(text: str) -> Any:
        if text in names:
            return text
        try:
            value = kind(text)
            check(value)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {description}") from None
        return value

    return parse
