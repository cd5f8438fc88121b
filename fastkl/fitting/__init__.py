"""The parts of `fastkl.fit`, each of which imports from those below alone.

::

    _run         all histograms: search, refine, put in order       _result  what the user gets
    _search      the nearest candidates of a block of histograms    _refine  from them to the minimum
    _surfaces    divergences from all candidates, nearly exact
    _candidates  the grid's distributions as histograms, and exact divergences from them
    _grid        the product grid
    _families    the families     _masses  of scipy.stats: masses of bins   _mixture
    _axis        edges or points
"""
