"""How does one demo server behave? Its options, and the command line that sets them."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Speeds are tokens per second of one request (0: no limit), times are seconds, rates shares 0..1.

    Raises ValueError when a value cannot be.
    """

    host: str = "127.0.0.1"
    port: int = 0  # 0: any free one
    model: str = "demo"  # the only model id it serves
    name: str = "demo"  # sent as `x-demo-server`
    tokens_per_second: float = 200.0
    prefill_tokens_per_second: float = 5000.0
    slots: int = 4  # requests computed at once; the rest waits in order of arrival
    startup_time_s: float = 0.0  # until then /health and the model's endpoints answer 503
    error_rate: float = 0.0  # answered 500
    hang_rate: float = 0.0  # accepted and never answered
    cut_rate: float = 0.0  # connection closed in the middle of the answer
    seed: int | None = None  # of the dice for faults and unseeded sampling
    allow_fault_header: bool = True  # `x-demo-fault` on a request picks its fault

    def __post_init__(self) -> None:
        if self.slots < 1:
            raise ValueError(f"slots is {self.slots}; a server computes at least 1 request at once")
        for key in ("tokens_per_second", "prefill_tokens_per_second", "startup_time_s"):
            if getattr(self, key) < 0:
                raise ValueError(f"{key} is {getattr(self, key)}; give 0 or more")
        rates = (self.error_rate, self.hang_rate, self.cut_rate)
        if min(rates) < 0 or sum(rates) > 1:
            raise ValueError(
                f"error, hang and cut rate are {rates}; accepted: 0 or more each, at most 1 together"
            )


def parser() -> argparse.ArgumentParser:
    """The command line of `python -m gateway.demo.server`."""
    default = ServerOptions()
    made = argparse.ArgumentParser(
        prog="python -m gateway.demo.server",
        description="A small model server with an OpenAI-compatible API, slots and faults on demand.",
        epilog="example: python -m gateway.demo.server --port 9001 --tokens-per-second 80 --slots 2",
    )
    add = made.add_argument
    add("--host", default=default.host)
    add("--port", type=int, default=default.port, help="0 (default) takes any free port")
    add("--model", default=default.model, help="the model id it serves (default: %(default)s)")
    add("--name", default=default.name, help="sent as x-demo-server (default: %(default)s)")
    add(
        "--tokens-per-second",
        type=float,
        default=default.tokens_per_second,
        help="0: no limit (%(default)s)",
    )
    add("--prefill-tokens-per-second", type=float, default=default.prefill_tokens_per_second, metavar="N")
    add("--slots", type=int, default=default.slots, help="requests computed at once (default: %(default)s)")
    add("--startup-time", type=float, default=default.startup_time_s, metavar="S", dest="startup_time_s")
    add("--error-rate", type=float, default=default.error_rate, help="share of requests answered 500")
    add("--hang-rate", type=float, default=default.hang_rate, help="share of requests never answered")
    add("--cut-rate", type=float, default=default.cut_rate, help="share of answers cut in the middle")
    add("--seed", type=int, default=default.seed, help="makes faults and unseeded sampling repeatable")
    add(
        "--allow-fault-header",
        action=argparse.BooleanOptionalAction,
        default=default.allow_fault_header,
        help="obey x-demo-fault: error | hang | cut | overload | slow (default: on)",
    )
    add("--exit-with-parent", action="store_true", help="end when standard input is closed")
    return made


def from_command_line(argv: Sequence[str] | None = None) -> tuple[ServerOptions, bool]:
    """The options, and whether to end when standard input is closed; a bad value ends the program with 2."""
    made = parser()
    given = vars(made.parse_args(argv))
    exit_with_parent = bool(given.pop("exit_with_parent"))
    try:
        return ServerOptions(**given), exit_with_parent
    except ValueError as error:
        made.error(str(error))
