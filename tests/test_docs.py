"""The documents say what the code does: nothing that a user can type, set, read or be told is left out."""

import argparse
import asyncio
import os
import random
import re
import subprocess
import sys
import textwrap
import tomllib
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from aiohttp import web

from gateway.admin.server import Endpoints
from gateway.admin.view import AdminView
from gateway.balancing.policy import PickContext
from gateway.cli import parser
from gateway.demo.options import ServerOptions
from gateway.demo.server import start
from gateway.errors import RULES
from gateway.settings import describe
from gateway.telemetry.series import SERIES
from tests import harness

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def page(file: str) -> str:
    return (DOCS / file).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks in a language, indentation removed."""
    fences = re.findall(rf"^( *)```{language}\n(.*?)^\1```", text, re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for _, block in fences]


# What users meet.


def test_every_key_of_the_configuration_is_in_the_manual() -> None:
    """Each has a row of its own, as often as there are mappings that have it."""
    manual = page("configuration.md")
    keys = [key for model in describe.models() for key in model.model_fields]
    assert len(keys) > 40
    for key in keys:
        assert manual.count(f"\n| `{key}` |") >= keys.count(key), key


def commands() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def test_every_command_and_option_is_in_the_manual() -> None:
    """A heading for each command, each option in code style."""
    manual = page("commands.md")
    assert {"run", "check", "demo", "schema"} <= dict(commands()).keys()
    for command, its in commands():
        assert f"\n## `gateway {command}" in manual
        for option in (option for action in its._actions for option in action.option_strings):
            assert re.search(rf"[`\[ ]{option}[`\] ]", manual) or option == "-h", f"{command} {option}"


def test_every_metric_is_in_the_manual() -> None:
    """A row for each."""
    manual = page("metrics.md")
    assert [series.name for series in SERIES if f"\n| `{series.name}` |" not in manual] == []


def test_every_admin_path_is_in_the_manual() -> None:
    """A row for each method and path."""
    app = web.Application()
    Endpoints(cast(AdminView, None)).add_to(app)  # nothing is asked of it: the paths are only listed
    manual = page("admin.md")
    listed = set()
    for route in app.router.routes():
        if route.method != "HEAD" and route.resource is not None:
            path = route.resource.canonical.replace("{backend}", "{name}")
            listed.add(f"| `{route.method} {path}` |")
    assert len(listed) >= 9
    assert [row for row in sorted(listed) if row not in manual] == []


def test_every_error_is_in_the_manual() -> None:
    """Each kind stands in docs/http.md with its status, in one line."""
    lines = page("http.md").splitlines()
    missing = [
        f"{kind} {rule.status}"
        for kind, rule in RULES.items()
        if not any(f"`{kind}`" in line and str(rule.status) in line for line in lines)
    ]
    assert missing == []


# README.


def test_the_readme_s_commands_are_made() -> None:
    """`make demo`, `make test` and every other `make` in a document are targets."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert re.findall(r"^make (\w+) ", blocks(README, "sh")[0], re.MULTILINE) == ["demo", "test"]
    for path in PAGES:
        named = set(re.findall(r"(?:^|`)make ([a-z]+)\b", path.read_text(encoding="utf-8"), re.MULTILINE))
        assert named <= targets, name(path)


def test_the_readme_shows_the_first_configuration() -> None:
    """It is config/gateway.yaml, to the letter."""
    assert blocks(README, "yaml") == [(ROOT / "config" / "gateway.yaml").read_text(encoding="utf-8")]


def test_the_readme_keeps_a_place_for_figures() -> None:
    """Two marks with something between them."""
    before, between, after = README.split("<!-- figures -->")
    assert before and after
    assert between.strip()


async def test_the_readme_s_python_works() -> None:
    """OpenAI's client, pointed at a gateway as the README says, prints an answer."""
    server = await start(ServerOptions(tokens_per_second=0))
    try:
        async with harness.gateway(server.url) as app:
            (program,) = blocks(README, "python")
            assert "http://127.0.0.1:8080/v1" in program
            program = program.replace("http://127.0.0.1:8080/v1", harness.url(app, "/v1"))
            printed = await run(program)
    finally:
        await server.close()
    assert printed.strip()


async def run(program: str) -> str:
    """What a program prints, in a process of its own; fails when it fails."""
    # A proxy set for this machine's way out must not be asked for 127.0.0.1.
    environment = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=PIPE, stderr=STDOUT, env=environment
    )
    try:
        printed, _ = await asyncio.wait_for(process.communicate(), 30)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, printed.decode()
    return printed.decode()


# Documents for who changes it.


def test_dependencies_are_those_of_the_project() -> None:
    """docs/dependencies.md has a row for each, by what it is needed for, and no other."""
    text = page("dependencies.md")
    project = PYPROJECT["project"]
    for heading, declared in (
        ("At run time", project["dependencies"]),
        ("To build it", PYPROJECT["build-system"]["requires"]),
        ("For development", project["optional-dependencies"]["dev"]),
    ):
        section = text.split(f"## {heading}")[1].split("\n## ")[0]
        rows = re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE)
        assert rows == [re.split(r"[<>=\[ ;]", requirement)[0] for requirement in declared]


def test_the_policy_of_the_tutorial_works() -> None:
    """It picks the candidate that its scores say is best."""

    class View:
        weight = 1.0

        def __init__(self, name: str, latency: float | None, in_flight: int) -> None:
            self.name, self.latency, self.in_flight = name, latency, in_flight

        def latency_s(self, now: float) -> float | None:
            return self.latency

    (program,) = blocks(page("architecture.md"), "python")
    room: dict[str, object] = {}
    exec(compile(program, "architecture.md", "exec"), room)
    policy = room["CalmLatency"]()  # type: ignore[operator]
    views = [View("a", 0.2, 0), View("b", 0.01, 2), View("c", None, 1), View("d", 0.1, 3)]
    context = PickContext(0.0, random.Random(1))
    picked = policy.pick(views, context)
    scores = [row["score"] for row in policy.scores(views, context)]
    assert picked is views[scores.index(min(scores))]
    assert picked.name == "c"


def test_the_map_names_modules_that_exist() -> None:
    """Every file and folder in the map of docs/architecture.md is there, and every package is in the map."""
    (chart,) = re.findall(r"^```\n(gateway/\n.*?)^```", page("architecture.md"), re.DOTALL | re.MULTILINE)
    files = set(re.findall(r"\b(\w+\.py)\b", chart))
    assert files <= {path.name for path in (ROOT / "gateway").rglob("*.py")}
    folders = {path.name for path in (ROOT / "gateway").iterdir() if (path / "__init__.py").exists()}
    assert folders == set(re.findall(r"\b(\w+)/", chart)) - {"gateway"}


# All documents.


def anchors(text: str) -> set[str]:
    """The places in a document that a link can name, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S), re.MULTILINE)
    made = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    return {f"{anchor}-{made[:index].count(anchor)}".removesuffix("-0") for index, anchor in enumerate(made)}


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_links_lead_somewhere(path: Path) -> None:
    """Every relative link names a file of the repository, and a heading in it."""
    text = re.sub(r"^ *```.*?^ *```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    for link in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", link):
            file, _, anchor = link.partition("#")
            target = (path.parent / file).resolve() if file else path
            assert target.exists(), link
            assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


def test_the_index_lists_every_document() -> None:
    """Nothing in docs/ is to be found by chance."""
    linked = set(re.findall(r"\]\((\w+\.md)\)", page("index.md")))
    assert {path.name for path in DOCS.glob("*.md")} - {"index.md"} == linked


def test_makefile_and_documents_need_nothing_else() -> None:
    """`make help` lists every target, and needs no environment to do so."""
    listed = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    )
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert re.findall(r"^  make (\w+) ", listed.stdout, re.MULTILINE) == targets
