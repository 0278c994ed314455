"""Does the shoot-out measure what it says? Engines, schedule, scenarios, texts, server, client, figures."""

import asyncio
import json
import math
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import policy_shootout
from benchmarks.rig import machine
from benchmarks.rig.started import Failed
from benchmarks.shootout import client, peers, report, router_texts, texts
from benchmarks.shootout.client import Seen
from benchmarks.shootout.engines import Batch, Batching, Engine, Job, Progress, Slots
from benchmarks.shootout.figures import counted, figures, kinds, latencies, percentile
from benchmarks.shootout.model_server import ModelServer
from benchmarks.shootout.outcome import suspicions
from benchmarks.shootout.plan import (
    Backend,
    Event,
    Request,
    Work,
    as_json,
    body,
    capacity,
    from_json,
    requests,
)
from benchmarks.shootout.scenarios import COUNT, ENGINE, LENGTHS, SCENARIOS, Round
from benchmarks.shootout.servers import quiet_ports
from gateway.settings.load import from_text

# --- engines ---


def drain(engine: Engine) -> list[tuple[float, Job, bool]]:
    """Look exactly when the engine says there is something; everything that happens, with its time."""
    found: list[tuple[float, Job, bool]] = []
    while (at := engine.next_at()) is not None:
        found += [(round(at, 6), job, ended) for job, ended in engine.advance(at)]
    return found


def test_slots_serve_first_come_first_served() -> None:
    """Two slots, three requests: the third begins when the first slot is free; none is faster than alone."""
    engine = Slots(10.0, 2)
    a, b, c = Job(1.0), Job(3.0), Job(1.0)
    for job in (a, b, c):
        engine.arrive(10.0, job)
    assert engine.load == 3
    assert drain(engine) == [(11.0, a, True), (12.0, c, True), (13.0, b, True)]
    assert engine.load == 0


def test_a_late_look_does_not_delay_those_behind() -> None:
    """What waits begins when the slot became free, not when somebody looked: lateness does not add up."""
    engine = Slots(0.0, 1)
    first, second, third = Job(1.0), Job(1.0), Job(1.0)
    for job in (first, second, third):
        engine.arrive(0.0, job)
    assert engine.advance(2.5) == [(first, True), (second, True)]
    assert drain(engine) == [(3.0, third, True)]


def test_speed_counts_from_now_on() -> None:
    """Half done at speed 1, the rest at speed 0.5 takes twice as long; at 0 nothing ends."""
    engine = Slots(0.0, 1)
    job = Job(2.0)
    engine.arrive(0.0, job)
    engine.set_speed(1.0, 0.0)
    assert engine.next_at() is None
    assert engine.advance(50.0) == []
    engine.set_speed(50.0, 0.5)
    assert drain(engine) == [(52.0, job, True)]


def test_a_cancelled_request_frees_its_slot_or_leaves_the_queue() -> None:
    """The next begins at once when a running one is cancelled; a waiting one never begins; twice is once."""
    engine = Slots(0.0, 1)
    running, waiting, last = Job(5.0), Job(5.0), Job(1.0)
    for job in (running, waiting, last):
        engine.arrive(0.0, job)
    engine.cancel(1.0, waiting)
    engine.cancel(2.0, running)
    engine.cancel(2.0, running)
    assert engine.load == 1
    assert drain(engine) == [(3.0, last, True)]


@given(
    st.lists(st.tuples(st.floats(0, 10), st.floats(0.001, 5)), min_size=1, max_size=30),
    st.integers(1, 4),
    st.floats(0.1, 4),
)
def test_slots_do_all_work_and_no_more(drawn: list[tuple[float, float]], slots: int, speed: float) -> None:
    """Every request ends once, none before its own time is up, all not before the work can be done."""
    engine = Slots(0.0, slots, speed)
    jobs: dict[Job, float] = {}
    ends: dict[Job, float] = {}

    def note(at: float, made: list[Progress]) -> None:
        for job, _ in made:
            assert job not in ends
            ends[job] = at

    for at, work_s in sorted(drawn):
        while (due := engine.next_at()) is not None and due <= at:
            note(due, engine.advance(due))
        job = Job(work_s)
        jobs[job] = at
        engine.arrive(at, job)
    for at, job, _ in drain(engine):
        note(at, [(job, True)])
    assert ends.keys() == jobs.keys()
    for job, at in jobs.items():
        assert ends[job] - at >= job.work_s / speed - 1e-5
    first, total = min(jobs.values()), sum(job.work_s for job in jobs)
    assert max(ends.values()) - first >= total / speed / slots - 1e-4


SHAPE = Batching(a_s=0.1, b_s=0.01, streams=2, prefill=100.0, chunk=60)


def test_a_batch_gives_each_stream_a_token_a_step() -> None:
    """A step takes a + b n and the prompts that begin in it; newcomers wait for the next; the cap holds."""
    engine = Batch(0.0, SHAPE)
    a, b, c = Job(prompt=10, tokens=2), Job(prompt=20, tokens=1), Job(prompt=0, tokens=1)
    engine.arrive(0.0, a)
    engine.arrive(0.05, b)
    engine.arrive(0.06, c)
    found = drain(engine)
    assert [(job, ended) for _, job, ended in found] == [
        (a, False),
        (a, False),
        (a, True),
        (b, False),
        (b, True),
        (c, False),
        (c, True),
    ]
    first = 0.1 + 0.01 + 10 / 100
    second = first + 0.1 + 0.02 + 20 / 100
    assert [at for at, _, ended in found if not ended] == pytest.approx(
        [first, second, second, second + 0.11]
    )


def test_long_prompts_do_not_all_begin_in_one_step() -> None:
    """With `chunk` prompt tokens begun in a step the next prompt waits; a single longer one may begin."""
    engine = Batch(0.0, SHAPE)
    engine.arrive(0.0, Job(prompt=0, tokens=1))
    long, other = Job(prompt=500), Job(prompt=10)
    engine.arrive(0.0, long)
    engine.arrive(0.0, other)
    ends = {job: at for at, job, ended in drain(engine) if ended}
    assert ends[long] == pytest.approx(0.11 + 0.11 + 5.0)
    assert ends[other] == pytest.approx(ends[long] + 0.11 + 0.1)


def test_a_cancelled_stream_leaves_the_batch() -> None:
    """Its place is taken in the next step, it gets no more; cancelled while waiting it never begins."""
    engine = Batch(0.0, SHAPE)
    gone, stays, never, follows = Job(tokens=9), Job(tokens=2), Job(tokens=9), Job(tokens=1)
    for job in (gone, stays, never, follows):
        engine.arrive(0.0, job)
    engine.cancel(0.05, gone)
    engine.cancel(0.05, never)
    found = drain(engine)
    assert {job for _, job, _ in found} == {stays, follows}
    assert engine.load == 0


def test_a_batch_stands_still_at_speed_zero() -> None:
    """A hung server makes no token, and goes on where it was."""
    engine = Batch(0.0, SHAPE)
    job = Job(tokens=1)
    engine.arrive(0.0, job)
    engine.set_speed(0.01, 0.0)
    assert engine.next_at() is None
    engine.set_speed(9.01, 1.0)
    assert drain(engine) == [(9.11, job, False), (9.11, job, True)]


# --- what is asked and what happens ---


def schedule(seed: str = "s", rate: float = 100.0, work: Work | None = None) -> list[Request]:
    return requests(rate, work or Work(service_s=0.2), 20.0, 2.0, seed)


def test_the_schedule_is_the_same_for_every_candidate() -> None:
    """The same seed gives the same arrivals, work and bytes; another seed others."""
    assert schedule() == schedule()
    assert schedule() != schedule("t")


def test_arrivals_are_poisson_at_the_rate() -> None:
    """Times rise from the warm-up to the end; as many as the rate says; gaps vary as much as their mean."""
    times = [request.at for request in schedule()]
    assert times == sorted(times)
    assert -2.0 <= times[0] < 0 < times[-1] < 20.0
    assert len(times) == pytest.approx(2200, rel=0.1)
    gaps = [after - before for before, after in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    deviation = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert deviation == pytest.approx(mean, rel=0.1)


def test_work_has_the_mean_the_rate_was_made_from() -> None:
    """Cutting the normal at 0 does not shift its mean; lengths have the medians asked for."""
    services = [request.service_s for request in schedule()]
    assert min(services) > 0
    assert sum(services) / len(services) == pytest.approx(0.2, rel=0.06)
    tokens = sorted(request.tokens for request in schedule(work=LENGTHS))
    assert tokens[len(tokens) // 2] == pytest.approx(LENGTHS.tokens, abs=2)
    assert tokens[0] >= 1


def test_a_body_is_a_chat_request_of_its_size() -> None:
    """Any proxy can read it; streamed only where there are tokens; its prompt is as long as it says."""
    rng = random.Random(1)
    plain, streamed = json.loads(body(rng, 0.1, 0, 0)), json.loads(body(rng, 0.0, 500, 7))
    assert len(plain["messages"][0]["content"]) == 1024
    assert "stream" not in plain
    assert len(streamed["messages"][0]["content"]) == 2000
    assert (streamed["stream"], streamed["max_tokens"]) == (True, 7)
    assert body(rng, 0.1, 0, 0)[:80] != body(rng, 0.1, 0, 0)[:80]


def test_plans_survive_the_way_to_the_server() -> None:
    """Backends of both kinds and events come out as they went in."""
    backends = (Backend(0.5, 3, limit=2), Backend(2.0, batching=ENGINE))
    events = (Event(1.5, 1, "speed", 0.1), Event(2.0, 0, "down"))
    assert from_json(as_json(backends, events, [7, 8])) == (
        [(7, backends[0]), (8, backends[1])],
        list(events),
    )


def test_capacity_is_what_a_full_batch_serves() -> None:
    """Flooded with a thousand requests, the engine serves as many a second as `capacity` says."""
    backend = Backend(2.0, batching=ENGINE)
    engine = Batch(0.0, ENGINE, backend.speed)
    flood = requests(1000.0, LENGTHS, 1.0, 0.0, "flood")
    for request in flood:
        engine.arrive(0.0, Job(0.0, request.prompt, request.tokens))
    last = drain(engine)[-1][0]
    assert len(flood) / last == pytest.approx(capacity(backend, LENGTHS), rel=0.1)
    assert capacity(Backend(0.5, 4), Work(service_s=0.2)) == pytest.approx(10.0)


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenarios_hold_together(name: str) -> None:
    """Named as in the table, described, reproducible, events on their backends and in time, load below 1."""
    made = [SCENARIOS[name](Round(20.0, random.Random(3), 0.2)) for _ in range(2)]
    scenario = made[0]
    assert made[0] == made[1]
    assert scenario.name == name
    assert (SCENARIOS[name].__doc__ or "").strip().endswith(".")
    known = {"speed", "failing", "hung", "loading", "down", "drain", "up"}
    for event in scenario.events:
        assert 0 <= event.at <= 20.0
        assert 0 <= event.backend < COUNT
        assert event.do in known
    whole = sum(capacity(backend, scenario.work) for backend in scenario.backends)
    assert 0.5 < scenario.rate / whole < 0.8
    assert scenario.streams == (name == "llm")


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_load_and_the_pace_can_be_chosen(name: str) -> None:
    """Twice the load is twice the rate; requests twice as long are half as many at the same load."""

    def rate(service_s: float, load: float) -> float:
        return SCENARIOS[name](Round(20.0, random.Random(3), service_s, load)).rate

    assert rate(0.2, 0.8) == pytest.approx(2 * rate(0.2, 0.4))
    assert rate(0.4, 0.8) == pytest.approx(rate(0.2, 0.8) / 2)


def test_antagonists_come_and_go_in_each_round_anew() -> None:
    """Everyone is slowed down about a quarter of the time, at other times in another round."""
    slow = total = 0.0
    for seed in range(40):
        made = SCENARIOS["antagonists"](Round(20.0, random.Random(seed), 0.2))
        for backend in range(COUNT):
            mine = [event for event in made.events if event.backend == backend]
            ends = [event.at for event in mine[1:]] + [20.0]
            slow += sum(end - one.at for one, end in zip(mine, ends, strict=True) if one.value < 1)
            total += 20.0
    assert slow / total == pytest.approx(0.25, abs=0.04)


# --- configurations ---


@pytest.fixture
def setup(tmp_path: Path) -> texts.Setup:
    return texts.Setup(8001, 8002, (9001, 9002), (4, 7), tmp_path, first_byte_s=3.0)


def test_nginx_text(setup: texts.Setup) -> None:
    """Least connections, kept connections, and sent again as often and for the same reasons as the others."""
    text = texts.nginx(setup)
    for line in (
        "least_conn;",
        "keepalive 256;",
        'proxy_set_header Connection "";',
        "proxy_read_timeout 3s;",
        "proxy_next_upstream error timeout http_429 http_502 http_503 http_504 non_idempotent;",
        "proxy_next_upstream_tries 3;",
        "server 127.0.0.1:9002 max_fails=1 fail_timeout=5s;",
    ):
        assert line in text


def test_haproxy_text(setup: texts.Setup) -> None:
    """Checks of both kinds, retries elsewhere; the limit only where it is asked for."""
    text = texts.haproxy(setup)
    for line in (
        "balance leastconn",
        "option redispatch 1",
        "retries 2",
        "timeout server 3000ms",
        "inter 1s",
    ):
        assert line in text
    assert "observe layer7 error-limit 5 on-error mark-down" in text
    assert "127.0.0.1:9002 maxconn" not in text
    assert "127.0.0.1:9002 maxconn 7" in texts.haproxy(setup, limited=True)
    assert "balance random(2)" in texts.haproxy(setup, "random(2)")


def test_envoy_text(setup: texts.Setup) -> None:
    """Least request, active and passive checks, retries elsewhere, no limit of its own in the way."""
    document = json.loads(texts.envoy(setup))["static_resources"]
    cluster = document["clusters"][0]
    assert cluster["lb_policy"] == "LEAST_REQUEST"
    assert len(cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]) == 2
    assert cluster["outlier_detection"]["consecutive_5xx"] == 5
    assert cluster["circuit_breakers"]["thresholds"][0]["max_retries"] == 100_000
    route = texts._envoy_route(setup)
    assert route["retry_policy"]["num_retries"] == 2
    assert route["retry_policy"]["per_try_idle_timeout"] == "3s"


def test_gateway_text(setup: texts.Setup) -> None:
    """The gateway accepts it; the limits are known only to the candidate that is named after them."""
    plain = from_text(texts.gateway(setup, "least_latency"), {}).pools["models"]
    limited = from_text(texts.gateway(setup, "least_latency", limited=True), {}).pools["models"]
    assert [backend.max_in_flight for backend in plain.backends] == [None, None]
    assert [backend.max_in_flight for backend in limited.backends] == [4, 7]
    assert (plain.retries.attempts, plain.timeouts.first_byte) == (3, 3.0)
    assert "timeout" in plain.retries.on


def test_router_texts(setup: texts.Setup) -> None:
    """LiteLLM and the Rust routers know every backend; a limit on the first byte cuts no stream."""
    document = yaml.safe_load(router_texts.litellm(setup, "least-busy"))
    assert document["router_settings"]["routing_strategy"] == "least-busy"
    assert [row["litellm_params"]["api_base"] for row in document["model_list"]] == [
        "http://127.0.0.1:9001/v1",
        "http://127.0.0.1:9002/v1",
    ]
    flags = router_texts.router(setup)
    assert flags[:3] == ["--worker-urls", "http://127.0.0.1:9001", "http://127.0.0.1:9002"]
    assert flags[flags.index("--request-timeout-secs") + 1] == "3"
    streaming = texts.Setup(1, 2, (3,), (4,), setup.work, 3.0, streams=True)
    flags = router_texts.router(streaming)
    assert flags[flags.index("--request-timeout-secs") + 1] == "60"


@pytest.mark.skipif(shutil.which("haproxy", path=machine.SYSTEM_PATH) is None, reason="no haproxy")
@pytest.mark.parametrize("limited", [False, True])
def test_haproxy_accepts_its_text(setup: texts.Setup, limited: bool) -> None:
    """HAProxy itself finds no fault with it."""
    path = setup.work / "haproxy.cfg"
    path.write_text(texts.haproxy(setup, "random(2)", limited))
    ran = subprocess.run(
        [machine.tool("haproxy"), "-c", "-f", str(path)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.skipif(shutil.which("nginx", path=machine.SYSTEM_PATH) is None, reason="no nginx")
def test_nginx_accepts_its_text(setup: texts.Setup) -> None:
    """nginx itself finds no fault with it."""
    path = setup.work / "nginx.conf"
    path.write_text(texts.nginx(setup))
    command = [machine.tool("nginx"), "-t", "-p", str(setup.work), "-c", str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


# --- candidates and options ---


def test_what_is_missing_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A candidate that cannot run is left out aloud: with the package, or the command that installs it."""
    monkeypatch.setattr(machine, "SYSTEM_PATH", "/nonexistent")
    monkeypatch.setattr(peers, "VENVS", tmp_path)
    options = policy_shootout.parse(["--only", "direct", "nginx", "envoy", "smg", "litellm-busy"])
    outcome = policy_shootout.usable(options)
    assert outcome.candidates == ["direct"]
    assert [note.rpartition(": ")[2] for note in outcome.notes] == [
        "apt-get install nginx",
        "python -m benchmarks.policy_shootout --install envoy",
        "python -m benchmarks.policy_shootout --install smg",
        "python -m benchmarks.policy_shootout --install litellm",
    ]


def test_options() -> None:
    """Everything by default; --quick is short but yields to what is written; --policy adds a gateway."""
    assert policy_shootout.parse([]).scenarios == list(SCENARIOS)
    quick = policy_shootout.parse(["--quick", "--seconds", "5"])
    assert (quick.rounds, quick.seconds) == (1, 5.0)
    assert set(quick.only) <= set(peers.PEERS)
    assert set(quick.scenarios) <= set(SCENARIOS)
    whole = policy_shootout.parse(["--quick"])
    assert policy_shootout.minutes(policy_shootout.Outcome(whole.only), whole) < 3
    with_policy = policy_shootout.parse(["--only", "direct", "--policy", "round_robin"])
    assert policy_shootout.usable(with_policy).candidates == ["direct", "gateway-round_robin"]
    with pytest.raises(SystemExit):
        policy_shootout.parse(["--only", "nobody"])


def test_ports_are_out_of_the_way_of_outgoing_connections() -> None:
    """A port that is closed for a while cannot be given to a client meanwhile; none comes twice."""
    ports = quiet_ports(8, random.Random(1))
    assert len(set(ports)) == 8
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(20_000 <= port < low for port in ports)


# --- the model server and the client, on real sockets ---


@asynccontextmanager
async def serving(backend: Backend) -> AsyncIterator[tuple[ModelServer, int]]:
    port = quiet_ports(1, random.Random())[0]
    server = ModelServer(port, backend)
    await server.listen()
    try:
        yield server, port
    finally:
        server.apply(Event(0, 0, "down"))
        await asyncio.sleep(0)


def asked(*services_s: float, tokens: int = 0) -> list[Request]:
    """Requests that are all due now, in this order."""
    rng = random.Random(0)
    return [Request(0.0, one, 0, tokens, body(rng, one, 0, tokens)) for one in services_s]


async def send(ports: list[int], schedule: list[Request], patience_s: float = 10.0) -> list[Seen]:
    sender = client.Client(ports, schedule, patience_s)
    await sender.send(time.monotonic())
    return await sender.finish()


async def get(port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    try:
        return await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()
        await writer.wait_closed()


async def test_requests_wait_for_a_slot_in_their_order() -> None:
    """One slot: answers come in the order of arrival, each after all the work before it."""
    async with serving(Backend(slots=1)) as (server, port):
        seen = await send([port], asked(0.03, 0.01, 0.02))
    ends = [one.end_s for one in seen]
    assert [one.error for one in seen] == ["", "", ""]
    assert ends == sorted(ends)
    assert all(end >= least for end, least in zip(ends, (0.03, 0.04, 0.06), strict=True))
    assert server.counts["answered"] == 3


async def test_streams_bring_every_token() -> None:
    """Streams of one batch come whole, their first token before their last."""
    fast = Batching(a_s=0.002, b_s=0.0, streams=2, prefill=1e6)
    async with serving(Backend(batching=fast)) as (_, port):
        seen = await send([port], asked(0.0, 0.0, 0.0, tokens=5))
    assert [(one.tokens, one.error) for one in seen] == [(5, "")] * 3
    assert all(0 < one.first_s < one.end_s for one in seen)
    assert seen[2].first_s > seen[0].first_s  # two at once


async def test_states_are_seen_by_clients_and_checks() -> None:
    """Loading and failing answer 503, over the limit 429, down refuses; checks see loading, not failing."""
    async with serving(Backend(limit=1)) as (server, port):
        assert (await get(port, "/health")).startswith(b"HTTP/1.1 200")
        server.apply(Event(0, 0, "failing", 1))
        assert [one.error for one in await send([port], asked(0.001))] == ["503"]
        assert (await get(port, "/health")).startswith(b"HTTP/1.1 200")
        server.apply(Event(0, 0, "failing", 0))
        server.apply(Event(0, 0, "loading", 1))
        assert [one.error for one in await send([port], asked(0.001))] == ["503"]
        assert (await get(port, "/health")).startswith(b"HTTP/1.1 503")
        server.apply(Event(0, 0, "loading", 0))
        assert sorted(one.error for one in await send([port], asked(0.05, 0.05))) == ["", "429"]
        server.apply(Event(0, 0, "down"))
        assert [one.error for one in await send([port], asked(0.001))] == ["refused"]
        server.apply(Event(0, 0, "up"))
        for _ in range(100):
            if not (seen := (await send([port], asked(0.001)))[0].error):
                break
            await asyncio.sleep(0.01)
        assert seen == ""
    assert (server.counts["failed"], server.counts["limited"]) == (2, 1)


async def test_routers_find_the_model_and_nothing_else() -> None:
    """A router that looks for the model's name finds it; a path real servers lack is 404."""
    async with serving(Backend()) as (_, port):
        assert (await get(port, "/v1/models")).startswith(b"HTTP/1.1 200")
        assert (await get(port, "/get_load?x=1")).startswith(b"HTTP/1.1 404")


async def test_a_hung_server_answers_when_it_wakes_up() -> None:
    """Nothing comes while it hangs, not to checks either; the client that gives up is counted as gone."""
    async with serving(Backend()) as (server, port):
        server.apply(Event(0, 0, "hung", 1))
        assert [one.error for one in await send([port], asked(0.001), patience_s=0.05)] == ["no answer"]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(get(port, "/health"), 0.05)
        await asyncio.sleep(0.01)
        assert server.counts["abandoned"] == 1
        server.apply(Event(0, 0, "hung", 0))
        assert [one.error for one in await send([port], asked(0.001))] == [""]


async def test_killing_cuts_and_draining_does_not() -> None:
    """A drained server finishes what it has and takes no more; a killed one drops everything."""
    for do, error in (("drain", ""), ("down", "reset")):
        async with serving(Backend()) as (server, port):
            sending = asyncio.ensure_future(send([port], asked(0.05)))
            while not server.counts["requests"]:  # noqa: ASYNC110 - it has no event for it
                await asyncio.sleep(0.001)
            server.apply(Event(0, 0, do))
            assert [one.error for one in await sending] == [error]
            assert [one.error for one in await send([port], asked(0.001))] == ["refused"]


@pytest.mark.parametrize(
    ("answer", "tokens", "error"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", 0, "cut"),
        (b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n", 0, "502"),
        (b"nonsense\r\n\r\n", 0, "malformed"),
        (b"", 0, "reset"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\ndata: x\n\n", 3, "incomplete"),
        (b'HTTP/1.1 200 OK\r\ncontent-length: 19\r\n\r\ndata: "tok tok "\n\n', 3, "cut"),
    ],
    ids=["cut", "status", "malformed", "nothing", "no tokens", "cut stream"],
)
async def test_errors_are_told_apart(answer: bytes, tokens: int, error: str) -> None:
    """What is wrong with an answer is named, and is never a good answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}]")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    seen = await send([port], asked(0.001, tokens=tokens))
    server.close()
    await server.wait_closed()
    assert [one.error for one in seen] == [error]


async def test_requests_leave_whatever_became_of_those_before() -> None:
    """The loop is open: with nobody answering, all are sent, and none twice."""
    async with serving(Backend()) as (server, port):
        server.apply(Event(0, 0, "hung", 1))
        seen = await send([port], asked(*[0.001] * 20), patience_s=0.2)
        assert server.counts["requests"] == 20
    assert {one.error for one in seen} == {"no answer"}


def test_the_process_starts_from_a_plan(tmp_path: Path) -> None:
    """Started as the benchmark starts it, it listens, tells its counters and runs its events."""
    port = quiet_ports(1, random.Random())[0]
    plan = tmp_path / "plan.json"
    plan.write_text(as_json((Backend(),), (Event(0.0, 0, "failing", 1),), [port]))
    command = [sys.executable, "-m", "benchmarks.shootout.model_server", str(plan)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            control = int(process.stdout.readline())
            assert peers.ask(port).startswith("200 ")
            with socket.create_connection(("127.0.0.1", control), timeout=10) as line:
                file = line.makefile("rw")
                file.write("start 0\nstats\n")
                file.flush()
                assert json.loads(file.readline()) == "ok"
                assert json.loads(file.readline())[0]["answered"] == 1
                file.close()
            assert peers.ask(port).startswith("503 ")
        finally:
            process.kill()


# --- figures and report ---


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300), st.floats(0, 1))
def test_percentile_is_the_least_value_that_covers_the_share(values: list[float], share: float) -> None:
    """At least `share` of the values are no greater, and with any smaller value fewer are."""
    ordered = sorted(values)
    found = percentile(ordered, share)
    assert found in ordered
    assert sum(value <= found for value in ordered) >= share * len(ordered) - 1e-6
    assert sum(value < found for value in ordered) <= share * len(ordered) + 1e-6


def test_percentiles_of_a_hundred() -> None:
    """p50, p99 and p99.9 of 1 … 100; none of nothing."""
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, share) for share in (0.5, 0.99, 0.999, 1.0)] == [50.0, 99.0, 100.0, 100.0]
    assert math.isnan(percentile([], 0.5))


def test_errors_shorten_nobodys_tail() -> None:
    """Percentiles are of good answers; the other p99 counts an error as unanswered; kinds are counted."""
    seen = [Seen(0.0, end_s=0.1) for _ in range(95)]
    seen += [Seen(0.0, end_s=0.002, error="503") for _ in range(4)] + [Seen(0.0, end_s=0.001, error="cut")]
    sample = figures(seen, 30.0)
    assert sample["all_p99_ms"] == pytest.approx(100.0)
    assert sample["bad_p99_ms"] == pytest.approx(30_000.0)
    assert (sample["errors"], sample["errors_share"]) == (5.0, 0.05)
    assert kinds([sample, sample]) == {"503": 8, "cut": 2}


def test_a_stream_is_timed_three_ways() -> None:
    """To the first token, for each further one, to the last; a single token has no gap."""
    found = latencies(
        [Seen(0.0, first_s=0.5, end_s=0.9, tokens=5), Seen(0.0, first_s=0.2, end_s=0.2, tokens=1)]
    )
    assert found["all"] == [0.9, 0.2]
    assert found["first"] == [0.5, 0.2]
    assert found["token"] == pytest.approx([0.1])


def test_the_warm_up_is_not_counted() -> None:
    """Only what was due in the measurement is."""
    assert [one.at for one in counted([Seen(-0.1), Seen(0.0), Seen(3.0)])] == [0.0, 3.0]


@pytest.fixture
def document(tmp_path: Path) -> report.Document:
    """What a run with two candidates, one of them with errors, would write."""
    options = policy_shootout.parse(["--json", str(tmp_path / "x.json")])
    outcome = policy_shootout.Outcome(["nginx", "gateway"])
    scenario = SCENARIOS["unequal"](Round(1.0, random.Random(1), 0.2))
    outcome.about(scenario)
    for number, slow in enumerate((0.4, 0.6)):
        for name, factor in (("nginx", 1.0), ("gateway", 0.5)):
            seen = [Seen(0.0, end_s=slow * factor)]
            seen += [Seen(0.0, error="504")] if name == "nginx" else []
            more = {"errors_percent": 0.0, "attempts": 1.0, "cores": 0.1, "load_cores": 0.1}
            outcome.keep(number, scenario, name, (figures(seen, 30.0) | more, seen))
    outcome.note("somebody is left out\nbecause of this")
    written: report.Document = json.loads(json.dumps(outcome.document(options)))
    return written


def test_tables_tell_it_all(document: report.Document) -> None:
    """A summary, a table for each scenario with the ratio to nginx, errors by kind, the notes."""
    text = report.tables(document)
    assert "### unequal: Speeds 0.5, 1, 1, 2, twice. 126 requests/s" in text
    row = next(line for line in text.splitlines() if line.startswith("| gateway") and "0.50" in line)
    assert "250 (200–300)" in row
    assert "- nginx: 2 × 504" in text
    assert "- gateway:" not in text
    assert "somebody is left out" in text


def test_a_picture_needs_matplotlib_alone(
    document: report.Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it the message says what to install."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(machine.Missing, match="pip install matplotlib"):
        report.plot(document, tmp_path / "x.png")


def test_percentiles_of_all_rounds_are_written(document: report.Document) -> None:
    """The file has them over the pooled requests too: a round alone has too few for p99.9."""
    assert document["pooled"]["unequal"]["gateway"]["all_p999_ms"] == pytest.approx(300.0)


def test_a_failed_candidate_fails_the_run_but_not_the_others() -> None:
    """What went wrong stands in the notes, first and last line of it, and in the exit code."""
    outcome = policy_shootout.Outcome(["x"])
    scenario = SCENARIOS["equal"](Round(1.0, random.Random(1), 0.2))
    outcome.keep(0, scenario, "x", Failed("x has ended: Traceback\n  somewhere\nOSError: no more"))
    assert outcome.failed
    assert outcome.notes == ["x, equal: failed: x has ended: Traceback · OSError: no more"]
    assert outcome.rounds == {}


def test_heavy_candidates_are_measured_alone() -> None:
    """Up to so many at the same time, but none beside one that wants the whole core; nobody twice."""
    names = ["nginx", "litellm-busy", "envoy", "gateway", "litellm-latency", "smg"]
    made = policy_shootout.groups([peers.PEERS[name] for name in names], 3)
    assert [[peer.name for peer in group] for group in made] == [
        ["nginx", "envoy", "gateway"],
        ["smg"],
        ["litellm-busy"],
        ["litellm-latency"],
    ]


def test_suspect_samples_are_noted() -> None:
    """A schedule kept badly, and a full core on either side, each stand beside the figures."""
    good = {"late_p99_ms": 1.0, "load_cores": 0.1, "cores": 0.1}
    for bad in ({}, {"late_p99_ms": 50.0}, {"load_cores": 0.95}, {"cores": 0.99}):
        assert len(suspicions(good | bad)) == len(bad)
