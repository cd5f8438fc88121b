"""Results as lines on stdout: those of a .csv file."""

import sys
from collections.abc import Iterator
from typing import Any

import numpy.typing as npt

from fastkl.batch._layout import Layout
from fastkl.batch.formats._write_csv import header, lines


def print_lines(layout: Layout, blocks: Iterator[dict[str, npt.NDArray[Any]]]) -> None:
    """Print results block by block, with a first line that names the columns where there are several."""
    sys.stdout.write(header(layout.columns, None if layout.ids is None else layout.ids.name))
    done = 0
    for block in blocks:
        count = len(next(iter(block.values())))
        ids = None if layout.ids is None else layout.ids.read(done, done + count)
        sys.stdout.writelines(lines(block, ids))
        done += count
