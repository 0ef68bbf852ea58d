"""Following and serving: what the shared scenarios cannot say about Python."""

import gc
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pumice
import pytest
from conftest import FIXTURES, interrupted

Script = Callable[..., "subprocess.CompletedProcess[str]"]

PATIENCE = 60.0


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[pumice.Engine]:
    with pumice.open(tmp_path / "replica", role="replica") as opened:
        yield opened


def place(listener: pumice.Listener) -> tuple[str, int]:
    assert isinstance(listener.address, tuple)
    return listener.address


@pytest.fixture
def silent() -> Iterator[tuple[str, int]]:
    """The address of a primary that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()


def test_follow_and_wait(engine: pumice.Engine, replica: pumice.Engine) -> None:
    """With wait the data is there when the call returns; link and feed say who follows whom, since when, and how far."""
    before = time.time()
    engine.create_namespace("users")["ada"] = b"countess"
    listener = engine.serve()
    assert replica.link is None and engine.feeds() == []
    replica.follow(*place(listener), wait=True, timeout=PATIENCE)
    assert replica.wait_for(engine.position, PATIENCE) and replica.namespace("users")["ada"] == b"countess"
    assert engine.wait_acked(engine.position, 1, PATIENCE) == 1
    link, [feed] = replica.link, engine.feeds()
    assert link is not None and (link.host, link.port) == listener.address
    assert (link.state, link.peer, link.last_error, link.sync) == ("streaming", "pumice", None, None)
    assert before - 1 <= link.since <= time.time() + 1 and before - 1 <= feed.since <= time.time() + 1
    assert link.lag_sequences == 0 and link.lag_seconds == 0 and link.last_io is not None and link.last_io >= 0
    assert (feed.host, feed.port, feed.peer, feed.lag_sequences) == ("127.0.0.1", 0, "pumice", 0)
    assert feed.sent == feed.acked == engine.position.sequence
    assert feed.durable is not None and feed.last_ack is not None and feed.last_ack >= 0 and feed.id > 0
    assert "streaming" in repr(link) and "127.0.0.1" in repr(feed) and "127.0.0.1" in repr(listener)


def test_progress_is_told(engine: pumice.Engine, tmp_path: Path) -> None:
    """A full sync is told to the callback, which is called on the thread that waits, with what is done of what."""
    value = bytes(range(256)) * 32
    engine.default.update({b"%06d" % i: value for i in range(500)})
    engine.flush()
    listener = engine.serve(sync_bytes_per_second=2_000_000)
    with pumice.open(tmp_path / "own") as own:
        own.default["own"] = b"entry"
        told, threads = list[pumice.LinkStatus](), set[int]()

        def look(link: pumice.LinkStatus) -> None:
            told.append(link)
            threads.add(threading.get_ident())

        own.follow(*place(listener), wait=True, timeout=PATIENCE, progress=look)
        assert own.default.get("own") is None and len(own.default) == 500
        syncs = [link.sync for link in told if link.sync is not None]
        assert threads == {threading.get_ident()} and syncs and any(sync.bytes > 0 for sync in syncs)
        assert all(sync.bytes_done <= sync.bytes and sync.files_done <= sync.files for sync in syncs)
        assert all(0 <= sync.bytes_reused <= sync.bytes_done and sync.bytes_per_second >= 0 for sync in syncs)
        assert all(sync.remaining_seconds is None or sync.remaining_seconds >= 0 for sync in syncs)
        assert "files=" in repr(syncs[-1])
        link = own.link
        assert link is not None and link.full_syncs == 1 and link.warning is not None and "gave up" in link.warning
        assert own.discard() == 1 and own.discard() == 0


def test_a_wait_that_ends_early(replica: pumice.Engine, silent: tuple[str, int]) -> None:
    """The end of the time is a BusyError, an exception of the callback comes out as it is, and the link goes on."""
    with pytest.raises(pumice.BusyError, match="not here in time"):
        replica.follow(*silent, wait=True, timeout=0.05)
    assert replica.wait_linked(0) is False

    def stop(link: pumice.LinkStatus) -> None:
        raise ZeroDivisionError(link.state)

    with pytest.raises(ZeroDivisionError):
        replica.follow(*silent, wait=True, progress=stop)
    assert replica.link is not None and (replica.link.host, replica.link.port) == silent
    with pytest.raises(pumice.InvalidArgumentError, match="wait=True"):
        replica.follow(*silent, timeout=1)
    with pytest.raises(pumice.InvalidArgumentError, match="wait=True"):
        replica.follow(*silent, progress=print)
    with pytest.raises(pumice.InvalidArgumentError):
        replica.follow("", 1)
    with pytest.raises(OverflowError):
        replica.follow("localhost", 65536)


def test_a_listener_need_not_be_kept(engine: pumice.Engine, replica: pumice.Engine) -> None:
    """A listener that nobody keeps goes on until the engine is closed; one that is left by its block does not."""
    host, port = place(engine.serve())
    gc.collect()
    replica.follow(host, port, wait=True, timeout=PATIENCE)
    with engine.serve() as second:
        other = place(second)
        socket.create_connection(other).close()
        with pytest.raises(pumice.BusyError):
            engine.serve("%s:%d" % other)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(other)
    second.close()
    engine.serve("%s:%d" % other).close()
    socket.create_connection((host, port)).close()
    engine.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, port))
    with pytest.raises(pumice.ClosedError):
        engine.serve()


def test_wrong_ways_to_serve(engine: pumice.Engine, tmp_path: Path) -> None:
    """Addresses and options that cannot be are refused with the kind that says so."""
    wrong: list[dict[str, Any]] = [
        {"addr": "nowhere"},
        {"password": ""},
        {"max_connections": 0},
        {"authenticate_timeout": 0},
        {"send_timeout": 0},
    ]
    for options in wrong:
        with pytest.raises(pumice.InvalidArgumentError):
            engine.serve(**options)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(pumice.AlreadyExistsError):
        engine.serve(f"unix:{tmp_path / 'file'}")
    assert (tmp_path / "file").read_text() == "mine"


def test_close_ends_every_wait(engine: pumice.Engine, replica: pumice.Engine, silent: tuple[str, int]) -> None:
    """Threads that wait for a link, a position or an acknowledgement end with ClosedError when the engine is closed."""
    replica.follow(*silent)
    far = pumice.Position(replica.position.replication_id, replica.position.sequence + 1000)
    waits: list[Callable[[], object]] = [
        lambda: replica.wait_linked(),
        lambda: replica.wait_for(far, 3600),
        lambda: engine.wait_acked(engine.position, 1, 3600),
    ]
    ended = list[BaseException | None]()

    def wait(call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as error:
            ended.append(error)
        else:
            ended.append(None)

    threads = [threading.Thread(target=wait, args=(call,), daemon=True) for call in waits]
    for thread in threads:
        thread.start()
    replica.close()
    engine.close()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert [type(error) for error in ended] == [pumice.ClosedError] * 3, ended


@pytest.mark.parametrize(
    "wait",
    [
        "engine.follow(*nobody, wait=True)",
        "engine.follow(*nobody, wait=True, timeout=3600, progress=lambda link: None)",
        "engine.follow(*nobody) or engine.wait_linked()",
        "engine.wait_for(far, 3600)",
        "primary.wait_acked(primary.position, 1, 3600)",
    ],
)
def test_ctrl_c_ends_a_wait(wait: str, tmp_path: Path) -> None:
    """Ctrl-C ends each wait of replication, and the engine goes on."""
    source = f"""
        import socket, pumice
        engine, primary = pumice.open("e", role="replica"), pumice.open("p")
        server = socket.create_server(("127.0.0.1", 0))
        nobody = server.getsockname()
        far = pumice.Position(engine.position.replication_id, 1000)
        try:
            print("now")
            {wait}
        except KeyboardInterrupt:
            print("interrupted")
        primary.default["k"] = b"v"
        engine.promote()
        engine.default["k"] = b"v"
        engine.close()
        primary.close()
    """
    assert interrupted(source, tmp_path) == "interrupted\n"


def test_a_fork_hurts_nobody(tmp_path: Path, script: Script) -> None:
    """In a forked child every call is refused, its end closes nothing, and the parent goes on to serve and to follow."""
    script("""
        import gc, os, sys, pumice
        primary, replica = pumice.open("p"), pumice.open("r", role="replica")
        listener = primary.serve()
        replica.follow(*listener.address, wait=True, timeout=60)
        child = os.fork()
        if child == 0:
            calls = [
                lambda: primary.serve(), lambda: primary.feeds(), lambda: primary.hand_over("127.0.0.1", 1, 1),
                lambda: primary.wait_acked(primary.position, 1, 1), lambda: replica.link, lambda: replica.detach(),
                lambda: replica.wait_for(pumice.Position("", 0), 1), lambda: replica.wait_linked(1),
                lambda: replica.follow("127.0.0.1", 1), lambda: replica.follow("127.0.0.1", 1, wait=True),
                lambda: replica.discard(), lambda: replica.promote(),
            ]
            for number, call in enumerate(calls):
                try:
                    call()
                except pumice.ClosedError:
                    continue
                os._exit(100 + number)
            with listener:
                pass
            del primary, replica, listener, calls, call
            gc.collect()
            sys.exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        primary.default["k"] = b"v"
        assert primary.wait_acked(primary.position, 1, 60) == 1 and replica.default["k"] == b"v"
        second = pumice.open("s", role="replica")
        second.follow(*listener.address, wait=True, timeout=60)
        assert len(primary.feeds()) == 2
        for engine in (second, replica, primary):
            engine.close()
    """)


def test_exit_while_all_runs(script: Script) -> None:
    """The interpreter ends without a crash while an engine serves, feeds and is written to, and another follows it."""
    done = script("""
        import threading, pumice
        primary, replica = pumice.open("p"), pumice.open("r", role="replica")
        replica.follow(*primary.serve().address, wait=True, timeout=60)
        def forever(work):
            def loop():
                while True: work()
            threading.Thread(target=loop, daemon=True).start()
        forever(lambda: primary.default.put("k", b"v" * 1000))
        forever(lambda: replica.wait_for(primary.position, 60))
        forever(lambda: primary.wait_acked(primary.position, 2, 60))
        forever(lambda: (replica.link, primary.feeds()))
        primary.default["last"] = b"written"
        assert replica.wait_for(primary.position, 60)
        print("end")
    """)
    assert done.stdout == "end\n" and done.stderr == ""


def test_readers_go_on_during_a_full_sync(engine: pumice.Engine, tmp_path: Path) -> None:
    """While the dataset is brought, readers on other threads see the old or the new one and no error."""
    engine.create_namespace("n").update({b"%05d" % i: b"new" for i in range(3000)})
    with pumice.open(tmp_path / "own") as own:
        own.create_namespace("n").update({b"%05d" % i: b"old" for i in range(3000)})
        handle, seen, wrong, stop = own.namespace("n"), set[bytes](), list[BaseException](), threading.Event()

        def read() -> None:
            try:
                while not stop.is_set():
                    values = set(handle.values())
                    assert len(values) == 1
                    seen.update(values)
            except BaseException as error:
                wrong.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        own.follow(*place(engine.serve()), wait=True, timeout=PATIENCE)
        stop.set()
        thread.join(PATIENCE)
        assert wrong == [] and seen <= {b"old", b"new"} and handle["00001"] == b"new"


def test_hand_over_without_a_replica(engine: pumice.Engine) -> None:
    """Without such a replica nothing changes."""
    with pytest.raises(pumice.NotFoundError):
        engine.hand_over("127.0.0.1", 1, timeout=1)
    engine.default["k"] = b"v"
    with pytest.raises(pumice.InvalidArgumentError):
        engine.hand_over("127.0.0.1", 1, timeout=-1)


def test_what_is_read_is_not_discarded(engine: pumice.Engine, tmp_path: Path) -> None:
    """A dataset that was given up stays while a snapshot shows it, also when it is discarded, and goes then."""
    own = pumice.open(tmp_path / "own")
    own.default.update({b"%04d" % i: b"own" for i in range(1000)})
    then = own.snapshot()
    own.follow(*place(engine.serve()), wait=True, timeout=PATIENCE)
    folder = own.path / "generations" / "000001"
    assert folder.is_dir() and own.discard() == 1 and own.discard() == 0
    assert folder.is_dir() and len(then.default) == 1000 and set(then.default.values()) == {b"own"}
    then.close()
    own.close()
    assert not folder.exists() and not list(own.path.glob("generations/000001*"))


def pem(name: str) -> Path:
    return FIXTURES / "tls" / name


def test_tls(engine: pumice.Engine, replica: pumice.Engine) -> None:
    """Over TLS a replica follows who shows a certificate of its CA, and says why not when another does; who speaks in the
    clear is not answered. What was given can be read again."""
    engine.default["ada"] = b"countess"
    server = pumice.TlsServer(pem("node.pem"), str(pem("node.key")), client_ca=pem("ca.pem"), peer_ca=pem("ca.pem"))
    assert (server.certificate, server.key) == (pem("node.pem"), pem("node.key"))
    assert (server.client_ca, server.peer_ca) == (pem("ca.pem"), pem("ca.pem")) and "node.key" in repr(server)
    listener = engine.serve(tls=server)
    shown = {"certificate": pem("node.pem"), "key": pem("node.key")}

    def reason(tls: pumice.TlsClient | None) -> str:
        """Why the link fails, as the error of a wait has it."""
        told = ""

        def look(link: pumice.LinkStatus) -> None:
            nonlocal told
            if link.last_error is not None:
                told = link.last_error
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            replica.follow(*place(listener), tls=tls, wait=True, timeout=PATIENCE, progress=look)
        return told

    assert "UnknownIssuer" in reason(pumice.TlsClient(pem("other-ca.pem"), **shown))
    assert "CertificateRequired" in reason(pumice.TlsClient(pem("ca.pem")))
    assert "not valid for name" in reason(pumice.TlsClient(pem("ca.pem"), server_name="other.test", **shown))
    assert "it speaks TLS" in reason(None)
    client = pumice.TlsClient(pem("ca.pem"), server_name="localhost", **shown)
    assert (client.ca, client.certificate, client.key) == (pem("ca.pem"), pem("node.pem"), pem("node.key"))
    assert client.server_name == "localhost" and "ca.pem" in repr(client)
    replica.follow(*place(listener), tls=client, wait=True, timeout=PATIENCE)
    assert replica.wait_for(engine.position, PATIENCE) and replica.default["ada"] == b"countess"

    with socket.create_connection(place(listener)) as plain:
        plain.sendall(b"PING\r\n")
        answer = plain.recv(100)
        # An alert of TLS and nothing else.
        assert answer[:1] == b"\x15" and b"PONG" not in answer


def test_wrong_tls(engine: pumice.Engine, replica: pumice.Engine) -> None:
    """Files that do not do are refused by the call that gets them, and nothing listens or follows."""
    with pytest.raises(pumice.IoError, match="missing.pem"):
        engine.serve(tls=pumice.TlsServer(pem("missing.pem"), pem("node.key")))
    with pytest.raises(pumice.InvalidArgumentError, match="named.key"):
        engine.serve(tls=pumice.TlsServer(pem("node.pem"), pem("named.key")))
    with pytest.raises(pumice.IoError, match="missing.pem"):
        replica.follow("127.0.0.1", 1, tls=pumice.TlsClient(pem("missing.pem")))
    with pytest.raises(pumice.InvalidArgumentError, match="both or neither"):
        replica.follow("127.0.0.1", 1, tls=pumice.TlsClient(pem("ca.pem"), key=pem("node.key")))
    assert replica.link is None
    wrong: Any = "ca.pem"
    with pytest.raises(TypeError):
        engine.serve(tls=wrong)
    with pytest.raises(TypeError):
        pumice.TlsClient(wrong, wrong, wrong)  # type: ignore[call-arg]
