"""How many rows are read and computed together: what the memory allows, and no more than is of use.

The whole process is to stay within the budget, beside the interpreter with its imports. Two blocks of input are alive,
the one that is computed and the one that is read ahead, and reading may hold each twice while it unpacks; or, of files
that are mapped, the two that are computed side by side and one that waits. All pairs and fits have working memory of
their own. The rest of the budget stays free: of blocks half as large a tenth of the time is waiting for the last
thread, of larger ones no less.
"""

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

from fastkl._threads import available_cpus
from fastkl.batch._errors import Refused
from fastkl.batch._protocols import Source

MIB = 1 << 20
BLOCK_BYTES = 128 * MIB  # input read together, twice as much of mapped files: some ten milliseconds of work
COPIES = 4  # of a block of input: read ahead and computed, each maybe twice
COPIES_AT_HAND = 3  # of a block that is not unpacked: two are computed, and one waits if some of its rows are invalid
RESULTS_AT_HAND = 10  # of two that are computed, with what they are made of, one that waits and one that is written
OVERHEAD = 128 * MIB  # compiled code, threads, libraries for files (of which pyarrow takes the most)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}
_UNITS["ti"] = 1 << 40


class Need(NamedTuple):
    """What a kind of run takes of the memory."""

    row: int  # bytes of input for a row
    result: int = 0  # bytes of its result
    working: int = 0  # bytes whatever the number of rows
    fixed_rows: int | None = None  # so many together, whatever the memory: the last bits depend on it
    most_rows: int | None = None  # no more together
    first_rows: int | None = None  # of what may be slow: so many first, then as many as take a second
    is_at_hand: bool = False  # blocks are mapped, or lie in memory, and are dropped by the threads that compute them


def memory_of(memory: int | str) -> int:
    """A number of bytes, given as one or as text: "512MiB", "2GB", "1.5g".

    >>> memory_of("512MiB"), memory_of("2 GB")
    (536870912, 2000000000)
    """
    if isinstance(memory, str):
        found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([kmgt]i?|)b?\s*", memory, re.IGNORECASE)
        size = int(float(found[1]) * _UNITS[found[2].lower()]) if found else 0
    else:
        size = int(memory) if isinstance(memory, int | float) and not isinstance(memory, bool) else 0
    if size < 1:
        raise ValueError(f"memory must be a number of bytes or a text like '512MiB', not {memory!r}")
    return size


def room_of(memory: int) -> int:
    """What the reading of one of two files may take beside its rows, which have the other half."""
    return max(0, memory - OVERHEAD) // 4


def memory_beside(memory: int, sources: Iterable[Source]) -> int:
    """What reading leaves of the memory; Refused where a file is stored in pieces that there is no room for."""
    left = memory
    for source in sources:
        left -= source.working
        if source.working and left < OVERHEAD:
            least = in_words(memory - left + OVERHEAD + MIB)
            raise Refused(
                f"memory of {in_words(memory)} is too little for this run; it needs {least} or more, as"
                f" {source.name} is stored in pieces that take {in_words(source.working)} to unpack: store it in"
                " smaller chunks, row groups or batches, or allow more"
            )
    return left


def in_words(size: float) -> str:
    """A number of bytes in messages.

    >>> in_words(512 << 20), in_words(10), in_words(2.5e12)
    ('512 MiB', '10 bytes', '2.274 TiB')
    """
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} TiB"


def rows_together(need: Need, memory: int, stored: int) -> int:
    """How many rows make a block, in whole numbers of the rows that are ``stored`` together where these are few.

    >>> rows_together(Need(row=4096, result=8), 1 << 30, 1), rows_together(Need(row=4096, result=8), 512 << 20, 1)
    (32768, 24552)
    >>> rows_together(Need(row=4096, result=8), 1 << 30, 1000)
    32000
    """
    room = memory - OVERHEAD - need.working
    copies, results, block = COPIES, 2, BLOCK_BYTES
    if need.is_at_hand:
        copies, results, block = COPIES_AT_HAND, RESULTS_AT_HAND, 2 * BLOCK_BYTES
    each = max(1, copies * need.row + results * need.result)
    wanted = need.fixed_rows or 1
    if room < wanted * each:
        raise too_little(memory, OVERHEAD + need.working + wanted * each)
    if need.fixed_rows:
        return need.fixed_rows
    most = min(room // each, block // max(need.row, need.result, 1))
    rows = max(1, most if need.most_rows is None else min(most, need.most_rows))
    return rows // stored * stored if rows >= stored else rows


def too_little(memory: int, least: int) -> Refused:
    """What is raised where a run needs ``least`` bytes of memory."""
    return Refused(f"memory of {in_words(memory)} is too little for this run; it needs {math.ceil(least / MIB)} MiB")


def working_memory(threads: int | None) -> int:
    """What the product of matrices of all pairs takes beside arguments and result."""
    return (128 + 32 * min(available_cpus() if threads is None else threads, 4)) * MIB
