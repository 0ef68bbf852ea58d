"""Datasets in the other key layout, and what they hold."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pumice
import pytest
from conftest import FIXTURES, interrupted

# What nobody may see beside a target that was given up.
INCOMPLETE = "*.incomplete"


def source_with_users(folder: Path) -> Path:
    with pumice.open(folder / "source") as engine:
        engine.create_namespace("users")["ada"] = b"countess"
        engine.create_namespace(b"\xc3\xa9")
        engine.default["elsewhere"] = b""
    return folder / "source"


def test_converted(tmp_path: Path) -> None:
    """What convert gives says where the dataset is, what it has, and what was left out."""
    source = source_with_users(tmp_path)
    stages = []
    made = pumice.convert(
        str(source),
        tmp_path / "target",
        cluster=True,
        namespace=b"users",
        compression="zstd",
        memory_budget=16 << 20,
        progress=lambda progress: stages.append(progress.stage),
    )
    assert set(stages) == {"convert", "publish"}
    assert (made.path, made.layout, made.namespace) == ((tmp_path / "target").resolve(), "cluster", "__namespace")
    assert (made.keys, len(made.left_out)) == (1, 1) and made.records >= 1 and made.bytes > 0
    assert os.fspath(made) == str(made.path) and "cluster: 1 keys" in repr(made)
    with pumice.open(made) as engine:
        assert engine.info().layout == "cluster" and dict(engine.default) == {b"ada": b"countess"}
        assert engine.position.sequence >= made.position.sequence > 0
    back = pumice.convert(made, tmp_path / "back", cluster=False, namespace="é")
    assert (back.layout, back.namespace, back.left_out) == ("standalone", "é", [])
    with pumice.open(back) as engine:
        assert engine.namespace("é")["ada"] == b"countess"


def test_refused(tmp_path: Path) -> None:
    """What cannot be converted is refused with the error of its kind, and nothing is made."""
    source, target = source_with_users(tmp_path), tmp_path / "target"
    with pumice.open(source), pytest.raises(pumice.BusyError):
        pumice.convert(source, target, cluster=True)
    with pytest.raises(pumice.InvalidArgumentError, match="standalone layout already"):
        pumice.convert(source, target, cluster=False)
    with pytest.raises(pumice.InvalidArgumentError, match="compression"):
        pumice.convert(source, target, cluster=True, compression="brotli")  # type: ignore[arg-type]
    with pytest.raises(pumice.InvalidArgumentError, match="memory"):
        pumice.convert(source, target, cluster=True, memory_budget=1)
    with pytest.raises(pumice.NotFoundError, match="nobody"):
        pumice.convert(source, target, cluster=True, namespace="nobody")
    with pytest.raises(pumice.NotFoundError):
        pumice.convert(tmp_path / "nowhere", target, cluster=True)
    with pytest.raises(TypeError, match="cluster"):
        pumice.convert(source, target)  # type: ignore[call-arg]
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
    target.mkdir()
    with pytest.raises(pumice.AlreadyExistsError):
        pumice.convert(source, target, cluster=True)


def test_an_exception_cancels(tmp_path: Path) -> None:
    """An exception from progress, in each stage, comes out of convert, which leaves nothing."""
    source = source_with_users(tmp_path)
    for stage in "convert", "publish":

        def stop(progress: pumice.Progress, stage: str = stage) -> None:
            if progress.stage == stage:
                raise LookupError(stage)

        with pytest.raises(LookupError, match=stage):
            pumice.convert(source, tmp_path / "target", cluster=True, progress=stop)
        assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_ctrl_c_ends_a_convert(tmp_path: Path) -> None:
    """Ctrl-C ends a convert at once, and when its thread has ended its target is not there, or whole."""
    source = """
        import glob, os, pumice
        with pumice.open("source") as engine:
            for batch_of in range(100):
                with engine.batch() as batch:
                    for i in range(1_000):
                        batch.put(engine.default, b"%d:%d" % (batch_of, i), os.urandom(500))
        made = 0
        try:
            print("now")
            while True:
                pumice.convert("source", f"target{made}", cluster=True)
                made += 1
        except KeyboardInterrupt:
            print(made)
    """
    made = int(interrupted(source, tmp_path))
    assert not list(tmp_path.glob(INCOMPLETE))
    left = {path.name for path in tmp_path.glob("target*")}
    # One that was published just before is a target like any other.
    assert left - {f"target{made}"} == {f"target{number}" for number in range(made)}
    for name in left:
        with pumice.open(tmp_path / name) as engine:
            assert len(engine.default) == 100_000


def test_a_signal_cancels_a_convert(tmp_path: Path, script: Callable[..., object]) -> None:
    """Ctrl-C while progress is told raises KeyboardInterrupt, leaves nothing, and the next convert succeeds."""
    source_with_users(tmp_path)
    script("""
        import pathlib, signal, pumice
        try:
            pumice.convert("source", "target", cluster=True, progress=lambda _: signal.raise_signal(signal.SIGINT))
        except KeyboardInterrupt:
            assert [path.name for path in pathlib.Path().iterdir()] == ["source"]
        else:
            raise AssertionError("not interrupted")
        pumice.convert("source", "target", cluster=True, namespace="users")
    """)
    with pumice.open(tmp_path / "target") as engine:
        assert engine.default["ada"] == b"countess"


def test_usage(engine: pumice.Engine, users: pumice.Namespace) -> None:
    """usage counts keys and bytes of each namespace by type, those that expired apart."""
    users["ada"] = b"countess"
    users.put("gone", b"1", ttl=0.001)
    while "gone" in users:
        pass
    stages = []
    usage = engine.usage(progress=lambda progress: stages.append(progress.stage))
    assert set(stages) == {"count"}
    default, of_users = usage.namespaces
    assert (default.name, default.registered, default.kinds, default.keys) == ("__namespace", True, [], 0)
    assert (of_users.name, of_users.registered, of_users.keys, of_users.expired_keys) == ("users", True, 1, 1)
    (strings,) = of_users.kinds
    assert (strings.kind, strings.keys, strings.bytes) == ("string", 1, of_users.bytes)
    assert of_users.bytes > len("adacountess") and of_users.expired_bytes > 0 and of_users.remains_bytes == 0
    assert usage.other_bytes > 0 and usage.unreadable_records == 0
    assert repr(usage) == f"<pumice.Usage of 2 namespaces: 1 keys, {of_users.bytes} bytes>"
    assert "'users': 1 keys" in repr(of_users) and repr(strings).startswith("KindUsage(kind='string', keys=1,")


def test_usage_is_cancelled(engine: pumice.Engine) -> None:
    """An exception from progress comes out of usage, and a closed engine has none."""

    def stop(progress: pumice.Progress) -> None:
        raise LookupError(progress.stage)

    with pytest.raises(LookupError, match="count"):
        engine.usage(progress=stop)
    engine.close()
    with pytest.raises(pumice.ClosedError):
        engine.usage()


def test_usage_of_kvrocks(tmp_path: Path) -> None:
    """Keys of every type that a Kvrocks wrote are counted under its name."""
    shutil.copytree(FIXTURES / "plain-zstd" / "db", tmp_path / "db")
    with pumice.open(tmp_path, read_only=True) as engine:
        for namespace in engine.usage().namespaces:
            kinds = {kind.kind: kind.keys for kind in namespace.kinds}
            assert kinds.keys() >= {"string", "hash", "list", "set", "zset", "bitmap", "stream", "ReJSON-RL"}
            assert sum(kinds.values()) == namespace.keys and namespace.expired_keys > 0
