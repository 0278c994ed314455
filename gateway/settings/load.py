"""What does a configuration file say, and what is wrong with it? Everything at once, each with its line."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway.settings import describe, nodes
from gateway.settings.checks import check
from gateway.settings.environment import substitute
from gateway.settings.kinds import did_you_mean
from gateway.settings.nodes import Document, TooMuch
from gateway.settings.problems import Finding, Problem, SettingsError, dotted, shown
from gateway.settings.problems import Path as Keys
from gateway.settings.schema import Settings

__all__ = ["Problem", "SettingsError", "config_hash", "from_dict", "from_text", "load"]

#: pydantic's kinds of error → what is accepted; its own texts can repeat the value that was found.
_ACCEPTED = {
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "dict_type": "a mapping (key: value)",
    "tuple_type": "a list",
    "too_short": "at least one entry",
}
_SMALLEST = "a mapping of pools; the smallest: pools: {default: {backends: [http://127.0.0.1:9001]}}"
#: Follow-ups of an error that is reported anyway.
_ECHOES = frozenset({"default_factory_not_called"})


def load(path: Path, environ: Mapping[str, str]) -> Settings:
    """The settings in the file at `path`, variables from `environ`; SettingsError with every problem."""
    try:
        with path.open("rb") as file:
            content = file.read(nodes.MAX_BYTES + 1)
    except OSError as error:
        raise _refusal(path, f"no readable file ({error.strerror})", "a YAML file") from None
    if len(content) > nodes.MAX_BYTES:
        raise _refusal(path, "more than 1 MiB", "a smaller file")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _refusal(path, "bytes that are not UTF-8", "UTF-8 text", line) from None
    return from_text(text, environ, file=str(path), base=path.parent)


def _refusal(path: Path, found: str, accepted: str, line: int | None = None) -> SettingsError:
    return SettingsError([Problem(str(path), line, "", found, accepted)])


def from_text(text: str, environ: Mapping[str, str], file: str = "", base: Path = Path()) -> Settings:
    """The settings in a YAML text; `file` names it in errors, relative paths in it start at `base`."""
    try:
        document = nodes.read(text)
    except TooMuch as error:
        raise SettingsError([Problem(file, error.line, "", error.found, error.accepted)]) from None
    return _settings(document, environ, file, base)


def from_dict(data: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Settings:
    """The settings in nested dicts and lists, as the YAML would give them; SettingsError without lines."""
    return _settings(Document(data=_plain(data)), environ or {}, "", Path())


def config_hash(settings: Settings) -> str:
    """Twelve hex digits that are the same exactly when the settings are."""
    canonical = json.dumps(settings.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def _plain(value: Any) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _settings(document: Document, environ: Mapping[str, str], file: str, base: Path) -> Settings:
    if document.data is None:
        document.data = {}
    data, unset = substitute(document, environ)
    settings = None
    wrong: list[Finding] = []
    try:
        settings = Settings.model_validate(data, context={"base": base})
    except ValidationError as error:
        wrong = list(_field_findings(error))
    # Nothing is said of a value whose variable is missing, nor twice of one that is wrong in itself.
    missing = {finding.path for finding in unset}
    wrong = [more for more in wrong if missing.isdisjoint(_up(more.path))]
    known = {finding.path for finding in wrong}
    clashes = [more for more in check(data) if missing.isdisjoint(_up(more.path)) and more.path not in known]
    findings = [*document.findings, *unset, *wrong, *clashes]
    if settings is None or findings:
        raise SettingsError(_placed(findings, document, file))
    return settings


def _up(path: Keys) -> Iterator[Keys]:
    """`path` and every path above it: of a short form, the one that stands in the file is above."""
    return (path[:length] for length in range(len(path) + 1))


def _placed(findings: list[Finding], document: Document, file: str) -> list[Problem]:
    """The findings as problems, in the order of their lines."""
    problems = []
    for finding in findings:
        line = finding.line or document.line(finding.path)
        found = finding.found or _found(document.data, finding.path)
        problems.append(Problem(file, line, dotted(finding.path), found, finding.accepted))
    return sorted(problems, key=lambda problem: problem.line or 0)


def _found(data: object, path: Keys) -> str:
    """What the file itself says at `path`: variables by name, never their values."""
    for part in path:
        if isinstance(data, str):
            break  # a short form: the text stands for the key that it is the short form of
        inside = (isinstance(data, list) and isinstance(part, int) and part < len(data)) or (
            isinstance(data, dict) and part in data
        )
        if not inside:
            return describe.default_at(path) or "nothing"
        data = data[part]  # type: ignore[index]  # a list with a position, or a mapping with a key
    return shown(data)


def _field_findings(error: ValidationError) -> Iterator[Finding]:
    for detail in error.errors(include_url=False):
        path = tuple(part for part in detail["loc"] if part != "[key]")
        # `too_short` also comes when entries are there but wrong, each of which is reported.
        echo = detail["type"] == "too_short" and detail["input"]
        if detail["type"] not in _ECHOES and not echo:
            yield _finding(detail, path)


def _finding(detail: ErrorDetails, path: Keys) -> Finding:
    if detail["type"] == "refused":
        name = detail["loc"][-1] == "[key]"
        return Finding(path, detail["ctx"]["accepted"], shown(path[-1]) if name else None)
    if detail["type"] == "missing":
        accepted = _SMALLEST if path == ("pools",) else describe.accepted_at(path)
        return Finding(path, accepted, "nothing")
    if detail["type"] == "extra_forbidden":
        keys = describe.keys_at(path[:-1])
        return Finding(path, ", ".join(keys) + did_you_mean(path[-1], keys), "an unknown key")
    return Finding(path, _ACCEPTED.get(detail["type"], "another kind of value"))
