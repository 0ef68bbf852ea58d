"""Topologies and events, as far as the shared scenarios do not tell them."""

import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pumice
import pytest
from conftest import ROOT, interrupted

A, B = "a" * 40, "b" * 40
TEXT = f"{A} 127.0.0.1 1 master - 0-100 102\n{B} 127.0.0.2 2 slave {A}\n"
NODES = [pumice.Node(A, "127.0.0.1", 1, slots=[(0, 100), (102, 102)]), pumice.Node(B, "127.0.0.2", 2, A)]


def test_nodes_are_values() -> None:
    """A node compares, hashes, pickles and shows itself by what it says."""
    a, b = NODES
    assert (a.id, a.host, a.port, a.primary, a.slots) == (A, "127.0.0.1", 1, None, ((0, 100), (102, 102)))
    assert (b.primary, b.slots) == (A, ()) and a != b and len({a, b, pumice.Node(B, "127.0.0.2", 2, primary=A)}) == 2
    assert pickle.loads(pickle.dumps(a)) == a
    assert repr(b) == f"Node('{B}', '127.0.0.2', 2, primary='{A}')".replace("'", '"')
    assert eval(repr(a), {"Node": pumice.Node}) == a


def test_text_and_nodes_are_one(engine: pumice.Engine) -> None:
    """The text of SETNODES and a list of nodes make the same topology; setting it again is no news, a lower one is
    refused unless it is forced."""
    assert engine.topology().version is None and engine.topology().node_id is None
    assert engine.set_topology(TEXT, version=3, node_id=A)
    assert not engine.set_topology(iter(NODES), version=3, node_id=A)
    status = engine.topology()
    assert (status.version, status.nodes, status.node_id) == (3, NODES, A)
    assert (status.role, status.epoch, status.desired, status.actual) == ("primary", 3, None, None)
    assert status.converged and status.reason is None and time.time() - 3600 < status.since <= time.time() + 1
    with pytest.raises(pumice.InvalidArgumentError, match="got 2, expected more than 3"):
        engine.set_topology(NODES, version=2, node_id=A)
    assert engine.set_topology(NODES, version=2, node_id=A, password="secret", force=True)


def test_a_replica_says_what_it_lacks(engine: pumice.Engine) -> None:
    """A node whose primary is not there says whom it wants, what its link does, and why it is not converged."""
    engine.set_topology(NODES, version=1, node_id=B)
    status = engine.topology()
    assert (status.role, status.desired, status.converged) == ("replica", ("127.0.0.1", 1), False)
    assert isinstance(status.actual, pumice.LinkStatus) and status.actual.port == 1
    assert status.reason is not None and "127.0.0.1:1" in status.reason and "not converged" in repr(status)
    with pytest.raises(pumice.InvalidArgumentError, match="topology version 1 governs this node"):
        engine.promote()


@pytest.mark.parametrize(
    ("nodes", "kind"),
    [
        ("", pumice.InvalidArgumentError),
        ("no node", pumice.InvalidArgumentError),
        ([], pumice.InvalidArgumentError),
        ([pumice.Node("short", "h", 1)], pumice.InvalidArgumentError),
        ([pumice.Node(A, "h", 1, slots=[(5, 2)])], pumice.InvalidArgumentError),
        ([pumice.Node(A, "h", 1, B)], pumice.InvalidArgumentError),
        (["a"], TypeError),
        (5, TypeError),
    ],
)
def test_what_is_no_topology_is_refused(engine: pumice.Engine, nodes: Any, kind: type[Exception]) -> None:
    """Nothing governs after a refusal."""
    with pytest.raises(kind):
        engine.set_topology(nodes, version=1, node_id=A)
    with pytest.raises(pumice.InvalidArgumentError, match="node id"):
        engine.set_topology(NODES, version=1, node_id="me")
    assert engine.topology().version is None


def test_events(engine: pumice.Engine) -> None:
    """Events come in order with their time; a loop over them waits, and ends when the engine is closed."""
    events, late = engine.events(), []
    assert events.next(0) is None and events.next(0.01) is None
    engine.set_topology(TEXT, version=1, node_id=A)
    first = events.next(60)
    assert first is not None and first.message == "topology version 1 governs"
    assert (first.kind, first.lost) == ("topology", 0)
    assert abs(time.time() - first.time) < 3600 and "topology version 1 governs" in repr(first)
    listener = threading.Thread(target=lambda: late.extend(event.kind for event in events))
    listener.start()
    engine.set_topology(TEXT.replace("0-100 102", "7"), version=1, node_id=A)
    engine.close()
    listener.join(60)
    assert not listener.is_alive() and late[0] == "topology"
    with pytest.raises(pumice.ClosedError):
        events.next()
    assert list(events) == [] and repr(events) == "<pumice.Events, over>"
    for call in (engine.events, engine.topology):
        with pytest.raises(pumice.ClosedError):
            call()


def test_lost_events_are_counted(engine: pumice.Engine) -> None:
    """Who does not take events in time loses the oldest, and is told how many."""
    engine.set_topology(TEXT, version=1, node_id=A)
    events = engine.events()
    for _ in range(1030):
        assert not engine.set_topology(NODES[:1], version=1, node_id=A)
    first = events.next(0)
    assert first is not None and first.lost == 6 and "version 1 was set again with other nodes" in first.message
    assert "lost=6" in repr(first)


def test_events_do_not_keep_an_engine_open(tmp_path: Path) -> None:
    """A loop over events ends when nobody holds the engine any more, and the directory is free."""
    events = pumice.open(tmp_path / "e").events()
    assert list(events) == []
    pumice.open(tmp_path / "e").close()


@pytest.mark.parametrize("wait", ["events.next()", "events.next(3600)", "list(events)"])
def test_interrupt_ends_a_wait_for_events(wait: str, tmp_path: Path) -> None:
    """Ctrl-C ends a wait for an event, and the events can be asked again."""
    said = interrupted(
        f"""
        import pumice, time
        engine = pumice.open("e")
        events = engine.events()
        try:
            print("now")
            {wait}
        except KeyboardInterrupt:
            print("interrupted", events.next(0))
        engine.close()
        """,
        tmp_path,
    )
    assert said == "interrupted None\n"


def test_events_in_a_fork(script: Any) -> None:
    """A forked child hears nothing and waits for nothing."""
    script(
        """
        import os, pumice
        engine = pumice.open("e")
        events = engine.events()
        child = os.fork()
        if child == 0:
            try:
                events.next()
            except pumice.ClosedError:
                os._exit(0 if list(events) == [] else 2)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert events.next(0) is None
        """
    )


@pytest.mark.parametrize(("story", "least"), [("namespaces", 8), ("topology", 15)])
def test_stories(story: str, least: int, tmp_path: Path) -> None:
    """Both stories hold between real processes: each line of the table is so."""
    program = ROOT / "examples" / story / "run.py"
    done = subprocess.run(
        [sys.executable, str(program)], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) >= least and all(line.startswith("ok ") for line in lines), done.stdout


def test_a_story_can_fail(tmp_path: Path) -> None:
    """A story whose process dies exits with something else than 0."""
    source = (ROOT / "examples" / "topology" / "run.py").read_text()
    broken = tmp_path / "run.py"
    broken.write_text(source.replace("rest = [a.listed(), c.listed(a)]", "rest = full"))
    done = subprocess.run([sys.executable, str(broken)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1 and "NOT SO" in done.stdout, done.stdout + done.stderr
