"""Where is the gateway? By option, configuration, environment or as usual."""

from pathlib import Path

import pytest

from gateway.cli import parser
from gateway.top.options import BadUsage, admin_url

POOLS = "pools: {p: {backends: [http://h:1]}}\n"


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEWAY_ADMIN", raising=False)


def where(*words: str) -> str:
    return admin_url(parser().parse_args(words))


def test_the_usual_place() -> None:
    """Where a gateway without an `admin` key has it."""
    assert where("status") == where("top") == "http://127.0.0.1:9901"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("http://10.0.0.1:9901", "http://10.0.0.1:9901"),
        ("gateway.test:9901", "http://gateway.test:9901"),
        ("https://gateway.test:443/inner/", "https://gateway.test:443/inner"),
        ("[::1]:9901", "http://[::1]:9901"),
    ],
)
def test_an_address_by_option_or_environment(given: str, meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a URL or as HOST:PORT; the option counts more."""
    assert where("top", "--admin", given) == meant
    monkeypatch.setenv("GATEWAY_ADMIN", given)
    assert where("status") == meant
    assert where("status", "--admin", "other:1") == "http://other:1"


@pytest.mark.parametrize(
    "given", ["gateway", "9901", "ftp://h:1", "http://h:port", "http://h", "http://:1", ""]
)
def test_no_address(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was given where, and how it is written."""
    with pytest.raises(
        BadUsage, match=r"^--admin: .* is no admin address; write it as http://127.0.0.1:9901$"
    ):
        where("status", "--admin", given)
    if given:
        monkeypatch.setenv("GATEWAY_ADMIN", given)
        with pytest.raises(BadUsage, match=r"^GATEWAY_ADMIN: "):
            where("status")


@pytest.mark.parametrize(
    ("admin", "meant"),
    [
        ("", "http://127.0.0.1:9901"),
        ("admin: 10.0.0.1:7000\n", "http://10.0.0.1:7000"),
        ("admin: 0.0.0.0:7000\n", "http://127.0.0.1:7000"),
        ("admin: '[::]:7000'\n", "http://[::1]:7000"),
        ("admin: ${WHERE:-127.0.0.2:7000}\n", "http://127.0.0.2:7000"),
    ],
)
def test_the_address_of_a_configuration(admin: str, meant: str, tmp_path: Path) -> None:
    """As this machine reaches it."""
    file = tmp_path / "my.yaml"
    file.write_text(POOLS + admin)
    assert where("status", "-c", str(file)) == meant


def test_a_configuration_that_does_not_say(tmp_path: Path) -> None:
    """None, one with mistakes, one with any free port."""
    file = tmp_path / "my.yaml"
    with pytest.raises(BadUsage, match=r"there is no .*my\.yaml"):
        where("status", "-c", str(file))
    file.write_text("pols: {}\n")
    with pytest.raises(BadUsage, match=r"my\.yaml:1: pols"):
        where("status", "-c", str(file))
    file.write_text(POOLS + "admin: 127.0.0.1:0\n")
    with pytest.raises(BadUsage, match="any free port"):
        where("status", "-c", str(file))


@pytest.mark.parametrize(
    "words",
    [
        ("status", "--admin", "h:1", "-c", "my.yaml"),
        ("top", "--interval", "0.1"),
        ("top", "--interval", "11"),
        ("top", "--interval", "soon"),
    ],
)
def test_bad_usage(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Two addresses, or an interval at which the gateway does not tell."""
    with pytest.raises(SystemExit) as end:
        parser().parse_args(words)
    assert end.value.code == 2
    assert words[1] in capsys.readouterr().err


def test_intervals_are_durations() -> None:
    """As everywhere."""
    assert parser().parse_args(["top", "--interval", "500ms"]).interval == 0.5
    assert parser().parse_args(["top"]).interval == 1.0
