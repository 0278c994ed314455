"""Which implementations can be named in a configuration? Every extension point on one screen."""

from collections.abc import Callable

from gateway.balancing.least_latency import LeastLatency
from gateway.balancing.least_requests import LeastRequests
from gateway.balancing.policy import Policy
from gateway.balancing.random_choice import RandomChoice
from gateway.balancing.round_robin import RoundRobin
from gateway.health import probes

POLICIES: dict[str, Callable[[], Policy]] = {
    "least_latency": LeastLatency,
    "least_requests": LeastRequests,
    "round_robin": RoundRobin,
    "random": RandomChoice,
}

PROBES: dict[str, probes.Probe] = {
    "http": probes.http,
}
