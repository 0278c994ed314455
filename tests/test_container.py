"""Dockerfile, compose file and their configurations fit each other and the program."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.cli import main, parser
from gateway.demo import options
from gateway.settings.load import load
from gateway.settings.schema import Settings

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "config"
COMPOSE: dict[str, Any] = yaml.safe_load((CONFIG / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OBSERVING = {name: service for name, service in SERVICES.items() if "profiles" in service}
MODELS = {name: service for name, service in SERVICES.items() if name not in ("gateway", *OBSERVING)}
IMAGE_FILE = "/etc/gateway/gateway.yaml"


def steps() -> list[tuple[str, str]]:
    """The Dockerfile's instructions with their arguments, lines joined, comments left out."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n", " ", text).splitlines()
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines if line.strip())]


def final() -> dict[str, str]:
    """The last stage's instructions; where one stands twice, the last."""
    all_steps = steps()
    begins = max(index for index, (word, _) in enumerate(all_steps) if word == "FROM")
    return dict(all_steps[begins:])


def listed(argument: str) -> list[str]:
    """An instruction's argument in the form of a list, which starts the program itself and no shell."""
    made = yaml.safe_load(argument)
    assert isinstance(made, list)
    return made


def test_both_stages_have_the_public_base_image() -> None:
    """The official slim image, the same twice: an environment fits the interpreter it was made with."""
    stages = [argument for word, argument in steps() if word == "FROM"]
    assert stages == ["python:3.12-slim AS build", "python:3.12-slim"]


def test_the_image_s_extras_exist() -> None:
    """And all of a wheel's extras that a server can use are asked for."""
    (extras,) = [rest.removeprefix("EXTRAS=") for word, rest in steps() if word == "ARG"]
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras.split(",")) == declared.keys() - {"dev", "plot"}
    assert any("[$EXTRAS]" in rest for word, rest in steps() if word == "RUN")


def test_the_image_is_no_root() -> None:
    """User and group are numbers, not 0: an orchestrator can check them before it starts anything."""
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", final()["USER"])


def test_the_image_ends_as_the_gateway_does() -> None:
    """SIGTERM, which drains, reaches the gateway itself: no shell in between."""
    assert final()["STOPSIGNAL"] == "SIGTERM"
    command = listed(final()["ENTRYPOINT"]) + listed(final()["CMD"])
    assert command[0] == "gateway"
    assert parser().parse_args(command[1:]).config == Path(IMAGE_FILE)


def test_the_image_s_configuration_is_good(capsys: pytest.CaptureFixture[str]) -> None:
    """What is copied to the place that CMD names passes `gateway check`, with no variable set."""
    copied = shlex.split(final()["COPY"])
    assert copied[1] == IMAGE_FILE
    assert main(["check", "-c", str(ROOT / copied[0])]) == 0
    assert "is good" in capsys.readouterr().out


def test_the_image_s_backend_is_a_variable() -> None:
    """One variable is enough for a first try."""
    settings = load(CONFIG / "container.yaml", {"GATEWAY_BACKEND": "http://gpu:8000"})
    assert [backend.url for backend in settings.pools["default"].backends] == ["http://gpu:8000"]


@pytest.mark.parametrize("file", ["container.yaml", "compose-gateway.yaml"])
def test_ports_are_those_of_the_configuration(file: str) -> None:
    """EXPOSE and the health check name the ports listened on, on every address of the container."""
    settings = load(CONFIG / file, {})
    assert [address.address for address in settings.listen] == ["0.0.0.0:8080"]
    assert settings.admin == "0.0.0.0:9901"
    assert final()["EXPOSE"] == "8080 9901"
    assert "'127.0.0.1', 9901" in final()["HEALTHCHECK"]
    assert "'/healthz'" in final()["HEALTHCHECK"]


def health_programs() -> dict[str, list[str]]:
    found = {"Dockerfile": listed(final()["HEALTHCHECK"].partition("CMD ")[2])}
    for name, service in MODELS.items():
        kind, *program = service["healthcheck"]["test"]
        assert kind == "CMD"
        found[name] = program
    return found


@pytest.mark.parametrize("of", health_programs())
def test_health_checks_need_nothing_but_python(of: str) -> None:
    """They are programs that compile, bounded in time, and fail for any status but 200."""
    command, isolated, flag, program = health_programs()[of]
    assert (command, isolated, flag) == ("python", "-I", "-c")
    compile(program, of, "exec")
    assert "timeout=2" in program
    assert program.endswith("sys.exit(c.getresponse().status != 200)")


def test_what_the_image_needs_reaches_the_builder() -> None:
    """Every source of COPY stands in .dockerignore's list of exceptions."""
    let_in = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), flags=re.MULTILINE)
    for word, argument in steps():
        if word == "COPY" and not argument.startswith("--from"):
            for source in argument.split()[:-1]:
                assert source in let_in
                assert (ROOT / source).exists()


@pytest.mark.parametrize("name", SERVICES)
def test_services_are_confined(name: str) -> None:
    """Nothing writable but /tmp and volumes of their own, no capability."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", ["gateway", *MODELS])
def test_gateway_and_models_are_of_one_image(name: str) -> None:
    """And that is no stranger's image of the same name."""
    service = SERVICES[name]
    assert service["image"] == "gateway"
    assert ("build" in service) is not (service.get("pull_policy") == "never")


@pytest.mark.parametrize("name", MODELS)
def test_model_servers_are_started_with_options_that_exist(name: str) -> None:
    """Entry point and command together are a command line of the demo's model server."""
    service = MODELS[name]
    assert service["entrypoint"][:3] == ["python", "-m", "gateway.demo.server"]
    arguments = service["entrypoint"][3:] + service["command"]
    assert all(isinstance(argument, str) for argument in arguments)
    given, _ = options.from_command_line(arguments)
    assert (given.host, given.port) == ("0.0.0.0", 9000)
    assert f"model-{given.name}" == name


def compose_settings() -> Settings:
    source, target, mode = SERVICES["gateway"]["volumes"][0].split(":")
    assert (target, mode) == (IMAGE_FILE, "ro")
    return load(CONFIG / source, {})


def test_the_gateway_s_backends_are_the_services() -> None:
    """Each service is a backend, waited for until it is healthy."""
    urls = {backend.url for pool in compose_settings().pools.values() for backend in pool.backends}
    assert urls == {f"http://{name}:9000" for name in MODELS}
    assert SERVICES["gateway"]["depends_on"] == {name: {"condition": "service_healthy"} for name in MODELS}


def test_the_admin_side_is_published_on_loopback_only() -> None:
    """It has no password."""
    assert SERVICES["gateway"]["ports"] == ["8080:8080", "127.0.0.1:9901:9901"]


def test_the_compose_file_is_one() -> None:
    """The schema of the Compose specification, which check-jsonschema brings, accepts it."""
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    ran = subprocess.run(
        [*checker, str(CONFIG / "compose.yaml")], capture_output=True, text=True, check=False, timeout=30
    )
    assert ran.returncode == 0, ran.stdout


# Prometheus and Grafana, in the profile `observability`.


def mounts(name: str) -> dict[str, tuple[str, str]]:
    """What a service sees where: by the path inside, the source and the mode."""
    found = {}
    for volume in SERVICES[name]["volumes"]:
        source, target, mode = (volume + ":rw").split(":")[:3]
        found[target] = (source, mode)
    return found


def test_observers_are_known_and_asked_for() -> None:
    """Two services, none of which starts unasked; their images are official ones of one exact version."""
    assert OBSERVING.keys() == {"prometheus", "grafana"}
    for name, repository in (("prometheus", "prom/prometheus"), ("grafana", "grafana/grafana")):
        assert OBSERVING[name]["profiles"] == ["observability"]
        assert re.fullmatch(rf"{repository}:v?\d+\.\d+\.\d+", OBSERVING[name]["image"])


@pytest.mark.parametrize("name", OBSERVING)
def test_observers_are_reached_from_this_machine_only(name: str) -> None:
    """Neither asks for a password."""
    assert all(port.startswith("127.0.0.1:") for port in OBSERVING[name]["ports"])


@pytest.mark.parametrize("name", OBSERVING)
def test_what_is_mounted_exists(name: str) -> None:
    """Files and folders of config/ are there and read-only; what is written goes to a declared volume."""
    for source, mode in mounts(name).values():
        if source.startswith("./"):
            assert (CONFIG / source).exists(), source
            assert mode == "ro", source
        else:
            assert source in COMPOSE["volumes"]


def test_prometheus_is_told_what_is_shipped() -> None:
    """The same configuration but for the target; its rules are mounted where it looks for them."""
    command = SERVICES["prometheus"]["command"]
    (file,) = (Path(option.partition("=")[2]) for option in command if option.startswith("--config.file="))
    here = yaml.safe_load((CONFIG / mounts("prometheus")[str(file)][0]).read_text())
    shipped = yaml.safe_load((CONFIG / "prometheus" / "prometheus.yaml").read_text())
    (job,) = here["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["gateway:9901"]}]
    job["static_configs"] = shipped["scrape_configs"][0]["static_configs"]
    assert here == shipped
    for rules in here["rule_files"]:
        assert mounts("prometheus")[str(file.parent / rules)][0] == f"./prometheus/{rules}"
    assert f"--storage.tsdb.path={file.parent.parent.parent / 'prometheus'}" in command
    assert mounts("prometheus")["/prometheus"] == ("prometheus", "rw")


def test_grafana_finds_its_boards() -> None:
    """The folders of provisioning are those that Grafana reads; the boards are where the provider says."""
    inside = mounts("grafana")
    provisioning = CONFIG / inside["/etc/grafana/provisioning"][0]
    assert {path.name for path in provisioning.iterdir()} == {"datasources", "dashboards"}
    (file,) = (provisioning / "dashboards").iterdir()
    (provider,) = yaml.safe_load(file.read_text())["providers"]
    boards = CONFIG / inside[provider["options"]["path"]][0]
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == provider["options"]["path"]
    assert home.name in {path.name for path in boards.glob("*.json")}


def test_grafana_finds_prometheus() -> None:
    """The datasource's address is a variable that the compose file sets, to the service of that name."""
    (file,) = (CONFIG / "grafana" / "provisioning" / "datasources").iterdir()
    (source,) = yaml.safe_load(file.read_text())["datasources"]
    (variable,) = re.findall(r"^\$\{(\w+)\}$", source["url"])
    assert SERVICES["grafana"]["environment"][variable] == "http://prometheus:9090"
    assert SERVICES["prometheus"]["ports"] == ["127.0.0.1:9090:9090"]


def test_nobody_is_grafana_s_administrator() -> None:
    """Who reaches it may look; there is no account with a password that everybody knows."""
    environment = SERVICES["grafana"]["environment"]
    assert environment["GF_AUTH_ANONYMOUS_ENABLED"] == "true"
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert environment["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert environment["GF_AUTH_BASIC_ENABLED"] == "false"


def test_there_is_time_to_drain() -> None:
    """The engine waits longer than the gateway lets requests finish."""
    grace = SERVICES["gateway"]["stop_grace_period"]
    assert float(grace.removesuffix("s")) > compose_settings().shutdown.drain
