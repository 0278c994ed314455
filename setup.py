"""Which modules are compiled when the package is built, and when?

The modules on a request's way are plain typed Python; mypyc makes C of them, which halves the CPU a request
costs. `GATEWAY_COMPILE` says when: `auto` (the default: if there is a C compiler with Python's headers),
`on` (fail without one), `off`. An editable install is never compiled: it runs the source as it stands.
"""

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from setuptools import setup

COMPILED = (
    "gateway/admission/drain.py",
    "gateway/admission/limit.py",
    "gateway/admission/queue.py",
    "gateway/admission/reading.py",
    "gateway/admission/ring.py",
    "gateway/admission/search.py",
    "gateway/admission/ticket.py",
    "gateway/attempt.py",
    "gateway/attempts/budget.py",
    "gateway/attempts/hedge.py",
    "gateway/balancing/context.py",
    "gateway/balancing/least_latency.py",
    "gateway/balancing/sample.py",
    "gateway/balancing/view.py",
    "gateway/bounded.py",
    "gateway/cache/cache.py",
    "gateway/cache/canonical.py",
    "gateway/cache/dates.py",
    "gateway/cache/deletions.py",
    "gateway/cache/directives.py",
    "gateway/cache/endings.py",
    "gateway/cache/flights.py",
    "gateway/cache/form.py",
    "gateway/cache/ghost.py",
    "gateway/cache/held.py",
    "gateway/cache/key.py",
    "gateway/cache/lines.py",
    "gateway/cache/media.py",
    "gateway/cache/memory.py",
    "gateway/cache/parties.py",
    "gateway/cache/ranking.py",
    "gateway/cache/rules.py",
    "gateway/cache/sampling.py",
    "gateway/cache/scope.py",
    "gateway/cache/serving.py",
    "gateway/cache/slot.py",
    "gateway/cache/status.py",
    "gateway/cache/traits.py",
    "gateway/cache/validators.py",
    "gateway/cache/vary.py",
    "gateway/cache/versions.py",
    "gateway/cache/wheel.py",
    "gateway/cache/worth.py",
    "gateway/cache/wishes.py",
    "gateway/cached.py",
    "gateway/capture.py",
    "gateway/errors.py",
    "gateway/following.py",
    "gateway/forward.py",
    "gateway/health/degraded.py",
    "gateway/health/outlier.py",
    "gateway/health/slow_start.py",
    "gateway/http/client.py",
    "gateway/http/connections.py",
    "gateway/http/detached.py",
    "gateway/http/listener.py",
    "gateway/http/memo.py",
    "gateway/http/outbox.py",
    "gateway/http/replies.py",
    "gateway/http/request_reader.py",
    "gateway/http/response_reader.py",
    "gateway/http/script.py",
    "gateway/http/server.py",
    "gateway/lanes.py",
    "gateway/messages.py",
    "gateway/own_replies.py",
    "gateway/passing.py",
    "gateway/pool/backend.py",
    "gateway/pool/ewma.py",
    "gateway/pool/lease.py",
    "gateway/pool/line.py",
    "gateway/pool/pool.py",
    "gateway/pool/roster.py",
    "gateway/pool/speed.py",
    "gateway/pool/stats.py",
    "gateway/pool/work.py",
    "gateway/proxy.py",
    "gateway/race.py",
    "gateway/refreshing.py",
    "gateway/relay.py",
    "gateway/replaying.py",
    "gateway/route_cache.py",
    "gateway/routing/body.py",
    "gateway/routing/known.py",
    "gateway/routing/routes.py",
    "gateway/sizes.py",
    "gateway/telemetry/access_log.py",
    "gateway/telemetry/decisions.py",
    "gateway/telemetry/exemplars.py",
    "gateway/telemetry/lines.py",
    "gateway/telemetry/metrics.py",
    "gateway/telemetry/observer.py",
    "gateway/telemetry/text.py",
    "gateway/tracing.py",
    "gateway/tokens/events.py",
    "gateway/tokens/meter.py",
    "gateway/tokens/shapes.py",
    "gateway/tokens/usage.py",
    "gateway/visit.py",
)


def missing() -> str:
    """What is missing for compiling; empty when nothing is."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"the C compiler {compiler} is not installed (Debian: apt install gcc)"
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").exists():
        return "Python's headers are not installed (Debian: apt install python3-dev)"
    return ""


def extensions() -> list[object]:
    wish = os.environ.get("GATEWAY_COMPILE", "auto")
    if wish not in ("auto", "on", "off"):
        sys.exit(f"GATEWAY_COMPILE={wish}: write auto, on or off")
    if wish == "off" or {"editable_wheel", "egg_info", "sdist", "dist_info"} & set(sys.argv):
        return []
    if lacks := missing():
        if wish == "on":
            sys.exit(f"GATEWAY_COMPILE=on, but {lacks}")
        print(f"not compiled: {lacks}; the gateway runs interpreted, at twice the CPU per request")  # noqa: T201  pip -v shows it
        return []
    from mypyc.build import mypycify

    return list(
        mypycify(
            ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent", *COMPILED],
            opt_level="3",
            debug_level="0",
            multi_file=True,  # compiled in two thirds of the time, and no slower
        )
    )


setup(ext_modules=extensions())
