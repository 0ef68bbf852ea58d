"""Handles, threads, forks, signals and the end of the interpreter: nothing crashes and nothing is lost."""

import gc
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pumice
import pytest
from conftest import interrupted

Script = Callable[..., "subprocess.CompletedProcess[str]"]

# Far above what any of these calls takes: a test fails by it only when the call would never end.
PATIENCE = 60.0


def fill(namespace: pumice.Namespace, count: int) -> None:
    namespace.update({b"%06d" % i: b"value" * 10 for i in range(count)})


def test_views_outlive_close(tmp_path: Path) -> None:
    """A view of a value is valid after the key was overwritten, the engine closed and everything else collected."""
    engine = pumice.open(tmp_path / "e")
    users = engine.create_namespace("users")
    users["small"], users["large"] = b"small", bytes(range(256)) * 4096
    engine.create_checkpoint(tmp_path / "c")
    small, large, none = users.get_view("small"), users.get_view("large"), users.get_view("nobody")
    assert small is not None and large is not None and none is None
    assert small.readonly and small.nbytes == 5 and small == b"small" and bytes(large[256:512]) == bytes(range(256))
    with pytest.raises(TypeError):
        small[0] = 1
    part = large[1000:2000]
    users["small"] = b"other"
    users.clear()
    engine.close()
    del engine, users, large
    gc.collect()
    assert small == b"small" and bytes(part) == (bytes(range(256)) * 4096)[1000:2000]
    with pytest.raises(pumice.BusyError):
        pumice.open(tmp_path / "e")
    del small, part
    gc.collect()
    with pumice.open(tmp_path / "e") as engine:
        assert engine.namespace("users") == {}


def test_the_directory_is_free_after_close(tmp_path: Path) -> None:
    """Iterators, snapshots, logs and batches that are still held do not keep the directory open after close."""
    engine = pumice.open(tmp_path / "e")
    users = engine.create_namespace("users")
    fill(users, 5000)
    iterator, items, log, snapshot = iter(users), iter(users.items()), engine.log(), engine.snapshot()
    then = snapshot.namespace("users")
    inner = iter(then.values())
    held: list[Any] = [next(iterator), next(items), next(log), next(inner), engine.batch(), users.keys()]
    engine.close()
    with pumice.open(tmp_path / "e") as again:
        assert len(again.namespace("users")) == 5000
        for ended in (iterator, items, log, inner):
            with pytest.raises(pumice.ClosedError):
                next(ended)
    assert len(held) == 6


def test_close_while_threads_run(tmp_path: Path) -> None:
    """Threads that read, write, iterate and follow the log while the engine is closed end with ClosedError only."""
    engine = pumice.open(tmp_path / "e")
    users = engine.create_namespace("users")
    fill(users, 2000)
    started, wrong = threading.Barrier(6), list[BaseException]()

    def until_closed(work: Callable[[], object]) -> threading.Thread:
        def loop() -> None:
            started.wait()
            try:
                while True:
                    work()
            except pumice.ClosedError:
                pass
            except BaseException as error:
                wrong.append(error)

        thread = threading.Thread(target=loop)
        thread.start()
        return thread

    threads = [
        until_closed(lambda: users["000001"]),
        until_closed(lambda: users.put("000002", b"x")),
        until_closed(lambda: list(users.items())),
        until_closed(lambda: len(users)),
        until_closed(lambda: next(engine.log(engine.position, wait=60), None)),
    ]
    started.wait()
    users["last"] = b"written"
    engine.close()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert wrong == []
    with pumice.open(tmp_path / "e") as engine:
        assert engine.namespace("users")["last"] == b"written" and engine.verify("records") == []


def test_one_iterator_in_many_threads(users: pumice.Namespace) -> None:
    """Threads that share an iterator get each row once between them."""
    fill(users, 20_000)
    iterator, parts = iter(users), [list[bytes]() for _ in range(4)]
    threads = [threading.Thread(target=lambda part=part: part.extend(iterator)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(key for part in parts for key in part) == list(users)


def test_readers_across_a_swap(engine: pumice.Engine, tmp_path: Path) -> None:
    """While checkpoints are applied, readers on other threads see the old or the new dataset and no error."""
    users = engine.create_namespace("users")
    users["k"] = b"0"
    with pumice.open(tmp_path / "r", role="replica") as replica:
        replica.apply_checkpoint(engine.create_checkpoint(tmp_path / "c0"))
        seen, wrong, stop = list[int](), list[BaseException](), threading.Event()
        handle = replica.namespace("users")

        def read() -> None:
            try:
                while not stop.is_set():
                    seen.append(int(handle["k"]))
            except BaseException as error:
                wrong.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        old = iter(handle.values())
        for turn in range(1, 6):
            users["k"] = b"%d" % turn
            replica.apply_checkpoint(engine.create_checkpoint(tmp_path / f"c{turn}"))
            assert handle["k"] == b"%d" % turn
        stop.set()
        thread.join()
        assert wrong == [] and seen == sorted(seen) and next(old) == b"0"
        engine.drop_namespace("users")
        replica.apply_checkpoint(engine.create_checkpoint(tmp_path / "gone"))
        with pytest.raises(pumice.NotFoundError):
            handle["k"]


def test_the_log_is_followed(engine: pumice.Engine, users: pumice.Namespace) -> None:
    """A log that waits gives what another thread writes, stops when nothing comes, and goes on when asked again."""
    log = engine.log(engine.position, wait=PATIENCE)
    writer = threading.Timer(0.05, lambda: users.put("k", b"v"))
    writer.start()
    entry = next(log)
    writer.join()
    assert [change.key for change in engine.changes(entry)] == [b"k"]
    assert log.position == engine.position and (entry.first, entry.last) == (entry.last, log.position.sequence)
    tail = engine.log(engine.position)
    assert list(tail) == []
    users["k"] = b"w"
    assert [change.value for entry in tail for change in engine.changes(entry)] == [b"w"]
    assert list(engine.log(engine.position, wait=0.01)) == []


def test_exit_with_live_handles(script: Script) -> None:
    """The interpreter ends without a crash while iterators, snapshots, views, logs and batches are alive."""
    done = script("""
        import pumice
        engine = pumice.open("e")
        users = engine.create_namespace("users")
        users.update({b"%06d" % i: b"x" * 100 for i in range(20_000)})
        iterator, items = iter(users), iter(users.items())
        snapshot = engine.snapshot()
        then = snapshot.namespace("users")
        inner = iter(then)
        view, log, batch = users.get_view("000001"), engine.log(), engine.batch()
        held = [next(iterator), next(items), next(inner), next(log)]
        batch.put(users, "never", b"")
        cycle = [engine, iterator, view]
        cycle.append(cycle)
        print("end")
    """)
    assert done.stdout == "end\n" and done.stderr == ""


def test_exit_with_running_threads(script: Script) -> None:
    """The interpreter ends without a crash while daemon threads read, write and wait, and a flush goes on."""
    done = script("""
        import threading, time, pumice
        engine = pumice.open("e")
        users = engine.create_namespace("users")
        users.update({b"%06d" % i: b"x" * 100 for i in range(2_000)})
        def forever(work):
            def loop():
                while True: work()
            threading.Thread(target=loop, daemon=True).start()
        forever(lambda: users["000001"])
        forever(lambda: users.put("k", b"v", sync=True))
        forever(lambda: list(users.items()))
        forever(lambda: next(engine.log(engine.position, wait=60), None))
        forever(lambda: engine.verify("records"))
        forever(engine.flush)
        time.sleep(0.3)
        print("end")
    """)
    assert done.stdout == "end\n" and done.stderr == ""


def test_a_fork_hurts_nobody(tmp_path: Path, script: Script) -> None:
    """A child that calls, collects, runs threads and exits takes nothing from a parent that writes on and is then killed."""
    script(
        """
        import gc, os, signal, sys, threading, pumice
        engine = pumice.open("e", sync=True)
        users = engine.create_namespace("users")
        users.update({b"before%04d" % i: b"x" for i in range(500)})
        engine.create_checkpoint("checkpoint")
        iterator, snapshot, log, view = iter(users), engine.snapshot(), engine.log(), users.get_view("before0001")
        inner = iter(snapshot.namespace("users"))
        next(iterator), next(inner), next(log)
        batch = engine.batch()
        batch.put(users, "batched", b"x")
        child = os.fork()
        if child == 0:
            calls = [
                lambda: users["before0001"], lambda: users.put("k", b"v"), lambda: list(users), lambda: len(users),
                lambda: users.get_many(["k"]), lambda: users.get_view("k"), lambda: users.token, lambda: bool(users),
                lambda: engine.position, lambda: engine.role, lambda: engine.namespaces(), lambda: engine.default,
                lambda: engine.create_namespace("c"), lambda: engine.flush(), lambda: engine.verify(),
                lambda: engine.info(), lambda: engine.create_checkpoint("c"), lambda: engine.apply_checkpoint("c"),
                lambda: engine.promote(), lambda: engine.close(), lambda: snapshot.namespaces(), lambda: next(log),
                lambda: snapshot.namespace("users"), lambda: engine.snapshot(), lambda: batch.commit(),
                lambda: [next(inner) for _ in range(1000)],
            ]
            for number, call in enumerate(calls):
                try:
                    call()
                except pumice.ClosedError:
                    continue
                os._exit(100 + number)
            if not engine.closed or bytes(view) != b"x":
                os._exit(99)
            try:
                pumice.open("child")
            except pumice.UnsupportedError as error:
                assert "fork" in str(error)
            else:
                os._exit(98)
            del engine, users, iterator, snapshot, inner, log, batch, view, calls, call
            for _ in range(10):
                threads = [threading.Thread(target=gc.collect) for _ in range(4)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            gc.collect()
            sys.exit(7)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 7, os.waitstatus_to_exitcode(status)
        users.update({b"after%04d" % i: b"x" for i in range(2000)})
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        code=-signal.SIGKILL,
        # Each of its writes waits for the disk.
        seconds=600,
    )
    with pumice.open(tmp_path / "e") as engine:
        users = engine.namespace("users")
        assert len(users.keys(prefix="before")) == 500 and len(users.keys(prefix="after")) == 2000
        assert engine.verify("records") == [] and "batched" not in users


def test_a_forked_child_leaves_the_block(tmp_path: Path, script: Script) -> None:
    """A child that leaves the parent's `with` block exits as it wanted to, and the parent goes on."""
    script("""
        import os, sys, pumice
        with pumice.open("e") as engine:
            with engine.snapshot() as snapshot:
                child = os.fork()
                if child == 0:
                    sys.exit(7)
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
                engine.default["k"] = b"v"
        with pumice.open("e") as engine:
            assert engine.default["k"] == b"v"
    """)


def test_ctrl_c_ends_a_wait_for_the_log(tmp_path: Path) -> None:
    """Ctrl-C ends the wait for an entry that never comes."""
    source = """
        import threading, pumice
        engine = pumice.open("e")
        log = engine.log(engine.position, wait=3600)
        try:
            print("now")
            next(log)
        except KeyboardInterrupt:
            print("interrupted")
        engine.default["k"] = b"v"
        print(len(list(engine.log())) > 0)
        engine.close()
    """
    assert interrupted(source, tmp_path) == "interrupted\nTrue\n"


def test_ctrl_c_ends_a_wait_for_a_lock(tmp_path: Path) -> None:
    """Ctrl-C ends a close that waits for another thread's apply, which still ends well, and the close with it."""
    source = """
        import threading, pumice
        engine = pumice.open("e")
        engine.default["k"] = b"v"
        checkpoint = engine.create_checkpoint("c")
        inside, leave = threading.Event(), threading.Event()
        def hold(progress):
            inside.set()
            leave.wait()
        thread = threading.Thread(target=lambda: engine.apply_checkpoint(checkpoint, progress=hold))
        thread.start()
        inside.wait()
        try:
            print("now")
            engine.close()
        except KeyboardInterrupt:
            print("interrupted")
        leave.set()
        thread.join()
        engine.close()
        with pumice.open("e") as engine:
            print(engine.default["k"], engine.verify("records"))
    """
    assert interrupted(source, tmp_path) == "interrupted\nb'v' []\n"


def test_a_signal_cancels_an_apply(tmp_path: Path, script: Script) -> None:
    """Ctrl-C during apply_checkpoint raises KeyboardInterrupt, leaves the old dataset, and the next apply succeeds."""
    done = script("""
        import signal, pumice
        engine = pumice.open("e")
        engine.default["k"] = b"old"
        checkpoint = engine.create_checkpoint("c")
        engine.default["k"] = b"new"
        try:
            engine.apply_checkpoint(checkpoint, progress=lambda progress: signal.raise_signal(signal.SIGINT))
        except KeyboardInterrupt:
            print("interrupted", engine.default["k"])
        engine.apply_checkpoint(checkpoint)
        print(engine.default["k"], engine.verify("records"))
    """)
    assert done.stdout == "interrupted b'new'\nb'old' []\n"


def test_ctrl_c_ends_a_count(tmp_path: Path) -> None:
    """Ctrl-C ends a count of many keys, and the engine counts again afterwards."""
    source = """
        import signal, threading, time, pumice
        engine = pumice.open("e")
        for batch_of in range(20):
            with engine.batch() as batch:
                for i in range(5_000):
                    batch.put(engine.default, b"%d:%d" % (batch_of, i), b"v")
        try:
            print("now")
            while True:
                len(engine.default)
        except KeyboardInterrupt:
            print(len(engine.default))
        engine.close()
    """
    assert interrupted(source, tmp_path) == "100000\n"


def test_exit_behind_a_call_that_was_left(tmp_path: Path) -> None:
    """A program that ends right after Ctrl-C left work behind waits for it and does not crash."""
    source = """
        import pumice
        engine = pumice.open("e")
        for batch_of in range(20):
            with engine.batch() as batch:
                for i in range(5_000):
                    batch.put(engine.default, b"%d:%d" % (batch_of, i), b"v" * 100)
        try:
            print("now")
            while True:
                engine.verify("records")
        except KeyboardInterrupt:
            pass
    """
    assert interrupted(source, tmp_path) == ""
