"""The story as one page of HTML that needs no other file, no script and no network."""

import base64
from collections.abc import Sequence
from html import escape

from fastkl import __version__
from fastkl.cli._story import Story, cells
from fastkl.cli._story_batch import Timed, description
from fastkl.cli._story_figures import Figure

_STYLE = """
body { font: 17px/1.55 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; color: #222;
  background: #fff }
h1, h2 { line-height: 1.25 }
figure { margin: 1rem 0 2.5rem }
img { max-width: 100%; height: auto; border: 1px solid #ddd }
.scroll { overflow-x: auto }
table { border-collapse: collapse }
th, td { padding: .3rem .8rem; border-bottom: 1px solid #ccc; text-align: right; font-variant-numeric: tabular-nums }
th:first-child, td:first-child { text-align: left }
pre { background: #f4f4f4; padding: .8rem; overflow-x: auto; font-size: 14px }
"""

_HEAD = ("fit", "mu", "sigma", "KL(P‖Q), nats", "KL(Q‖P), nats")

_CODE = """\
import numpy as np, fastkl, fastkl.plot

x = np.linspace(-27, 37, 641)
p = np.exp(-x**2 / 2) + np.exp(-(x - 10)**2 / 2)
forward = fastkl.fit(p, points=x)
reverse = fastkl.fit(p, points=x, objective="reverse", minima=2)
fastkl.plot.fits([forward, reverse])
"""


def page(story: Story, figures: Sequence[Figure], fits: Timed) -> str:
    """The page."""
    body = [
        "<h1>Forward and reverse Kullback-Leibler divergence, and what they fit</h1>",
        "<p>Which normal distribution Q is nearest to P? It depends on which of the two divergences is to be small: "
        "the forward one, KL(P‖Q) = &sum; P log(P/Q), or the reverse one, KL(Q‖P) = &sum; Q log(Q/P). The example is "
        "that of K. P. Murphy, <cite>Machine learning: a probabilistic perspective</cite>, MIT Press, 2012, section "
        "21.2.2.</p>",
    ]
    for figure in figures:
        body += [
            f"<h2>{escape(figure.title)}</h2>",
            "<figure>",
            f'<img src="{_data_uri(figure.png)}" alt="{escape(figure.alt)}">',
            f"<figcaption>{escape(figure.caption)}</figcaption>",
            "</figure>",
        ]
    body += ["<h2>The numbers</h2>", '<div class="scroll"><table>', _line("th", _HEAD)]
    body += [_line("td", cells(row)) for row in story.rows]
    body += ["</table></div>", "<h2>The same in Python</h2>", f"<pre>{escape(_CODE)}</pre>", "<h2>Many at once</h2>"]
    body += [f"<p>Fits of {escape(description(fits.rows))}.</p>", "<ul>"]
    body += [
        f"<li>{name}: {seconds:.2f} s, {fits.rows / seconds:,.0f} histograms per second</li>"
        for name, seconds in fits.seconds.items()
    ]
    body += [
        f"<li>the grid alone by <code>scipy.special.rel_entr(...).sum(1)</code>: {fits.scipy_text}</li>",
        "</ul>",
    ]
    body.append(f"<p>Made by <code>fastkl demo</code>, version {__version__}.</p>")
    return "\n".join([
        "<!doctype html>",
        '<html lang="en">',
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<title>fastkl: forward and reverse KL</title>",
        f"<style>{_STYLE}</style>",
        "<body>",
        *body,
        "</body>",
        "</html>",
        "",
    ])  # fmt: skip


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _line(tag: str, texts: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts) + "</tr>"
