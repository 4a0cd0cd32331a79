import tracemalloc
from xml.etree import ElementTree

import pytest

from jaxpose.annotations.validation import RecordError
from jaxpose.annotations.xml_files import (
    MAX_BYTES,
    child,
    child_flag,
    child_number,
    child_text,
    optional_child,
    read_xml,
)

LAUGHS = "".join(f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(9))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not XML"),
        (b"<html>", "not XML"),
        (b"<a><b></a>", "not XML: mismatched tag: line 1"),
        (b"<a/><a/>", "not XML"),
        (b"<b/>", "root element is 'b', not a"),
        (b"<a>&nbsp;</a>", "not XML: undefined entity"),
        (b"<a>\0</a>", "not XML"),
        (b"<a>\xff</a>", "not UTF-8 text: byte 3"),
        ("<a/>".encode("utf-16"), "not UTF-8 text"),
        (b"<a>" + b" " * MAX_BYTES + b"</a>", "more than the 1000000 bytes"),
        (f'<!DOCTYPE a [<!ENTITY a0 "ha">{LAUGHS}]><a>&a9;</a>'.encode(), "document type"),
        (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "document type"),
        (b'<!DOCTYPE a SYSTEM "http://example.org/a.dtd"><a/>', "document type"),
    ],
)
def test_what_is_refused(tmp_path, content, reason):
    path = tmp_path / "a.xml"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(RecordError, match=reason) as error:
            read_xml(path, "a")
        assert tracemalloc.get_traced_memory()[1] < 10 * MAX_BYTES
    finally:
        tracemalloc.stop()
    assert "\n" not in str(error.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(RecordError, match="cannot be read: No such file"):
        read_xml(tmp_path / "a.xml", "a")


def test_plain_documents_are_read(tmp_path):
    path = tmp_path / "a.xml"
    path.write_bytes(b'\xef\xbb\xbf<?xml version="1.0" encoding="UTF-8"?>\n<a><b>\xc3\xa9</b></a>')
    assert child_text(read_xml(path, "a"), "b") == "\u00e9"


def test_deep_nesting_is_survived(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text("<a>" * 100_000 + "</a>" * 100_000)
    assert optional_child(read_xml(path, "a"), "b") is None


def element(content):
    return ElementTree.fromstring(f"<a>{content}</a>")


@pytest.mark.parametrize(
    ("text", "value"), [("7", 7), (" 45.70000076 ", 45.70000076), ("-3", -3), ("1e2", 100)]
)
def test_numbers(text, value):
    assert child_number(element(f"<b>{text}</b>"), "b") == value


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "1_000", "0x10", "1e999", "1 2", "--1"])
def test_what_is_no_number(text):
    with pytest.raises(RecordError, match="b is|b is not"):
        child_number(element(f"<b>{text}</b>"), "b")


def test_flags():
    assert child_flag(element("<b>1</b>"), "b")
    assert not child_flag(element("<b>0</b>"), "b")
    assert not child_flag(element(""), "b")
    with pytest.raises(RecordError, match="b is 2"):
        child_flag(element("<b>2</b>"), "b")


def test_only_direct_children_count():
    nested = element("<part><b>1</b></part>")
    assert optional_child(nested, "b") is None
    with pytest.raises(RecordError, match=r"a has no element b, only \['part'\]"):
        child(nested, "b")
    with pytest.raises(RecordError, match="a has 2 elements b"):
        child(element("<b/><b/>"), "b")
