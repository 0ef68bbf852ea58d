"""A namespace is a mutable mapping: the laws of dict, in order, and a model that random traces are compared with."""

import collections.abc
import contextlib
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pumice
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule


def test_is_a_mutable_mapping(engine: pumice.Engine, users: pumice.Namespace) -> None:
    """A namespace is a MutableMapping, that of a snapshot only a Mapping, and views are the views of a mapping."""
    assert isinstance(users, collections.abc.MutableMapping)
    with engine.snapshot() as snapshot:
        then = snapshot.namespace("users")
        assert isinstance(then, collections.abc.Mapping)
        assert not isinstance(then, collections.abc.MutableMapping)
        assert not hasattr(then, "put")
    assert isinstance(users.keys(), collections.abc.KeysView)
    assert isinstance(users.values(), collections.abc.ValuesView)
    assert isinstance(users.items(), collections.abc.ItemsView)
    missing = set(dir(collections.abc.MutableMapping)) - set(dir(users))
    assert {name for name in missing if not name.startswith("_")} == set()


def test_a_pair_stays_what_it_is(users: pumice.Namespace) -> None:
    """A pair that is kept does not change while the iteration goes on, whichever pairs beside it are let go."""
    model = {b"%03d" % number: b"v%d" % number for number in range(100)}
    users.update(model)
    assert list(users.items()) == list(model.items())
    for kept in (1, 2, 3, 7):
        found, expected = [], list(model.items())[::kept]
        for number, pair in enumerate(users.items()):
            if number % kept == 0:
                found.append(pair)
        assert found == expected
    last = None
    for pair, expected_pair in zip(users.items(), model.items(), strict=True):
        assert pair == expected_pair and pair != last
        last = pair
    # Of each pair that is let go the hash was asked for, which later versions of Python keep in the tuple.
    assert [hash(pair) for pair in users.items()] == [hash(pair) for pair in model.items()]


def test_reads_and_writes_as_a_dict_does(users: pumice.Namespace) -> None:
    """Item access, get, pop, popitem, setdefault, update, del, clear, len, bool and == are those of a dict."""
    assert not users and len(users) == 0 and users == {}
    users["b"] = b"2"
    users[b"a"] = "1"
    assert users == {b"a": b"1", b"b": b"2"} and {b"a": b"1", b"b": b"2"} == users
    assert users != {b"a": b"1"} and users != {b"a": b"1", b"b": b"x"}
    assert bool(users) and len(users) == 2 and b"a" in users and "c" not in users
    assert users["a"] == b"1" and users.get("a") == b"1"
    assert users.get("c") is None and users.get("c", b"d") == b"d" and users.get("c", default=3) == 3
    assert users.pop("a") == b"1" and users.pop("a", None) is None and users.pop("a", default=4) == 4
    assert users.setdefault("a", "9") == b"9" and users.setdefault("a", "8") == b"9"
    users.update({"x": b"1"}, y=b"2")
    users.update([(b"z", b"3")])
    assert list(users) == [b"a", b"b", b"x", b"y", b"z"]
    assert users.popitem() == (b"a", b"9")
    del users["x"]
    assert dict(users) == {b"b": b"2", b"y": b"2", b"z": b"3"} and {**{k.decode(): v for k, v in users.items()}}
    users.clear()
    assert not users and list(users) == []
    with pytest.raises(KeyError):
        users.popitem()
    with pytest.raises(TypeError):
        hash(users)


def test_what_is_popped_was_there_once(users: pumice.Namespace) -> None:
    """However many threads pop and put, every value that was put is popped once, and none twice."""
    put: list[bytes] = []
    popped: list[list[bytes]] = [[], [], []]
    done = threading.Event()

    def puts() -> None:
        for number in range(20_000):
            if users.put_if("k", str(number), None):
                put.append(str(number).encode())
        done.set()

    def pops(own: list[bytes], pop: Callable[[], bytes]) -> None:
        while not done.is_set():
            with contextlib.suppress(KeyError):
                own.append(pop())

    takers: list[Callable[[], bytes]] = [lambda: users.pop("k"), lambda: users.pop("k"), lambda: users.popitem()[1]]
    threads = [threading.Thread(target=puts)]
    threads += [threading.Thread(target=pops, args=pair) for pair in zip(popped, takers, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rest = [users["k"]] if "k" in users else []
    assert len(put) > 1
    assert sorted(popped[0] + popped[1] + popped[2] + rest) == sorted(put)


def test_missing_keys_are_key_errors(users: pumice.Namespace) -> None:
    """A missing key raises KeyError with the key as it was given, and never NotFoundError."""
    with pytest.raises(KeyError) as caught:
        users["nobody"]
    assert caught.value.args == ("nobody",) and not isinstance(caught.value, pumice.Error)
    for call in (lambda: users.__delitem__(b"nobody"), lambda: users.pop("nobody"), lambda: users.ttl("nobody")):
        with pytest.raises(KeyError):
            call()


def test_any_buffer_is_a_key_or_a_value(users: pumice.Namespace) -> None:
    """bytes, str, bytearray, memoryview and arrays are taken as keys and values, whatever their item size."""
    import array

    numbers = array.array("I", [1, 2])
    for value in (b"v", "v", bytearray(b"v"), memoryview(b"v"), memoryview(b"_v_")[1:2], numbers):
        for key in (b"k", "k", bytearray(b"k"), memoryview(b"k")):
            users[key] = value
            expected = value.encode() if isinstance(value, str) else bytes(value)
            assert users[key] == expected and users.get_many([key, key]) == [expected, expected]
    users[numbers] = b"n"
    assert users[numbers.tobytes()] == b"n"
    users[""] = ""
    assert users[b""] == b"" and "" in users and users.get_view("") == b""
    users["ö"] = "ü"
    assert users["ö".encode()] == "ü".encode()


def test_order_and_ranges(users: pumice.Namespace) -> None:
    """Keys, values and items come in order, by prefix, start and end, and reversed; a view is looked at anew."""
    model = {b"%s%d" % (letter, i): b"%d" % i for letter in (b"a", b"b", b"c") for i in range(5)}
    users.update(model)
    for prefix in (None, b"", b"b", b"b3", b"d"):
        for start in (None, b"a2", b"b", b"z"):
            for end in (None, b"b2", b"c", b"a"):
                wanted = [
                    item
                    for item in sorted(model.items())
                    if item[0].startswith(prefix or b"")
                    and (start is None or item[0] >= start)
                    and (end is None or item[0] < end)
                ]
                items = users.items(prefix=prefix, start=start, end=end)
                assert list(items) == wanted and len(items) == len(wanted)
                assert list(reversed(items)) == wanted[::-1]
                assert list(users.items(prefix=prefix, start=start, end=end, reverse=True)) == wanted[::-1]
                assert list(users.keys(prefix=prefix, start=start, end=end)) == [key for key, _ in wanted]
                assert list(users.values(prefix=prefix, start=start, end=end)) == [value for _, value in wanted]
    assert list(reversed(users)) == sorted(model, reverse=True)
    view = users.keys(prefix="new")
    assert list(view) == []
    users["new"] = b""
    assert list(view) == [b"new"]


def test_views_are_sets(users: pumice.Namespace) -> None:
    """Keys and items compare and combine as sets, within their range; values know what they contain."""
    users.update({"a1": "x", "a2": "y", "b1": "z"})
    keys, items = users.keys(), users.items(prefix="a")
    assert keys == {b"a1", b"a2", b"b1"} and keys & {b"a1", b"q"} == {b"a1"} and keys | {b"q"} > keys
    assert keys - {b"a1"} == {b"a2", b"b1"} and {b"q"} ^ keys == {b"q", b"a1", b"a2", b"b1"}
    assert keys.isdisjoint({b"q"}) and keys >= users.keys(prefix="a") and not keys <= users.keys(prefix="a")
    assert items == {(b"a1", b"x"), (b"a2", b"y")}
    assert (b"a1", b"x") in items and ("a1", b"y") not in items and (b"b1", b"z") not in items and (b"q", b"") not in items
    assert "b1" in keys and "b1" not in users.keys(prefix="a") and "b1" not in users.keys(end="b")
    assert b"z" in users.values() and b"z" not in users.values(prefix="a")


def test_many_rows(engine: pumice.Engine, users: pumice.Namespace) -> None:
    """An iteration over many rows, of sizes from nothing to more than a chunk, gives each of them once and in order."""
    model = {b"%06d" % i: bytes([i % 256]) * (i % 97) for i in range(10_000)}
    model[b"000777"] = b"\x07" * 3_000_000
    with engine.batch() as batch:
        for key, value in model.items():
            batch.put(users, key, value)
    assert list(users.items()) == list(model.items())
    assert list(users) == list(model) and list(users.values()) == list(model.values())
    assert list(reversed(users.items())) == list(model.items())[::-1]
    assert len(users) == len(model) == len(users.keys(prefix="0"))
    keys = list(model)[::-7] + [b"nobody"]
    assert users.get_many(keys) == [model.get(key) for key in keys] == users.get_many(iter(keys))
    assert users.get_many(tuple(keys[:5])) == [model[key] for key in keys[:5]] and users.get_many([]) == []


def test_iteration_sees_one_moment(users: pumice.Namespace) -> None:
    """What is written while an iterator runs is not seen by it, and does not stop it."""
    users.update({"%04d" % i: b"" for i in range(3000)})
    seen = 0
    for key in users:
        users[key + b"x"] = b""
        del users[key]
        seen += 1
    assert seen == 3000 and len(users) == 3000


def test_keys_of_other_types(tmp_path: Path) -> None:
    """A hash is counted and iterated with the value None, and only what needs a string refuses it."""
    from conftest import FIXTURES

    shutil.copytree(FIXTURES / "plain-zstd" / "db", tmp_path / "k" / "db")
    with pumice.open(tmp_path / "k") as engine:
        alpha = engine.namespace("alpha")
        hashes = [key for key, value in alpha.items() if value is None and alpha.kind(key) == "hash"]
        assert hashes
        key = hashes[0]
        assert key in alpha and alpha.exists(key) and (key, None) in alpha.items() and (key, b"") not in alpha.items()
        for call in (alpha.get, alpha.__getitem__, alpha.get_view, lambda key: alpha.get_many([key])):
            with pytest.raises(pumice.WrongTypeError):
                call(key)
        before = len(alpha)
        del alpha[key]
        assert key not in alpha and len(alpha) == before - 1


def test_expiry(users: pumice.Namespace) -> None:
    """A time to live is seconds or a timedelta; a key without one has None; persist takes it off."""
    from datetime import timedelta

    users.put("k", b"v", ttl=100)
    left = users.ttl("k")
    assert left is not None and 90 < left <= 100
    users.put("k", b"v", ttl=timedelta(hours=1))
    left = users.ttl("k")
    assert left is not None and 3500 < left <= 3600
    assert users.persist("k") and users.ttl("k") is None and not users.persist("k")
    assert users.expire("k", 0.001) and not users.expire("nobody", 5)
    while "k" in users:
        pass
    assert users.get("k") is None and list(users) == []


def test_put_if(users: pumice.Namespace) -> None:
    """put_if writes only over what is expected, None being absent."""
    assert users.put_if("k", b"1", None) and not users.put_if("k", b"2", None)
    assert not users.put_if("k", b"2", "x") and users.put_if("k", b"2", "1", ttl=50, sync=True)
    assert users["k"] == b"2" and users.ttl("k") is not None


def test_batches(engine: pumice.Engine, users: pumice.Namespace) -> None:
    """A batch is written at the end of its block as one entry, and not at all when an exception leaves it."""
    engine.create_namespace("other")
    before = engine.position
    with engine.batch(sync=True) as batch:
        batch.put(users, "a", b"1")
        batch.put("other", "b", b"2", ttl=60)
        batch.put(engine.default, "c", b"3")
        batch.delete("users", "a")
        assert len(batch) == 4 and batch and users == {}
    assert len(list(engine.log(before))) == 1
    assert engine.namespace("other")["b"] == b"2" and engine.default == {b"c": b"3"} and users == {}
    with pytest.raises(ZeroDivisionError), engine.batch() as batch:
        batch.put(users, "a", b"1")
        raise ZeroDivisionError
    assert users == {}
    with pytest.raises(pumice.InvalidArgumentError, match="begin another"):
        batch.put(users, "a", b"1")
    with engine.batch() as batch:
        batch.put(users, "a", b"1")
        batch.discard()
    with engine.batch() as batch:
        batch.put(users, "b", b"1")
        batch.commit()
    assert users == {b"b": b"1"}


def test_snapshots(engine: pumice.Engine, users: pumice.Namespace) -> None:
    """A snapshot shows data and namespaces of one moment, and nothing after it was closed."""
    users["k"] = b"old"
    with engine.snapshot() as snapshot:
        users["k"] = b"new"
        engine.drop_namespace("users")
        engine.create_namespace("late")
        then = snapshot.namespace("users")
        assert snapshot.namespaces() == ["__namespace", "users"] and then == {b"k": b"old"}
        assert then["k"] == b"old" and then.ttl("k") is None and then.kind("k") == "string" and len(then) == 1
        assert then.get_many(["k", "q"]) == [b"old", None] and list(then.items()) == [(b"k", b"old")] and bool(then)
        assert list(reversed(then)) == [b"k"] and snapshot.default == {} and then.name == "users"
        with pytest.raises(pumice.NotFoundError):
            snapshot.namespace("late")
        assert snapshot.position.replication_id == engine.position.replication_id
        assert snapshot.position.sequence < engine.position.sequence
        iterator = iter(then)
    assert snapshot.closed
    for call in (lambda: then["k"], lambda: len(then), lambda: next(iterator), snapshot.namespaces):
        with pytest.raises(pumice.ClosedError, match="closed"):
            call()
    snapshot.close()


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    """A namespace whose name is not UTF-8 is listed and opened by surrogate escapes."""
    with pumice.open(tmp_path / "n") as engine:
        engine.create_namespace("u\x00ö")
        assert engine.namespaces() == ["__namespace", "u\x00ö"]
        assert engine.namespace("u\x00ö").name == "u\x00ö"
        with pytest.raises(pumice.InvalidArgumentError):
            engine.create_namespace("\udcfe\udc80")
        with pytest.raises(pumice.NotFoundError, match=r"\\xfe\\x80"):
            engine.namespace("\udcfe\udc80")


NAMES = ("__namespace", "a", "b")
KEYS = st.sampled_from([b"", b"a", b"ab", b"a\x00", b"\xff", b"b", b"\xff\xff", b"key:1", b"key:2"])
VALUES = st.one_of(st.binary(max_size=8), st.just(b"x" * 5000))
BOUNDS = st.one_of(st.none(), KEYS)


class Model(RuleBasedStateMachine):
    """Any trace of calls leaves an engine equal to one dict for each namespace."""

    @initialize()
    def begin(self) -> None:
        import tempfile

        self.folder = tempfile.mkdtemp(prefix="pumice-model-")
        self.engine = pumice.open(self.folder)
        self.model: dict[str, dict[bytes, bytes]] = {"__namespace": {}}
        self.frozen: list[tuple[pumice.Snapshot, dict[str, dict[bytes, bytes]]]] = []

    def teardown(self) -> None:
        if hasattr(self, "engine"):
            self.engine.close()
            shutil.rmtree(self.folder)

    def copy(self) -> dict[str, dict[bytes, bytes]]:
        return {name: dict(data) for name, data in self.model.items()}

    @rule(name=st.sampled_from(NAMES[1:]))
    def create(self, name: str) -> None:
        self.engine.create_namespace(name, f"token-{name}")
        self.model.setdefault(name, {})

    @rule(name=st.sampled_from(NAMES))
    def drop(self, name: str) -> None:
        if name in self.model and name != "__namespace":
            self.engine.drop_namespace(name)
            del self.model[name]
        else:
            with pytest.raises((pumice.NotFoundError, pumice.InvalidArgumentError)):
                self.engine.drop_namespace(name)

    @rule(name=st.sampled_from(NAMES), key=KEYS, value=VALUES)
    def put(self, name: str, key: bytes, value: bytes) -> None:
        if name in self.model:
            self.engine.namespace(name)[key] = value
            self.model[name][key] = value

    @rule(name=st.sampled_from(NAMES), key=KEYS)
    def delete(self, name: str, key: bytes) -> None:
        if name in self.model:
            assert self.engine.namespace(name).delete(key) == (self.model[name].pop(key, None) is not None)

    @rule(name=st.sampled_from(NAMES), key=KEYS, value=VALUES, expected=st.one_of(st.none(), VALUES))
    def put_if(self, name: str, key: bytes, value: bytes, expected: bytes | None) -> None:
        if name in self.model:
            matches = self.model[name].get(key) == expected
            assert self.engine.namespace(name).put_if(key, value, expected) == matches
            if matches:
                self.model[name][key] = value

    @rule(name=st.sampled_from(NAMES))
    def clear(self, name: str) -> None:
        if name in self.model:
            self.engine.namespace(name).clear()
            self.model[name].clear()

    @rule(
        writes=st.lists(st.tuples(st.sampled_from(NAMES), KEYS, st.one_of(st.none(), VALUES)), max_size=6),
        commit=st.booleans(),
    )
    def batch(self, writes: list[tuple[str, bytes, bytes | None]], commit: bool) -> None:
        after = self.copy()
        try:
            with self.engine.batch() as batch:
                for name, key, value in writes:
                    if name not in after:
                        continue
                    if value is None:
                        batch.delete(name, key)
                        after[name].pop(key, None)
                    else:
                        batch.put(name, key, value)
                        after[name][key] = value
                if not commit:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            return
        self.model = after

    @rule()
    def snapshot(self) -> None:
        if len(self.frozen) < 3:
            self.frozen.append((self.engine.snapshot(), self.copy()))

    @rule()
    def free(self) -> None:
        if self.frozen:
            self.frozen.pop()[0].close()

    @rule()
    def reopen(self) -> None:
        self.engine.close()
        self.frozen.clear()
        self.engine = pumice.open(self.folder)

    @rule(name=st.sampled_from(NAMES), prefix=BOUNDS, start=BOUNDS, end=BOUNDS, reverse=st.booleans())
    def walk(self, name: str, prefix: bytes | None, start: bytes | None, end: bytes | None, reverse: bool) -> None:
        if name in self.model:
            wanted = [
                (key, value)
                for key, value in sorted(self.model[name].items(), reverse=reverse)
                if key.startswith(prefix or b"")
                and (start is None or key >= start)
                and (end is None or key < end)
            ]
            items = self.engine.namespace(name).items(prefix=prefix, start=start, end=end, reverse=reverse)
            assert list(items) == wanted

    @rule(name=st.sampled_from(NAMES), keys=st.lists(KEYS, max_size=40))
    def get_many(self, name: str, keys: list[bytes]) -> None:
        if name in self.model:
            assert self.engine.namespace(name).get_many(keys) == [self.model[name].get(key) for key in keys]

    @invariant()
    def equal(self) -> None:
        if not hasattr(self, "engine"):
            return
        assert self.engine.namespaces() == ["__namespace", *sorted(set(self.model) - {"__namespace"})]
        for name, data in self.model.items():
            namespace = self.engine.namespace(name)
            assert dict(namespace) == data and len(namespace) == len(data) and bool(namespace) == bool(data)
        for snapshot, model in self.frozen:
            assert {name: dict(snapshot.namespace(name)) for name in snapshot.namespaces()} == model


TestModel = Model.TestCase
TestModel.__doc__ = Model.__doc__
TestModel.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
