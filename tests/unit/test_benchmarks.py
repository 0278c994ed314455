"""Do the benchmarks count rightly? Tables, ratios, /proc figures, configurations, and the two C programs."""

import argparse
import dataclasses
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import cache_hit, memory, proxy_cost, scrape_cost, stream_cost
from benchmarks.rig import configs, load, machine, proc, rounds
from benchmarks.rig.candidates import CANDIDATES, PROXIES
from benchmarks.rig.table import Column, figures, markdown, render, spread, summary
from gateway.settings.load import from_text
from gateway.telemetry.series import SERIES

ROUNDS = [
    {"nginx": {"cpu_us": 10.0, "p50_ms": 1.0}, "gateway": {"cpu_us": 15.0, "p50_ms": 1.5}},
    {"nginx": {"cpu_us": 20.0, "p50_ms": 2.0}, "gateway": {"cpu_us": 40.0, "p50_ms": 2.2}},
    {"nginx": {"cpu_us": 10.0, "p50_ms": 1.0}},
    {"gateway": {"cpu_us": 99.0, "p50_ms": 9.0}},
]
needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")


# --- tables and ratios ---


def test_ratio_is_taken_within_a_round() -> None:
    """A ratio divides by the base of the same round; rounds that lack either side give none."""
    assert figures(ROUNDS, "gateway", Column("", "cpu_us", 2, "ratio")) == [1.5, 2.0]


def test_excess_is_the_difference_within_a_round() -> None:
    """Added latency is the candidate's figure less the base's of the same round."""
    found = figures(ROUNDS, "gateway", Column("", "p50_ms", 2, "excess"))
    assert found == pytest.approx([0.5, 0.2])


def test_plain_figure_needs_no_base() -> None:
    """A plain column shows every round the candidate took part in."""
    assert figures(ROUNDS, "gateway", Column("", "cpu_us")) == [15.0, 40.0, 99.0]


def test_ratio_to_nothing_is_no_ratio() -> None:
    """A base of zero gives no ratio instead of a division error."""
    zero = [{"nginx": {"cpu_us": 0.0}, "gateway": {"cpu_us": 1.0}}]
    assert figures(zero, "gateway", Column("", "cpu_us", 2, "ratio")) == []


def test_spread_shows_median_and_extremes() -> None:
    """`median (min–max)`; one number where all print alike."""
    seen = spread([3.0, 1.0, 2.0])
    assert seen is not None
    assert seen.text(1) == "2.0 (1.0–3.0)"
    same = spread([1.01, 1.02])
    assert same is not None
    assert same.text(1) == "1.0"
    assert spread([]) is None


@given(st.lists(st.floats(0, 1e9), min_size=1))
def test_median_lies_between_the_extremes(values: list[float]) -> None:
    """Whatever was measured, low ≤ median ≤ high."""
    seen = spread(values)
    assert seen is not None
    assert seen.low <= seen.median <= seen.high


def test_markdown_lines_are_equally_long() -> None:
    """Each line has as many cells as the heading, padded to one width."""
    lines = markdown(["a", "longer"], [["x", "1"], ["yyy", "22"]]).splitlines()
    assert {len(line) for line in lines} == {len(lines[0])}
    assert {line.count("|") for line in lines} == {3}


def test_render_leaves_out_who_was_never_measured_and_marks_holes() -> None:
    """A candidate without a sample has no row; a missing ratio is a dash."""
    text = render([{"gateway": {"cpu_us": 7.0}}], ["gateway", "haproxy"], [Column("÷", "cpu_us", 2, "ratio")])
    assert "haproxy" not in text
    assert text.splitlines()[-1].split("|")[2].strip() == "–"


def test_summary_has_every_figure() -> None:
    """The JSON summary gives median and extremes of each figure."""
    assert summary(ROUNDS, ["nginx"])["nginx"]["cpu_us"] == {"median": 10.0, "low": 10.0, "high": 20.0}


# --- rounds and options ---


def test_order_shifts_so_that_each_candidate_leads_once() -> None:
    """Over as many rounds as candidates each one is first exactly once, and none is ever left out."""
    names = ["a", "b", "c"]
    orders = [rounds.order(names, number) for number in range(3)]
    assert [order[0] for order in orders] == names
    assert all(sorted(order) == names for order in orders)
    assert rounds.order([], 2) == []


@pytest.mark.parametrize(
    ("text", "us"), [("20ms", 20_000), ("250us", 250), ("1.5s", 1_500_000), ("2", 2_000_000), ("0", 0)]
)
def test_durations(text: str, us: int) -> None:
    """Durations are read with their unit; a bare number is seconds."""
    assert rounds.duration_us(text) == us


@pytest.mark.parametrize("text", ["", "ms", "20 ms", "-1s", "1h"])
def test_bad_durations_are_refused(text: str) -> None:
    """What is no duration is refused with the accepted forms."""
    with pytest.raises(argparse.ArgumentTypeError, match="20ms"):
        rounds.duration_us(text)


def test_samples_go_to_their_round_and_table() -> None:
    """A candidate that failed in an earlier round does not move into it."""
    results = rounds.Results(["a"])
    results.add(1, "a", {"t": {"x": 1.0}})
    assert results.rounds == {"t": [{}, {"a": {"x": 1.0}}]}


def test_default_candidates_exist_and_include_the_base_of_the_ratios() -> None:
    """Each benchmark's defaults are known candidates with nginx among them; the options parse."""
    for module in (proxy_cost, stream_cost, memory):
        assert "nginx" in module.DEFAULT
        assert set(module.DEFAULT) <= set(PROXIES)
        assert module.parse(["--only", "gateway"]).only == ["gateway"]


def test_cache_loads_have_their_base_and_their_candidates() -> None:
    """Each load of `cache_hit` has a title, and a base that is measured under it; GET is for caches alone."""
    assert set(cache_hit.TITLES) == set(cache_hit.BASES)
    for kind, base in cache_hit.BASES.items():
        assert kind in cache_hit.LOADS[base]
        assert {column.base for column in cache_hit.columns(kind) if column.figure == "requests_s"} == {base}
    assert set(cache_hit.DEFAULT) <= set(CANDIDATES)
    assert all(CANDIDATES[name].caches for name, loads in cache_hit.LOADS.items() if "get" in loads)
    assert cache_hit.parse(["--only", "varnish", "--loads", "get"]).loads == ["get"]


def test_no_two_runs_of_a_cache_load_are_alike() -> None:
    """What is to be new was not sent by the run that warmed up."""
    assert cache_hit.script("misses") != cache_hit.script("misses")


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """A candidate that cannot run is left out aloud: the note says what to install."""
    monkeypatch.setattr(machine, "SYSTEM_PATH", "/nonexistent")
    results = rounds.usable(["direct", "nginx", "haproxy"])
    assert results.candidates == ["direct"]
    assert [note.rpartition(": ")[2] for note in results.notes] == [
        "apt-get install nginx",
        "apt-get install haproxy",
    ]


def test_suspect_samples_are_reported() -> None:
    """Errors, answers the mock did not give, and a log that was not written each make the run fail."""
    good = {"errors": 0.0, "requests": 1000.0, "mock_answers": 1010.0, "log_lines": 1010.0}
    for bad in ({"errors": 1.0}, {"mock_answers": 500.0}, {"log_lines": 700.0}):
        results = rounds.Results(["gateway"])
        proxy_cost.check(results, "gateway", good | bad, connections=64)
        assert results.failed
        assert len(results.notes) == 1
    for name, sample in (("gateway", good), ("nginx", good | {"log_lines": 0.0})):
        results = rounds.Results([name])
        proxy_cost.check(results, name, sample, connections=64)
        assert not results.failed


def test_hits_that_were_none_are_reported() -> None:
    """A hit asks the mock for nothing; a miss, and whoever has no cache, for every answer."""
    cached = {"errors": 0.0, "requests": 9000.0, "mock_answers": 0.0, "log_lines": 9000.0}
    asked = cached | {"mock_answers": 9000.0}
    for name, kind, sample, well in (
        ("gateway-cache", "repeats", cached, True),
        ("gateway-cache", "repeats", cached | {"mock_answers": 1.0}, False),
        ("gateway-cache", "repeats", cached | {"log_lines": 5000.0}, False),
        ("gateway-cache", "misses", asked, True),
        ("gateway-cache", "misses", cached, False),
        ("nginx", "repeats", asked, True),
        ("nginx", "repeats", cached, False),
        ("varnish", "get", cached | {"errors": 2.0}, False),
    ):
        results = rounds.Results([name])
        cache_hit.check(results, name, kind, sample, connections=64)
        assert results.failed is not well


# --- /proc ---


def test_stat_line_with_brackets_in_the_name() -> None:
    """The name of a process may hold spaces and brackets; CPU is user + system, own + ended children."""
    line = "42 (a) b (c) S 7 1 1 0 -1 4194304 98 0 0 0 100 20 3 4 20 0 1 0 165199 3133440 395 184467"
    assert proc.parse_stat(line) == proc.Stat(pid=42, parent=7, cpu_ticks=127)


def test_status_values_are_bytes() -> None:
    """VmRSS is given in KiB; what is absent counts 0."""
    text = "Name:\tx\nVmHWM:\t    2000 kB\nVmRSS:\t    1732 kB\n"
    assert proc.parse_status(text, "VmRSS") == 1732 * 1024
    assert proc.parse_status(text, "VmSwap") == 0


def test_descendants_are_found_at_every_depth() -> None:
    """Children of children count, strangers do not."""
    stats = [proc.Stat(pid, parent, 1) for pid, parent in ((1, 0), (5, 1), (6, 5), (7, 6), (8, 1))]
    assert [stat.pid for stat in proc.descendants(stats, 5)] == [5, 6, 7]


def test_cpu_of_a_child_is_counted(tmp_path: Path) -> None:
    """A process' CPU time includes that of a child it has started and waited for."""
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    script = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}]); print(); sys.stdin.read()"
    )
    command = [sys.executable, "-u", "-c", script]
    cores = sorted(os.sched_getaffinity(0))
    with proc.Process(command, cores, tmp_path / "e", subprocess.PIPE, subprocess.PIPE) as process:
        process.stdout.readline()
        assert proc.cpu_s(process.pid) >= 0.2
        assert proc.memory_bytes(process.pid) > 1_000_000


def test_stopping_ends_a_process_that_ignores_sigterm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `stop` the process is gone, whatever it does with SIGTERM."""
    monkeypatch.setattr(proc, "STOP_S", 0.1)
    script = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(); sys.stdin.read()"
    cores = sorted(os.sched_getaffinity(0))
    command = [sys.executable, "-u", "-c", script]
    process = proc.Process(command, cores, tmp_path / "e", subprocess.PIPE, subprocess.PIPE)
    process.stdout.readline()
    process.stop()
    assert not process.running()
    assert not Path(f"/proc/{process.pid}").exists()


def test_cores_are_apart_where_there_are_two() -> None:
    """Proxy and load share a core only if there is but one."""
    assert machine.split_cores([3, 1]) == machine.Cores((1,), (3,))
    assert machine.split_cores([0]) == machine.Cores((0,), (0,))


# --- configurations ---


@pytest.fixture
def setup(tmp_path: Path) -> configs.Setup:
    return configs.Setup(port=8001, admin_port=8002, backends=(9001, 9002), work=tmp_path)


def with_log(setup: configs.Setup) -> configs.Setup:
    return configs.Setup(
        setup.port, setup.admin_port, setup.backends, setup.work, access_log=Path("/tmp/a.log")
    )


def test_nginx_config(setup: configs.Setup) -> None:
    """Kept upstream connections, every backend, buffering off for streams only, a log only when asked for."""
    text = configs.nginx(setup)
    assert "listen 127.0.0.1:8001" in text
    assert [f"server 127.0.0.1:{port};" in text for port in setup.backends] == [True, True]
    assert 'proxy_set_header Connection "";' in text
    assert "access_log off;" in text
    assert "proxy_buffering on;" in text
    streaming = configs.Setup(1, 2, (3,), setup.work, streams=True)
    assert "proxy_buffering off;" in configs.nginx(streaming)
    assert "access_log /tmp/a.log line;" in configs.nginx(with_log(setup))
    assert text.count("{") == text.count("}")


def test_haproxy_config(setup: configs.Setup) -> None:
    """One thread, reuse of connections, chunks not held back."""
    text = configs.haproxy(setup)
    for line in ("nbthread 1", "http-reuse always", "option http-no-delay", "bind 127.0.0.1:8001 "):
        assert line in text
    assert text.count("  server s") == len(setup.backends)


def test_gateway_config(setup: configs.Setup) -> None:
    """The gateway accepts it: routes by model over every backend, health checks, no cache, log as asked."""
    assert set(from_text(configs.gateway(setup), {}).pools) == {"bench", "other"}
    plain, logging = yaml.safe_load(configs.gateway(setup)), yaml.safe_load(configs.gateway(with_log(setup)))
    assert plain["pools"]["bench"]["backends"] == ["http://127.0.0.1:9001", "http://127.0.0.1:9002"]
    assert plain["pools"]["bench"]["health"]["path"] == "/health"
    assert all("model" in route["match"] and "cache" not in route for route in plain["routes"])
    assert (plain["log"]["access"], logging["log"]["access"]) == ("off", "json")


def test_configs_with_a_cache(setup: configs.Setup) -> None:
    """Each route of the gateway keeps answers, the one for GET too; nginx keeps what it has for an hour."""
    keeping = dataclasses.replace(setup, caches=True)
    settings = from_text(configs.gateway(keeping), {})
    assert [route.cache is not None for route in settings.routes] == [True, True, True]
    text = configs.nginx(keeping)
    assert f"proxy_cache_path {setup.work}/cache keys_zone=kept" in text
    assert "proxy_cache kept;" in text
    assert text.count("{") == text.count("}")
    assert "proxy_cache" not in configs.nginx(setup)
    assert f'.port = "{setup.backends[0]}"' in configs.varnish(keeping)


# --- load ---


def test_wrk_result_line() -> None:
    """The script's last line is the result; without it the output is shown."""
    figures_seen = load.parse_wrk('Running 1s test\nRESULT {"requests":5,"errors":0}\n')
    assert figures_seen == {"requests": 5, "errors": 0}
    with pytest.raises(load.LoadFailed, match="unable to connect"):
        load.parse_wrk("unable to connect to 127.0.0.1:1")


@pytest.fixture
def mock() -> Iterator[load.Mock]:
    cores = machine.split_cores(sorted(os.sched_getaffinity(0)))
    server = load.Mock(cores)
    yield server
    server.stop()


@needs_cc
def test_streams_come_to_their_end(mock: load.Mock, tmp_path: Path) -> None:
    """Every event of every stream is counted once, with a delay; none is lost."""
    cores = machine.split_cores(sorted(os.sched_getaffinity(0)))
    shape = load.Shape(20, interval_us=5_000, chunks=5)
    with load.Streams(mock.ports[1], shape, cores, tmp_path, until="end", timeout_s=20) as streams:
        streams.wait_for("ready")
        seen = streams.result()
    assert (seen["complete"], seen["lost"], seen["chunks"], seen["disorder"]) == (20, 0, 100, 0)
    assert 0 < seen["p50_us"] <= seen["p99_us"] <= seen["max_us"]
    assert mock.stats()["ended"] == 20


@needs_cc
def test_idle_connections_stay_open(mock: load.Mock, tmp_path: Path) -> None:
    """Each idle connection has made one request and is open until the hold ends."""
    cores = machine.split_cores(sorted(os.sched_getaffinity(0)))
    with load.Streams(mock.ports[0], load.Shape(30), cores, tmp_path, until="hold", timeout_s=20) as idle:
        idle.wait_for("ready")
        answers = mock.stats()["answers"]
        seen = idle.result()
    assert (answers, seen["open"], seen["lost"]) == (30, 30, 0)


@needs_cc
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
        b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n11\r\ndata: {"n":0,"t":1\r\n',
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n",
    ],
    ids=["error", "cut", "events missing"],
)
def test_a_bad_stream_counts_as_lost(answer: bytes, tmp_path: Path) -> None:
    """An error, a cut and a stream that ends without its events are lost streams, never complete ones."""
    cores = machine.split_cores(sorted(os.sched_getaffinity(0)))

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        shape = load.Shape(1, interval_us=1_000, chunks=3)
        port = listener.getsockname()[1]
        with load.Streams(port, shape, cores, tmp_path, until="end", timeout_s=10) as streams:
            streams.wait_for("ready")
            seen = streams.result()
        server.join()
    assert (seen["complete"], seen["lost"]) == (0, 1)


@pytest.mark.skipif(shutil.which("wrk") is None, reason="no wrk")
@needs_cc
@pytest.mark.parametrize("kind", list(cache_hit.TITLES))
def test_cache_loads_are_answered(kind: str, mock: load.Mock, tmp_path: Path) -> None:
    """Whatever kind of load, each request is one that a server understands."""
    cores = machine.split_cores(sorted(os.sched_getaffinity(0)))
    seen = load.wrk(mock.ports[0], 2, 1, cores, tmp_path, cache_hit.script(kind))
    assert seen["errors"] == 0
    assert 0 < seen["requests"] <= mock.stats()["answers"]


# --- scrapes ---


def test_scrapes_are_measured_of_figures_that_are_all_there(capsys: pytest.CaptureFixture[str]) -> None:
    """Every backend has all series of backends, so none is measured too cheaply; a row for each format."""
    shown = {s.name for s in scrape_cost.made(2).collect() for s in s.samples if s.labels.get("backend")}
    declared = {s.name for s in SERIES if "backend" in s.labels and s.type != "histogram"}
    declared |= {f"{s.name}_bucket" for s in SERIES if "backend" in s.labels and s.type == "histogram"}
    assert declared <= shown
    scrape_cost.main(["--backends", "2", "3", "--scrapes", "1"])
    rows = capsys.readouterr().out.strip().splitlines()[-4:]
    assert [row.split(" | ")[:2] for row in rows] == [
        [f"| {count}", name] for count in (2, 3) for name in ("text", "OpenMetrics")
    ]
