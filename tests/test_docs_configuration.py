"""Manual, JSON Schema, sample files and code say the same."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from gateway.registry import POLICIES as REGISTERED
from gateway.settings import describe
from gateway.settings.json_schema import json_schema, text
from gateway.settings.load import SettingsError, from_text, load
from gateway.settings.manual import manual
from gateway.settings.nodes import read
from gateway.settings.schema import POLICIES

ROOT = Path(__file__).parents[1]
MANUAL = ROOT / "docs" / "configuration.md"
SCHEMA = ROOT / "config" / "gateway.schema.json"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", MANUAL.read_text(encoding="utf-8"), re.DOTALL)
SAMPLES = [ROOT / "config" / "gateway.yaml", ROOT / "config" / "models.yaml"]
MODELS = list(describe.models())


def valid(data: object) -> bool:
    return bool(jsonschema.Draft202012Validator(json_schema()).is_valid(data))


def test_the_manual_is_in_step_with_the_schema() -> None:
    """docs/configuration.md is what the code would write today."""
    assert MANUAL.read_text(encoding="utf-8") == manual(), (
        "out of step; run: python -m gateway.settings.manual > docs/configuration.md"
    )


def test_the_editors_schema_is_in_step_with_the_models() -> None:
    """config/gateway.schema.json is what the code would write today."""
    assert SCHEMA.read_text(encoding="utf-8") == text(), (
        "out of step; run: python -m gateway.settings.schema_file > config/gateway.schema.json"
    )


def test_the_schema_is_a_json_schema() -> None:
    """The file is valid under the dialect it names."""
    jsonschema.Draft202012Validator.check_schema(json.loads(SCHEMA.read_text(encoding="utf-8")))


def test_policies_are_those_of_the_registry() -> None:
    """Every registered policy can be configured, and no other."""
    assert sorted(POLICIES) == sorted(REGISTERED)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_key_is_explained(model: Any) -> None:
    """No key without a sentence, and none without a kind or keys of its own."""
    for name, field in model.model_fields.items():
        assert (field.description or "").rstrip().endswith((".", "`.")), name
        assert describe.kind_in(field) or describe.model_in(field), name


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
def test_samples_load_and_are_valid(sample: Path) -> None:
    """Without any variable set; their first line names the schema that lies beside them."""
    assert load(sample, {}).pools
    content = sample.read_text(encoding="utf-8")
    assert content.startswith(f"# yaml-language-server: $schema={SCHEMA.name}\n")
    assert valid(yaml.safe_load(content))


def test_the_sample_is_two_servers_on_this_machine() -> None:
    """The first configuration is small and local."""
    settings = load(ROOT / "config" / "gateway.yaml", {})
    urls = [backend.url for pool in settings.pools.values() for backend in pool.backends]
    assert urls == ["http://127.0.0.1:9001", "http://127.0.0.1:9002"]
    assert settings.listen[0].address.startswith("127.0.0.1:")


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_examples_of_the_manual_load(number: int, tmp_path: Path) -> None:
    """Every YAML block of the manual is a good configuration, for the gateway and for editors."""
    trustme = pytest.importorskip("trustme")
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "my-ca.pem"))
    assert from_text(EXAMPLES[number], {}, base=tmp_path).pools
    assert valid(read(EXAMPLES[number]).data)


def test_the_manual_has_examples() -> None:
    """The blocks above were found."""
    assert len(EXAMPLES) >= 5


NOTATIONS = [
    "log: {access: off, level: debug}",
    "log: {access: 'off'}",
    "log: {access: false}",
    "limits: {max_body: 10MB, buffer_body: 1.5 KiB, max_header: 4096, max_connections: '5'}",
    "shutdown: {drain: 0}\nadmin: '[::1]:3'\nlisten: [127.0.0.1:1, {address: 127.0.0.1:2}]",
    "listen: ${LISTEN:-127.0.0.1:1}\nshutdown: {drain: '${DRAIN:-5s}'}",
    "trusted_proxies: [10.0.0.0/8, fd00::/8, 127.0.0.1]",
    "pools: {a: {backends: [HTTP://h, {url: http://h, name: 7, weight: '2', labels: {a: 1, b: off}}]}}",
    "pools: {a: {backends: [http://h], panic_below: 20%, health: {path: null, expect: 200}}}",
    "pools: {a: {backends: [http://h], panic_below: 0.2, health: {path: 'null', expect: '200, 204'}}}",
    "pools: {a: {backends: [http://h], retries: {on: [connect, timeout, 429, '503'], budget: 1}}}",
    "routes: [{name: r, pool: default, replayable: off, match: {methods: [post], headers: {X-A: 1}}}]",
    "routes: [{name: r, split: [{pool: default}], replayable: 'yes', pool: null, rewrite: {prefix: /}}]",
]


@pytest.mark.parametrize("notation", NOTATIONS)
def test_what_loads_is_valid_for_editors(notation: str) -> None:
    """Short forms, quantities, quoted numbers and variables raise no squiggle."""
    pools = "" if "pools:" in notation else "pools: {default: {backends: [http://h]}}\n"
    assert from_text(pools + notation, {})
    assert valid(read(pools + notation).data)


MISTAKES = [
    "lisen: 127.0.0.1:1",
    "listen: 8080",
    "admin: null",
    "log: {level: loud}",
    "limits: {max_body: lots}",
    "shutdown: {drain: 5 minutes}",
    "pools: {}",
    "pools: {a: {}}",
    "pools: {a: {backends: []}}",
    "pools: {a: {backends: [ftp://h]}}",
    "pools: {a: {backends: [{name: x}]}}",
    "pools: {a: {backends: [http://h], policy: best}}",
    "pools: {a: {backends: [http://h], retries: {attempts: 0}}}",
    "pools: {a: {backends: [http://h], health: {path: health}}}",
    "routes: [{pool: default}]",
    "routes: [{name: r, pool: default, match: {path: /a*b}}]",
]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_editors_mark_is_refused(mistake: str) -> None:
    """The schema is no empty promise: these mistakes are seen by both."""
    pools = "" if "pools:" in mistake else "pools: {default: {backends: [http://h]}}\n"
    with pytest.raises(SettingsError):
        from_text(pools + mistake, {})
    assert not valid(read(pools + mistake).data)
