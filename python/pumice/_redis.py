"""redis-py on an engine in this process, without a server and without a socket."""

from __future__ import annotations

from collections import deque
from functools import cache
from typing import TYPE_CHECKING, Any

from ._native import Engine, InvalidArgumentError, Namespace, Session, UnsupportedError

if TYPE_CHECKING:
    import redis as redis_py


def redis(engine: Engine, namespace: Namespace | str | bytes | None = None, **options: Any) -> redis_py.Redis:
    """A genuine `redis.Redis` whose commands run in this process, on a namespace of `engine` (the default one without it).

    It takes the options of `redis.Redis`; those that are about sockets mean nothing. Pipelines, transactions, WATCH and pops
    that wait work as on a server, from several threads. It holds the engine as the handle of a namespace does; after the
    engine's close its calls raise ClosedError. Messages (`pubsub()`) are for the listener. Needs redis-py: `pip install redis`."""
    try:
        connection_class = _connection_class()
    except ImportError as error:
        raise UnsupportedError("redis: redis-py is not installed; run `pip install redis`") from error
    import redis as redis_py

    for cached in ["cache", "cache_config"]:
        if options.get(cached) is not None:
            raise UnsupportedError(f"redis: got {cached}, expected none: what is in this process needs no cache of its own")
    protocol = options.get("protocol")
    if protocol not in (None, 2, 3):
        raise InvalidArgumentError(f"redis: got protocol={protocol!r}, expected 2 or 3")
    if namespace is None:
        namespace = engine.default
    elif not isinstance(namespace, Namespace):
        namespace = engine.namespace(namespace)
    # It would connect to its server at once.
    single = options.pop("single_connection_client", False)
    client = redis_py.Redis(**options)
    pool = client.connection_pool
    pool.connection_class = connection_class
    pool.connection_kwargs = {**pool.connection_kwargs, "namespace": namespace}
    if single:
        vars(client)["single_connection_client"] = True
        client.connection = pool.get_connection()
    return client


@cache
def _connection_class() -> type[Any]:
    from redis._parsers.base import BaseParser
    from redis.connection import AbstractConnection
    from redis.exceptions import ResponseError

    # What AbstractConnection does not know: it is about sockets.
    of_sockets = ("host", "port", "path", "socket_keepalive", "socket_keepalive_options", "socket_type")

    class Connection(AbstractConnection):
        """What a pool of redis-py takes for a connection to a server."""

        def __init__(self, namespace: Namespace, **options: Any) -> None:
            super().__init__(**{name: value for name, value in options.items() if name not in of_sockets})
            self._namespace = namespace
            self._replies: deque[Any] = deque()
            self._session: Session | None = None

        def repr_pieces(self) -> list[tuple[str, str]]:
            return [("namespace", repr(self._namespace))]

        @property
        def is_connected(self) -> bool:
            return self._session is not None

        def connect(self) -> None:
            if self._session is not None:
                return
            self._session = Session(self._namespace, self.encoder.encode, BaseParser.parse_error, self.protocol == 3)
            for callback in [known() for known in self._connect_callbacks]:
                if callback is not None:
                    callback(self)

        def _connected(self) -> Session:
            self.connect()
            assert self._session is not None
            return self._session

        def connect_check_health(self, *args: Any, **kwargs: Any) -> None:
            self.connect()

        def disconnect(self, *args: Any, **kwargs: Any) -> None:
            self._session = None
            self._replies.clear()
            self.reset_should_reconnect()

        def check_health(self) -> None:
            pass

        def _host_error(self) -> str:
            return "this process"

        def pack_command(self, *args: Any) -> list[tuple[Any, ...]]:
            return [self._words(args)]

        def pack_commands(self, commands: Any) -> list[tuple[Any, ...]]:
            return [self._words(tuple(args)) for args in commands]

        def send_packed_command(self, command: Any, check_health: bool = True) -> None:
            self._replies.extend(self._connected().execute_all(command))

        def send_command(self, *args: Any, **kwargs: Any) -> None:
            self._replies.append(self._connected().execute(self._words(args)))

        def _words(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
            # A name of several words is as many words.
            name = args[0]
            if isinstance(name, str):
                if " " in name:
                    args = (*name.split(), *args[1:])
            elif b" " in name:
                args = (*name.split(), *args[1:])
            if self.encoder.encoding != "utf-8" or self.encoder.encoding_errors != "strict":
                args = tuple(map(self.encoder.encode, args))
            return args

        def can_read(self, timeout: float | None = 0) -> bool:
            return bool(self._replies)

        def read_response(self, disable_decoding: bool = False, **kwargs: Any) -> Any:
            reply = self._replies.popleft()
            if isinstance(reply, ResponseError):
                raise reply
            if disable_decoding or not self.encoder.decode_responses:
                return reply
            return self._decoded(reply)

        def _decoded(self, reply: Any) -> Any:
            if isinstance(reply, list):
                return [self._decoded(item) for item in reply]
            if isinstance(reply, dict):
                return {self._decoded(key): self._decoded(value) for key, value in reply.items()}
            return self.encoder.decode(reply) if isinstance(reply, bytes) else reply

    return Connection
