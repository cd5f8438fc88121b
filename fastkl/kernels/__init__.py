"""Compiled loops. They import numba and numpy alone and know no axis, no base and no error text.

::

    _rows    rows of up to PIECE bins     _tile   rows of few bins, as one run of bins
    _columns rows that lie side by side   _careful  what the fast loops can't take
    _pieces  longer rows, piece by piece
       |                                     |
    _piece   one piece: read, check, total, sum its terms
       |
    _load    operands of any layout   _lanes  totals in a fixed order   _terms  the divergences, one bin
    _convert, _stage, _transpose      _wide   numbers of any magnitude  _logratio  log(x / y)
"""

from fastkl.kernels._careful import careful_pieces
from fastkl.kernels._columns import columns
from fastkl.kernels._convert import converter
from fastkl.kernels._load import STAGER
from fastkl.kernels._logratio import HUGE_32, TINY_32
from fastkl.kernels._piece import GIVEN_TOTALS, ONLY_TOTALS, OWN_TOTALS, PIECE
from fastkl.kernels._pieces import DONE, RECORD, STATE, TODO, join_pieces, join_totals, pieces
from fastkl.kernels._rows import addresses, rows
from fastkl.kernels._stage import STAGE, stager
from fastkl.kernels._terms import JS, KL, CrossEntropy, Jeffreys, WeightedJS, follows_chain_rule, is_refined
from fastkl.kernels._tile import TILE_BINS, tiles

__all__ = [
    "DONE",
    "GIVEN_TOTALS",
    "HUGE_32",
    "JS",
    "KL",
    "ONLY_TOTALS",
    "OWN_TOTALS",
    "PIECE",
    "RECORD",
    "STAGE",
    "STAGER",
    "STATE",
    "TILE_BINS",
    "TINY_32",
    "TODO",
    "CrossEntropy",
    "Jeffreys",
    "WeightedJS",
    "addresses",
    "careful_pieces",
    "columns",
    "converter",
    "follows_chain_rule",
    "is_refined",
    "join_pieces",
    "join_totals",
    "pieces",
    "rows",
    "stager",
    "tiles",
]
