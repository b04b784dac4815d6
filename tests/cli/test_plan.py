"""``edgetwin plan``: the requests as a technician reads them, and their sums."""

import pytest

from edgetwin.cli import main


@pytest.fixture
def planned(tmp_path, capsys):
    def run(*lines):
        file = tmp_path / "c.yaml"
        file.write_text("\n".join(["gateway: g", "devices:", *lines]), "utf-8")
        assert main(["plan", str(file)]) == 0
        return capsys.readouterr().out.splitlines()

    return run


def device(name, address, *lines):
    return [f"  {name}:", "    driver: modbus", f"    address: {address}", *lines]


def test_500_adjacent_registers_are_four_requests(planned):
    tags = [f"      t{i}: {{at: holding:{i}, type: uint16}}" for i in range(500)]
    lines = planned(*device("skid", "127.0.0.1", "    scan: 100 ms", "    tags:", *tags))
    assert lines[0].startswith("skid: 127.0.0.1:502 unit 1; in one request at most 125 registers")
    head = "EVERY FUNCTION FIRST LAST COUNT TAGS IN VAIN REQUESTS/S"
    assert " ".join(lines[1].split()) == head
    assert [line.split()[-6:] for line in lines[2:6]] == [
        ["4x0001", "4x0125", "125", "125", "-", "10"],
        ["4x0126", "4x0250", "125", "125", "-", "10"],
        ["4x0251", "4x0375", "125", "125", "-", "10"],
        ["4x0376", "4x0500", "125", "125", "-", "10"],
    ]
    assert lines[-1] == "In all 4 requests, 40 a second. Nothing was sent."


def test_gaps_groups_and_forbidden_places_are_shown(planned):
    lines = planned(
        *device("skid", "127.0.0.1", "    forbidden: [4x0012, 3x0001-3x0009]", "    tags:"),
        "      a: {at: 4x0001, type: float32}",
        "      b: {at: 4x0005, type: int16}",
        "      c: {at: 4x0020, type: int16}",
        "      d: {at: 1x0007, scan: 10 s}",
    )
    assert lines[1] == "  never touched: 4x0012, 3x0001-3x0009"
    assert [line.split() for line in lines[3:6]] == [
        ["1", "s", "3", "holding", "registers", "4x0001", "4x0005", "5", "2", "2", "1"],
        ["1", "s", "3", "holding", "registers", "4x0020", "4x0020", "1", "1", "-", "1"],
        ["10", "s", "2", "discrete", "inputs", "1x0007", "1x0007", "1", "1", "-", "0.1"],
    ]


def test_units_on_one_serial_line_are_summed_and_too_much_is_told(planned):
    tags = ["    scan: 50 ms", "    tags:", "      a: {at: 4x0001, type: float32}"]
    lines = planned(
        *device("one", "/dev/ttyS7", "    baud: 9600", "    unit: 1", *tags),
        *device("two", "/dev/ttyS7", "    baud: 9600", "    unit: 2", *tags),
        *device("three", "127.0.0.1", *tags),
    )
    # 8 + 9 characters and 7 of silence, 11 bits each, 40 times a second at 9600 baud
    assert lines[-3] == (
        "one, two at /dev/ttyS7: 2 requests, 40 a second; the characters alone keep the line busy "
        "for 110% of the time: TOO MUCH. Raise scan, or baud"
    )
    assert lines[-2] == "three at 127.0.0.1:502: 1 request, 20 a second"
    assert lines[-1] == "In all 3 requests, 60 a second. Nothing was sent."
