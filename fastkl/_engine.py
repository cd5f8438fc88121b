"""Runs the kernels over a batch: chunks, shared among threads; what fast loops leave goes to careful ones."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from fastkl import kernels
from fastkl._operands import Batch
from fastkl._threads import available_cpus, check_wanted, for_each_chunk

# Bins that a thread is handed at a time, at least and at most: 100 us to 10 ms of work, which lets Ctrl-C through.
# Beside them stand 50 us of the interpreter, whose memory the bins have driven from the caches, and only one thread at
# a time has it: so the more threads the more bins.
_CHUNK, _LEAST_FOR_EACH_THREAD, _LARGEST_CHUNK = 1 << 18, 1 << 16, 1 << 22
# At most where each bin may have to be looked at with care, which takes 200 to 800 ns: Ctrl-C waits for a chunk.
_LARGEST_CAREFUL_CHUNK = 1 << 20
# Bins in a group of long rows: their records take 2 MB.
_GROUP = 1 << 26
# So many rows for each thread need not be shared piece by piece.
_MANY = 8
# A thread is worth its start for this many bins.
_BINS_PER_THREAD = 1 << 17
# So many rows side by side fill the vectors of the kernel for columns.
_FEWEST_COLUMNS = 32
_DOUBLE, _SINGLE = np.dtype(np.float64), np.dtype(np.float32)
_CONTIGUOUS = (_DOUBLE.itemsize,)
_BEHAVED = 0x0500  # NumPy's bits for aligned and writeable; `flags.writeable` warns of arrays that it broadcast
# What bins may be multiplied by in single precision: 2^-10 takes the least of them, 2^-76, over the largest total,
# 2^24, to what counts as zero there.
_LEAST_FACTOR_32 = 2.0**-9


class Question(NamedTuple):
    """What a kernel is told beside its operands."""

    kind: Any
    normalize: bool
    pseudocount: float
    factor: float

    @property
    def fits_single(self) -> bool:
        """False where single precision has no room for what is asked."""
        c, least = self.pseudocount, getattr(self.kind, "least_factor", 1.0)
        return (c == 0.0 or float(kernels.TINY_32) <= c <= float(kernels.HUGE_32)) and least >= _LEAST_FACTOR_32


Answers = tuple[npt.NDArray[np.float64], bool]


class OtherBatch(Protocol):
    """A batch that is no layout of dense arrays, and knows how to run."""

    bins: int

    def run(
        self, question: Question, precision: np.dtype[Any], threads: int | None, wanted: npt.NDArray[np.bool_] | None
    ) -> Answers:
        """What `run` gives."""

    def exchanged(self) -> "OtherBatch":
        """The same with p and q exchanged."""


def run(
    batch: Batch | OtherBatch,
    question: Question,
    precision: np.dtype[Any],
    threads: int | None,
    wanted: npt.NDArray[np.bool_] | None = None,
) -> Answers:
    """The divergences of a batch of p, q and maybe weights, in the order of memory, and whether any row is invalid.

    Those rows are NaN. Where only some rows are ``wanted`` the others, and the flag, mean nothing.
    """
    if not isinstance(batch, Batch):
        return batch.run(question, precision, threads, wanted)
    return _run(_Engine(batch, question, precision, wanted), threads)


def run_both(
    batch: Batch | OtherBatch, question: Question, precision: np.dtype[Any], threads: int | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], bool]:
    """What `run` gives for KL, the same for p and q exchanged, and whether any row is invalid: of memory read once."""
    if isinstance(batch, Batch) and kernels.TILE_BINS < batch.bins <= kernels.PIECE:
        # Rows that lie side by side too: a sum in their own kernel would be another one, and so its last bits.
        return _run_both(_BothEngine(batch, question, precision, None), threads)
    forward, found_invalid = run(batch, question, precision, threads)
    return forward, run(batch.exchanged(), question, precision, threads)[0], found_invalid


def _run_both(
    engine: "_BothEngine", threads: int | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], bool]:
    forward, _ = _run(engine, threads)
    reverse, left, found_invalid = engine.reverse, engine.left.view(np.bool_), False
    if left.any():
        batch, asked = engine.batch, (engine.question, engine.precisions[0], threads, left)
        forward[left] = run(batch, *asked)[0][left]
        reverse[left] = run(batch.exchanged(), *asked)[0][left]
        found_invalid = bool(np.isnan(forward[left]).any())
    return forward, reverse, found_invalid


def run_logits(batch: Batch, question: Question, precision: np.dtype[Any], threads: int | None) -> Answers:
    """What `run` gives for KL, of a batch of logits."""
    return _run(_LogitsEngine(batch, question, precision, None), threads)


def _run(engine: "_Engine", threads: int | None) -> Answers:
    rows, bins = engine.batch.rows, max(engine.bins, 1)
    out = np.empty(rows)
    workers = workers_for(rows * bins, threads)
    if bins <= _CHUNK:
        fill = engine.rows if bins <= kernels.PIECE else engine.long_rows
        chunks = chunks_of(rows, bins, workers, engine.staged_rows)
        for_each_chunk(lambda k: fill(*chunks[k], out), len(chunks), workers)
    else:
        _share_rows(engine, rows, out, workers)
    return out, engine.found_invalid


def _fill_chunk(
    engine: "_Engine",
    chunks: list[tuple[int, int, int, int]],
    totals: int,
    given: npt.NDArray[np.float64],
    records: npt.NDArray[np.float64],
    origin: int,
    k: int,
) -> None:
    engine.pieces(*chunks[k], totals, given, records, origin)


def run_single(kind: Any, p: npt.NDArray[Any], q: npt.NDArray[Any], normalize: bool = True, factor: float = 1.0) -> Any:
    """The divergence of one pair that `are_single`; None where the fast loops can't tell."""
    code = _code_of_pairs.get(type(kind))
    if code is None:
        code = _code_of_pairs[type(kind)] = kernels.code_for(kernels.pair, kind, p, q, True)
    value = factor * code(kind, p, q, normalize)
    return None if value != value else np.float64(value)


_code_of_pairs: dict[type, Callable[..., float]] = {}


def run_few(p: npt.NDArray[Any], q: npt.NDArray[Any], question: Question) -> npt.NDArray[np.float64] | None:
    """The divergences of some pairs of short contiguous rows; None where the fast loops can't tell them all.

    This is what `run` does, in a fifth of the time that it takes to get ready for any types and layouts.
    """
    o, batch, bins = question, (p if p.ndim > q.ndim else q).shape[:-1], p.shape[-1]
    rows, size = batch[0] if batch else 1, p.itemsize
    if rows == 1 and o.pseudocount == 0.0:  # as a pair
        x, y = p.ravel(), q.ravel()
        if are_single(x, y):
            single = run_single(o.kind, x, y, o.normalize, o.factor)
            return None if single is None else np.array(single).reshape(batch)
    out, todo, layouts = np.empty(rows), np.empty(rows, np.uint8), np.zeros((3, 6), np.int64)
    todo.fill(1)
    for layout, array in zip(layouts, (p, q), strict=False):
        layout[:] = array.ctypes.data, 0, size, 0, 0, 0 if array.ndim == 1 else size * bins
    kernel = kernels.tiles if bins <= kernels.TILE_BINS else kernels.rows
    where = (*layouts, np.array([rows]), bins, 0, rows, o.normalize, o.pseudocount, o.factor, out, todo)
    kernel(o.kind, p.dtype.type(0), *where)
    return None if np.count_nonzero(todo) else out.reshape(batch)


def are_few(p: Any, q: Any, question: Question) -> bool:
    """True for arrays that `run_few` takes: rows of one type, or one row and others, for no more than one thread."""
    return (
        type(p) is np.ndarray
        and type(q) is np.ndarray
        and p.dtype == q.dtype
        and (p.dtype == _DOUBLE or (p.dtype == _SINGLE and question.fits_single))
        and 0 < p.ndim <= 2
        and 0 < q.ndim <= 2
        and (p.shape == q.shape or (p.ndim != q.ndim and p.shape[-1] == q.shape[-1]))
        and p.flags.c_contiguous
        and q.flags.c_contiguous
        and 0 < max(p.size, q.size) < 2 * _BINS_PER_THREAD
        and p.shape[-1] <= kernels.PIECE
    )


def are_single(p: Any, q: Any) -> bool:
    """True for a pair of short contiguous float64 rows, as `run_single` takes.

    Writeable: for other arrays Numba would compile another kernel.
    """
    return (
        type(p) is np.ndarray
        and type(q) is np.ndarray
        and p.dtype is _DOUBLE
        and q.dtype is _DOUBLE
        and p.strides == _CONTIGUOUS == q.strides
        and 0 < p.size == q.size <= kernels.PIECE
        and p.flags.num & q.flags.num & _BEHAVED == _BEHAVED
    )


def workers_for(work: int, threads: int | None) -> int:
    """How many threads so many bins are worth, of those that are allowed."""
    return min(available_cpus() if threads is None else threads, max(1, work // _BINS_PER_THREAD))


def chunks_of(count: int, bins: int, workers: int, together: int = 1) -> list[tuple[int, int]]:
    """(first, stop) of what threads are handed, one chunk after the other, of ``count`` things of so many bins.

    Each is a part of what is left, up to a limit: so they are few, and all threads end at about the same time. All but
    the last are multiples of ``together``.

    >>> chunks_of(10_000, 256, 2), chunks_of(40_000, 256, 1)
    ([(0, 2500), (2500, 4375), (4375, 5782), (5782, 6837), (6837, 7861), (7861, 8885), (8885, 9909), (9909, 10000)],
     [(0, 16384), (16384, 32768), (32768, 40000)])
    """
    least = min(max(_CHUNK, _LEAST_FOR_EACH_THREAD * workers), -(-count * bins // workers))
    chunks, first = [], 0
    while first < count:
        share = (count - first) * bins // (2 * workers if workers > 1 else 1)
        wanted = -(-max(least, min(share, _LARGEST_CHUNK)) // (bins * together)) * together
        chunks.append((first, min(first + wanted, count)))
        first += wanted
    return chunks


def _share_rows(engine: "_Engine", rows: int, out: npt.NDArray[np.float64], workers: int) -> None:
    """Compute rows that are longer than a chunk, each by all threads."""
    pieces, together = engine.pieces_in_row, engine.staged_rows
    # Rows in groups, so that the records stay few, of so many bins that the threads seldom wait for each other.
    group = together * max(1, _GROUP // (together * engine.bins))
    for start in range(0, rows, group):
        stop = min(start + group, rows)
        records, given = engine.records_of(stop - start)
        parts = chunks_of(pieces, kernels.PIECE * together, workers if stop - start < workers * _MANY else 1)
        chunks = [(row, min(row + together, stop), *part) for row in range(start, stop, together) for part in parts]
        for totals in engine.rounds:
            engine.mark(records, start, stop, totals)
            work = partial(_fill_chunk, engine, chunks, totals, given, records, start)
            for_each_chunk(work, len(chunks), workers)
            if totals == kernels.ONLY_TOTALS:
                kernels.join_totals(records, given)
        engine.join(records, out[start:stop])


class _Engine:
    """The kernels bound to a batch: each method does a chunk, and by slower loops what the fast ones leave."""

    def __init__(
        self, batch: Batch, question: Question, precision: np.dtype[Any], wanted: npt.NDArray[np.bool_] | None
    ) -> None:
        self.batch, self.question, self.bins, self.wanted = batch, question, batch.bins, wanted
        self.shape, self.found_invalid = np.array(batch.merged, np.int64), False
        self.precisions = [precision] if precision == _DOUBLE else [precision, _DOUBLE]
        self.layouts = {precision: self._layouts(precision)}
        self.rounds = [kernels.OWN_TOTALS]
        if question.normalize and not kernels.follows_chain_rule(question.kind):
            self.rounds = [kernels.ONLY_TOTALS, kernels.GIVEN_TOTALS]

        turned = [batch.is_turned(index) for index in (0, 1)]
        self.are_columns = (
            any(turned)
            and batch.neighbours >= _FEWEST_COLUMNS
            and all(turned[index] or batch.steps[index][-1] == 0 for index in (0, 1))
            and len(batch.operands) == 2
            and question.pseudocount == 0.0
            and not kernels.is_refined(question.kind)
        )

    @property
    def pieces_in_row(self) -> int:
        """Pieces of which a row has records."""
        return max(1, -(-self.bins // kernels.PIECE))

    @property
    def staged_rows(self) -> int:
        """Rows that are staged together, if they are, and computed by one thread."""
        is_staged = any(layout[kernels.STAGER] for layout in self.layouts[self.precisions[0]][:2])
        return kernels.STAGE // (kernels.PIECE + 8) if is_staged and self.bins > kernels.PIECE else 1

    def _layouts(self, precision: np.dtype[Any]) -> list[npt.NDArray[np.int64]]:
        layouts = [self.batch.layout(index, precision) for index in range(len(self.batch.operands))]
        return layouts if len(layouts) == 3 else [*layouts, np.zeros(len(layouts[0]), np.int64)]

    def _operands(self, precision: np.dtype[Any]) -> list[npt.NDArray[np.int64]]:
        if precision not in self.layouts:
            self.layouts[precision] = self._layouts(precision)
        return [*self.layouts[precision], self.shape]

    def rows(self, start: int, stop: int, out: npt.NDArray[np.float64]) -> None:
        """Compute rows of one piece."""
        o, out, todo = self.question, out[start:stop], np.ones(stop - start, np.uint8)
        if self.wanted is not None:
            todo[:] = self.wanted[start:stop]
        for precision in self.precisions:
            operands = self._operands(precision)
            where: tuple[Any, ...]
            if self.are_columns:
                p, q, _, shape = operands
                where = (p, q, shape, self.bins, start, stop, o.normalize, o.factor, out, todo)
                kernels.columns(o.kind, precision.type(0), *where)
            else:
                kernel = kernels.tiles if self.bins <= kernels.TILE_BINS else kernels.rows
                where = (*operands, self.bins, start, stop, o.normalize, o.pseudocount, o.factor, out, todo)
                kernel(o.kind, precision.type(0), *where)
            if not todo.any():
                return
        together = max(1, _LARGEST_CAREFUL_CHUNK // max(self.bins, 1))
        for first in range(0, stop - start, together):
            part = slice(first, first + together)
            self._rows_carefully(start + first, min(start + first + together, stop), out[part], todo[part])

    def _rows_carefully(self, start: int, stop: int, out: npt.NDArray[np.float64], todo: npt.NDArray[np.uint8]) -> None:
        o, left = self.question, np.flatnonzero(todo)
        if not len(left):
            return
        check_wanted()
        records, given = self.records_of(stop - start)
        records[todo == 0, 0, kernels.STATE] = kernels.DONE
        where = (self.bins, start, stop, 0, 1, o.normalize, o.pseudocount, kernels.OWN_TOTALS, given, records)
        kernels.careful_pieces(o.kind, *self._operands(_DOUBLE), *where)
        values = np.empty(len(left))
        self.join(records[left], values)
        out[left] = values

    def long_rows(self, start: int, stop: int, out: npt.NDArray[np.float64]) -> None:
        """Compute rows of several pieces."""
        records, given = self.records_of(stop - start)
        for totals in self.rounds:
            self.mark(records, start, stop, totals)
            self.pieces(start, stop, 0, self.pieces_in_row, totals, given, records, start)
            if totals == kernels.ONLY_TOTALS:
                kernels.join_totals(records, given)
        self.join(records, out[start:stop])

    def mark(self, records: npt.NDArray[np.float64], start: int, stop: int, totals: int) -> None:
        """Have the records of some rows say that their pieces are todo, if they are wanted; new ones say so."""
        if self.wanted is not None:
            records[:, :, kernels.STATE] = np.where(self.wanted[start:stop, None], kernels.TODO, kernels.DONE)
        elif totals != self.rounds[0]:
            records[:, :, kernels.STATE] = kernels.TODO

    def records_of(self, rows: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Empty records of the pieces of so many rows, and room for their totals."""
        return np.zeros((rows, self.pieces_in_row, kernels.RECORD)), np.zeros((rows, 4))

    def join(self, records: npt.NDArray[np.float64], out: npt.NDArray[np.float64]) -> None:
        """Compute rows from the records of their pieces."""
        self._join(records, out)
        if np.isnan(out).any():
            self.found_invalid = True

    def _join(self, records: npt.NDArray[np.float64], out: npt.NDArray[np.float64]) -> None:
        o = self.question
        kernels.join_pieces(o.kind, o.normalize, o.factor, records, out)

    def pieces(
        self,
        start: int,
        stop: int,
        first: int,
        last: int,
        totals: int,
        given: npt.NDArray[np.float64],
        records: npt.NDArray[np.float64],
        origin: int,
    ) -> None:
        """Fill the records of some pieces of some rows; ``given`` and ``records`` begin with the row ``origin``."""
        o = self.question
        records, given = records[start - origin : stop - origin], given[start - origin : stop - origin]
        where = (self.bins, start, stop, first, last, o.normalize, o.pseudocount, totals, given, records)
        for precision in self.precisions:
            kernels.pieces(o.kind, precision.type(0), *self._operands(precision), *where)
            if (records[:, first:last, kernels.STATE] == kernels.DONE).all():
                return
        self._pieces_carefully(start, range(first, last), totals, given, records)

    def _pieces_carefully(
        self, start: int, pieces: range, totals: int, given: npt.NDArray[np.float64], records: npt.NDArray[np.float64]
    ) -> None:
        o, most, stop = self.question, _LARGEST_CAREFUL_CHUNK // kernels.PIECE, start + len(records)
        rows = max(1, most // len(pieces))
        for row in range(start, stop, rows):
            part = slice(row - start, row - start + rows)
            for first in pieces[::most]:
                check_wanted()
                where = (self.bins, row, min(row + rows, stop), first, min(first + most, pieces.stop))
                asked = (o.normalize, o.pseudocount, totals, given[part], records[part])
                kernels.careful_pieces(o.kind, *self._operands(_DOUBLE), *where, *asked)


class _BothEngine(_Engine):
    """The kernel for both directions; what it leaves is left."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.reverse, self.left = np.empty(self.batch.rows), np.ones(self.batch.rows, np.uint8)

    def rows(self, start: int, stop: int, out: npt.NDArray[np.float64]) -> None:
        """Compute rows of one piece."""
        o, part, precision = self.question, slice(start, stop), self.precisions[0]
        # Not in double precision what single leaves, maybe for one direction's sake: the other stays in single.
        where = (*self._operands(precision), self.bins, start, stop, o.normalize, o.pseudocount, o.factor)
        kernels.both_rows(precision.type(0), *where, out[part], self.reverse[part], self.left[part])


class _LogitsEngine(_Engine):
    """The kernels for logits: what single precision leaves goes to double, which takes everything."""

    def rows(self, start: int, stop: int, out: npt.NDArray[np.float64]) -> None:
        """Compute rows of one piece."""
        self.long_rows(start, stop, out)

    def records_of(self, rows: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Empty records of the pieces of so many rows; their totals are never given."""
        return np.zeros((rows, self.pieces_in_row, kernels.LOGIT_RECORD)), np.zeros((rows, 0))

    def _join(self, records: npt.NDArray[np.float64], out: npt.NDArray[np.float64]) -> None:
        kernels.join_logit_pieces(self.question.normalize, self.question.factor, records, out)

    def pieces(
        self,
        start: int,
        stop: int,
        first: int,
        last: int,
        totals: int,
        given: npt.NDArray[np.float64],
        records: npt.NDArray[np.float64],
        origin: int,
    ) -> None:
        """Fill the records of some pieces of some rows; ``records`` begins with the row ``origin``."""
        records = records[start - origin : stop - origin]
        where = (self.bins, start, stop, first, last, self.question.normalize, records)
        for precision in self.precisions:
            kernels.logit_pieces(precision.type(0), *self._operands(precision), *where)
            if not (records[:, first:last, kernels.STATE] == kernels.TODO).any():
                return
