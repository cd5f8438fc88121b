"""The odd pieces, in double precision: bins or totals that the fast loops can't take, and invalid ones."""

import numpy as np

from fastkl.kernels._jit import entry, inline
from fastkl.kernels._load import ADDRESS, BIN_STEP, CONVERTER, load, row_address
from fastkl.kernels._piece import GIVEN_TOTALS, ONLY_TOTALS, PIECE
from fastkl.kernels._pieces import DONE, INVALID, P_TOTAL, Q_TOTAL, STATE, TERMS, TODO
from fastkl.kernels._terms import is_in_units_of_p
from fastkl.kernels._wide import is_invalid, multiply, wide_sum, wide_total


@entry
def careful_pieces(kind, p, q, w, shape, n, start, stop, first, last, normalize, pseudocount, totals, given, records):
    """What `pieces` does, for the pieces that it left todo: they are done or invalid afterwards."""
    bins = np.empty((3, PIECE))
    for row in range(start, stop):
        for k in range(first, last):
            if records[row - start, k, STATE] == TODO:
                m = min(PIECE, n - k * PIECE)
                x = _load_piece(p, shape, row, k, m, bins[0])
                y = _load_piece(q, shape, row, k, m, bins[1])
                v = _load_piece(w, shape, row, k, m if w[ADDRESS] else 0, bins[2])
                given_p = given[row - start, 0], int(given[row - start, 1])
                given_q = given[row - start, 2], int(given[row - start, 3])
                _fill_record(kind, x, y, v, normalize, pseudocount, totals, given_p, given_q, records[row - start, k])


@inline
def _load_piece(operand, shape, row, k, m, buffer):
    address = row_address(operand, shape, row) + k * PIECE * operand[BIN_STEP]
    return load(operand[CONVERTER], address, operand[BIN_STEP], m, buffer)


@inline
def _fill_record(kind, x, y, w, normalize, pseudocount, totals, p_total, q_total, record):
    record[:] = 0.0
    record[STATE] = INVALID if is_invalid(x) or is_invalid(y) else DONE
    if record[STATE] == INVALID:
        return
    if pseudocount > 0.0:
        # Halved where the sum might overflow: normalised rows have no scale.
        half = 0.5 if normalize and pseudocount > 2.0**1000 else 1.0
        x, y = half * x + half * pseudocount, half * y + half * pseudocount
    if not normalize:
        p_total, q_total = (0.5, 1), (0.5, 1)
    else:
        own_p, own_q = wide_total(x, w), wide_total(y, w)
        record[P_TOTAL], record[P_TOTAL + 1] = own_p
        record[Q_TOTAL], record[Q_TOTAL + 1] = own_q
        if totals != GIVEN_TOTALS:
            p_total, q_total = own_p, own_q
        if totals == ONLY_TOTALS or p_total[0] == 0.0 or q_total[0] == 0.0:
            return
    total = wide_sum(kind, x, y, w, normalize, p_total, q_total)
    if normalize and is_in_units_of_p(kind):
        total = multiply(total[0], total[1], p_total[0], p_total[1])
    record[TERMS], record[TERMS + 1] = total
