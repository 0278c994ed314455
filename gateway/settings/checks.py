"""Which parts of a configuration do not fit together?

The checks read the plain data, not the models, so that they say their part even where some other value is
wrong; what does not have the right shape is left to the models to complain about.
"""

from collections.abc import Iterator

from gateway.settings.fields import split_address
from gateway.settings.kinds import did_you_mean
from gateway.settings.problems import Finding, Path


def check(data: object) -> Iterator[Finding]:
    """Everything that contradicts something else in `data`."""
    settings = _mapping(data)
    yield from _addresses(settings)
    pools = _mapping(settings.get("pools"))
    for name, pool in pools.items():
        yield from _backend_names(_mapping(pool), ("pools", name))
    yield from _routes(settings, [str(name) for name in pools])
    yield from _cache(_mapping(settings.get("cache")))


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, (list, tuple)) else []


def _word(value: object) -> str | None:
    """`value` as a name, when it can be one."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None


def _port(address: object) -> int | None:
    try:
        return split_address(address)[1] if isinstance(address, str) else None
    except ValueError:
        return None


def _addresses(settings: dict[str, object]) -> Iterator[Finding]:
    """The admin's port is none of the listeners'; no two listeners are the same."""
    listen = settings.get("listen", "0.0.0.0:8080")
    admin = settings.get("admin", "127.0.0.1:9901")
    seen: dict[object, Path] = {}
    if isinstance(listen, str):
        seen[listen] = ("listen",)
    for index, listener in enumerate(_list(listen)):
        inner = isinstance(listener, dict)
        path: Path = ("listen", index, "address") if inner else ("listen", index)
        address = _mapping(listener).get("address") if inner else listener
        if _port(address) and address in seen:
            yield Finding(path, "each address once")
        elif isinstance(address, str):
            seen[address] = path
    clashes = [path for address, path in seen.items() if _port(address) and _port(address) == _port(admin)]
    if clashes and "admin" in settings:
        yield Finding(("admin",), "a port that listen does not use")
    elif clashes:
        yield Finding(clashes[0], "a port that admin (127.0.0.1:9901 unless given) does not use")


def _cache(cache: dict[str, object]) -> Iterator[Finding]:
    """A file has a place, and an entry fits in."""
    if cache.get("store") == "disk" and cache.get("path") in (None, "null"):
        yield Finding(("cache", "store"), "disk together with cache.path, the file, or another store")
    if cache.get("store") == "redis" and cache.get("path") not in (None, "null"):
        yield Finding(("cache", "path"), "no path: store redis keeps nothing in a file")


def _backend_names(pool: dict[str, object], path: Path) -> Iterator[Finding]:
    """Names that were given are unique in their pool."""
    seen: dict[str, int] = {}
    for index, backend in enumerate(_list(pool.get("backends"))):
        name = _word(_mapping(backend).get("name"))
        if name is None:
            continue
        if name in seen:
            yield Finding(
                (*path, "backends", index, "name"),
                f"another name than backends[{seen[name]}] of this pool has",
            )
        seen.setdefault(name, index)


def _routes(settings: dict[str, object], pools: list[str]) -> Iterator[Finding]:
    names: dict[str, int] = {}
    routes = _list(settings.get("routes"))
    for index, entry in enumerate(routes):
        path: Path = ("routes", index)
        if not isinstance(entry, dict):
            continue
        if index < len(routes) - 1 and _matches_everything(entry.get("match", {})):
            found = "a route that matches every request, so that no later one is ever reached"
            yield Finding(path, "this route in the last place, or with a match that narrows it", found)
        name = _word(entry.get("name"))
        if name in names:
            yield Finding((*path, "name"), f"another name than routes[{names[name]}] has")
        elif name is not None:
            names[name] = index
        yield from _targets(entry, path, pools)


def _matches_everything(match: object) -> bool:
    if not isinstance(match, dict):
        return False
    narrows = any(match.get(key) for key in ("methods", "headers", "model"))
    return not narrows and match.get("path", "/*") == "/*"


def _targets(route: dict[str, object], path: Path, pools: list[str]) -> Iterator[Finding]:
    """Exactly one of `pool` and `split`, and every pool that is named exists."""
    pool, split = route.get("pool"), route.get("split")
    if (pool is None) == (split is None):
        found = "neither pool nor split" if pool is None else "both pool and split"
        yield Finding(path, "exactly one of pool and split", found)
    named: list[tuple[Path, str | None]] = [((*path, "pool"), _word(pool))]
    for index, part in enumerate(_list(split)):
        named.append(((*path, "split", index, "pool"), _word(_mapping(part).get("pool"))))
    first = {name for _, name in named if name is not None}
    for index, name in enumerate(map(_word, _list(route.get("fallback")))):
        where = (*path, "fallback", index)
        if name in first:
            yield Finding(where, "a pool that this route does not name already")
        elif name is not None:
            first.add(name)
        named.append((where, name))
    for where, name in named:
        if name is not None and name not in pools:
            accepted = "a pool of this file: " + ", ".join(pools) if pools else "a pool that the file has"
            yield Finding(where, accepted + did_you_mean(name, pools))
