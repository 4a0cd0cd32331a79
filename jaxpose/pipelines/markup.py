"""HTML and SVG as a tree of elements, so that a page is well formed and all text is escaped."""

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


def html_text(root: Element) -> str:
    """The page as text, with its doctype."""
    return "<!DOCTYPE html>\n" + tostring(root, encoding="unicode", method="html") + "\n"
