"""redis-py, as its users use it, against an engine that serves."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pumice
import pytest
from conftest import FIXTURES

redis: Any = pytest.importorskip("redis")


def client(listener: pumice.Listener, **options: Any) -> Any:
    assert isinstance(listener.address, tuple)
    host, port = listener.address
    return redis.Redis(host=host, port=port, **options)


@pytest.fixture
def open_door(engine: pumice.Engine) -> Iterator[Any]:
    """A client of an engine that asks for no password."""
    with engine.serve() as listener, client(listener) as connected:
        yield connected


@pytest.fixture
def guarded(engine: pumice.Engine) -> Iterator[pumice.Listener]:
    """The listener of an engine that asks for a password."""
    with engine.serve(password="secret") as listener:
        yield listener


def test_strings(open_door: Any, engine: pumice.Engine) -> None:
    """What a client writes the engine has, and the other way round; a client sees the default namespace."""
    assert open_door.ping() is True
    assert open_door.set("ada", b"\x00countess\r\n") is True and engine.default["ada"] == b"\x00countess\r\n"
    engine.default["grace"] = b"admiral"
    assert open_door.get("grace") == b"admiral" and open_door.get("nobody") is None
    assert open_door.mset({"a": "1", "b": "2"}) is True
    assert open_door.mget("a", "nobody", "b") == [b"1", None, b"2"]
    assert open_door.exists("a", "b", "nobody") == 2 and open_door.type("a") == b"string"
    assert open_door.delete("a", "nobody") == 1 and b"a" not in engine.default
    assert open_door.set("b", "3", nx=True) is None and open_door.set("b", "3", xx=True) is True
    assert open_door.dbsize() >= 0


def test_expiry(open_door: Any, engine: pumice.Engine) -> None:
    """A key that a client lets expire does so in the engine."""
    open_door.set("k", "v", ex=1000)
    assert 990 < open_door.ttl("k") <= 1000 and 990 < (engine.default.ttl("k") or 0) <= 1000
    assert open_door.persist("k") is True and open_door.ttl("k") == -1 and engine.default.ttl("k") is None
    assert open_door.expire("k", 500) is True and 490 < open_door.ttl("k") <= 500
    assert open_door.expire("nobody", 500) is False and open_door.ttl("nobody") == -2
    assert open_door.expire("k", -1) is True and open_door.get("k") is None


def test_scan(open_door: Any, engine: pumice.Engine) -> None:
    """scan_iter gives every key once, and those of a pattern; flushdb leaves the other namespaces alone."""
    other = engine.create_namespace("other")
    other["kept"] = b"v"
    engine.default.update({b"key:%04d" % i: b"v" for i in range(1000)})
    engine.default["x"] = b"v"
    found = list(open_door.scan_iter(count=64))
    assert len(found) == 1001 and set(found) == set(engine.default)
    assert sorted(open_door.scan_iter(match="key:000*")) == [b"key:%04d" % i for i in range(10)]
    assert open_door.flushdb() is True and len(engine.default) == 0 and len(other) == 1


def test_pipeline(open_door: Any, engine: pumice.Engine) -> None:
    """A pipeline gives the answers of its commands in order, an error among them in its place."""
    with open_door.pipeline(transaction=False) as pipe:
        for i in range(500):
            pipe.set(f"k{i}", i)
        pipe.execute_command("NOPE")
        pipe.mget("k0", "k499")
        answers = pipe.execute(raise_on_error=False)
    assert answers[:500] == [True] * 500 and len(engine.default) == 500 and answers[501] == [b"0", b"499"]
    assert isinstance(answers[500], redis.ResponseError) and "unknown command" in str(answers[500])


def test_auth(guarded: pumice.Listener, engine: pumice.Engine) -> None:
    """The password opens everything, the token of a namespace that namespace alone, and nothing else anything."""
    engine.create_namespace("users", "users-token")["ada"] = b"countess"
    engine.default["ada"] = b"someone"
    with client(guarded, password="secret") as admin:
        assert admin.get("ada") == b"someone"
    with client(guarded, password="users-token") as user:
        assert user.get("ada") == b"countess" and user.set("grace", "admiral") is True
        with pytest.raises(redis.ResponseError, match="admin permission"):
            user.execute_command("NAMESPACE", "GET", "*")
        with pytest.raises(redis.ResponseError, match="admin permission"):
            user.config_get("*")
    assert engine.namespace("users")["grace"] == b"admiral" and b"grace" not in engine.default
    with client(guarded) as nobody, pytest.raises(redis.AuthenticationError):
        nobody.get("ada")
    with client(guarded, password="wrong") as wrong, pytest.raises(redis.RedisError, match="[Ii]nvalid password"):
        wrong.get("ada")


def test_namespaces(guarded: pumice.Listener, engine: pumice.Engine) -> None:
    """An admin makes, lists and drops namespaces with Kvrocks' command, and the engine has them."""
    with client(guarded, password="secret") as admin:
        assert admin.execute_command("NAMESPACE", "ADD", "users", "first") == b"OK"
        assert engine.namespace("users").token == "first"
        assert admin.execute_command("NAMESPACE", "SET", "users", "second") == b"OK"
        assert admin.execute_command("NAMESPACE", "GET", "users") == b"second"
        listed = admin.execute_command("NAMESPACE", "GET", "*")
        assert dict(zip(listed[::2], listed[1::2], strict=True))[b"users"] == b"second"
        assert admin.execute_command("NAMESPACE", "CURRENT") == b"__namespace"
        assert admin.execute_command("NAMESPACE", "DEL", "users") == b"OK" and engine.namespaces() == ["__namespace"]


def test_info_and_role(open_door: Any, engine: pumice.Engine, tmp_path: Path) -> None:
    """INFO and ROLE say what the engine is, also when REPLICAOF made it another thing."""
    assert open_door.info("replication")["role"] == "master" and open_door.role()[0] == b"master"
    with pumice.open(tmp_path / "other") as other, other.serve() as theirs, client(theirs) as replica:
        engine.default["k"] = b"v"
        pool = open_door.connection_pool.connection_kwargs
        assert replica.replicaof(pool["host"], pool["port"])
        assert other.wait_linked(60) and other.wait_for(engine.position, 60)
        assert replica.get("k") == b"v" and replica.role()[0] == b"slave"
        info = replica.info("replication")
        assert (info["role"], info["master_port"], info["master_link_status"]) == ("slave", pool["port"], "up")
        with pytest.raises(redis.ReadOnlyError):
            replica.set("k", "w")
        assert open_door.info("replication")["connected_slaves"] == 1
        assert replica.replicaof("NO", "ONE") and other.role == "primary" and replica.set("k", "w") is True


def test_a_unix_socket(engine: pumice.Engine, tmp_path: Path) -> None:
    """A client reaches the engine by a socket in the file system, whose file goes with the listener."""
    path = tmp_path / "s"
    with engine.serve(f"unix:{path}") as listener:
        assert listener.address == str(path) and path.is_socket()
        with redis.Redis(unix_socket_path=listener.address) as connected:
            assert connected.set("k", "v") is True and engine.default["k"] == b"v"
    assert not path.exists()


def test_too_many(engine: pumice.Engine) -> None:
    """More connections than allowed are refused, and those that are there go on."""
    with engine.serve(max_connections=1) as listener, client(listener, single_connection_client=True) as first:
        assert first.ping() is True
        with pytest.raises(redis.RedisError):
            client(listener).ping()
        assert first.ping() is True


def test_tls(engine: pumice.Engine) -> None:
    """A client over TLS reads and writes when it trusts the listener's CA and shows a certificate of the other's; in the
    clear, with another CA or without a certificate it does not."""
    pem = FIXTURES / "tls"
    server = pumice.TlsServer(pem / "node.pem", pem / "node.key", client_ca=pem / "ca.pem")
    with engine.serve(tls=server, password="secret") as listener:
        secure = {"ssl": True, "ssl_certfile": str(pem / "node.pem"), "ssl_keyfile": str(pem / "node.key")}
        trusting = {**secure, "ssl_ca_certs": str(pem / "ca.pem")}
        with client(listener, password="secret", **trusting) as admin:
            large = b"countess" * 100_000
            assert admin.set("ada", large) is True and admin.get("ada") == large == engine.default["ada"]
            with admin.pipeline(transaction=False) as pipe:
                for i in range(500):
                    pipe.set(f"k{i}", i)
                assert pipe.execute() == [True] * 500
        unknown = {**trusting, "ssl_ca_certs": str(pem / "other-ca.pem")}
        with client(listener, **unknown) as wrong, pytest.raises(redis.ConnectionError, match="verify failed"):
            wrong.ping()
        nameless = {"ssl": True, "ssl_ca_certs": str(pem / "ca.pem")}
        for options in ({}, nameless):
            with client(listener, **options) as refused, pytest.raises(redis.RedisError):
                refused.ping()


def test_messages(open_door: Any) -> None:
    """`pubsub()` hears what is published, by name and by pattern, and asks for no protocol."""
    with open_door.pubsub() as listening:
        listening.subscribe("news")
        listening.psubscribe("n*")
        assert [listening.get_message(timeout=60)["type"] for _ in range(2)] == ["subscribe", "psubscribe"]
        assert open_door.publish("news", "hello") == 2
        heard = [listening.get_message(timeout=60) for _ in range(2)]
        assert [(one["type"], one["channel"], one["data"]) for one in heard] == [
            ("message", b"news", b"hello"),
            ("pmessage", b"news", b"hello"),
        ]
        listening.unsubscribe()
        assert listening.get_message(timeout=60)["type"] == "unsubscribe"


@pytest.mark.parametrize("protocol", [None, 2, 3])
def test_documents(engine: pumice.Engine, protocol: int | None) -> None:
    """redis-py's commands of documents and filters, and its list of commands, in each protocol."""
    with engine.serve() as listener, client(listener, protocol=protocol) as connected:
        documents = connected.json()
        assert documents.set("d", "$", {"a": 1, "b": [1.5, None]}) is True
        assert documents.get("d", "$") == [{"a": 1, "b": [1.5, None]}]
        assert documents.get("d") == {"a": 1, "b": [1.5, None]} and documents.set("e", ".", 1) is True
        # As of RedisJSON, which has one more list around them in RESP3.
        kinds = [documents.type("d", path) for path in ("$", "$.b")]
        assert kinds == ([[[b"object"]], [[b"array"]]] if protocol == 3 else [[b"object"], [b"array"]])
        assert documents.numincrby("d", "$.a", 2) == [3] and documents.arrlen("d", "$.b") == [2]
        assert connected.bf().add("f", "x") == 1 and connected.bf().exists("f", "y") == 0
        filled = connected.bf().info("f")
        assert (filled[b"Number of items inserted"] if protocol == 3 else filled.insertedNum) == 1
        assert {"get", "xadd"} <= set(connected.command()) and connected.command_count() > 200
