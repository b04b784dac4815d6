"""``scan`` and ``probe`` against a real gateway: what a technician sees; they only read."""

import re

import pytest

from edgetwin.cli import main

QUICK = ["--timeout", "150 ms", "--pause", "0 s"]


@pytest.fixture
def said(capsys):
    def run(*words):
        code = main([*words])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_scan_tells_each_unit_in_a_line_and_which_tables_answer(said, gateway):
    code, out, _ = said("scan", gateway, "--units", "1-10", *QUICK)
    lines = out.splitlines()
    assert code == 0
    assert lines[0] == f"{gateway}: units 1 to 10, reading only, 150 ms for each answer"
    assert lines[1].startswith("unit 1    holding registers (from 4x0001), coils (from 0x0001); no")
    assert lines[2].startswith("unit 7    input registers (from 3x0101); no holding registers")
    assert re.fullmatch(r"\d\d requests, nothing was written\. 2 of 10 units answer\.", lines[3])
    assert lines[4:] == [
        "To see what one holds:",
        f"  edgetwin probe {gateway} 4x0001 --unit 1",
    ]


def test_scan_tells_who_a_unit_says_it_is(said, gateway):
    _, out, _ = said("scan", gateway, "--units", "1-2", *QUICK)
    assert "it says it is: ACME P-101 V1.2\n" in out


def test_a_unit_that_is_silent_to_what_it_does_not_know_is_found_by_a_deep_scan(said, gateway):
    code, _, _ = said("scan", gateway, "--units", "8", *QUICK)
    assert code == 1
    code, out, _ = said("scan", gateway, "--units", "8", "--deep", *QUICK)
    assert code == 0
    assert "unit 8    discrete inputs (from 1x0001)" in out


def test_scan_looks_where_it_is_told_to(said, gateway):
    _, out, _ = said("scan", gateway, "--units", "1", "--at", "4x0005,0x0003", *QUICK)
    assert "holding registers (from 4x0005), coils (from 0x0003)" in out


def test_scan_of_nobody_says_what_to_check(said, gateway):
    code, out, _ = said("scan", gateway, "--units", "8-9", *QUICK)
    assert code == 1
    assert "No unit answers. Check the unit id" in out


def test_scan_says_when_every_unit_id_is_answered(said, gateway):
    _, out, _ = said("scan", gateway, "--units", "100-103", *QUICK)
    assert "Every unit id is answered: most likely it is one device that ignores it." in out


def test_probe_of_one_place_shows_every_reading_side_by_side(said, gateway):
    code, out, _ = said("probe", gateway, "4x0001", *QUICK)
    assert code == 0
    assert re.search(r"^raw +428E +[0-9A-F]{4}\* +EB85 +3F51", out, re.MULTILINE)
    assert re.search(r"^float32 ABCD +71\.[34]\d+ <--", out, re.MULTILINE)
    assert re.search(r"^float32 CDAB .* 0\.82 <--", out, re.MULTILINE)
    for way in ("int16 AB", "uint16 BA", "int32 DCBA", "float64 EFGHABCD"):
        assert f"\n{way} " in out
    assert "  value-1: {at: 4x0001, type: float32, order: ABCD}" in out
    assert "  value-2: {at: 4x0003, type: float32, order: CDAB}  # 0.82" in out
    assert max(map(len, out.splitlines())) <= 100


def test_probe_of_a_span_shows_a_line_for_each_register(said, gateway):
    _, out, _ = said("probe", gateway, "4x0001-4x0012", *QUICK)
    rows = {line.split()[0]: line for line in out.splitlines() if line.startswith("4x")}
    assert len(rows) == 12
    assert "float64 ABCDEFGH 1013" in rows["4x0005"]
    assert " 1450 " in rows["4x0009"]
    assert "P-" in rows["4x0010"]
    assert "  value-3: {at: 4x0005, type: float64, order: ABCDEFGH}" in out
    assert "  value-4: {at: 4x0010, type: text, length: 3}  # P-101" in out


def test_probe_at_the_end_of_what_there_is_takes_what_is_left(said, gateway):
    _, out, _ = said("probe", gateway, "3x0200", "--unit", "7", *QUICK)
    assert "3x0200" in out
    assert "3x0201" not in out
    assert "value-1: {at: 3x0200, type: int16}  # 7" in out


def test_probe_of_coils_shows_them_one_by_one(said, gateway):
    _, out, _ = said("probe", gateway, "0x0001", *QUICK)
    assert "0x0001 to 0x0016  1  0  1  0 " in out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["4x9000"], "illegal data address"),
        (["4x0001", "--unit", "9"], "did not answer"),
        (["40001"], "Write 4x0001 if the first holding register is 40001 in the manual"),
        (["4x0001-4x0200"], "more than one request can hold: 125"),
        (["here"], "no Modbus address"),
        (["4x0001", "--unit", "300"], "They go from 0 to 255"),
        (["4x0001", "--timeout", "5"], "has no unit"),
    ],
)
def test_what_cannot_be_probed_is_told_in_a_line(said, gateway, words, text):
    more = [] if "--timeout" in words else QUICK
    code, out, err = said("probe", gateway, *words, *more)
    assert code == 1
    assert out == ""
    assert text in err
    assert err.count("\n") == 1


def test_a_place_where_nothing_listens_is_told_with_the_cure(said):
    code, _, err = said("scan", "127.0.0.1:1", *QUICK)
    assert code == 1
    assert "nothing listens at this port" in err
