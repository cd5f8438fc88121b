"""What the commands do with files: a run of `fastkl.batch` where there is an output file, else lines on stdout."""

import argparse
import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.batch import Interrupted, InvalidHistogram, Refused, run
from fastkl.batch._layout import layout_of, row_type
from fastkl.batch._open import open_job
from fastkl.batch._protocols import SinkError, SourceError
from fastkl.batch.formats import can_read, open_source
from fastkl.cli._command import CommandError, UsageError
from fastkl.cli._lines import print_lines
from fastkl.cli._options import shows_progress

_AGAIN = {"force=True, resume=True": ("--force", "--resume"), "resume=True": ("--resume",)}
_WORDS = {  # of the function, in those of the command
    "force=True without resume=True": "--force without --resume",
    "resume=True": "--resume",
    "force=True": "--force",
    "on_invalid='nan'": "--on-invalid nan",
    "fewer than k = ": "fewer than -k ",
}


def compute(args: argparse.Namespace, kind: str, p: Path, q: Path | None, **options: Any) -> int:
    """Compute what a command asks for, and write or print it."""
    for path in (p, q):
        if path is not None:
            check_format(path)
    with in_words_of_the_command(args):
        if args.output is None:
            _print(args, kind, p, q, options)
            return 0
        shown = shows_progress(args)
        summary = run(
            kind,
            p,
            q,
            args.output,
            memory=args.memory,
            resume=args.resume,
            force=args.force,
            on_invalid=args.on_invalid,
            ids=args.ids,
            header=args.header,
            threads=args.threads,
            progress=shown,
            **options,
        )
    if args.json:
        print(json.dumps(summary.as_dict()))
    elif shown or (summary.was_finished and not args.quiet):
        print(summary, file=sys.stderr)
    return 0


def check_format(path: Path) -> None:
    """Raise UsageError unless files of this suffix can be read."""
    if not can_read(path):
        try:
            open_source(path)
        except SourceError as error:
            raise UsageError(str(error)) from None


@contextmanager
def in_words_of_the_command(args: argparse.Namespace) -> Iterator[None]:
    """Errors of the functions as those of a command, which has options where these have arguments."""
    try:
        yield
    except (Refused, SinkError) as error:
        raise UsageError(_translated(error, args)) from None
    except (InvalidHistogram, SourceError) as error:
        raise CommandError(_translated(error, args)) from None
    except Interrupted as error:
        raise KeyboardInterrupt(_translated(error, args)) from None
    except OSError as error:
        if error.strerror is not None:
            error.strerror = _translated(error.strerror, args)
        raise


def _translated(error: object, args: argparse.Namespace) -> str:
    text = str(error)
    for words, options in _AGAIN.items():
        again = shlex.join([*args.command_line, *(option for option in options if option not in args.command_line)])
        text = text.replace(f"{words} continues", f"`{again}` continues")
    for theirs, ours in _WORDS.items():
        text = text.replace(theirs, ours)
    return f"--{text}" if text.startswith("axis ") else text


def _print(args: argparse.Namespace, kind: str, p: Path, q: Path | None, options: dict[str, Any]) -> None:
    for name, is_given in (
        ("--resume", args.resume),
        ("--json", args.json),
        ("--on-invalid report", args.on_invalid == "report"),
    ):
        if is_given:
            raise UsageError(f"{name} is for results in a file: name it with -o")
    with ExitStack() as files:
        job = open_job(
            kind,
            p,
            q,
            files,
            memory=args.memory,
            on_invalid=args.on_invalid,
            ids=args.ids,
            header=args.header,
            show_progress=shows_progress(args),
            options={**options, "threads": args.threads},
        )
        layout = layout_of(job, Path("-.csv"))
        job.check_rest()
        record = row_type(job.kind.columns)
        blocks = (_rows(block.values, record) for block in job.blocks())
        if kind == "fit":  # whose tables go through the rows more than once
            kept = list(blocks)
            print_lines(layout, layout.blocks(lambda _: iter(kept)))
        else:
            print_lines(layout, layout.blocks(lambda _: blocks))


def _rows(values: dict[str, npt.NDArray[Any]], record: np.dtype[Any]) -> npt.NDArray[Any]:
    rows = np.empty(len(next(iter(values.values()))), record)
    for name, array in values.items():
        rows[name] = array
    return rows
