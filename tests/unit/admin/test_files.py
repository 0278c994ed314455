"""Are the console's files whole, small, safe and readable in every colour?"""

import re
from importlib.resources import files
from itertools import product

import pytest

from gateway.admin.files import TYPES, Console

FOLDER = files("gateway.admin") / "console"
NAMES = sorted(file.name for file in FOLDER.iterdir())
SCRIPTS = [name for name in NAMES if name.endswith(".js")]


def content(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def test_everything_is_served() -> None:
    """Each file has a type that browsers are told; what the page loads is there, and nothing else is."""
    assert [name for name in NAMES if name.rpartition(".")[2] not in TYPES] == []
    loaded = set(re.findall(r'(?:href|src)="console/([\w.]+)"', content("index.html")))
    assert loaded | {"index.html", "list.css"} == set(NAMES)
    assert repr(Console()) == f"<Console of {len(NAMES)} files>"


def test_scripts_import_what_there_is() -> None:
    """Every import names a file and what it exports."""
    for name in SCRIPTS:
        for wanted, source in re.findall(r'import \{([^}]+)\} from "\./([\w.]+)";', content(name)):
            for one in wanted.split(","):
                exported = rf"export (?:const|function|class) {one.split()[0]}\b"
                assert re.search(exported, content(source)), f"{name}: {one} of {source}"
                assert content(name).count(one.split()[-1]) > 1, f"{name} does not use {one}"


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_small_and_say_what_they_answer(name: str) -> None:
    """At most 300 lines, and a question in the first."""
    lines = content(name).splitlines()
    assert len(lines) <= 300
    assert re.match(r"// .*[?.]", lines[0])


@pytest.mark.parametrize("name", NAMES)
def test_nothing_parses_markup_or_asks_elsewhere(name: str) -> None:
    """No way for a name or an error to become markup or code, no URL of another host, nothing inline."""
    text = content(name)
    risky = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser|\.srcdoc"
    assert re.findall(risky, text) == []
    assert set(re.findall(r"https?://[\w.]+", text)) <= {"http://www.w3.org"}
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?! type=\"module\" src)", text) == []


def tokens() -> dict[str, dict[str, str]]:
    """The colours by scheme."""
    light, dark = content("tokens.css").split("@media (prefers-color-scheme: dark)")
    return {
        name: dict(re.findall(r"--(\w+): (#\w{6});", text))
        for name, text in (("light", light), ("dark", dark))
    }


def luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance of `#rrggbb`."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio, 1 to 21."""
    dark, bright = sorted((luminance(one), luminance(other)))
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(scheme: str) -> None:
    """Every colour of text has a contrast of at least 4.5 on every ground, and under text of that colour."""
    colours = tokens()[scheme]
    texts = ("ink", "soft", "accent", "good", "calm", "warn", "bad")
    for text, ground in product(texts, ("ground", "raised")):
        assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for text in ("ink", "accent"):
        assert contrast(colours[text], colours["fill"]) >= 4.5, text


def test_contrast_is_worked_out_right() -> None:
    """Black on white is 21, the same on itself 1."""
    assert round(contrast("#000000", "#ffffff"), 2) == 21.0
    assert contrast("#123456", "#123456") == 1.0
