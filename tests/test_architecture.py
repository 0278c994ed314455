"""The house rules that a machine can check: imports, sizes, who reads the clock, what is never named."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "gateway").rglob("*.py"))
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 40
MAX_FIRST_LINE = 110

#: Longer than 300 lines, and why. A file that has become shorter leaves the list.
LONG_FILES = {
    "gateway/app.py": "start, drain and end of everything, to be read in one go",
    "gateway/cache/flights.py": "a flight, its taps and the table of all share what is counted and held",
    "gateway/http/client.py": "a backend's connection: sending, reading and tunnelling share its state",
    "gateway/http/request_reader.py": "every way in which a request head can be wrong, beside the next",
    "gateway/http/response_reader.py": "the same for responses: 1xx, upgrades, bodies that end at close",
    "gateway/http/server.py": "a client's connection: reading, holding, uploading, lingering share its state",
}

#: Longer than 40 lines, and why.
LONG_FUNCTIONS = {
    "gateway/cli.py: parser": "the command line, one declaration after another",
    "gateway/forward.py: run": "the loop over attempts, which costs every request a call less in one piece",
    "gateway/pool/backend.py: __init__": "all that is known of a backend, one assignment after another",
}

#: Unit tests that mirror no single file of the package, and why.
UNIT_TESTS_OF_THEIR_OWN = {
    "admission/test_queue_machine.py": "gateway/admission/queue.py by random walks",
    "attempts/test_retry_budget.py": "gateway/attempts/budget.py, by a name of its own",
    "balancing/test_balancing_simulation.py": "all policies under one synthetic load",
    "balancing/test_policies_exact.py": "all policies, number by number",
    "demo/test_demo_sdk.py": "the model server through OpenAI's client library",
    "pool/test_pool_machine.py": "gateway/pool/pool.py by random walks",
    "telemetry/test_lag_and_observer.py": "two files of twenty lines",
    "telemetry/test_metrics_manual.py": "the table of series in docs/metrics.md",
    "test_benchmarks.py": "the benchmarks' own parts",
    "test_cache_benchmarks.py": "the parts of benchmarks/cache_ratio.py",
    "test_shootout.py": "the parts of benchmarks/policy_shootout.py",
}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def words(path: Path) -> set[str]:
    """Every name and attribute the code uses."""
    nodes = list(ast.walk(tree(path)))
    return {node.id for node in nodes if isinstance(node, ast.Name)} | {
        node.attr for node in nodes if isinstance(node, ast.Attribute)
    }


def test_nobody_imports_what_is_above_him() -> None:
    """The import contracts of pyproject.toml hold."""
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"Contracts: \d+ kept, 0 broken", ran.stdout)


def test_files_are_short() -> None:
    """At most 300 lines, but for those that say why."""
    long = {name(path) for path in MODULES if len(path.read_text().splitlines()) > MAX_FILE_LINES}
    assert long - LONG_FILES.keys() == set(), "split them, or give the reason in LONG_FILES"
    assert LONG_FILES.keys() - long == set(), "no longer long: delete them from LONG_FILES"


def test_functions_are_short() -> None:
    """At most 40 lines from `def` to their end, but for those that say why."""
    long = {
        f"{name(path)}: {node.name}"
        for path in MODULES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno + 1 > MAX_FUNCTION_LINES
    }
    assert long - LONG_FUNCTIONS.keys() == set(), "split them, or give the reason in LONG_FUNCTIONS"
    assert LONG_FUNCTIONS.keys() - long == set(), "no longer long: delete them from LONG_FUNCTIONS"


@pytest.mark.parametrize("path", [path for path in MODULES if path.read_text()], ids=name)
def test_every_module_says_what_it_answers(path: Path) -> None:
    """The docstring's first line is whole sentences that fit on a line; only empty files need none."""
    first = (ast.get_docstring(tree(path)) or "").partition("\n")[0]
    assert first, "give it a docstring: the one question it answers"
    assert len(first) <= MAX_FIRST_LINE
    assert first.endswith((".", "?"))


def test_one_module_reads_the_clock() -> None:
    """`time` is imported by clock.py alone, so that time can be given to everything else."""
    assert [name(path) for path in MODULES if "time" in imported(path)] == ["gateway/clock.py"]


def test_one_module_creates_tasks() -> None:
    """Every background task is named, referenced and watched by tasks.py."""
    makers = {"create_task", "ensure_future", "run_coroutine_threadsafe"}
    assert [name(path) for path in MODULES if makers & words(path)] == ["gateway/tasks.py"]


def test_the_parser_stays_strict() -> None:
    """No leniency of the HTTP parser is ever switched on: each of them is a way to smuggle requests."""
    assert [name(path) for path in MODULES if "set_dangerous_leniencies" in words(path)] == []


def test_unit_tests_mirror_the_package() -> None:
    """tests/unit/pool/test_ewma.py, or test_pool_ewma.py, is for gateway/pool/ewma.py; others are listed."""
    unit = ROOT / "tests" / "unit"
    odd = set()
    for path in unit.rglob("test_*.py"):
        folder = path.parent.relative_to(unit)
        stem = path.stem.removeprefix("test_")
        stems = {stem, stem.removeprefix(f"{folder.name}_")}
        if not any((ROOT / "gateway" / folder / f"{one}.py").exists() for one in stems):
            odd.add(path.relative_to(unit).as_posix())
    assert odd - UNIT_TESTS_OF_THEIR_OWN.keys() == set(), "name them after a file, or list them with a reason"
    assert UNIT_TESTS_OF_THEIR_OWN.keys() - odd == set(), "gone or renamed: delete them from the list"


# What must stand in no file of the repository. Put together here, or this file would break its own rule.
FOREIGN = {
    "a path of one machine": r"(?<![\w.~-])/(?:" + "|".join(("work", "root", "home")) + r")/",
    "a folder beside the repository": r"\b" + "shared" + r"/",
    "a choice of package index, which belongs to the machine": "|".join(
        ("(?:extra-)?index" + "[-_]url", "trusted" + "-host", "find" + "-links")
    ),
}


@cache
def texts() -> dict[str, str]:
    """Every text file that is, or would be, in the repository."""
    # A checkout may belong to somebody else, as in a container.
    asked = [
        "git",
        "-c",
        f"safe.directory={ROOT}",
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "-z",
    ]
    ran = subprocess.run(asked, cwd=ROOT, capture_output=True, check=False, timeout=30)
    assert ran.returncode == 0, "git says which files are the repository's: " + ran.stderr.decode()
    found = {}
    for file in filter(None, ran.stdout.decode().split("\0")):
        path = ROOT / file
        if path.is_file():
            content = path.read_bytes()
            if b"\0" not in content:
                found[file] = content.decode("utf-8")
    return found


def test_the_repository_was_read() -> None:
    """The rules below look at something."""
    assert {"README.md", "gateway/app.py", "tests/test_architecture.py"} <= texts().keys()


@pytest.mark.parametrize("what", FOREIGN)
def test_nothing_names_somebody_s_machine(what: str) -> None:
    """The repository works anywhere: no file speaks of where it was written."""
    pattern = re.compile(FOREIGN[what])
    assert [
        f"{file}:{number}: {line.strip()}"
        for file, text in texts().items()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ] == []


def test_nothing_names_this_machine_s_package_mirror() -> None:
    """Where pip is told to fetch from another host than PyPI, that host stands in no file."""
    settings = [value for key, value in os.environ.items() if key.startswith("PIP_")]
    settings += [path.read_text() for path in (Path("/etc/pip.conf"),) if path.is_file()]
    urls = re.findall(r"https?://[^\s\"']+", " ".join(settings))
    mirrors = {urlsplit(url).hostname or "" for url in urls} - {"pypi.org", ""}
    assert [(file, mirror) for file, text in texts().items() for mirror in mirrors if mirror in text] == []
