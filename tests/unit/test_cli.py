"""The command line: what is printed where, and the exit codes."""

import argparse
import io
import json
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

from gateway import __version__
from gateway.cli import main, parser
from gateway.settings.json_schema import json_schema
from gateway.settings.schema import Settings

GOOD = """\
pools: {a: {backends: [http://h:1, http://h:2]}, b: {backends: [http://h:1]}}
routes: [{name: r, pool: a}]
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    file = tmp_path / "good.yaml"
    file.write_text(GOOD)
    return file


def test_check_sums_up_a_good_file(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line on standard output, nothing on standard error, exit code 0."""
    assert main(["check", "-c", str(good)]) == 0
    assert capsys.readouterr() == (f"{good} is good: 2 pools, 3 backends, 1 route\n", "")


def test_check_shows_every_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All of them on standard error, one a line, exit code 2."""
    file = tmp_path / "bad.yaml"
    file.write_text("listn: 1\npools: {a: {backends: [ftp://x]}}\nadmin: 1\n")
    assert main(["check", "--config", str(file)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(":")[1] for line in err.splitlines()] == ["1", "2", "3"]
    assert all(line.startswith(f"{file}:") for line in err.splitlines())


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_missing_file_says_how_to_make_one(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line with the path, `-c` and a file that would do; that file does."""
    monkeypatch.chdir(tmp_path)
    assert main([command]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "there is no config/gateway.yaml" in err
    assert "-c" in err
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "gateway.yaml").write_text(err.split("at least: ")[1])
    assert main(["check"]) == 0


def test_check_takes_variables_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same file is good or bad by what is set."""
    file = tmp_path / "g.yaml"
    file.write_text("pools: {a: {backends: ['${MODEL_SERVER_URL}']}}")
    monkeypatch.delenv("MODEL_SERVER_URL", raising=False)
    assert main(["check", "-c", str(file)]) == 2
    assert "set MODEL_SERVER_URL" in capsys.readouterr().err
    monkeypatch.setenv("MODEL_SERVER_URL", "http://h:1")
    assert main(["check", "-c", str(file)]) == 0


def test_run_hands_over_settings_and_path(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The application gets both and its answer is the exit code; a bad file starts nothing."""
    calls: list[tuple[Settings, Path]] = []

    def run(settings: Settings, path: Path) -> int:
        calls.append((settings, path))
        return 1

    app = types.ModuleType("gateway.app")
    app.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gateway.app", app)
    assert main(["run", "-c", str(good)]) == 1
    assert [(list(settings.pools), path) for settings, path in calls] == [(["a", "b"], good)]
    good.write_text("pools: 1")
    assert main(["run", "-c", str(good)]) == 2
    assert len(calls) == 1


def test_demo_hands_over_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Defaults and given values arrive as one namespace, durations in seconds."""
    given: list[argparse.Namespace] = []

    def demo_main(args: argparse.Namespace) -> int:
        given.append(args)
        return 0

    demo = types.ModuleType("gateway.demo.run")
    demo.main = demo_main  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gateway.demo.run", demo)
    assert main(["demo"]) == 0
    line = "--backends 2 --port 0 --admin-port 0 --for 1m --load --requests 9 --concurrency 4"
    assert main(["demo", *line.split()]) == 0
    names = ("backends", "port", "admin_port", "for_seconds", "load", "requests", "concurrency")
    assert [tuple(getattr(args, name) for name in names) for args in given] == [
        (3, 8080, 9901, None, False, 300, 16),
        (2, 0, 0, 60.0, True, 9, 4),
    ]


def test_simulate_hands_over_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left out is None where the scenario or the configuration decides."""
    given: list[argparse.Namespace] = []

    def simulate_main(args: argparse.Namespace) -> int:
        given.append(args)
        return 0

    simulate = types.ModuleType("gateway.simulate")
    simulate.main = simulate_main  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gateway.simulate", simulate)
    assert main(["simulate"]) == 0
    line = "equal --policy a --policy b --seeds 2 --seed 5 --gateways 4 --duration 2m --config c --pool p"
    assert main(["simulate", *line.split(), "--replay", "l", "--json", "--plot", "o.png"]) == 0
    names = ("scenario", "policy", "seeds", "seed", "gateways", "duration", "config", "pool", "replay")
    assert [tuple(getattr(args, name) for name in (*names, "json", "plot")) for args in given] == [
        (None, None, 3, 1, None, None, None, None, None, False, None),
        ("equal", ["a", "b"], 2, 5, 4, 120.0, Path("c"), "p", Path("l"), True, Path("o.png")),
    ]


def test_schema_prints_the_json_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """What is printed is what the editor's file holds."""
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json_schema()


@pytest.mark.parametrize(
    "line",
    [
        "",
        "serve",
        "check extra",
        "run -c",
        "demo --backends 0",
        "demo --port 70000",
        "demo --for 0",
        "demo --for soon",
        "demo --requests -1",
        "simulate a b",
        "simulate --seeds 0",
        "simulate --seed -1",
        "simulate --gateways 0",
        "simulate --duration 0",
        "simulate --policy",
    ],
)
def test_bad_usage_is_told_apart(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and the usage on standard error."""
    assert main(line.split()) == 2
    out, err = capsys.readouterr()
    assert (out, err[:14]) == ("", "usage: gateway")


def test_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    """--version prints name and version."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"gateway {__version__}\n"


@pytest.mark.parametrize("command", ["", "run", "check", "schema", "demo", "simulate", "explain-cache"])
def test_every_help_has_an_example_that_is_good_usage(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """--help ends with 0 and an example that the command line itself accepts."""
    assert main([*command.split(), "--help"]) == 0
    example = capsys.readouterr().out.split("example: gateway ")[1].split(">")[0]
    assert parser().parse_args(example.split()).command


def test_the_manual_has_every_command_and_option() -> None:
    """docs/commands.md names all of them, each option with its default, and nothing that does not exist."""
    manual = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
    commands = next(a for a in parser()._actions if isinstance(a, argparse._SubParsersAction)).choices
    known = {"--version", "--help"}
    for name, command in commands.items():
        assert f"## `gateway {name}" in manual
        for action in command._actions:
            known |= set(action.option_strings)
            if action.default not in (None, False, argparse.SUPPRESS) and name == "demo":
                assert re.search(rf"`{action.option_strings[0]} \w+` \| {action.default} \|", manual)
    options = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", manual.replace("python -m", "python")))
    assert options <= known
    assert known - options == {"-h"}


def test_explain_cache_says_whether_two_bodies_share_a_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 when they do, 1 with the first difference when they do not, 2 when one cannot be read."""
    a, b = tmp_path / "a.json", tmp_path / "b.json"
    a.write_text('{"model": "m", "max_tokens": 16, "user": "me", "team": 1}')
    b.write_text('{"max_tokens":1.6e1,"model":"m","team":2}')
    assert main(["explain-cache", str(a), str(b), "--ignore", "user, team"]) == 0
    assert capsys.readouterr() == (
        f"the same key\n{a}: does not count: team, user\n{b}: does not count: team\n",
        "",
    )
    assert main(["explain-cache", str(a), str(b)]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[:3] == ["different keys: first difference at $.team", f"  {a}: 1", f"  {b}: 2"]
    assert main(["explain-cache", str(a), str(b), "--content-type", "text/plain", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["equal"], told["a"]["form"], told["first_difference"]["where"]) == (False, "raw", "byte 3")
    assert main(["explain-cache", str(a), str(tmp_path / "none")]) == 2
    assert "cannot read" in capsys.readouterr().err
    assert main(["explain-cache", str(a), str(tmp_path)]) == 2
    assert main(["explain-cache", str(a)]) == 2


def test_explain_cache_reads_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For one of the bodies."""
    a = tmp_path / "a.json"
    a.write_text("[1]")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"[ 1.0 ]")))
    assert main(["explain-cache", str(a), "-"]) == 0
    assert main(["explain-cache", "-", "-"]) == 2
    assert "standard input" in capsys.readouterr().err


def test_the_module_is_the_same_program(good: Path) -> None:
    """`python -m gateway` in a process of its own, without loading what only other commands need."""
    code = (
        "import sys; from gateway.cli import main; code = main(sys.argv[1:]);"
        "sys.exit(code or any(name in sys.modules for name in ('aiohttp', 'uvloop', 'asyncio')) * 3)"
    )
    for start in (["-m", "gateway"], ["-c", code]):
        ended = subprocess.run(
            [sys.executable, *start, "check", "-c", str(good)],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        assert "is good" in ended.stdout
