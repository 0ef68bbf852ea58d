"""Namespaces after a full sync: python examples/namespaces/run.py

A primary with 17 namespaces and a fresh replica, each in a process of its own. See README.md.
"""

import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pumice

NAMES = [f"tenant{n:02}" for n in range(17)]
KEYS = 1000
PASSWORD = "secret"


def token(name: str) -> str:
    return f"token-of-{name}"


def redis(port: int, *commands: str) -> list[str]:
    """The first lines of what a listener answers to commands, without a client library."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection, connection.makefile("rb") as answers:
        said = []
        for command in commands:
            connection.sendall(command.encode() + b"\r\n")
            line = answers.readline()
            said.append((answers.readline() if line.startswith(b"$") and line != b"$-1\r\n" else line).decode().strip())
        return said


def say(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


def primary(folder: Path) -> None:
    """Makes the namespaces, serves them, and makes one more when it is told to."""
    with pumice.open(folder / "made") as db:
        for name in NAMES:
            namespace = db.create_namespace(name, token(name))
            with db.batch() as batch:
                for n in range(KEYS):
                    batch.put(namespace, f"key{n}", f"{name}-{n}".encode() + bytes(100))
        checkpoint = db.create_checkpoint(folder / "checkpoint")
    with pumice.open(folder / "restored") as db:
        # Its log begins here, so that a fresh replica must be sent the whole dataset, as one that was away for long.
        db.apply_checkpoint(checkpoint)
        say(address=db.serve(password=PASSWORD).address)
        sys.stdin.readline()
        db.create_namespace("late", token("late"))["key"] = b"late"
        say(position=[db.position.replication_id, db.position.sequence])
        sys.stdin.readline()


def moment(view: pumice.Snapshot) -> tuple[int, int]:
    """How many of the namespaces are listed at one moment, and of how many, listed or not, the last key is there."""

    def has_data(name: str) -> bool:
        try:
            return f"key{KEYS - 1}".encode() in view.namespace(name)
        except pumice.NotFoundError:
            return False

    return len(set(NAMES) & set(view.namespaces())), sum(map(has_data, NAMES))


def replica(folder: Path, host: str, port: int) -> None:
    """Follows, looks at every moment meanwhile, and says what it saw."""
    moments: dict[str, int] = {}
    first: list[float] = []
    done = threading.Event()
    with pumice.open(folder, role="replica") as db:

        def look() -> None:
            while not done.is_set():
                with db.snapshot() as view:
                    listed, with_data = moment(view)
                if listed and not first:
                    first.append(time.monotonic())
                kind = f"moments with {listed} namespaces and the data of {with_data}"
                moments[kind] = moments.get(kind, 0) + 1

        listener = db.serve(password=PASSWORD)
        assert isinstance(listener.address, tuple)
        own = listener.address[1]
        before = redis(own, f"AUTH {token(NAMES[0])}")
        looker = threading.Thread(target=look)
        looker.start()
        began = time.monotonic()
        db.follow(host, port, password=PASSWORD, wait=True, timeout=60)
        linked = time.monotonic()
        with db.snapshot() as view:
            listed = len(set(NAMES) & set(view.namespaces()))
            complete = sum(len(view.namespace(name)) == KEYS for name in NAMES if name in view.namespaces())
        tokens = [redis(own, f"AUTH {token(name)}", "GET key7") for name in NAMES]
        good = (said[0] == "+OK" and said[1].startswith(f"{name}-7") for name, said in zip(NAMES, tokens, strict=True))
        done.set()
        looker.join()
        link = db.link
        say(
            before=before[0],
            listed=listed,
            complete=complete,
            opened=sum(good),
            moments=moments,
            visible_ms=1000 * ((first or [linked])[0] - began),
            linked_ms=1000 * (linked - began),
            full_syncs=link and link.full_syncs,
        )
        position = pumice.Position(*json.loads(sys.stdin.readline()))
        there = db.wait_for(position, 60)
        said = redis(own, f"AUTH {token('late')}", "GET key")
        say(there=there, late=said, findings=[str(finding) for finding in db.verify()])


class Process:
    """This program as a process of its own, which speaks lines of JSON."""

    def __init__(self, *arguments: object) -> None:
        command = [sys.executable, str(Path(__file__).resolve()), *map(str, arguments)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, line: object = "") -> None:
        assert self.process.stdin is not None
        print(json.dumps(line), file=self.process.stdin, flush=True)

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a process ended with {self.process.wait()}")
        heard: dict[str, Any] = json.loads(line)
        return heard

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def main() -> int:
    rows: list[tuple[bool, str, str]] = []
    with tempfile.TemporaryDirectory() as folder, Process("primary", Path(folder) / "p") as p:
        host, port = p.hear()["address"]
        with Process("replica", Path(folder) / "r", host, port) as r:
            saw = r.hear()
            moments = saw["moments"]
            good = {f"moments with {n} namespaces and the data of {n}" for n in (0, 17)}
            rows.append((saw["full_syncs"] == 1, "full syncs", str(saw["full_syncs"])))
            rows.append((saw["before"].startswith("-"), "a token before the sync", saw["before"]))
            rows.append((saw["listed"] == 17, "namespaces listed when follow() returns", str(saw["listed"])))
            rows.append((saw["complete"] == 17, f"of them with all their {KEYS} keys", str(saw["complete"])))
            rows.append((saw["opened"] == 17, "tokens that open their namespace, no restart", str(saw["opened"])))
            for kind, count in moments.items():
                rows.append((kind in good, kind, str(count)))
            rows.append((True, "from follow() to all namespaces visible", f"{saw['visible_ms']:.1f} ms"))
            rows.append((True, "from follow() to a streaming link", f"{saw['linked_ms']:.1f} ms"))
            p.tell()
            r.tell(p.hear()["position"])
            late = r.hear()
            opens = late["there"] and late["late"] == ["+OK", "late"]
            rows.append((opens, "one made later: its token, its key", str(late["late"])))
            rows.append((late["findings"] == [], "verify()", f"{len(late['findings'])} found"))
    for ok, what, seen in rows:
        print(f"{'ok' if ok else 'NOT SO':7} {what:62} {seen}")
    return 0 if all(ok for ok, _, _ in rows) else 1


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["primary", folder]:
            primary(Path(folder))
        case ["replica", folder, host, port]:
            replica(Path(folder), host, int(port))
        case _:
            sys.exit(main())
