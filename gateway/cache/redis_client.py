"""How is Redis spoken to so that nobody waits, and what do its errors mean? All that is known of redis-py."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

#: Kinds in `figures.errors`.
ERRORS = (
    "connect",
    "timeout",
    "auth",  # wrong password, or not allowed to
    "loading",  # the server is starting
    "memory",  # it is full, and told not to let anything go
    "type",  # something else stands under the name
    "reply",  # any other refusal
    "corrupt",  # bytes that are no entry
    "crowded",  # `max_connections` calls were under way
    "resting",  # not asked, because it has failed
    "too_large",  # an entry beyond `max_entry_bytes`
    "other",
)


def address(url: str) -> str:
    """Host and port of `url`, for people. Raises ValueError, without a word of it."""
    try:
        parts = urlsplit(url)
        port = parts.port or 6379
    except ValueError:  # its message repeats a part, which may be one of a password with a slash in it
        parts, port = urlsplit(""), 0
    if parts.scheme not in ("redis", "rediss") or not parts.hostname:
        raise ValueError("not an URL of Redis: write redis://host:6379/0, or rediss:// with TLS; %2F for a /")
    return f"{parts.hostname}:{port}"


class Client:
    """Connections to one server, made when they are needed. Raises as RedisStore does."""

    def __init__(self, url: str, connect_s: float, timeout_s: float, connections: int) -> None:
        self._connect_s = connect_s
        self._timeout_s = timeout_s
        self._pool = _pool(url, connections)

    async def ask(self, *command: Any) -> Any:
        """The reply to `command`, in RESP2's terms; raises what `kind` knows.

        Takes no longer than for a connection, where one is needed, and for the reply.
        """
        import redis.exceptions as of_redis

        async with asyncio.timeout(self._connect_s):
            connection = await self._pool.get_connection()
        try:
            async with asyncio.timeout(self._timeout_s):
                await connection.send_command(*command, check_health=False)
                return await connection.read_response()
        except of_redis.ResponseError:
            raise
        except BaseException:
            await connection.disconnect(nowait=True)  # or the next to use it would read this reply
            raise
        finally:
            await self._pool.release(connection)

    async def close(self) -> None:
        await self._pool.disconnect()


def _pool(url: str, connections: int) -> Any:
    try:
        from redis.asyncio import ConnectionPool
        from redis.asyncio.connection import parse_url
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError as error:
        raise ImportError(
            "the cache in Redis needs redis-py: pip install 'model-gateway[redis]'", name="redis"
        ) from error
    try:
        options: dict[str, Any] = dict(parse_url(url))
    except ValueError:
        raise ValueError("not an URL of Redis: an option in it is none that redis-py knows") from None
    options |= {  # over what the URL says
        # All waits are bounded by `ask`: redis-py bounds its own with `asyncio.wait_for`, which before
        # Python 3.12 loses a cancellation that comes as the wait ends, and then a task never ends.
        "socket_connect_timeout": None,
        "socket_timeout": None,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_timeout": False,
        "max_connections": connections,
        "decode_responses": False,
        "protocol": 2,
    }
    return ConnectionPool(**options)


def kind(error: BaseException) -> str:
    """Which of ERRORS it is."""
    import redis.exceptions as of_redis

    words = str(error).partition(" ")[0]
    by_word = {
        "OOM": "memory",
        "WRONGTYPE": "type",
        "WRONGPASS": "auth",
        "NOAUTH": "auth",
        "NOPERM": "auth",
        "LOADING": "loading",
    }
    if isinstance(error, of_redis.RedisError) and words in by_word:
        return by_word[words]
    by_class: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
        ((of_redis.AuthenticationError, of_redis.AuthorizationError, of_redis.NoPermissionError), "auth"),
        (of_redis.AuthenticationWrongNumberOfArgsError, "auth"),
        (of_redis.BusyLoadingError, "loading"),
        (of_redis.OutOfMemoryError, "memory"),
        ((of_redis.TimeoutError, TimeoutError), "timeout"),
        ((of_redis.ConnectionError, OSError), "connect"),
        (of_redis.RedisError, "reply"),
    )
    return next((name for classes, name in by_class if isinstance(error, classes)), "other")
