"""What do `${NAME}` and `${NAME:-default}` stand for?

They are replaced in values only, after the YAML has been read: what a variable holds can never become
YAML structure. `$${` is a literal `${`.
"""

import re
from collections.abc import Callable, Mapping

from gateway.settings.nodes import Document, scalar
from gateway.settings.problems import Finding, Path

_VARIABLE = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\})?")


def substitute(document: Document, environ: Mapping[str, str]) -> tuple[object, list[Finding]]:
    """The document's data with variables replaced, and those that could not be.

    A value that could not be replaced stays as written. One that was written without quotes and is wholly
    one variable is read as YAML would read the word: `weight: ${WEIGHT}` is a number.
    """
    findings: list[Finding] = []

    def replaced(value: object, path: Path) -> object:
        if isinstance(value, dict):
            return {key: replaced(inner, (*path, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [replaced(inner, (*path, index)) for index, inner in enumerate(value)]
        if not isinstance(value, str) or "${" not in value:
            return value
        complaints: list[str] = []
        text = _VARIABLE.sub(_lookup(environ, complaints), value)
        if complaints:
            findings.extend(Finding(path, complaint) for complaint in complaints)
            return value
        whole = _VARIABLE.fullmatch(value)
        return scalar(text) if whole and whole[1] and path in document.plain else text

    return replaced(document.data, ()), findings


def _lookup(environ: Mapping[str, str], complaints: list[str]) -> Callable[[re.Match[str]], str]:
    def value_of(found: re.Match[str]) -> str:
        name, default = found[1], found[2]
        if found[0] == "$${":
            return "${"
        if name is None:
            complaints.append("${NAME} or ${NAME:-default}, and $${ for a literal ${")
            return ""
        # As in the shell, `:-` also stands in for a variable that is set but empty.
        if default is not None:
            return environ.get(name) or default
        if name not in environ:
            complaints.append(f"a variable that is set; set {name}, or give a default: ${{{name}:-value}}")
            return ""
        return environ[name]

    return value_of
