"""Pictures of fits and divergences, by matplotlib: ``pip install 'fastkl[plot]'``.

Each function draws on the Axes that it is given, or on those of a new figure, and returns them. What is drawn differs
in line style, marker or hatching besides colour, and colours are those that the colour-blind can tell apart.
"""

from fastkl.plot._curves import fit, fits
from fastkl.plot._surface import surface
from fastkl.plot._terms import terms

__all__ = ["fit", "fits", "surface", "terms"]
