"""One truth for the topology: python examples/topology/run.py

A primary A with the replicas B and C, each in a process of its own. See README.md.
"""

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pumice

PASSWORD = "secret"
PATIENCE = 60.0


def redis(port: int, *commands: str) -> str:
    """What a listener answers to the last of some commands, without a client library."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection, connection.makefile("rb") as answers:
        for command in (f"AUTH {PASSWORD}", *commands):
            connection.sendall(command.encode() + b"\r\n")
            answer = answers.readline()
            if answer.startswith(b"$") and answer != b"$-1\r\n":
                answer = answers.read(int(answer[1:]) + 2)
    return answer.decode().strip()


def node(folder: Path, node_id: str) -> None:
    """A node: does what it is told, a line of JSON each, and answers with one."""
    with pumice.open(folder, role="detached") as db:
        address = db.serve("127.0.0.1:0", password=PASSWORD).address
        assert isinstance(address, tuple)
        print(json.dumps(address), flush=True)
        for line in sys.stdin:
            what, *arguments = json.loads(line)
            print(json.dumps(globals()[f"do_{what}"](db, address[1], node_id, *arguments)), flush=True)


def after(began: float, is_so: Callable[[], bool]) -> float:
    """How many milliseconds after `began` it is so."""
    while not is_so():
        if time.monotonic() > began + PATIENCE:
            raise TimeoutError("not within a minute")
        time.sleep(0.0005)
    return 1000 * (time.monotonic() - began)


def do_set(db: pumice.Engine, port: int, node_id: str, version: int, nodes: list[list[Any]]) -> dict[str, float]:
    """Sets a topology, and measures from its return: until no link or feed is there that it does not have."""
    members = [pumice.Node(*member) for member in nodes]
    replicas = {member.port for member in members if member.primary == node_id}
    began = time.monotonic()
    db.set_topology(members, version=version, node_id=node_id)
    returned = time.monotonic()
    desired = db.topology().desired

    def closed() -> bool:
        link = db.link
        unwanted = link is not None and (link.host, link.port) != desired
        return not unwanted and all(feed.port in replicas for feed in db.feeds())

    return {"took": 1000 * (returned - began), "closed": after(returned, closed), "returned": returned}


def do_converged(db: pumice.Engine, port: int, node_id: str, returned: float) -> float:
    """Waits until what runs is what was wished: for a replica, that its primary streams."""
    return after(returned, lambda: db.topology().converged)


def do_put(db: pumice.Engine, port: int, node_id: str, key: str, value: str) -> list[Any]:
    db.default[key] = value
    return [db.position.replication_id, db.position.sequence]


def do_get(db: pumice.Engine, port: int, node_id: str, key: str) -> str | None:
    value = db.default.get(key)
    return None if value is None else value.decode()


def do_has(db: pumice.Engine, port: int, node_id: str, position: list[Any], seconds: float) -> bool:
    return db.wait_for(pumice.Position(*position), seconds)


def do_write(db: pumice.Engine, port: int, node_id: str) -> str:
    return redis(port, "SET forbidden value")


def do_status(db: pumice.Engine, port: int, node_id: str) -> dict[str, Any]:
    """INFO replication and the topology, of one moment each."""
    lines = redis(port, "INFO replication").splitlines()
    info = dict(line.split(":", 1) for line in lines if ":" in line)
    status = db.topology()
    return {
        "info": info,
        "version": status.version,
        "role": status.role,
        "epoch": status.epoch,
        "replicas": sum(member.primary == node_id for member in status.nodes),
        "desired": status.desired,
        "actual": status.actual and status.actual.state,
        "converged": status.converged,
        "reason": status.reason,
    }


class Process:
    """A node in a process of its own."""

    def __init__(self, folder: str, letter: str) -> None:
        self.id = letter * 40
        command = [sys.executable, str(Path(__file__).resolve()), str(Path(folder) / letter), self.id]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.host, self.port = self.hear()

    def hear(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"node {self.id[0]} ended with {self.process.wait()}")
        return json.loads(line)

    def ask(self, *request: object) -> Any:
        assert self.process.stdin is not None
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return self.hear()

    def listed(self, primary: "Process | None" = None) -> list[Any]:
        return [self.id, self.host, self.port, primary and primary.id]

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


rows: list[tuple[bool, str, str]] = []


def saw(ok: bool, what: str, seen: object) -> None:
    rows.append((ok, what, str(seen)))


def agrees(status: dict[str, Any]) -> bool:
    """Whether INFO replication and the topology say the same."""
    info = status["info"]
    if status["role"] == "primary":
        return bool(info["role"] == "master" and int(info["connected_slaves"]) == status["replicas"])
    host, port = status["desired"] or ("", 0)
    up = "up" if status["actual"] == "streaming" else "down"
    followed = (info["master_host"], int(info["master_port"] or 0), info["master_link_status"])
    return bool(info["role"] == "slave" and followed == (host, port, up) and info["connected_slaves"] == "0")


def ms(time: float) -> str:
    return f"{time:.1f} ms"


def story(a: Process, b: Process, c: Process) -> None:
    # One call on each node makes roles and links.
    full = [a.listed(), b.listed(a), c.listed(a)]
    for one in (a, b, c):
        returned = one.ask("set", 1, full)["returned"]
        one.ask("converged", returned)
    position = a.ask("put", "first", "1")
    reached = all(one.ask("has", position, PATIENCE) for one in (b, c))
    saw(reached, "version 1: B and C follow A", "a key is on all three")

    # The operator's one step: a topology without B, on A and on B.
    rest = [a.listed(), c.listed(a)]
    on_a, on_b = a.ask("set", 2, rest), b.ask("set", 2, rest)
    shown = a.ask("status"), b.ask("status")
    c.ask("converged", c.ask("set", 2, rest)["returned"])
    saw(on_a["closed"] < PATIENCE, "version 2 drops B: set_topology() on A took", ms(on_a["took"]))
    saw(True, "  then until A feeds B no more", ms(on_a["closed"]))
    saw(True, "  then until B has no link", ms(on_b["closed"]))
    for name, status in zip("AB", shown, strict=True):
        info = status["info"]
        text = f"role:{info['role']} connected_slaves:{info['connected_slaves']}, {status['role']}"
        saw(agrees(status) and status["version"] == 2, f"  INFO and topology() at once, {name}", text)
    saw(shown[0]["role"] == "primary" and shown[1]["role"] == "detached", "  roles", "A primary, B detached")
    refused = b.ask("write")
    saw(refused.startswith("-READONLY"), "  B takes no writes", refused[:60])
    position = a.ask("put", "second", "2")
    there, kept = c.ask("has", position, PATIENCE), b.ask("get", "first")
    reached = b.ask("has", position, 1.0) or b.ask("get", "second") is not None
    saw(there and not reached and kept == "1", "  a write on A", "is on C, not on B after 1 s; B still reads")

    # Listed again, B converges by itself.
    a.ask("set", 3, full)
    c.ask("set", 3, full)
    returned = b.ask("set", 3, full)["returned"]
    streaming = b.ask("converged", returned)
    saw(b.ask("has", position, PATIENCE), "version 3 lists B again: until A streams to it", ms(streaming))
    status = b.ask("status")
    text = f"role:{status['info']['role']}, replica"
    saw(agrees(status) and status["role"] == "replica", "  INFO and topology(), B", text)

    # Roles move the same way.
    moved = [c.listed(), a.listed(c), b.listed(c)]
    c.ask("set", 4, moved)
    for name, one in (("A", a), ("B", b)):
        done = one.ask("set", 4, moved)
        saw(True, f"version 4 makes C the primary: {name}'s old link or feeds closed after", ms(done["closed"]))
        saw(True, f"  C streams to {name} after", ms(one.ask("converged", done["returned"])))
    position = c.ask("put", "third", "3")
    saw(all(one.ask("has", position, PATIENCE) for one in (a, b)), "  a write on C", "is on A and on B")
    statuses = {name: one.ask("status") for name, one in (("A", a), ("B", b), ("C", c))}
    for name, status in statuses.items():
        text = f"role:{status['info']['role']}, {status['role']}, epoch {status['epoch']}"
        saw(agrees(status) and status["converged"], f"  INFO and topology(), {name}", text)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        nodes: list[Process] = []
        try:
            nodes.extend(Process(folder, letter) for letter in "abc")
            story(*nodes)
        finally:
            for one in nodes:
                one.end()
    for ok, what, seen in rows:
        print(f"{'ok' if ok else 'NOT SO':7} {what:62} {seen}")
    return 0 if rows and all(ok for ok, _, _ in rows) else 1


if __name__ == "__main__":
    if sys.argv[1:]:
        node(Path(sys.argv[1]), sys.argv[2])
    else:
        sys.exit(main())
