import json

import pytest

from jaxpose.annotations.json_files import (
    load_json,
    parse_json,
    plain_number,
    write_json,
    write_json_list,
)
from jaxpose.errors import DataError


def refusal(content):
    with pytest.raises(DataError) as caught:
        parse_json(content if isinstance(content, bytes) else content.encode(), "a.json")
    message = str(caught.value)
    assert message.startswith("a.json: ") and "\n" not in message
    return message


def test_ordinary_documents_are_read():
    text = '{"a": [1, 2.5, null, true, "NaN"], "b": {"a": -1e-3}}'
    assert parse_json(text.encode(), "a") == json.loads(text)
    assert parse_json(b"\xef\xbb\xbf[1]", "a") == [1]


def test_syntax_errors_name_line_and_column():
    assert "line 2, column 7" in refusal('{"a": 1,\n "b": ,}')


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_constants_are_refused_with_their_place(constant):
    message = refusal('{"NaN Infinity": "\\"NaN",\n  "b": ' + constant + "}")
    assert constant in message and "(line 2, column 8)" in message


def test_repeated_keys_are_refused_with_the_object():
    message = refusal('[{"id": 7, "bbox": [1], "bbox": [2]}]')
    assert "'bbox'" in message and "id=7" in message
    assert parse_json(b'[{"id": 7}, {"id": 7}]', "a") == [{"id": 7}, {"id": 7}]


@pytest.mark.parametrize(
    "content",
    ["", "[" * 100_000, '{"a":' * 100_000, "[1", b"\xff\xfe\x00", b"[\x80]", "9" * 5000, "[1] 2"],
)
def test_broken_documents_are_refused(content):
    refusal(content)


def test_unreadable_files_are_refused(tmp_path):
    (tmp_path / "big.json").write_text("[1, 2, 3]")
    for path in (tmp_path / "none.json", tmp_path, "a\0b"):
        with pytest.raises(DataError):
            load_json(path)
    with pytest.raises(DataError, match="9 bytes, more than the 8 allowed"):
        load_json(tmp_path / "big.json", max_bytes=8)


def test_write_and_load(tmp_path):
    path = tmp_path / "sub" / "a.json"
    write_json(path, {"a": [1, 0.1, "ü"]})
    assert load_json(path) == {"a": [1, 0.1, "ü"]}
    with pytest.raises(ValueError):
        write_json(path, [float("nan")])
    with pytest.raises(DataError):
        write_json(path / "below_a_file.json", [])


def test_plain_number():
    assert [repr(plain_number(x)) for x in (401.0, 0.5, 3)] == ["401", "0.5", "3"]


@pytest.mark.parametrize("items", [[], [{"a": 1}], [[1, 2], "é", None]])
def test_lists_are_written_item_by_item(tmp_path, items):
    write_json_list(tmp_path / "new/list.json", iter(items))
    assert load_json(tmp_path / "new/list.json") == items
    assert len((tmp_path / "new/list.json").read_text().splitlines()) == len(items) + 2


def test_a_list_with_nan_is_refused(tmp_path):
    with pytest.raises(ValueError):
        write_json_list(tmp_path / "list.json", [float("nan")])
