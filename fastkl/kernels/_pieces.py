"""Rows of many pieces, each by itself, so that all threads can share one row; and the row from its records.

For divergences that follow the chain rule each piece is scaled by its own totals: the row's value is that of the
pieces' totals, which are a histogram themselves, plus the pieces' own. For the others the totals of the whole row
come first, and the pieces are read a second time.
"""

import math

import numpy as np

from fastkl.kernels._jit import apart, entry, inline
from fastkl.kernels._logratio import odd_bits
from fastkl.kernels._memory import keep, view
from fastkl.kernels._odd import is_moderate
from fastkl.kernels._piece import (
    GIVEN_TOTALS,
    PIECE,
    is_staged,
    job_of,
    measure,
    memory_for,
    open_block,
    scratch_in,
)
from fastkl.kernels._terms import bin_term, follows_chain_rule, is_in_units_of_p, is_refined, scales, wide_term
from fastkl.kernels._wide import NOTHING, add, add_exactly, divide, join, normal

# The record of a piece: its totals and the sum of its terms, each as mantissa and exponent, and its state.
P_TOTAL, Q_TOTAL, TERMS, STATE, RECORD = 0, 2, 4, 6, 7
TODO, DONE, INVALID = 0, 1, 2  # as zeros, new records are todo and no memory is touched before a thread fills them


@entry
def pieces(kind, zero, p, q, w, shape, n, start, stop, first, last, normalize, pseudocount, totals, given, records):
    """Fill the records of the pieces ``first`` to ``last`` of the rows ``start`` to ``stop`` that are todo.

    ``totals`` says which totals scale a piece, ``given`` holds those of each row as (mantissa, exponent) of p and of
    q; it and ``records`` begin with the row ``start``. Pieces that the fast loops can't take stay todo.
    """
    job = job_of(zero, p, q, w, shape, n, normalize, pseudocount)
    memory = memory_for(job, PIECE)
    scratch = scratch_in(memory, PIECE)
    if is_staged(job):
        for k in range(first, last):
            block_row = start
            while block_row < stop:
                block_stop = open_block(job, scratch, block_row, stop, k)
                for row in range(block_row, block_stop):
                    addresses = given[row - start].ctypes.data, records[row - start, k].ctypes.data
                    _fill(kind, job, scratch, block_row, row, k, totals, addresses)
                block_row = block_stop
    else:
        for row in range(start, stop):
            for k in range(first, last):
                addresses = given[row - start].ctypes.data, records[row - start, k].ctypes.data
                _fill(kind, job, scratch, start, row, k, totals, addresses)
    keep(memory)


@apart
def _fill(kind, job, scratch, block_row, row, k, totals, addresses):
    given, record = view(addresses[0], 4, np.float64), view(addresses[1], RECORD, np.float64)
    if record[STATE] == TODO:
        given_p, given_q = 1.0, 1.0
        if totals == GIVEN_TOTALS:
            given_p, given_q = math.ldexp(given[0], int(given[1])), math.ldexp(given[2], int(given[3]))
        p_total, q_total, total, odd = measure(kind, job, scratch, block_row, row, k, totals, given_p, given_q)
        if odd == 0:
            record[:] = 0.0
            record[P_TOTAL], record[Q_TOTAL], record[TERMS], record[STATE] = p_total, q_total, total, DONE


@entry
def join_totals(records, given):
    """Write the totals of rows, as `pieces` takes them, from the records of their pieces."""
    for row in range(len(records)):
        given[row, 0], given[row, 1] = _total(records[row], P_TOTAL)
        given[row, 2], given[row, 3] = _total(records[row], Q_TOTAL)


@entry
def join_pieces(kind, normalize, factor, records, out):
    """Write the divergences, times ``factor``, of rows from the records of their pieces; NaN for invalid rows."""
    for row in range(len(records)):
        out[row] = _join(kind, records[row], normalize, factor)


@inline
def _join(kind, records, normalize, factor):
    are_done, are_plain, terms = _survey(records)
    if not are_done:
        return np.nan
    if are_plain and not is_refined(kind):
        if not normalize:
            return factor * terms
        p_total, q_total = _plain_total(records, P_TOTAL), _plain_total(records, Q_TOTAL)
        a, b = scales(kind, p_total, q_total)
        if is_moderate(a) and is_moderate(b):
            return factor * _join_plain(kind, records, terms, p_total, a, b)
    return _join_wide(kind, records, normalize, factor)


@inline
def _survey(records):
    # (all are done, plain arithmetic does, the sum of the terms by it): 5 ns a piece, where others take 300.
    total, lost, exponents, odd = 0.0, 0.0, 0.0, np.int64(0)
    for k in range(len(records)):
        if records[k, STATE] != DONE:
            return False, False, 0.0
        exponents += abs(records[k, P_TOTAL + 1]) + abs(records[k, Q_TOTAL + 1]) + abs(records[k, TERMS + 1])
        odd |= odd_bits(records[k, P_TOTAL]) | odd_bits(records[k, Q_TOTAL])
        total, lost = add_exactly(total, lost, records[k, TERMS])
    return True, exponents == 0.0 and odd == 0, total + lost


@inline
def _plain_total(records, field):
    total, lost = 0.0, 0.0
    for k in range(len(records)):
        total, lost = add_exactly(total, lost, records[k, field])
    return total + lost


@inline
def _join_plain(kind, records, terms, p_total, a, b):
    if follows_chain_rule(kind) and len(records) > 1:
        total, lost = terms, 0.0
        for k in range(len(records)):
            total, lost = add_exactly(total, lost, bin_term(kind, records[k, P_TOTAL], records[k, Q_TOTAL], a, b))
        terms = total + lost
    return terms / p_total if is_in_units_of_p(kind) else terms


@inline
def _join_wide(kind, records, normalize, factor):
    total = _total(records, TERMS)
    if normalize:
        p_total, q_total = _total(records, P_TOTAL), _total(records, Q_TOTAL)
        if p_total[0] == 0.0 or q_total[0] == 0.0:
            return np.nan
        if is_in_units_of_p(kind):
            total = divide(total[0], total[1], p_total)
        if follows_chain_rule(kind) and len(records) > 1:
            total = _with_pieces_between(kind, records, p_total, q_total, total)
    return np.ldexp(factor * total[0], total[1])  # in this order: in nats it may be no double


@inline
def _with_pieces_between(kind, records, p_total, q_total, total):
    parts = add(NOTHING, total[0], total[1])
    refined = _largest(records, q_total) if is_refined(kind) else -1
    for k in range(len(records)):
        x = divide(records[k, P_TOTAL], int(records[k, P_TOTAL + 1]), p_total)
        if k == refined:
            parts = add(parts, x[0] * _log_of_rest(records, k), x[1])
        else:
            y = divide(records[k, Q_TOTAL], int(records[k, Q_TOTAL + 1]), q_total)
            g, exponent = wide_term(kind, x[0], x[1], y[0], y[1])
            parts = add(parts, g, exponent)
    return join(parts)


@inline
def _largest(records, q_total):
    largest, most = 0, 0.0
    for k in range(len(records)):
        y = divide(records[k, Q_TOTAL], int(records[k, Q_TOTAL + 1]), q_total)
        share = math.ldexp(y[0], y[1])
        if share > most:
            largest, most = k, share
    return largest


@inline
def _log_of_rest(records, largest):
    # log(total / piece) of the largest total of q, as `_wide` has it for bins.
    parts = NOTHING
    for k in range(len(records)):
        if k != largest:
            parts = add(parts, records[k, Q_TOTAL], int(records[k, Q_TOTAL + 1]))
    others, exponent = join(parts)
    piece, piece_exponent = normal(records[largest, Q_TOTAL], int(records[largest, Q_TOTAL + 1]))
    return math.log1p(math.ldexp(others / piece, exponent - piece_exponent))


@inline
def _total(records, field):
    parts = NOTHING
    for k in range(len(records)):
        parts = add(parts, records[k, field], int(records[k, field + 1]))
    return join(parts)
