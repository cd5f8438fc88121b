"""Compiled loops. They import numba and numpy alone and know no axis, no base and no error text.

::

    _rows    rows of up to PIECE bins     _tile   rows of few bins, as one run of bins
    _columns rows that lie side by side   _careful  what the fast loops can't take
    _pieces  longer rows, piece by piece  _one    one row, for other people's compiled code
    _both    both directions at once      _sparse the bins that sparse rows have, gathered
    _logits  rows that are given by their logarithms, piece by piece
    _factors rows as factors of a product of matrices, and what comes after
    _candidates  the smallest of a row, tile by tile
    _normal  masses of normal distributions   _newton  which of them is nearest
    _fits    candidates of a fit as factors, and the lowest of a surface
    _linear  the same where a few moments tell all
       |                                     |
    _piece   one piece: read, check, total, sum its terms
       |
    _sum     terms added up as they are computed, or written   _odd  what the fast loops can't take
       |
    _fold    totals of what a function makes of a bin          _loops  loops as LLVM is told about them
       |
    _load    operands of any layout   _lanes  totals in a fixed order   _terms, _js, _alpha  the divergences, one bin
    _convert, _stage, _transpose      _wide   numbers of any magnitude  _logratio, _exp      log(x / y), exp(x)
"""

from fastkl.kernels._both import both_rows
from fastkl.kernels._candidates import make_room, take
from fastkl.kernels._careful import careful_pieces
from fastkl.kernels._columns import columns
from fastkl.kernels._convert import converter
from fastkl.kernels._factors import add_terms, differences, find_below, log_shares, mixtures, shares
from fastkl.kernels._fits import (
    LEAST_LOG,
    find_lowest,
    find_minima,
    log_factors,
    normalize_logs,
    power_factors,
    share_factors,
    shares_of_logs,
)
from fastkl.kernels._jit import code_for, entry
from fastkl.kernels._linear import TOGETHER, find_lowest_linear, log_totals
from fastkl.kernels._load import STAGER
from fastkl.kernels._logits import LARGEST_LOGIT, LOGIT_RECORD, join_logit_pieces, logit_pieces
from fastkl.kernels._logratio import HUGE_32, TINY_32
from fastkl.kernels._newton import BETWEEN, FORWARD, REVERSE, fit_normals
from fastkl.kernels._normal import log_normal_densities, log_normal_masses
from fastkl.kernels._one import one_bin, one_relative_entropy, one_row, pair, rounded
from fastkl.kernels._piece import GIVEN_TOTALS, ONLY_TOTALS, OWN_TOTALS, PIECE
from fastkl.kernels._pieces import DONE, RECORD, STATE, TODO, join_pieces, join_totals, pieces
from fastkl.kernels._rows import rows
from fastkl.kernels._sparse import sparse_rows
from fastkl.kernels._stage import STAGE, stager
from fastkl.kernels._terms import (
    JS,
    KL,
    Absent,
    Alpha,
    CrossEntropy,
    Jeffreys,
    Power,
    WeightedJS,
    follows_chain_rule,
    is_refined,
)
from fastkl.kernels._tile import TILE_BINS, tiles

__all__ = [
    "BETWEEN",
    "DONE",
    "FORWARD",
    "GIVEN_TOTALS",
    "HUGE_32",
    "JS",
    "KL",
    "LARGEST_LOGIT",
    "LEAST_LOG",
    "LOGIT_RECORD",
    "ONLY_TOTALS",
    "OWN_TOTALS",
    "PIECE",
    "RECORD",
    "REVERSE",
    "STAGE",
    "STAGER",
    "STATE",
    "TILE_BINS",
    "TINY_32",
    "TODO",
    "TOGETHER",
    "Absent",
    "Alpha",
    "CrossEntropy",
    "Jeffreys",
    "Power",
    "WeightedJS",
    "add_terms",
    "both_rows",
    "careful_pieces",
    "code_for",
    "columns",
    "converter",
    "differences",
    "entry",
    "find_below",
    "find_lowest",
    "find_lowest_linear",
    "find_minima",
    "fit_normals",
    "follows_chain_rule",
    "is_refined",
    "join_logit_pieces",
    "join_pieces",
    "join_totals",
    "log_factors",
    "log_normal_densities",
    "log_normal_masses",
    "log_shares",
    "log_totals",
    "logit_pieces",
    "make_room",
    "mixtures",
    "normalize_logs",
    "one_bin",
    "one_relative_entropy",
    "one_row",
    "pair",
    "pieces",
    "power_factors",
    "rounded",
    "rows",
    "share_factors",
    "shares",
    "shares_of_logs",
    "sparse_rows",
    "stager",
    "take",
    "tiles",
]
