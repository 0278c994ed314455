"""The command `gateway simulate`, and how it puts gateways together."""

import json
from pathlib import Path
from random import Random

import pytest

from gateway.balancing.round_robin import RoundRobin
from gateway.cli import main as gateway
from gateway.pool.backend import BackendSpec
from gateway.settings.load import from_dict
from gateway.simulate import Gateways, pool_of, run
from gateway.simulation.builtin import SCENARIOS
from gateway.simulation.scenario import Group, Scenario, Work

SMALL = """\
name: small
about: two machines
machine: slots
groups: [{count: 2}]
work: {load: 0.5}
duration_s: 20
warmup_s: 5
pool: {health: {path: null}}
"""
CONFIG = """\
pools:
  chat:
    policy: round_robin
    backends: [{url: "http://h:1", name: a, max_in_flight: 2}, {url: "http://h:2", name: b, weight: 3}]
  other: {backends: ["http://h:3"]}
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL)
    return file


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "gateway.yaml"
    file.write_text(CONFIG)
    return file


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What is said to a command that cannot be done."""
    assert gateway(["simulate", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err


def log(path: Path, **changes: object) -> None:
    """An access log of 40 requests a tenth of a second apart, by turns to a and to b, the slower one."""
    lines = []
    for n in range(40):
        line = {
            "time": f"2026-01-01T00:00:{n / 10:06.3f}Z",
            "pool": "chat",
            "backend": "ab"[n % 2],
            "status": 200,
            "stream": False,
            "bytes_in": 100,
            "duration_ms": 100.0 * (1 + n % 2),
            "first_byte_ms": 100.0 * (1 + n % 2),
            "overhead_ms": 0.2,
            **changes,
        }
        lines.append(json.dumps(line))
    path.write_text("\n".join(["not json", *lines]))


def test_a_file_is_simulated_and_shown(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tables on standard output with each policy named and both references; nothing else anywhere."""
    words = ["simulate", str(small), "--policy", "least_latency", "--policy", "random", "--seeds", "2"]
    assert gateway(words) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "small: two machines" in out
    assert {"least_latency", "random", "(sed_true)", "(clairvoyant)", "best"} <= {
        line.split()[0] for line in out.splitlines() if line
    }


def test_data_can_be_had_instead(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One JSON object; options change the scenario."""
    words = [
        "--policy",
        "random",
        "--seeds",
        "1",
        "--seed",
        "9",
        "--gateways",
        "3",
        "--duration",
        "10s",
        "--json",
    ]
    assert gateway(["simulate", str(small), *words]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["seeds"], told["gateways"], told["duration_s"]) == ([9], 3, 10.0)
    assert set(told["policies"]) == {"random", "sed_true", "clairvoyant"}


def test_a_built_in_one_is_simulated_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    """For as long as is asked."""
    words = ["--policy", "least_requests", "--seeds", "1", "--duration", "25s", "--json"]
    assert gateway(["simulate", "equal", *words]) == 0
    assert json.loads(capsys.readouterr().out)["scenario"] == "equal"


def test_a_duration_that_leaves_nothing_to_measure_is_refused(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The warm-up is longer."""
    assert "warmup_s: 5: shorter than duration_s" in refused(capsys, str(small), "--duration", "4s")


def test_without_a_scenario_the_names_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    """And for a name that is none."""
    for words in ((), ("slot-fito-0.7",)):
        told = refused(capsys, *words)
        assert all(name in told for name in SCENARIOS)


def test_every_mistake_in_a_file_is_told_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `gateway check` does it."""
    file = tmp_path / "bad.yaml"
    file.write_text(SMALL.replace("load: 0.5", "laod: 0.5").replace("duration_s: 20", "duration_s: -1"))
    told = refused(capsys, str(file)).splitlines()
    assert [line.split(": ")[0] for line in told] == [f"{file}:5", f"{file}:6"]
    assert "work.laod" in told[0]
    file.write_text("{")
    assert refused(capsys, str(file)).startswith(f"{file}:1: found YAML that cannot be read")


def test_a_pool_no_configuration_may_have_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the reason a configuration would be given."""
    file = tmp_path / "bad.yaml"
    file.write_text(SMALL.replace("path: null", "pth: null"))
    assert "pool.health.pth" in refused(capsys, str(file))


def test_an_unknown_policy_is_refused(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With those there are."""
    assert "least_latency" in refused(capsys, str(small), "--policy", "best_of_all")


def test_a_configuration_brings_its_pool_s_settings(
    small: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its policy too, unless others are asked for. Of several pools one has to be named."""
    words = ["simulate", str(small), "--config", str(config), "--seeds", "1", "--json"]
    assert gateway([*words, "--pool", "chat"]) == 0
    assert "round_robin" in json.loads(capsys.readouterr().out)["policies"]
    assert "chat, other" in refused(capsys, *words[1:])
    assert "chat, other" in refused(capsys, *words[1:], "--pool", "chta")


def test_a_log_is_replayed_on_a_pool(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its requests, its times, its machines; the slower one takes twice as long for the same."""
    log(tmp_path / "log.jsonl")
    words = [
        "--replay",
        str(tmp_path / "log.jsonl"),
        "--config",
        str(config),
        "--pool",
        "chat",
        "--seeds",
        "1",
    ]
    assert gateway(["simulate", *words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["scenario"] == "replay"
    ours = told["policies"]["round_robin"]
    assert ours["offered"] == [40]
    assert ours["share"] == [{"a": 0.25, "b": 0.75}]  # as the configuration's weights have it
    assert ours["total_s"]["p50"][0] == pytest.approx(0.2, rel=0.05)
    assert ours["total_s"]["mean"][0] == pytest.approx(0.25 * 0.1 + 0.75 * 0.2, rel=0.05)
    assert gateway(["simulate", *words, "--json", "--duration", "1s"]) == 0
    assert json.loads(capsys.readouterr().out)["policies"]["round_robin"]["offered"] == [10]


def test_a_log_needs_a_configuration_and_requests(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both are said."""
    log(tmp_path / "log.jsonl", pool="other")
    words = ["--replay", str(tmp_path / "log.jsonl")]
    assert "--config" in refused(capsys, *words)
    assert "place of a scenario" in refused(
        capsys, "equal", *words, "--config", str(config), "--pool", "chat"
    )
    assert "no request to this pool (chat)" in refused(
        capsys, *words, "--config", str(config), "--pool", "chat"
    )
    missing = refused(capsys, "--replay", str(tmp_path / "none"), "--config", str(config), "--pool", "chat")
    assert "none" in missing


def test_a_picture_that_cannot_be_drawn_is_an_error(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what to install."""
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    told = refused(
        capsys, str(small), "--policy", "random", "--seeds", "1", "--plot", str(tmp_path / "o.png")
    )
    assert "model-gateway[plot]" in told


def test_gateways_are_built_as_the_settings_say() -> None:
    """Backends the settings know keep their weight and limit, others have the scenario's."""
    settings = from_dict(
        {"pools": {"p": {"backends": [{"url": "http://h:1", "name": "a", "weight": 3, "max_in_flight": 7}]}}}
    ).pools["p"]
    lane = Gateways(settings, "random").lane(
        [BackendSpec("http://x", name="a"), BackendSpec("http://y", name="m", max_in_flight=4)],
        Random(1),
        lambda: 12.5,
    )
    assert [(b.name, b.weight, b.max_in_flight) for b in lane.pool.backends] == [("a", 3.0, 7), ("m", 1.0, 4)]
    assert (lane.now(), lane.pool.policy_name) == (12.5, "random")
    made = Gateways(settings, RoundRobin).lane([BackendSpec("http://x", name="a")], Random(1), lambda: 0.0)
    assert isinstance(made.pool.policy, RoundRobin)


def test_a_reference_runs_without_limits() -> None:
    """What a gateway needs because it does not know would only be in its way."""
    scenario = Scenario(
        "s", "", "slots", (Group(2),), Work(load=0.9), (), 20.0, 0.0, limits_known=True, pool={"hedging": {}}
    )
    assert pool_of(scenario).hedging is not None
    assert run(scenario, "sed_true", 1).hedges == 0
