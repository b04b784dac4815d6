"""What a person sees: help, status, tags, check. Whole sentences, at most 100 columns."""

import json
import re

import pytest

pytestmark = pytest.mark.e2e

COLUMNS = 100
CONFIG = """\
gateway: screens
control: {{enabled: true}}
devices:
  skid:
    driver: modbus
    address: 127.0.0.1:{port}
    scan: 200 ms
    tags:
      p: {{at: 3x0001, type: float32, unit: bar}}
      name: {{at: 3x0003, type: text, length: 2}}
      n: {{at: 4x0001, type: float32, unit: 1/min, write: {{min: 0, max: 2000, rate: 50 per s}}}}
assets:
  pump: {{tags: {{p: skid/p, n: skid/n}}, watch: {{every: 50 ms, train: 10000}}}}
loops:
  pressure: {{law: pid, pv: skid/p, sp: 4.2 bar, mv: skid/n, gain: 10, integral: 5 s, mode: auto}}
upstream:
  cloud: {{broker: "mqtt://127.0.0.1:1"}}
"""
SKIPPED = re.compile(r", \d+ scans? skipped")
"""What a busy machine adds to the row of a device."""
DEAD = """\
  dead{n}: {{driver: modbus, address: 127.0.0.1:1, scan: 100 ms, tags: {{a: {{at: 1x0001}}}}}}
"""


def fits(text):
    assert not [line for line in text.splitlines() if len(line) > COLUMNS], text
    return text


def rows(text):
    """The screen by its first column; a sentence that was wrapped is put together again."""
    found = {}
    for line in fits(text).splitlines():
        name, words = line[:10].strip(), line[10:].strip()
        if name:
            found.setdefault(name, []).append(words)
            last = found[name]
        else:
            last[-1] += f" {words}"
    return found


async def test_status_of_a_gateway_is_about_ten_lines(run_gateway, skid, edgetwin):
    async with run_gateway(CONFIG.format(port=skid.port)) as gateway:
        await gateway.until(
            lambda s: s["writes"] > 2 and s["office"]["upstreams"]["cloud"]["error"]
        )
        await gateway.until_tag("skid/p", "good")
        code, said, _ = await edgetwin("status", "--state", gateway.state)
        by_config = await edgetwin("status", gateway.state.with_suffix(".yaml"))
    assert code == by_config[0] == 0
    assert len(said.splitlines()) <= 11
    screen = rows(said)
    assert screen["gateway"][0].startswith("screens, up ")
    (device,) = screen["device"]
    assert SKIPPED.sub("", device) == "skid (modbus) answers, 3 of 3 tags good"
    assert screen["tags"][0].startswith("3 good; the oldest good one ")
    assert screen["model"][0].startswith("pump: learning what normal is: ")
    assert screen["loop"][0].startswith("pressure: auto; pv 1 bar, sp 4.2 bar, output 10")
    assert "nothing listens there. Check host and port" in screen["upstream"][0]
    assert screen["latency"][0].startswith("sense to write ")


async def test_status_names_three_dead_devices_with_the_cure_and_counts_the_rest(
    run_gateway, skid, edgetwin
):
    text = CONFIG.format(port=skid.port)
    dead = "".join(DEAD.format(n=n) for n in range(5))
    async with run_gateway(text.replace("assets:", dead + "assets:")) as gateway:
        await gateway.says("skid answers")
        for n in range(5):
            await gateway.says(f"WARNING dead{n} at 127.0.0.1:1: ")
        _, said, _ = await edgetwin("status", "--state", gateway.state)
        _, for_programs, _ = await edgetwin("status", "--state", gateway.state, "--json")
    screen = rows(said)
    assert screen["devices"] == ["1 of 6 answer", "nor do dead3, dead4 (their reasons: --json)"]
    assert len(screen["device"]) == 3
    assert all("refused" in row and "Check" in row for row in screen["device"])
    assert [d["up"] for d in json.loads(for_programs)["devices"]] == [True] + [False] * 5


async def test_tags_shows_value_quality_age_and_both_times(run_gateway, skid, meter, edgetwin):
    opcua = (
        f"  meter:\n    driver: opcua\n    address: opc.tcp://127.0.0.1:{meter.port}\n"
        "    security: none\n    scan: 50 ms\n"
        '    tags: {flow: {at: "nsu=urn:edgetwin:demo:meter;s=Flow", unit: m3/h}}\n'
    )
    text = CONFIG.format(port=skid.port).replace("assets:", opcua + "assets:")
    async with run_gateway(text) as gateway:
        await gateway.until_tag("meter/flow", "good")
        await gateway.until_tag("skid/p", "good")
        _, said, _ = await edgetwin("tags", "--state", gateway.state)
        _, one, _ = await edgetwin("tags", "pump/p", "--state", gateway.state)
        code, _, complained = await edgetwin("tags", "flow", "--state", gateway.state)
    head, *lines = fits(said).splitlines()
    assert head.split()[:5] == ["TAG", "VALUE", "UNIT", "QUALITY", "AGE"]
    table = {line.split()[0]: line.split() for line in lines}
    assert table["skid/p"][1:4] == ["1", "bar", "good"]
    assert table["skid/p"][-2] == "-"
    assert table["meter/flow"][1:4] == ["12.5", "m3/h", "good"]
    assert all(stamp.endswith("Z") for stamp in table["meter/flow"][-2:])
    assert len(one.splitlines()) == 2
    assert (code, complained) == (
        *(1, f"edgetwin: no tag is called 'flow'; 'edgetwin tags' lists all {len(lines)}\n"),
    )


async def test_a_loop_changes_its_mode_and_says_who_wanted_it(run_gateway, skid, edgetwin):
    async with run_gateway(CONFIG.format(port=skid.port)) as gateway:
        await gateway.says("skid answers")
        state = ("--state", gateway.state)
        code, said, _ = await edgetwin("loop", "pressure", "shadow", *state)
        assert code == 0
        assert said.splitlines()[0].startswith("loop pressure: goes from auto to shadow, by ")
        code, _, complained = await edgetwin("loop", "presure", "auto", *state)
        assert (code, complained) == (
            *(1, "edgetwin: no loop is called 'presure'. Loops here: pressure\n"),
        )


async def test_without_control_auto_is_refused_with_the_cure(run_gateway, skid, edgetwin):
    text = CONFIG.format(port=skid.port).replace("enabled: true", "enabled: false")
    text = text.replace("mode: auto", "mode: shadow")
    async with run_gateway(text) as gateway:
        await gateway.says("skid answers")
        code, said, _ = await edgetwin("loop", "pressure", "auto", "--state", gateway.state)
    assert code == 1
    assert "stays in shadow: control is off. Write 'control: {enabled: true}'" in said


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ([], 2, "edgetwin: a command is missing. See: edgetwin --help"),
        (
            ["strat"],
            2,
            "edgetwin: 'strat' is no command. Did you mean 'status'? See: edgetwin --help",
        ),
        (["run"], 2, "edgetwin run: the following arguments are required: config. See: "),
        (["status"], 1, "edgetwin: no edgetwin runs here. Start it with: edgetwin run CONFIG"),
        (["status", "--state", "/no/where"], 1, "edgetwin: no edgetwin runs on /no/where (No such"),
        (["replay", "/no/where"], 1, "edgetwin: /no/where: No such file or directory. Recordings"),
    ],
)
async def test_wrong_use_is_answered_in_one_line(edgetwin, words, code, says):
    found, said, complained = await edgetwin(*words)
    assert (found, said, len(complained.splitlines())) == (code, "", 1)
    assert complained.startswith(says)


async def test_help_fits_the_terminal_and_names_every_command(edgetwin):
    code, said, _ = await edgetwin("--help")
    assert code == 0
    for command in ("run", "check", "status", "tags", "loop", "learn", "replay"):
        assert f"  edgetwin {command:<6} " in said
        code, more, _ = await edgetwin(command, "--help")
        assert code == 0
        assert more.startswith(f"usage: edgetwin {command} [-h]")
        fits(more)
    fits(said)


async def test_check_tells_what_the_configuration_will_do_and_all_that_is_wrong(edgetwin, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG.format(port=1))
    code, said, complained = await edgetwin("check", path)
    assert (code, complained) == (0, "")
    assert said.startswith(f"{path}: no errors; no connection was opened.\n")
    fits(said.partition("\n")[2].replace(str(tmp_path), ""))
    path.write_text(CONFIG.format(port=1).replace("float32", "float23").replace("gain", "gian"))
    code, said, complained = await edgetwin("check", path)
    assert (code, said) == (78, "")
    *errors, summary = complained.splitlines()
    assert all(error.startswith(f"{path}:") for error in errors)
    assert any("Did you mean 'float32'?" in error for error in errors)
    assert any("Did you mean 'gain'?" in error for error in errors)
    assert summary == f"{len(errors)} errors; nothing was started."
