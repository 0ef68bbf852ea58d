"""redis-py as its users use it: in this process, over a listener, and on a Redis, with the same outcome."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pumice
import pytest
from conftest import SCENARIOS, interrupted, redis_server

redis: Any = pytest.importorskip("redis")

Connect = Callable[..., Any]


@pytest.fixture(params=["in process", "in process RESP2", "listener", "listener RESP2", "redis-server"])
def connect(request: pytest.FixtureRequest, engine: pumice.Engine, tmp_path: Path) -> Iterator[Connect]:
    """Makes clients of one place, with options of redis.Redis; without a protocol in that of redis-py's choice."""
    place, _, protocol = request.param.partition(" RESP")
    asked = {"protocol": int(protocol)} if protocol else {}
    if place == "in process":
        yield lambda **options: pumice.redis(engine, **asked, **options)
    elif place == "listener":
        with engine.serve() as listener:
            assert isinstance(listener.address, tuple)
            host, port = listener.address
            yield lambda **options: redis.Redis(host=host, port=port, **asked, **options)
    else:
        with redis_server(tmp_path) as path:
            yield lambda **options: redis.Redis(unix_socket_path=str(path), **options)


@pytest.fixture
def client(connect: Connect) -> Iterator[Any]:
    with connect() as connected:
        yield connected


def test_counters(client: Any) -> None:
    """Numbers count, from nothing, by any step, and text does not."""
    assert client.incr("n") == 1 and client.incrby("n", 41) == 42 and client.decr("n", 2) == 40
    assert client.incrbyfloat("f", 1.5) == 1.5 and client.get("n") == b"40"
    client.set("text", "x")
    with pytest.raises(redis.ResponseError, match="not an integer"):
        client.incr("text")
    assert client.append("text", "yz") == 3 and client.strlen("text") == 3 and client.getrange("text", 1, -1) == b"yz"


def test_hashes(client: Any) -> None:
    """A hash takes a dict and gives it back."""
    ada = {b"name": b"Ada", b"born": b"1815"}
    assert client.hset("ada", mapping={"name": "Ada", "born": 1815}) == 2 and client.hgetall("ada") == ada
    assert client.hset("ada", "name", "Ada L.") == 0 and client.hget("ada", "name") == b"Ada L."
    assert client.hmget("ada", "name", "nothing") == [b"Ada L.", None] and client.hincrby("ada", "born", 1) == 1816
    assert client.hdel("ada", "name", "nothing") == 1 and client.hlen("ada") == 1 and client.hkeys("ada") == [b"born"]
    assert dict(client.hscan_iter("ada")) == {b"born": b"1816"} and client.hexists("ada", "born") is True
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.lpush("ada", "x")


def test_lists(client: Any) -> None:
    """A list grows and shrinks at both ends, and waits for what is to come."""
    assert client.rpush("l", "a", "b", "c") == 3 and client.lpush("l", "0") == 4
    assert client.lrange("l", 0, -1) == [b"0", b"a", b"b", b"c"] and client.lindex("l", -1) == b"c"
    assert client.lpop("l") == b"0" and client.rpop("l", 2) == [b"c", b"b"] and client.llen("l") == 1
    assert client.blpop(["nothing", "l"], timeout=5) == (b"l", b"a") and client.blpop("l", timeout=0.01) is None
    assert client.lpush("l", "a") == 1 and client.blmove("l", "m", 0, "LEFT", "RIGHT") == b"a"


def test_sorted_sets(client: Any) -> None:
    """A sorted set is in the order of its scores."""
    assert client.zadd("z", {"a": 1, "b": 2.5, "c": -1}) == 3
    assert client.zrange("z", 0, -1, withscores=True) == [(b"c", -1.0), (b"a", 1.0), (b"b", 2.5)]
    assert client.zscore("z", "b") == 2.5 and client.zrank("z", "b") == 2 and client.zincrby("z", 2, "c") == 1.0
    assert client.zrangebyscore("z", "(1", "+inf") == [b"b"] and client.zcard("z") == 3
    assert client.zpopmax("z") == [(b"b", 2.5)] and client.bzpopmin("z", timeout=5) == (b"z", b"a", 1.0)


def test_sets(client: Any) -> None:
    """Sets are sets."""
    assert client.sadd("s", "a", "b", "b") == 2 and client.smembers("s") == {b"a", b"b"}
    client.sadd("t", "b", "c")
    assert client.sinter("s", "t") == {b"b"} and client.sunion("s", "t") == {b"a", b"b", b"c"}
    assert client.sismember("s", "a") and client.srem("s", "a") == 1 and client.spop("s") == b"b"


def test_pipelines(client: Any) -> None:
    """A pipeline gives all answers in order, with and without a transaction around it."""
    for transaction in (True, False):
        with client.pipeline(transaction=transaction) as pipe:
            for n in range(300):
                pipe.set(f"k{n}", n).get(f"k{n}")
            pipe.lpush("k1", "x")
            answers = pipe.execute(raise_on_error=False)
        assert answers[:600:2] == [True] * 300 and answers[1:600:2] == [b"%d" % n for n in range(300)]
        assert isinstance(answers[600], redis.ResponseError) and len(answers) == 601
        with client.pipeline(transaction=transaction) as pipe, pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            pipe.set("done", "1").lpush("k1", "x").execute()
        assert client.delete("done") == 1
    with client.pipeline() as pipe, pytest.raises(redis.ResponseError):
        pipe.set("spoiled", 1).execute_command("NOPE").execute()
    assert client.exists("spoiled") == 0


def test_watch(connect: Connect) -> None:
    """A transaction on a watched key that another client changed is tried again."""
    with connect() as client, connect() as other:
        client.set("n", 1)
        tries = 0

        def add(pipe: Any) -> None:
            nonlocal tries
            found = int(pipe.get("n"))
            tries += 1
            if tries == 1:
                other.set("n", 10)
            pipe.multi()
            pipe.set("n", found + 1)

        assert client.transaction(add, "n") == [True]
        assert tries == 2 and client.get("n") == b"11"
        with client.pipeline() as pipe:
            pipe.watch("n")
            other.incr("n")
            pipe.multi()
            pipe.incr("n")
            with pytest.raises(redis.WatchError):
                pipe.execute()


def test_scans(client: Any) -> None:
    """Every key comes once, those of a pattern and those of a type."""
    with client.pipeline(transaction=False) as pipe:
        for n in range(1000):
            pipe.set(f"key:{n:04}", n)
        pipe.sadd("set", "a").hset("hash", "f", "v")
        pipe.execute()
    assert len(set(client.scan_iter(count=37))) == 1002
    assert sorted(client.scan_iter(match="key:000*")) == [b"key:%04d" % n for n in range(10)]
    assert list(client.scan_iter(_type="set", count=500)) == [b"set"] and client.type("hash") == b"hash"
    assert client.keys("*s*") and client.dbsize() == 1002 and client.flushdb() is True and client.keys() == []


def test_expiry(client: Any) -> None:
    """A key of any type lives as long as it is told to."""
    client.rpush("l", "x")
    assert client.expire("l", 1000) is True and 990 < client.ttl("l") <= 1000 and client.persist("l") is True
    assert client.ttl("l") == -1 and client.ttl("nothing") == -2 and client.set("k", "v", px=1) is True
    while client.exists("k"):
        time.sleep(0.001)
    assert client.set("k", "v", ex=1000) is True and client.getex("k", persist=True) == b"v" and client.ttl("k") == -1


def test_options(connect: Connect) -> None:
    """Replies are decoded when asked for, at any depth, and words are encoded."""
    with connect(decode_responses=True) as client:
        client.set("ä", "ö")
        assert client.get("ä") == "ö" and client.mget("ä", "x") == ["ö", None]
        with client.pipeline() as pipe:
            assert pipe.get("ä").rpush("l", "x", 1, 2.5).lrange("l", 0, -1).execute() == ["ö", 3, ["x", "1", "2.5"]]
        with pytest.raises(redis.DataError):
            client.set("k", None)
        with pytest.raises(redis.DataError):
            client.set("k", True)
    with connect(encoding="latin-1", decode_responses=True) as client:
        client.set("k", "ö")
        assert client.get("k") == "ö" and client.strlen("k") == 1
    with connect(single_connection_client=True) as client:
        assert client.set("k", memoryview(b"view")) is True and client.get("k") == b"view"


def test_threads(client: Any) -> None:
    """Threads share a client, and lose no count."""

    def count() -> None:
        for _ in range(200):
            client.incr("n")
            with client.pipeline() as pipe:
                assert pipe.incr("m").get("m").execute()[1] is not None

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.get("n") == b"800" and client.get("m") == b"800"


def test_waiting_for_another(connect: Connect) -> None:
    """Who waits for an element is woken by another client's push."""
    with connect() as client, connect() as other:
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(client.blpop(["l"], timeout=60)))
        thread.start()
        other.rpush("l", "x")
        thread.join()
        assert found == [(b"l", b"x")]


def test_namespaces(engine: pumice.Engine) -> None:
    """In the process a client has one namespace, by its name or its handle, which the mapping sees too."""
    users = engine.create_namespace("users")
    with pumice.redis(engine, "users") as client, pumice.redis(engine, users) as same, pumice.redis(engine) as other:
        client.set("ada", "countess")
        assert users["ada"] == b"countess" and same.get("ada") == b"countess" and other.get("ada") is None
        assert isinstance(client, redis.Redis)
        with pytest.raises(redis.ResponseError, match="admin permission"):
            client.config_get("*")
        assert other.config_get("appendonly") and other.info("replication")["role"] == "master"
        engine.drop_namespace("users")
        with pytest.raises(redis.ResponseError):
            client.get("ada")
    with pytest.raises(pumice.NotFoundError):
        pumice.redis(engine, "nobody")
    with pytest.raises(pumice.UnsupportedError, match="cache_config"):
        pumice.redis(engine, cache_config=object())
    with pytest.raises(pumice.InvalidArgumentError, match="protocol"):
        pumice.redis(engine, protocol=4)


def test_one_entry(engine: pumice.Engine) -> None:
    """A transaction is one entry of the log."""
    before = engine.position
    with pumice.redis(engine) as client, client.pipeline() as pipe:
        pipe.set("a", 1).rpush("l", "x", "y").zadd("z", {"m": 1}).execute()
    assert len(list(engine.log(before))) == 1


def test_close(engine: pumice.Engine) -> None:
    """A client keeps no engine open, and says that it is closed, also when it waits."""
    client, waiting = pumice.redis(engine), pumice.redis(engine)
    client.set("k", "v")
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            waiting.blpop("l")
        except pumice.Error as error:
            raised.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    engine.close()
    thread.join()
    assert isinstance(raised[0], pumice.ClosedError)
    with pytest.raises(pumice.ClosedError):
        client.get("k")


def test_ctrl_c(tmp_path: Path) -> None:
    """Ctrl-C ends a command that waits."""
    said = interrupted(
        """
        import pumice
        with pumice.open("data") as db:
            client = pumice.redis(db)
            try:
                print("now")
                client.blpop("l")
            except KeyboardInterrupt:
                print("ended", client.ping())
        """,
        tmp_path,
    )
    assert said == "ended True\n"


def test_without_redis_py(script: Callable[..., Any]) -> None:
    """Where redis-py is missing the error says what to do, and the rest of the package does not mind."""
    script(
        """
        import sys
        sys.modules["redis"] = None
        import pumice
        with pumice.open("data") as db:
            try:
                pumice.redis(db)
            except pumice.UnsupportedError as error:
                assert "pip install redis" in str(error)
            else:
                raise AssertionError
        """
    )


def test_execute(engine: pumice.Engine) -> None:
    """`Namespace.execute` gives what a Redis answers, takes what a client takes, and raises by kind."""
    ns = engine.default
    assert ns.execute("SET", b"k", 1.5) == b"OK" and ns.execute("get", bytearray(b"k")) == b"1.5"
    assert ns.execute("RPUSH", "l", 1, "b", memoryview(b"c")) == 3
    assert ns.execute("LRANGE", "l", 0, -1) == [b"1", b"b", b"c"] and ns.execute("GET", "x") is None
    assert ns.execute("SCAN", 0, "TYPE", "list") == [b"0", [b"l"]]
    with pytest.raises(pumice.WrongTypeError, match="^WRONGTYPE Operation against a key"):
        ns.execute("GET", "l")
    with pytest.raises(pumice.InvalidArgumentError, match="^ERR unknown command `NOPE`"):
        ns.execute("NOPE")
    with pytest.raises(pumice.UnsupportedError, match="belongs to a connection"):
        ns.execute("MULTI")
    with pytest.raises(TypeError):
        ns.execute("SET", "k", None)
    with pytest.raises(TypeError):
        ns.execute("SET", "k", True)


BASIC = re.compile(rb"(str|hash|set|list|zset|member)[0-3]")
SPECIAL = re.compile(rb"(bit|log|place|stream)[0-3]")
UNORDERED = {b"HKEYS", b"HVALS", b"HGETALL", b"SMEMBERS", b"SINTER", b"SUNION", b"SDIFF", b"SPOP", b"SRANDMEMBER"}
UNORDERED |= {b"HRANDFIELD", b"ZRANDMEMBER", b"HSCAN", b"SSCAN", b"ZSCAN"}


def asked(client: Any, words: list[bytes]) -> Any:
    """What redis-py makes of a reply, without what may differ."""
    try:
        found = client.execute_command(*words)
    except redis.ResponseError as error:
        return str(error).partition(" for '")[0]
    return in_order(found) if words[0] in UNORDERED else found


def plain(words: list[bytes], found: Any) -> Any:
    """What was asked about another than a basic type, without what this and a Redis say otherwise."""
    if isinstance(found, str):
        # redis-py leaves out the word ERR, and no other.
        code = found.partition(" ")[0]
        return code if code.isupper() else "ERR"
    if words[0] == b"XINFO" and found:
        # How many consumers a group has had, and how many entries it has read and has left, which are estimates.
        unlike = {b"consumers", b"entries-read", b"lag"}
        groups = [group if isinstance(group, dict) else dict(zip(group[::2], group[1::2])) for group in found]
        return [{name: value for name, value in group.items() if name not in unlike} for group in groups]
    # A consumer comes to be when it asks. Nothing found is one thing.
    return None if words[:2] == [b"XGROUP", b"CREATECONSUMER"] or not found and found != 0 else found


def in_order(found: Any) -> Any:
    return sorted((in_order(item) for item in found), key=repr) if isinstance(found, (list, tuple, set)) else found


def test_shapes(engine: pumice.Engine, tmp_path: Path) -> None:
    """Who asks redis-py for RESP3 gets its shapes: the same in this process, over a listener, and from a Redis."""
    with (
        engine.serve() as listener,
        redis_server(tmp_path) as path,
        redis.Redis(unix_socket_path=str(path), protocol=3) as theirs,
        pumice.redis(engine, "__namespace", protocol=3) as inside,
    ):
        assert isinstance(listener.address, tuple)
        host, port = listener.address
        with redis.Redis(host=host, port=port, protocol=3, decode_responses=True) as outside:
            for client in (theirs, outside):
                client.zadd("z", {"a": 1, "b": 2.5, "c": float("-inf")})
                client.hset("h", mapping={"f": "v"})
                client.sadd("s", "m")
                client.xadd("x", {"f": "v"}, id="1-1")
                client.geoadd("g", (13.5, 38.25, "p"))
                client.xgroup_create("x", "group", id="0")
            calls: list[Callable[[Any], Any]] = [
                lambda client: client.zrange("z", 0, -1, withscores=True),
                lambda client: client.zscore("z", "b"),
                lambda client: client.zmscore("z", ["a", "nobody"]),
                lambda client: sorted(client.zrandmember("z", 5, withscores=True)),
                lambda client: client.hgetall("h"),
                lambda client: client.hrandfield("h", 1, withvalues=True),
                lambda client: client.smembers("s"),
                lambda client: client.sunion("s", "none"),
                lambda client: client.xread({"x": "0"}),
                lambda client: client.xinfo_groups("x"),
                lambda client: client.geodist("g", "p", "p"),
                lambda client: client.geopos("g", "p", "nobody"),
                lambda client: client.geosearch("g", member="p", radius=1, withdist=True, withcoord=True),
                lambda client: client.geosearch("g", member="p", radius=1, withhash=True),
                lambda client: client.config_get("appendonly"),
                lambda client: client.get("nobody"),
                lambda client: client.blpop("nobody", timeout=0.01),
            ]
            for call in calls:
                told = call(theirs)
                assert call(outside) == text_of(told)
                assert call(inside) == told
            assert isinstance(inside.zscore("z", "b"), float) and inside.zpopmax("z", 2) == [[b"b", 2.5], [b"a", 1.0]]


@pytest.mark.parametrize("protocol", (2, 3))
def test_whole_stream(engine: pumice.Engine, tmp_path: Path, protocol: int) -> None:
    """XINFO STREAM FULL tells what a Redis tells of groups, of what is pending in each and for each consumer."""
    with (
        redis_server(tmp_path) as path,
        redis.Redis(unix_socket_path=str(path), protocol=protocol) as theirs,
        pumice.redis(engine, protocol=protocol) as ours,
    ):
        told = []
        for client in (theirs, ours):
            for number in range(1, 14):
                client.xadd("x", {"f": "v"}, id=f"{number}-1")
            client.xgroup_create("x", "read", id="0")
            client.xgroup_create("x", "unread", id="$")
            client.xreadgroup("read", "ada", {"x": ">"}, count=2)
            client.xreadgroup("read", "bob", {"x": ">"}, count=11)
            client.xack("x", "read", "2-1")
            client.xgroup_createconsumer("x", "read", "idle")
            told.append(
                [
                    without_times(client.execute_command("XINFO", "STREAM", "x", "FULL", *count))
                    for count in ((), ("COUNT", 1), ("COUNT", 0))
                ]
            )
            assert [group["name"] for group in client.xinfo_stream("x", full=True)["groups"]] == [b"read", b"unread"]
        assert told[0] == told[1]
        short, one, whole = (row[b"groups"][0] for row in told[1])
        assert [len(row[b"pending"]) for row in (short, one, whole)] == [10, 1, 12]


def without_times(found: Any) -> Any:
    """A reply with its lists of names and values as mappings, without what depends on the time or on the server."""
    unlike = (b"radix-tree-keys", b"radix-tree-nodes", b"seen-time", b"active-time")
    if isinstance(found, list) and found and found[0] in (b"length", b"name", "length", "name"):
        found = dict(zip(found[::2], found[1::2]))
    if isinstance(found, dict):
        found = {key.encode() if isinstance(key, str) else key: value for key, value in found.items()}
        return {key: without_times(value) for key, value in found.items() if key not in unlike}
    if isinstance(found, list):
        return [without_times(value) for value in found if not (isinstance(value, int) and value > 10**12)]
    return found


def text_of(found: Any) -> Any:
    """What a client that decodes is told."""
    if isinstance(found, dict):
        return {text_of(key): text_of(value) for key, value in found.items()}
    if isinstance(found, (list, tuple, set)):
        return type(found)(text_of(item) for item in found)
    return found.decode() if isinstance(found, bytes) else found


@pytest.mark.parametrize("protocol", [None, 2, 3])
def test_trace(engine: pumice.Engine, tmp_path: Path, protocol: int | None) -> None:
    """The random commands of the trace on the types that a Redis has: redis-py in this process and redis-py on a Redis are
    told the same, in each protocol and in that of redis-py's choice."""
    lines = (SCENARIOS / "trace.txt").read_text().splitlines()
    calls = [line.partition(" => ")[0].split(" ")[3:] for line in lines if line.startswith("answer e - ")]
    commands = [[b"" if word == "%" else unquote_to_bytes(word) for word in words] for words in calls]
    basic, special = (sum(any(keys.fullmatch(word) for word in words) for words in commands) for keys in (BASIC, SPECIAL))
    assert basic > 1000 and special > 1000
    with (
        redis_server(tmp_path) as path,
        redis.Redis(unix_socket_path=str(path), protocol=protocol) as theirs,
        pumice.redis(engine, protocol=protocol) as ours,
    ):
        for words in commands:
            our, their = asked(ours, words), asked(theirs, words)
            if any(SPECIAL.fullmatch(word) for word in words):
                assert plain(words, our) == plain(words, their), words
            elif our != their and words[0] in {b"INCRBYFLOAT", b"HINCRBYFLOAT"}:
                # A Redis adds in more digits than a double has.
                assert float(our) == pytest.approx(float(their), rel=1e-15), words
                again = ("SET", words[1], our, "KEEPTTL") if len(words) == 3 else ("HSET", *words[1:3], our)
                theirs.execute_command(*again)
            else:
                assert our == their, words
