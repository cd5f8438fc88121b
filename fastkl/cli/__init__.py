"""The command ``fastkl``: one module for each sub-command, imported when that one is called.

A sub-command is a module with ``add_arguments(parser)``, which also gives the parser its description and
examples, and ``run(args)``, which returns the exit status: 0 is success, 1 data or a computation that failed,
2 a wrong call, 130 Ctrl-C. An error is one line on stderr that begins with ``fastkl:``.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from fastkl import __version__
from fastkl.cli._command import CommandError, Parser

_COMMANDS = {  # name: (module, what `fastkl --help` says of it)
    "demo": (
        "fastkl.cli.demo",
        "see what fastkl does: divergences of a large batch, and the same by SciPy",
    ),
    "kl": ("fastkl.cli.kl", "KL divergence between the histograms of two files"),
    "pairwise": ("fastkl.cli.pairwise", "divergence of all histograms of a file from all of another"),
    "nearest": ("fastkl.cli.nearest", "for each histogram of a file the nearest ones of another"),
    "fit": ("fastkl.cli.fit", "the nearest distribution of a family to each histogram of a file"),
    "bench": ("fastkl.bench", "measure fastkl and other libraries on this machine"),
    "info": ("fastkl.cli.info", "versions, CPU, threads and the kernel cache, for a bug report"),
}

_DESCRIPTION = "Exact Kullback-Leibler divergence of large batches of histograms, at the speed of memory."
_EXAMPLES = """\
examples:
  fastkl demo                         a first look; needs no data
  fastkl kl p.npy q.npy -o kl.npy     row i of p.npy against row i of q.npy
  fastkl nearest x.npy y.npy -k 10 -o found.npz
  fastkl fit P.npy --edges E.npy -o fits.csv
  fastkl kl --help                    all options of a command, with examples

exit status: 0 success, 1 data or a computation that failed, 2 a wrong call, 130 interrupted
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv`` (default: that of this process) and return the exit status."""
    if sys.stderr is None:  # as it is in a daemon
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - as long as the process
    try:
        status = _run(sys.argv[1:] if argv is None else list(argv))
        sys.stdout.flush()
        return status
    except CommandError as error:
        return _fail(str(error), error.status)
    except KeyboardInterrupt as error:
        return _fail(str(error) or "interrupted", 130)
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        _abandon_stdout()
        return 0
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _fail(f"{place}{error.strerror or error}", 1)
    except MemoryError as error:
        return _fail(str(error) or "out of memory", 1)
    except (ValueError, TypeError, ImportError) as error:
        return _fail(str(error), 1)


def _run(argv: list[str]) -> int:
    named = argv[0] if argv and argv[0] in _COMMANDS else None
    parser = _parser(named)
    if not argv:
        parser.print_help(sys.stderr)
        return 2
    try:
        args, unknown = parser.parse_known_args(argv)
    except SystemExit as done:  # --help or --version, which have printed
        return int(done.code or 0)
    if unknown:  # of the command, whose help lists what it knows
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    args.command_line = ["fastkl", *argv]
    return int(args.run(args))


def _parser(named: str | None) -> argparse.ArgumentParser:
    """The parser; of its sub-commands only the one that is called costs an import."""
    parser = Parser(prog="fastkl", description=_DESCRIPTION, epilog=_EXAMPLES)
    parser.set_defaults(parser=parser)
    parser.add_argument("--version", action="version", version=f"fastkl {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (module_name, summary) in _COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if name == named:
            module = importlib.import_module(module_name)
            module.add_arguments(command)
            command.set_defaults(run=module.run, parser=command)
    return parser


def _fail(message: str, status: int) -> int:
    print("fastkl:", " ".join(message.split()), file=sys.stderr)
    return status


def _abandon_stdout() -> None:
    # What stdout still holds would fail once more, with a traceback, when the interpreter flushes it on exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
