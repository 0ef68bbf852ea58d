"""One exception class for each kind of error, with messages that say what, which, got and expected."""

import errno
import math
import os
import pickle
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pumice
import pytest

KINDS = (
    "InvalidArgument",
    "NotFound",
    "AlreadyExists",
    "ReadOnly",
    "Closed",
    "Busy",
    "Io",
    "Corruption",
    "Unsupported",
    "Poisoned",
    "Diverged",
    "WrongType",
    "Internal",
)


@pytest.mark.parametrize("kind", KINDS)
def test_one_class_for_each_kind(kind: str) -> None:
    """Each kind has a class of its own that is a pumice.Error, names its kind and can be pickled."""
    made = getattr(pumice, f"{kind}Error")
    assert issubclass(made, pumice.Error) and made.kind == kind and made.__module__ == "pumice" and made.__doc__
    error = pickle.loads(pickle.dumps(made("message")))
    assert type(error) is made and str(error) == "message"


def test_errors_are_also_what_python_has() -> None:
    """A wrong argument is a ValueError, too, and a refusal of the operating system an OSError."""
    assert issubclass(pumice.InvalidArgumentError, ValueError)
    assert issubclass(pumice.IoError, OSError)
    assert not issubclass(pumice.NotFoundError, LookupError)


def test_invalid_argument(engine: pumice.Engine, users: pumice.Namespace, tmp_path: Path) -> None:
    """What is wrong with an argument is said with what was got and what was expected."""
    calls: list[tuple[Callable[[], Any], str]] = [
        (lambda: pumice.open(tmp_path / "x", role="leader"), 'got "leader", expected "primary"'),  # type: ignore[arg-type]
        (lambda: pumice.open(tmp_path / "x", compression="gzip"), 'got "gzip", expected "none"'),  # type: ignore[arg-type]
        (lambda: pumice.open(tmp_path / "x", memory_budget=1), "got 1 bytes, expected at least"),
        (lambda: engine.verify("deep"), 'got "deep", expected "quick"'),  # type: ignore[arg-type]
        (lambda: engine.create_namespace(""), "namespace"),
        (lambda: engine.create_namespace("n" * 256), "255"),
        (lambda: engine.create_namespace("ok", ""), "token"),
        (lambda: users.put("k", "v", ttl=0), "time to live"),
        (lambda: users.put("k", "v", ttl=-1), "got -1 seconds"),
        (lambda: users.put("k", "v", ttl=math.nan), "got NaN seconds"),
        (lambda: users.put("k", "v", ttl=math.inf), "got inf seconds"),
        (lambda: users.expire("k", timedelta(seconds=-1)), "got -1 seconds"),
        (lambda: engine.apply(next(engine.log())), "only a replica"),
        (lambda: engine.apply_checkpoint(tmp_path), "no CURRENT file"),
        (lambda: engine.default.set_token("t"), "__namespace"),
    ]
    for call, message in calls:
        with pytest.raises(pumice.InvalidArgumentError) as caught:
            call()
        assert message in str(caught.value)
    assert users == {} and engine.namespaces() == ["__namespace", "users"]


def test_wrong_types_are_type_errors(engine: pumice.Engine, users: pumice.Namespace) -> None:
    """An argument of a wrong type is a TypeError that says what was got and expected, with a note of its name."""
    anything: Any = engine
    space: Any = users
    calls: list[tuple[Callable[[], Any], str]] = [
        (lambda: space.get(1), "got int, expected bytes, str or another buffer\nwhile processing 'key'"),
        (lambda: space[None], "got NoneType, expected bytes"),
        (lambda: 1 in space, "got int, expected bytes"),
        (lambda: space.put(b"k", 1), "got int, expected bytes, str or another buffer\nwhile processing 'value'"),
        (lambda: space.__setitem__(b"k", None), "got NoneType"),
        (lambda: space.get_many(b"abc"), "got one bytes, expected an iterable of keys"),
        (lambda: space.get_many("abc"), "got one str"),
        (lambda: space.get_many([b"a", 1]), "got int"),
        (lambda: space.get_many(5), "not iterable"),
        (lambda: space.put("k", "v", ttl="1"), "got str, expected seconds as a number, or a timedelta\nwhile processing 'ttl'"),
        (lambda: space.put("k", "v", 1), "positional"),
        (lambda: space.put("k", "v", sync=1), "'sync'"),
        (lambda: anything.namespace(5), "got int, expected the name of a namespace as str\nwhile processing 'name'"),
        (lambda: anything.apply(b"x"), "Entry"),
        (lambda: anything.log(5), "Position"),
    ]
    for call, message in calls:
        with pytest.raises(TypeError) as caught:
            call()
        assert message in "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])]), message
    with pytest.raises(UnicodeEncodeError):
        users.get("\udcff")
    assert users == {}


def test_not_found(engine: pumice.Engine, tmp_path: Path) -> None:
    """What does not exist is NotFound: a namespace, a dropped one, a directory, a checkpoint."""
    dropped = engine.create_namespace("dropped")
    engine.drop_namespace("dropped")
    for call in (
        lambda: engine.namespace("nobody"),
        lambda: engine.drop_namespace("nobody"),
        lambda: dropped["k"],
        lambda: dropped.put("k", "v"),
        lambda: len(dropped),
        lambda: pumice.open(tmp_path / "nowhere", create=False),
        lambda: engine.apply_checkpoint(tmp_path / "nowhere"),
    ):
        with pytest.raises(pumice.NotFoundError):
            call()
    assert not (tmp_path / "nowhere").exists()
    engine.create_namespace("dropped")
    assert dropped == {}


def test_already_exists(engine: pumice.Engine, users: pumice.Namespace, tmp_path: Path) -> None:
    """A name or token that is taken, and a folder that is there, are AlreadyExists; tokens are not shown."""
    engine.create_namespace("other", "secret-token")
    engine.create_checkpoint(tmp_path / "c")
    for call in (
        lambda: engine.create_namespace("users", "another"),
        lambda: engine.create_namespace("third", "secret-token"),
        lambda: users.set_token("secret-token"),
        lambda: engine.create_checkpoint(tmp_path / "c"),
    ):
        with pytest.raises(pumice.AlreadyExistsError) as caught:
            call()
        assert "secret-token" not in str(caught.value)


def test_read_only(tmp_path: Path) -> None:
    """A replica and a read-only engine refuse writes and say what to do."""
    with pumice.open(tmp_path / "r", role="replica") as replica:
        with pytest.raises(pumice.ReadOnlyError, match="promote"):
            replica.default["k"] = b"v"
    with pumice.open(tmp_path / "r", read_only=True) as reader:
        with pytest.raises(pumice.ReadOnlyError, match="read-only"):
            reader.default["k"] = b"v"


def test_closed(engine: pumice.Engine, users: pumice.Namespace) -> None:
    """After close every call on every handle is Closed, and closing again is nothing."""
    users["k"] = b"v"
    iterator, log, snapshot, batch = iter(users), engine.log(), engine.snapshot(), engine.batch()
    then = snapshot.namespace("users")
    entry = next(log)
    engine.close()
    engine.close()
    assert engine.closed and snapshot.closed
    calls: list[Callable[[], Any]] = [
        lambda: users["k"],
        lambda: users.get("k"),
        lambda: users.put("k", "v"),
        lambda: users.get_many(["k"]),
        lambda: users.get_view("k"),
        lambda: len(users),
        lambda: bool(users),
        lambda: list(users),
        lambda: users.token,
        lambda: next(iterator),
        lambda: next(log),
        lambda: log.position,
        lambda: then["k"],
        lambda: len(then),
        snapshot.namespaces,
        lambda: snapshot.default,
        lambda: batch.put("users", "k", "v"),
        batch.commit,
        lambda: engine.position,
        lambda: engine.role,
        lambda: engine.default,
        engine.namespaces,
        lambda: engine.namespace("users"),
        lambda: engine.create_namespace("x"),
        lambda: engine.drop_namespace("users"),
        engine.snapshot,
        engine.batch,
        lambda: engine.log(),
        lambda: engine.apply(entry),
        lambda: engine.changes(entry),
        lambda: engine.create_checkpoint("c"),
        lambda: engine.apply_checkpoint("c"),
        engine.promote,
        engine.verify,
        engine.info,
        engine.flush,
        engine.__enter__,
    ]
    for call in calls:
        with pytest.raises(pumice.ClosedError):
            call()
    for thing in (engine, users, users.items(), iterator, log, snapshot, then, batch, entry):
        assert repr(thing)


def test_busy(engine: pumice.Engine) -> None:
    """A directory that is open is Busy, and the message names who has it."""
    with pytest.raises(pumice.BusyError, match="this process"):
        pumice.open(engine.path)
    with pytest.raises(pumice.BusyError):
        pumice.release(engine.path)


def test_io(tmp_path: Path) -> None:
    """What the operating system refuses is an OSError with its errno."""
    (tmp_path / "file").write_text("")
    with pytest.raises(pumice.IoError) as caught:
        pumice.open(tmp_path / "file" / "below")
    assert caught.value.errno in (errno.ENOTDIR, errno.EEXIST) and "below" in str(caught.value)
    assert isinstance(caught.value, OSError)


def test_corruption(engine: pumice.Engine, users: pumice.Namespace, tmp_path: Path) -> None:
    """A checkpoint with a flipped bit and an entry with a flipped bit are Corruption, and nothing is changed."""
    users["k"] = b"v" * 1000
    checkpoint = engine.create_checkpoint(tmp_path / "c")
    broken = max(checkpoint.path.glob("*.sst"), key=lambda file: file.stat().st_size)
    data = bytearray(broken.read_bytes())
    data[len(data) // 2] ^= 1
    # A new file: the old one is a link into the engine's own folder.
    broken.unlink()
    broken.write_bytes(data)
    with pytest.raises(pumice.CorruptionError, match=broken.name):
        engine.apply_checkpoint(checkpoint)
    assert users["k"] == b"v" * 1000 and engine.verify("records") == []
    encoded = bytearray(next(engine.log()).to_bytes())
    encoded[-1] ^= 1
    for bad in (encoded, b"", b"something else"):
        with pytest.raises(pumice.CorruptionError):
            pumice.Entry.from_bytes(bad)


def test_unsupported(tmp_path: Path) -> None:
    """A namespace in the cluster layout is Unsupported."""
    with pumice.open(tmp_path / "cluster", cluster=True) as engine:
        assert engine.info().layout == "cluster"
        with pytest.raises(pumice.UnsupportedError, match="cluster"):
            engine.create_namespace("n")


def test_diverged(engine: pumice.Engine, tmp_path: Path) -> None:
    """A position of another history, and an entry of one, are Diverged."""
    engine.default["k"] = b"v"
    with pytest.raises(pumice.DivergedError, match="full sync"):
        engine.log(pumice.Position("Z" * 16, 1))
    with pumice.open(tmp_path / "other") as other, pumice.open(tmp_path / "replica", role="replica") as replica:
        replica.apply_checkpoint(engine.create_checkpoint(tmp_path / "c"))
        other.default["k"] = b"v"
        *_, foreign = other.log()
        with pytest.raises(pumice.DivergedError):
            replica.apply(foreign)


def test_a_cancelled_call_changes_nothing(engine: pumice.Engine, users: pumice.Namespace, tmp_path: Path) -> None:
    """An exception in a progress callback cancels the call and propagates, and leaves what was."""
    users["k"] = b"old"
    told: list[pumice.Progress] = []
    checkpoint = engine.create_checkpoint(tmp_path / "c", progress=told.append)
    assert told and told[-1].files_done == checkpoint.files == told[-1].files and told[-1].fraction == 1.0
    assert {progress.stage for progress in told} <= {"receive", "checksum"} and checkpoint.bytes == told[-1].bytes
    users["k"] = b"new"

    def refuse(progress: pumice.Progress) -> None:
        raise ZeroDivisionError(progress.stage)

    with pytest.raises(ZeroDivisionError):
        engine.create_checkpoint(tmp_path / "d", progress=refuse)
    assert sorted(os.listdir(tmp_path)) == ["c", "engine"]
    with pytest.raises(ZeroDivisionError):
        engine.apply_checkpoint(checkpoint, progress=refuse)
    assert users["k"] == b"new" and engine.verify() == []

    def close(progress: pumice.Progress) -> None:
        engine.close()

    with pytest.raises(pumice.BusyError, match="callback"):
        engine.apply_checkpoint(checkpoint, progress=close)
    engine.apply_checkpoint(checkpoint, progress=told.append, verify=True)
    assert users["k"] == b"old" and {progress.stage for progress in told} >= {"receive", "open", "publish"}


def test_tokens_are_never_shown(engine: pumice.Engine) -> None:
    """No representation shows a token."""
    secret = engine.create_namespace("ns", "the-secret")
    *_, entry = engine.log()
    for thing in (engine, secret, engine.info(), engine.changes(entry), entry, secret.items(), engine.batch()):
        assert "the-secret" not in repr(thing)
    assert secret.token == "the-secret"
    secret.set_token("another")
    assert engine.namespace("ns").token == "another" and len(engine.create_namespace("drawn").token or "") == 40
