"""HTML elements whose texts and attributes are escaped, so that no name in the figures can become markup."""

from html import escape

_VOID = {"input", "br"}


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, *children: str, **attributes: str | int | bool) -> Markup:
    """An element; of its attributes ``class_`` is class, ``aria_label`` is aria-label, and one that is False is absent.

    >>> element("a", "1 < 2", href="#x", aria_label='"one"')
    '<a href="#x" aria-label="&quot;one&quot;">1 &lt; 2</a>'
    """
    words = [name]
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        if value is True:
            words.append(key)
        elif value is not False:
            words.append(f'{key}="{escape(str(value))}"')
    opening = f"<{' '.join(words)}>"
    return Markup(opening if name in _VOID else f"{opening}{join(children)}</{name}>")


def join(children: "tuple[str, ...] | list[Markup] | list[str]", between: str = "") -> Markup:
    """Texts, escaped, and markup, as it is, one after the other.

    >>> join(["a & b", element("b", "c")], " ")
    'a &amp; b <b>c</b>'
    """
    return Markup(between.join(child if isinstance(child, Markup) else escape(child) for child in children))
