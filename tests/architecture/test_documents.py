"""What the documents promise is there, and nothing here points at somebody's machine."""

import re
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement

FOLDERS = [".ci", "config", "docs", "edgetwin", "requirements", "scripts", "systemd", "tests"]
MAX_DECISION_LINES = 60


def our_files(root):
    """All text that belongs to the repository (a release has no git to ask)."""
    inside = [path for folder in FOLDERS for path in (root / folder).rglob("*")]
    files = [path for path in [*root.iterdir(), *inside] if path.is_file()]
    return [
        path
        for path in files
        if path.suffix not in {".pyc", ".onnx", ".gz"} and path.name[0] != "."
    ]


def shell_lines(root, document):
    """The commands in a document's shell blocks."""
    blocks = re.findall(
        r"```sh\n(.*?)```", (root / document).read_text(encoding="utf-8"), re.DOTALL
    )
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_no_file_names_a_machine_or_a_package_host(root):
    # The bracketed letters keep this line from finding itself.
    host = re.compile(
        r"/w[o]rk/|/r[o]ot/|/opt/wh[e]els|pypi\.o[r]g|python[h]osted|deb\.debian\.o[r]g|npmjs\.o[r]g"
    )
    found = [
        f"{path.relative_to(root)}: {match.group()}"
        for path in our_files(root)
        if (match := host.search(path.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_a_decision_is_half_a_page(root):
    decisions = sorted((root / "docs/decisions").glob("*.md"))
    assert decisions
    long = {
        path.name: n
        for path in decisions
        if (n := path.read_text("utf-8").count("\n")) > MAX_DECISION_LINES
    }
    assert long == {}


def test_every_link_between_documents_leads_somewhere(root):
    broken = [
        f"{path.relative_to(root)}: {target}"
        for path in [*root.glob("*.md"), *(root / "docs").rglob("*.md")]
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
        if not target.startswith(("http:", "https:", "mailto:"))
        and not (path.parent / target).exists()
    ]
    assert broken == []


def test_every_script_and_file_that_the_documents_run_exists(root):
    lines = [line for name in ("README.md", "CONTRIBUTING.md") for line in shell_lines(root, name)]
    named = {
        word
        for line in lines
        for word in re.findall(r"(?<![\w/])(?:\./scripts|config|requirements)/[\w./-]+", line)
    }
    assert {"./scripts/test", "./scripts/demo"} <= named
    assert [name for name in sorted(named) if not (root / name).is_file()] == []


def test_every_command_that_the_readme_shows_is_known(root):
    found = [
        re.match(r"(?:sudo )?(?:\S*/)?edgetwin ([a-z]+)", line)
        for line in shell_lines(root, "README.md")
    ]
    commands = sorted({match.group(1) for match in found if match})
    assert {"check", "run", "status"} <= set(commands)
    for command in commands:
        arguments = [sys.executable, "-m", "edgetwin", command, "--help"]
        help_text = subprocess.run(
            arguments, capture_output=True, text=True, timeout=30, check=False
        )
        assert help_text.returncode == 0, f"edgetwin {command}: {help_text.stderr}"


def test_the_readme_shows_the_minimal_configuration_as_it_is(root):
    shown = re.search(r"```yaml\n(.*?)```", (root / "README.md").read_text("utf-8"), re.DOTALL)
    assert shown.group(1) == (root / "config/minimal.yaml").read_text(encoding="utf-8")


def test_changelog_begins_with_this_version(root, project):
    heading = re.search(
        r"^## (\S+)", (root / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert heading.group(1) == project["version"]


def test_the_locks_hold_what_the_project_asks_for(root, project):
    extras = project["optional-dependencies"]
    asked = {
        "gateway": project["dependencies"],
        "demo": [*project["dependencies"], *extras["demo"]],
        "test": [*project["dependencies"], *extras["demo"], *extras["dev"]],
    }
    wrong = []
    for lock, requirements in asked.items():
        text = (root / f"requirements/{lock}.lock").read_text(encoding="utf-8").lower()
        for requirement in map(Requirement, requirements):
            versions = re.findall(rf"^{requirement.name.lower()}==([^\s;]+)", text, re.MULTILINE)
            fits = versions and all(requirement.specifier.contains(version) for version in versions)
            if not fits and requirement.name != project["name"]:
                wrong.append(f"{lock}: {requirement} (locked: {versions}); run ./scripts/lock")
    assert wrong == []
