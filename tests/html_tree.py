"""A page read as a browser reads it: elements, their attributes and texts; what is not well formed is an error."""

from collections.abc import Iterator
from html.parser import HTMLParser

_VOID = {"meta", "link", "input", "br"}


class Element:
    """An element and what is in it."""

    def __init__(self, name: str, attributes: dict[str, str | None]) -> None:
        self.name, self.attributes = name, attributes
        self.children: list[Element | str] = []

    @property
    def text(self) -> str:
        """All text in it."""
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def all(self, name: str = "", **attributes: str) -> Iterator["Element"]:
        """The elements in it of a name and with these attributes, in order."""
        for child in self.children:
            if isinstance(child, Element):
                wanted = all(child.attributes.get(key.rstrip("_")) == value for key, value in attributes.items())
                if name in ("", child.name) and wanted:
                    yield child
                yield from child.all(name, **attributes)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("document", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({key for key, _ in attrs}) == len(attrs), f"an attribute twice in {tag}"
        element = Element(tag, dict(attrs))
        self.open[-1].children.append(element)
        if tag not in _VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].name == tag, f"{tag} closed in {self.open[-1].name}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def read(text: str) -> Element:
    """The document."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert [element.name for element in reader.open] == ["document"], "an element is not closed"
    return reader.open[0]
