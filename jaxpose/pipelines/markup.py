"""HTML and SVG as a tree of elements, so that a page is well formed and all text is escaped."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element, tostring

Child = Element | str


def element(tag: str, *children: Child, **attributes: object) -> Element:
    """An element with its content in order.

    Args:
      tag: its name.
      children: elements and texts.
      attributes: by name; `class_` is class, `stroke_width` is stroke-width.
    """
    named = {name.rstrip("_").replace("_", "-"): str(v) for name, v in attributes.items()}
    made = Element(tag, named)
    last: Element | None = None
    for child in children:
        if isinstance(child, Element):
            made.append(child)
            last = child
        elif last is None:
            made.text = (made.text or "") + child
        else:
            last.tail = (last.tail or "") + child
    return made


def section(title: str, *content: Child) -> list[Element]:
    """A section of a page below its title, to be taken into a list of elements."""
    return [element("section", element("h2", title), *content)]


def table(head: Sequence[str], rows: Sequence[Sequence[Child]], style: str) -> Element:
    """A table whose first column names the rows; it scrolls by itself where it is too wide."""
    top = element("thead", element("tr", *(element("th", name, scope="col") for name in head)))
    body = [
        element(
            "tr",
            element("th", row[0], scope="row"),
            *(element("td", cell) for cell in row[1:]),
        )
        for row in rows
    ]
    return element(
        "div", element("table", top, element("tbody", *body), class_=style), class_="wide"
    )


def html_text(root: Element) -> str:
    """The page as text, with its doctype."""
    return "<!DOCTYPE html>\n" + tostring(root, encoding="unicode", method="html") + "\n"
