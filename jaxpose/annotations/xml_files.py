"""XML annotation files: strict reading of small documents, never any entity."""

import re
from pathlib import Path
from xml.etree import ElementTree

from jaxpose.annotations.validation import RecordError, flag, number, shown, text

# A VOC annotation has a few KB; the most crowded one less than 50.
MAX_BYTES = 1_000_000

_NUMBER = re.compile(r"[+-]?\d{1,20}(\.\d{0,60})?([eE][+-]?\d{1,3})?")


def read_xml(path: str | Path, root: str) -> ElementTree.Element:
    """The root element of an XML file.

    Entities can only be declared in a document type, so none is accepted: no entity can be
    expanded (a bomb) or read from elsewhere.

    Args:
      path: the file.
      root: tag that the root must have.

    Raises:
      RecordError: missing, over 1 MB, not UTF-8, with a document type, not XML, of another root.
    """
    try:
        if Path(path).stat().st_size > MAX_BYTES:
            raise RecordError(f"more than the {MAX_BYTES} bytes allowed for XML")
        content = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise RecordError(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise RecordError(f"not UTF-8 text: byte {error.start}") from None
    if "<!DOCTYPE" in content:
        raise RecordError("declares a document type, which is not accepted")
    try:
        element = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError) as error:
        raise RecordError(f"not XML: {error}") from None
    if element.tag != root:
        raise RecordError(f"root element is {shown(element.tag)}, not {root}")
    return element


def optional_child(element: ElementTree.Element, tag: str) -> ElementTree.Element | None:
    """The one direct child with this tag, or None; several are refused."""
    found = element.findall(tag)
    if len(found) > 1:
        raise RecordError(f"{element.tag} has {len(found)} elements {tag}")
    return found[0] if found else None


def child(element: ElementTree.Element, tag: str) -> ElementTree.Element:
    """The one direct child with this tag."""
    found = optional_child(element, tag)
    if found is None:
        names = [each.tag for each in element]
        raise RecordError(f"{element.tag} has no element {tag}, only {shown(names)}")
    return found


def child_text(element: ElementTree.Element, tag: str) -> str:
    """Text of the one direct child with this tag."""
    return text((child(element, tag).text or "").strip(), tag)


def child_number(element: ElementTree.Element, tag: str) -> float:
    """A finite number as the text of a child."""
    content = child_text(element, tag)
    if not _NUMBER.fullmatch(content):
        raise RecordError(f"{tag} is {shown(content)}, not a number")
    return number(float(content), tag)


def child_flag(element: ElementTree.Element, tag: str) -> bool:
    """Whether a child says 1; False where there is none."""
    return optional_child(element, tag) is not None and flag(child_number(element, tag), tag)
