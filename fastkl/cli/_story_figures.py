"""The four figures of the story: the target, the forward fit, the reverse fits, and the summary."""

import io
from dataclasses import dataclass
from typing import Any

from fastkl import plot
from fastkl.cli._story import MODES, Story, cells
from fastkl.plot._bins import Bins

_SEEN = (-10.0, 20.0)  # of the axis: beyond it is hardly any mass
_DPI = 120


@dataclass(frozen=True)
class Figure:
    """A picture as a PNG file, with what is to be said of it."""

    name: str
    title: str
    alt: str  # for those who can't see it
    caption: str
    png: bytes


def draw_figures(story: Story) -> list[Figure]:
    """The figures, in their order."""
    return [_target(story), _forward(story), _reverse(story), _summary(story)]


def _target(story: Story) -> Figure:
    figure, ax = _open()
    bins = Bins(story.forward.axis, story.forward._p.bins)
    bins.fill(ax, story.forward.target(), "P")
    for mode in MODES:
        ax.annotate(f"N({mode:g}, 1)\nhalf of the mass", (mode, 0.205), ha="center", va="bottom")
    ax.set(xlim=_SEEN, ylim=(0, 0.25), xlabel=bins.label, ylabel=bins.height_label)
    return _done(
        figure,
        ax,
        "1-target",
        "The target: P = (N(0, 1) + N(10, 1)) / 2",
        "Density of P: two separate peaks of one height, 0.2, at 0 and at 10; nothing between them.",
        "Half of the mass of P is normal around 0, half around 10. No single normal distribution is like it, so a fit "
        "must give something up. The divergence decides what.",
    )


def _forward(story: Story) -> Figure:
    figure, ax = _open()
    plot.fit(story.forward, ax=ax).set_xlim(_SEEN)
    _, mu, sigma, divergence, _ = cells(story.rows[0])
    return _done(
        figure,
        ax,
        "2-forward",
        "Forward: the least KL(P‖Q) covers both modes",
        f"P and one broad normal curve over both of its peaks: mu {mu}, sigma {sigma}, KL(P‖Q) {divergence} nats.",
        "KL(P‖Q) is large where P has mass and Q has little. So Q stretches over all of P: it has the mean of P, 5, "
        "and its standard deviation, the root of 26. Much of its mass lies where P has none.",
    )


def _reverse(story: Story) -> Figure:
    figure, (ax, surface) = _open(width=11.5, columns=2)
    plot.fit(story.reverse, ax=ax).set_xlim(_SEEN)
    plot.surface(story.basins, ax=surface).set_title("The divergence over mu (loc) and sigma (scale)")
    left, right = (cells(row) for row in story.rows[1:])
    covering = cells(story.covering)
    return _done(
        figure,
        ax,
        "3-reverse",
        "Reverse: the least KL(Q‖P) takes one mode",
        f"Left: P and two narrow normal curves, one on each peak: mu {left[1]}, sigma {left[2]} and mu {right[1]}, "
        f"sigma {right[2]}, KL(Q‖P) {left[4]} nats each. Right: the divergence over mu and sigma, with a basin at each "
        f"of these, and a shallow third one between and above them, at mu {covering[1]}, sigma {covering[2]}.",
        "KL(Q‖P) is large where Q has mass and P has little. So Q keeps to one mode and leaves the other alone, "
        "which costs ln 2 = 0.693147 nats, less a trace for the overlap of the modes. A search from one start finds "
        "one of the minima; fastkl gives all that the grid has. Here there is a third, at "
        f"mu {covering[1]}, sigma {covering[2]}: it covers both "
        f"modes, and is higher, {covering[4]} nats. Where modes lie closer together it is the lowest.",
    )


def _summary(story: Story) -> Figure:
    figure, (ax, table) = _open(height=6.4, rows=2)
    plot.fits([story.forward, story.reverse], ax=ax).set_xlim(_SEEN)
    rows = [cells(row) for row in story.rows]
    table.axis("off")
    drawn = table.table(
        rows,
        colLabels=["fit", r"$\mu$", r"$\sigma$", "KL(P‖Q), nats", "KL(Q‖P), nats"],
        colWidths=[0.26, 0.14, 0.14, 0.23, 0.23],
        loc="upper center",
    )
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(9)
    drawn.scale(1, 1.3)
    texts = "; ".join(f"{name}: mu {mu}, sigma {sigma}, {f} and {r} nats" for name, mu, sigma, f, r in rows)
    return _done(
        figure,
        ax,
        "4-summary",
        "Both directions: each fit is the best by its own divergence",
        f"P, the broad forward fit and the two narrow reverse fits. KL(P‖Q) and KL(Q‖P) of each: {texts}.",
        "Each fit is the best by the divergence that it minimises, and poor by the other: the reverse fits leave half "
        "of P out, which the forward divergence punishes most.",
    )


def _open(width: float = 6.8, height: float = 4.6, rows: int = 1, columns: int = 1) -> tuple[Any, Any]:
    """A figure that needs no display."""
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(width, height), layout="constrained")
    ratios = [4, 1] if rows == 2 else None
    return canvas, canvas.subplots(rows, columns, height_ratios=ratios)


def _done(figure: Any, ax: Any, name: str, title: str, alt: str, caption: str) -> Figure:
    ax.set_title(title)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DPI)
    return Figure(name, title, alt, caption, file.getvalue())
