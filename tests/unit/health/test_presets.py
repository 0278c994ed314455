"""Each kind of model server is asked the right thing, and "loading" is understood as it says it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from gateway.health.checker import Target
from gateway.health.presets import PRESETS, resolve
from gateway.health.probes import LOOK_BYTES
from gateway.health.state import HealthRule, Phase, Result
from gateway.settings import pools
from tests.unit.health.served import Results, ask, backend_at, checking, serving

Answer = Callable[[], web.Response]


def rule_of(preset: str, **settings: float) -> HealthRule:
    """The rule of a pool that names the preset and nothing else."""
    rule = resolve(HealthRule(preset=preset, **settings), given=())  # type: ignore[arg-type]
    assert rule is not None
    return rule


def text(status: int, body: str = "") -> Answer:
    return lambda: web.Response(status=status, text=body)


def json(status: int, body: object) -> Answer:
    return lambda: web.json_response(body, status=status)


def compressed(answer: Answer) -> Answer:
    def make() -> web.Response:
        response = answer()
        response.enable_compression()
        return response

    return make


LLAMACPP_LOADING = json(
    503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}
)

#: (preset, path it answers at, what it says, what that means)
PLAYED: list[tuple[str, str, Answer, Result]] = [
    ("vllm", "/health", text(200), "success"),
    ("vllm", "/health", text(503), "failure"),  # the engine is dead
    ("vllm", "/health", text(500, "Internal Server Error"), "failure"),
    (
        "vllm",
        "/health",
        json(503, {"error": "The model is currently scaling. Please try again later."}),
        "loading",
    ),
    ("sglang", "/health", text(200), "success"),
    ("sglang", "/health", text(503), "loading"),
    ("sglang", "/health", text(500), "failure"),
    ("tgi", "/health", text(200), "success"),
    ("tgi", "/health", json(503, {"error": "unhealthy", "error_type": "healthcheck"}), "loading"),
    ("triton", "/v2/health/ready", text(200), "success"),
    ("triton", "/v2/health/ready", text(400), "loading"),
    ("triton", "/v2/health/ready", json(503, {"error": "Server exiting"}), "loading"),
    ("triton", "/v2/health/ready", text(403), "failure"),  # health is a restricted API there
    ("ollama", "/api/version", json(200, {"version": "0.12.0"}), "success"),
    ("ollama", "/api/version", text(503), "failure"),
    ("llamacpp", "/health", json(200, {"status": "ok"}), "success"),
    ("llamacpp", "/health", LLAMACPP_LOADING, "loading"),
    ("llamacpp", "/health", compressed(LLAMACPP_LOADING), "loading"),
    ("llamacpp", "/health", json(503, {"status": "loading model"}), "loading"),
    ("llamacpp", "/health", json(503, {"status": "no slot available", "slots_idle": 0}), "failure"),
    ("llamacpp", "/health", text(503, " " * LOOK_BYTES + "Loading model"), "failure"),
]


@pytest.mark.parametrize(("preset", "path", "answer", "result"), PLAYED)
async def test_what_a_server_says_is_understood(
    preset: str, path: str, answer: Answer, result: Result
) -> None:
    """Real answers of each server, over a socket; anything but its own path is not found there."""

    async def play(request: web.Request) -> web.StreamResponse:
        return answer() if request.path == path else web.Response(status=404)

    async with serving(play) as server:
        came, why = await ask(str(server.make_url("")), rule_of(preset))
    assert came == result
    assert why.startswith(f"loading: {path} answered" if result == "loading" else f"{path} answered")


@pytest.mark.parametrize("preset", [name for name, preset in PRESETS.items() if preset.loading])
async def test_a_server_that_loads_comes_up_with_its_first_good_answer(preset: str) -> None:
    """Starting, loading (no work), up: one success is enough, though `rise` asks for five."""
    path, loading = next(
        (path, answer) for name, path, answer, r in PLAYED if (name, r) == (preset, "loading")
    )
    ready = False

    async def play(request: web.Request) -> web.StreamResponse:
        if request.path != path:
            return web.Response(status=404)
        return web.Response() if ready else loading()

    rule = rule_of(preset, interval_s=0.02, rise=5)
    async with serving(play) as server:
        backend, results = backend_at(str(server.make_url("")), rule=rule), Results()
        async with checking(results, Target(backend, rule)):
            await results.until(lambda: backend.health.phase is Phase.LOADING)
            assert backend.health.unfit
            ready = True
            await results.until(lambda: backend.health.phase is Phase.UP)
            *before, last = results.of("a")
    assert (set(before), last) == ({"loading"}, "success")


# What is written down, and what is the preset's.


def test_a_configuration_can_name_what_there_is() -> None:
    """The names in the settings are those of the presets."""
    assert set(pools.PRESETS) == PRESETS.keys()


def test_a_preset_brings_its_own_path_status_and_patience() -> None:
    """Where the configuration gives none of them."""
    rule = resolve(HealthRule(interval_s=5.0, preset="sglang"), given=())
    assert rule == HealthRule("/health", 5.0, 5.0, expect="200", preset="sglang")
    rule = resolve(HealthRule(interval_s=5.0, preset="triton"), given=())
    assert rule == HealthRule("/v2/health/ready", 5.0, 2.0, expect="200", preset="triton")


def test_what_is_written_down_is_kept() -> None:
    """Each of path, expect and timeout by itself, a value equal to the general default included."""
    own = HealthRule("/ready", 5.0, 1.5, expect="200-399", preset="triton")
    assert resolve(own, given={"path", "expect", "timeout", "interval"}) == own
    for setting, changed in (("path", "path"), ("expect", "expect"), ("timeout", "timeout_s")):
        rule, bare = resolve(own, given={setting}), resolve(own, given=())
        assert rule is not None and bare is not None
        differ = {
            name for name in ("path", "expect", "timeout_s") if getattr(rule, name) != getattr(bare, name)
        }
        assert differ == {changed}
        assert getattr(rule, changed) == getattr(own, changed)


def test_a_preset_s_patience_gives_way_to_a_shorter_interval() -> None:
    """A probe is over before the next one is due."""
    rule = resolve(HealthRule(interval_s=1.0, preset="sglang"), given=())
    assert rule is not None
    assert rule.timeout_s == 1.0


def test_without_a_path_nobody_is_asked() -> None:
    """`path: null` turns the check off, with a preset too; a connection needs no path."""
    assert resolve(HealthRule(""), given={"path"}) is None
    assert resolve(HealthRule("", preset="vllm"), given={"path"}) is None
    tcp = resolve(HealthRule("", preset="tcp"), given={"path"})
    assert tcp is not None
    assert (tcp.path, tcp.preset) == ("", "tcp")


def test_without_a_preset_the_rule_stays_as_it_is() -> None:
    """The general check: a path and statuses."""
    assert resolve(HealthRule(), given=()) == HealthRule()


def test_the_manual_has_every_preset() -> None:
    """A row for each in docs/health.md, with what is asked."""
    manual = (Path(__file__).parents[3] / "docs" / "health.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", manual, re.MULTILINE))
    assert PRESETS.keys() <= rows.keys()
    for name, preset in PRESETS.items():
        assert (f"`GET {preset.path}`" if preset.path else "a connection") in rows[name]
