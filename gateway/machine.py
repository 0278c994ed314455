"""What does this machine allow, and how does a refusal read? Ports, open files, request ids."""

import errno
import itertools
import logging
import os
import resource
from collections.abc import Callable

log = logging.getLogger(__name__)

SPARE_FILES = 256  # file descriptors kept for everything that is no client connection


def request_ids() -> Callable[[], str]:
    """Makes request ids: a random part for the process, then a count. No Python code runs for each."""
    return map(f"{os.urandom(6).hex()}-%x".__mod__, itertools.count(1)).__next__


def cannot_listen(key: str, address: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{key}: {address} is in use by another process; stop it or choose another address"
    if error.errno == errno.EACCES:
        return f"{key}: no permission to listen on {address}; choose a port above 1023"
    return f"{key}: cannot listen on {address}: {error.strerror or error}"


def raise_file_limit(connections: int) -> None:
    """Allow as many open files as the connections may need, as far as the system lets us."""
    wanted = 2 * connections + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if limit > soft:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        if limit < wanted:
            log.warning(
                "at most %d open files are allowed here, %d connections may need %d",
                limit,
                connections,
                wanted,
            )
