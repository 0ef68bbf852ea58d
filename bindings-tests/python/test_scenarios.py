"""Runs the scenarios that all languages share; their README says what a line means."""

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pumice
import pytest
from conftest import FIXTURES, SCENARIOS

FILES = sorted(SCENARIOS.glob("*.txt"))
MINUTE = "60000"


def given(word: str) -> bytes | None:
    """An argument: `-` is none, `%` is empty, `%xx` is a byte."""
    if word == "-":
        return None
    return b"" if word == "%" else unquote_to_bytes(word)


def bytes_of(word: str) -> bytes:
    found = given(word)
    assert found is not None, "expected bytes, got -"
    return found


def text(word: str) -> str:
    return bytes_of(word).decode("utf-8", "surrogateescape")


def pem(name: str) -> Path:
    """A file of certificates."""
    return FIXTURES / "tls" / f"{name}.pem"


def shown(value: bytes | str | None) -> str:
    """A result as the scenarios write it."""
    if value is None:
        return "none"
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogateescape")
    if not value:
        return "%"
    return re.sub(rb"[^A-Za-z0-9_:./=-]", lambda found: b"%%%02x" % found[0][0], value).decode()


def words(values: list[str]) -> str:
    return " ".join(values) if values else "empty"


def boolean(value: bool) -> str:
    return "true" if value else "false"


def most(word: str) -> int | None:
    """How many at most: all where nothing is given."""
    return None if word == "-" else int(word)


def id_of(name: str) -> str:
    """The id of the node that an engine is: its name, filled up."""
    return name.ljust(40, "0")


def name_of(node_id: str) -> str:
    return node_id.rstrip("0")


class World:
    """The engines, batches and snapshots of one scenario."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.engines: dict[str, pumice.Engine] = {}
        self.listeners: dict[str, pumice.Listener] = {}
        self.events: dict[str, pumice.Events] = {}
        self.batches: dict[str, pumice.Batch] = {}
        self.snapshots: dict[str, pumice.Snapshot] = {}
        self.lines = 0

    def run(self, line: str) -> str:
        operation, *arguments = line.split(" ")
        do: Callable[..., Any] = getattr(self, f"do_{operation}")
        try:
            result = do(*arguments)
        except pumice.Error as error:
            return f"error {error.kind}"
        return "ok" if result is None else str(result)

    def namespace(self, name: str, namespace: str) -> pumice.Namespace:
        engine = self.engines[name]
        return engine.default if namespace == "-" else engine.namespace(text(namespace))

    def do_lines(self) -> int:
        return self.lines

    def do_open(self, name: str, *options: str) -> None:
        values: dict[str, Any] = dict(option.split("=") for option in options)
        values = {key: {"true": True, "false": False}.get(value, value) for key, value in values.items()}
        self.engines[name] = pumice.open(self.folder / name, **values)

    def do_close(self, name: str) -> None:
        self.engines[name].close()

    def do_role(self, name: str) -> str:
        return self.engines[name].role

    def do_promote(self, name: str) -> None:
        self.engines[name].promote()

    def do_flush(self, name: str) -> None:
        self.engines[name].flush()

    def do_create(self, name: str, namespace: str, token: str) -> None:
        self.engines[name].create_namespace(text(namespace), None if token == "-" else text(token))

    def do_drop(self, name: str, namespace: str) -> None:
        self.engines[name].drop_namespace(text(namespace))

    def do_token(self, name: str, namespace: str) -> str:
        return shown(self.namespace(name, namespace).token)

    def do_set_token(self, name: str, namespace: str, token: str) -> None:
        self.namespace(name, namespace).set_token(text(token))

    def do_namespaces(self, name: str) -> str:
        return words([shown(found) for found in self.engines[name].namespaces()])

    def do_unregistered(self, name: str) -> str:
        engine = self.engines[name]
        registered = engine.namespaces()
        return words([shown(found) for found in engine.namespaces(unregistered=True) if found not in registered])

    def do_put(self, name: str, namespace: str, key: str, value: str, ttl_ms: str | None = None) -> None:
        ttl = None if ttl_ms is None else int(ttl_ms) / 1000
        self.namespace(name, namespace).put(bytes_of(key), bytes_of(value), ttl=ttl)

    def do_put_if(self, name: str, namespace: str, key: str, value: str, expected: str) -> str:
        return boolean(self.namespace(name, namespace).put_if(bytes_of(key), bytes_of(value), given(expected)))

    def do_get(self, name: str, namespace: str, key: str) -> str:
        return shown(self.namespace(name, namespace).get(bytes_of(key)))

    def do_get_many(self, name: str, namespace: str, *keys: str) -> str:
        return words([shown(value) for value in self.namespace(name, namespace).get_many(map(bytes_of, keys))])

    def do_delete(self, name: str, namespace: str, key: str) -> str:
        return boolean(self.namespace(name, namespace).delete(bytes_of(key)))

    def do_exists(self, name: str, namespace: str, key: str) -> str:
        return boolean(self.namespace(name, namespace).exists(bytes_of(key)))

    def do_persist(self, name: str, namespace: str, key: str) -> str:
        return boolean(self.namespace(name, namespace).persist(bytes_of(key)))

    def do_expire(self, name: str, namespace: str, key: str, ttl_ms: str) -> str:
        return boolean(self.namespace(name, namespace).expire(bytes_of(key), int(ttl_ms) / 1000))

    def do_ttl(self, name: str, namespace: str, key: str) -> str:
        try:
            left = self.namespace(name, namespace).ttl(bytes_of(key))
        except KeyError:
            return "missing"
        return "forever" if left is None else "left"

    def do_kind(self, name: str, namespace: str, key: str) -> str:
        return shown(self.namespace(name, namespace).kind(bytes_of(key)))

    def do_count(self, name: str, namespace: str) -> int:
        return len(self.namespace(name, namespace))

    def do_is_empty(self, name: str, namespace: str) -> str:
        return boolean(not self.namespace(name, namespace))

    def do_clear(self, name: str, namespace: str) -> None:
        self.namespace(name, namespace).clear()

    def do_items(self, name: str, namespace: str, prefix: str, start: str, end: str, order: str) -> str:
        found = self.namespace(name, namespace)
        items = found.items(prefix=given(prefix), start=given(start), end=given(end), reverse=order == "reverse")
        return words([f"{shown(key)}={self.value(found, key, value)}" for key, value in items])

    def value(self, namespace: pumice.Namespace, key: bytes, value: bytes | None) -> str:
        return f"({shown(namespace.kind(key))})" if value is None else shown(value)

    def do_execute(self, name: str, namespace: str, *args: str) -> str:
        return self.reply(self.namespace(name, namespace).execute(*map(bytes_of, args)))

    def do_answer(self, name: str, namespace: str, *args: str) -> str:
        try:
            return self.exact(self.namespace(name, namespace).execute(*map(bytes_of, args)))
        except pumice.Error as error:
            return f"!{shown(str(error))}"

    def exact(self, found: Any) -> str:
        if isinstance(found, list):
            return f"[{' '.join(map(self.exact, found))}]"
        return f"#{found}" if isinstance(found, int) else "~" if found is None else shown(found)

    def reply(self, found: Any) -> str:
        if isinstance(found, list):
            return f"[{' '.join(map(self.reply, found))}]"
        return str(found) if isinstance(found, int) else shown(found)

    def do_geo_add(self, name: str, namespace: str, key: str, *places: str) -> int:
        parts = [places[at : at + 3] for at in range(0, len(places), 3)]
        given_places = [(bytes_of(member), (float(longitude), float(latitude))) for member, longitude, latitude in parts]
        return self.namespace(name, namespace).geo(bytes_of(key)).set_many(given_places)

    def do_geo_remove(self, name: str, namespace: str, key: str, *members: str) -> int:
        return self.namespace(name, namespace).geo(bytes_of(key)).remove([bytes_of(member) for member in members])

    def do_geo_len(self, name: str, namespace: str, key: str) -> int:
        return len(self.namespace(name, namespace).geo(bytes_of(key)))

    def do_geo_position(self, name: str, namespace: str, key: str, member: str) -> str:
        place = self.namespace(name, namespace).geo(bytes_of(key)).position(bytes_of(member))
        return f"{place[0]:.4f}:{place[1]:.4f}" if place else "none"

    def do_geo_distance(self, name: str, namespace: str, key: str, one: str, other: str) -> str:
        found = self.namespace(name, namespace).geo(bytes_of(key)).distance(bytes_of(one), bytes_of(other))
        return "none" if found is None else f"{found:.0f}"

    def do_geo_search(self, name: str, namespace: str, key: str, middle: str, area: str, count: str) -> str:
        geo = self.namespace(name, namespace).geo(bytes_of(key))
        place = middle.split(",")
        around = bytes_of(middle) if len(place) == 1 else (float(place[0]), float(place[1]))
        shape, *sizes = area.split(":")
        if shape == "circle":
            found = geo.within_radius(around, float(sizes[0]), count=most(count))
        else:
            found = geo.within_box(around, float(sizes[0]), float(sizes[1]), count=most(count))
        return words([f"{shown(member)}:{distance:.0f}" for member, distance, _ in found])

    def do_bloom_reserve(self, name: str, namespace: str, key: str, capacity: str, rate: str, expansion: str) -> str:
        bloom = self.namespace(name, namespace).bloom_filter(bytes_of(key))
        return boolean(bloom.reserve(int(capacity), float(rate), expansion=int(expansion)))

    def do_bloom_add(self, name: str, namespace: str, key: str, *items: str) -> str:
        bloom = self.namespace(name, namespace).bloom_filter(bytes_of(key))
        if len(items) == 1:
            return boolean(bloom.add(bytes_of(items[0])))
        return words([boolean(added) for added in bloom.add_many(bytes_of(item) for item in items)])

    def do_bloom_contains(self, name: str, namespace: str, key: str, *items: str) -> str:
        bloom = self.namespace(name, namespace).bloom_filter(bytes_of(key))
        if len(items) == 1:
            return boolean(bytes_of(items[0]) in bloom)
        return words([boolean(found) for found in bloom.contains_many([bytes_of(item) for item in items])])

    def do_bloom_info(self, name: str, namespace: str, key: str) -> str:
        info = self.namespace(name, namespace).bloom_filter(bytes_of(key)).info()
        return f"{info.capacity}:{info.items}:{info.filters}:{info.bytes}:{info.expansion}" if info else "none"

    def do_ints_add(self, name: str, namespace: str, key: str, *integers: str) -> int:
        return self.namespace(name, namespace).sorted_int(bytes_of(key)).update(map(int, integers))

    def do_ints_remove(self, name: str, namespace: str, key: str, *integers: str) -> int:
        return self.namespace(name, namespace).sorted_int(bytes_of(key)).remove(map(int, integers))

    def do_ints_len(self, name: str, namespace: str, key: str) -> int:
        return len(self.namespace(name, namespace).sorted_int(bytes_of(key)))

    def do_ints_contains(self, name: str, namespace: str, key: str, *integers: str) -> str:
        found = self.namespace(name, namespace).sorted_int(bytes_of(key))
        return words([boolean(int(integer) in found) for integer in integers])

    def do_ints_range(self, name: str, namespace: str, key: str, first: str, last: str, way: str, count: str) -> str:
        ints = self.namespace(name, namespace).sorted_int(bytes_of(key))
        found = ints.range(int(first), int(last), count=most(count), reverse=way == "reverse")
        return words([str(integer) for integer in found])

    def do_batch(self, name: str) -> None:
        self.batches[name] = self.engines[name].batch()

    def do_batch_put(self, name: str, namespace: str, key: str, value: str) -> None:
        self.batches[name].put(self.namespace(name, namespace), bytes_of(key), bytes_of(value))

    def do_batch_delete(self, name: str, namespace: str, key: str) -> None:
        self.batches[name].delete(self.namespace(name, namespace), bytes_of(key))

    def do_commit(self, name: str) -> None:
        self.batches.pop(name).commit()

    def do_discard(self, name: str) -> None:
        self.batches.pop(name).discard()

    def do_snapshot(self, name: str, snapshot: str) -> None:
        self.snapshots[snapshot] = self.engines[name].snapshot()

    def seen(self, snapshot: str, namespace: str) -> pumice.ReadOnlyNamespace:
        taken = self.snapshots[snapshot]
        return taken.default if namespace == "-" else taken.namespace(text(namespace))

    def do_snapshot_get(self, snapshot: str, namespace: str, key: str) -> str:
        return shown(self.seen(snapshot, namespace).get(bytes_of(key)))

    def do_snapshot_execute(self, snapshot: str, namespace: str, *args: str) -> str:
        return self.reply(self.seen(snapshot, namespace).execute(*map(bytes_of, args)))

    def do_snapshot_namespaces(self, snapshot: str) -> str:
        return words([shown(found) for found in self.snapshots[snapshot].namespaces()])

    def do_snapshot_count(self, snapshot: str, namespace: str) -> int:
        return len(self.seen(snapshot, namespace))

    def do_free(self, snapshot: str) -> None:
        self.snapshots.pop(snapshot).close()

    def do_checkpoint(self, name: str, folder: str) -> None:
        self.engines[name].create_checkpoint(self.folder / folder)

    def do_apply_checkpoint(self, name: str, folder: str) -> None:
        self.engines[name].apply_checkpoint(self.folder / folder)

    def do_replicate(self, source: str, target: str) -> int:
        applied = 0
        for entry in self.engines[source].log(self.engines[target].position):
            self.engines[target].apply(pumice.Entry.from_bytes(entry.to_bytes()))
            applied += 1
        return applied

    def do_serve(self, name: str, addr: str = "127.0.0.1:0", password: str | None = None) -> None:
        self.listeners[name] = self.engines[name].serve(addr, password=password)

    def do_stop(self, name: str) -> None:
        self.listeners[name].close()

    def address(self, name: str) -> tuple[str, int]:
        address = self.listeners[name].address
        assert isinstance(address, tuple)
        return address

    def do_follow(self, name: str, primary: str, password: str | None = None) -> None:
        self.engines[name].follow(*self.address(primary), password=password)

    def do_serve_tls(self, name: str, certificate: str, ca: str | None = None) -> None:
        client_ca = None if ca is None else pem(ca)
        tls = pumice.TlsServer(pem(certificate), pem(certificate).with_suffix(".key"), client_ca=client_ca)
        self.listeners[name] = self.engines[name].serve(tls=tls)

    def do_follow_tls(
        self, name: str, primary: str, ca: str, certificate: str = "-", server_name: str | None = None
    ) -> None:
        shown = None if certificate == "-" else pem(certificate)
        key = None if shown is None else shown.with_suffix(".key")
        tls = pumice.TlsClient(pem(ca), certificate=shown, key=key, server_name=server_name)
        self.engines[name].follow(*self.address(primary), tls=tls)

    def do_linked(self, name: str, ms: str = MINUTE) -> str:
        return boolean(self.engines[name].wait_linked(int(ms) / 1000))

    def do_link(self, name: str, field: str) -> str:
        link = self.engines[name].link
        found = None if link is None else getattr(link, field)
        return shown(str(found)) if isinstance(found, int) else shown(found)

    def do_link_says(self, name: str, field: str, part: str) -> str:
        class SaysIt(Exception):
            pass

        def says(link: pumice.LinkStatus | None) -> bool:
            return text(part) in ((link and getattr(link, field)) or "")

        def look(link: pumice.LinkStatus) -> None:
            if says(link):
                raise SaysIt

        engine = self.engines[name]
        try:
            engine.wait_linked(int(MINUTE) / 1000, progress=look)
        except SaysIt:
            return "true"
        return boolean(says(engine.link))

    def do_detach(self, name: str) -> None:
        self.engines[name].detach()

    def do_discard_kept(self, name: str) -> int:
        return self.engines[name].discard()

    def do_hand_over(self, name: str, replica: str) -> None:
        self.engines[name].hand_over(*self.address(replica), timeout=int(MINUTE) / 1000)

    def do_wait_for(self, name: str, other: str, ms: str = MINUTE) -> str:
        return boolean(self.engines[name].wait_for(self.engines[other].position, int(ms) / 1000))

    def do_wait_acked(self, name: str, replicas: str, ms: str = MINUTE) -> int:
        engine = self.engines[name]
        return engine.wait_acked(engine.position, int(replicas), int(ms) / 1000)

    def do_feeds(self, name: str) -> str:
        return words([f"{feed.peer}:{feed.lag_sequences}" for feed in self.engines[name].feeds()])

    def do_set_topology(self, name: str, version: str, *nodes: str) -> str:
        force = nodes[:1] == ("force",)
        made = [self.node(*node.split(":")) for node in nodes[force:]]
        changed = self.engines[name].set_topology(made, version=int(version), node_id=id_of(name), force=force)
        return boolean(changed)

    def node(self, name: str, primary: str | None = None) -> pumice.Node:
        return pumice.Node(id_of(name), *self.address(name), primary and id_of(primary))

    def do_topology(self, name: str, field: str) -> str:
        status = self.engines[name].topology()
        if field == "nodes":
            return words([name_of(node.id) + (f":{name_of(node.primary)}" if node.primary else "") for node in status.nodes])
        if field == "desired":
            named = [name_of(node.id) for node in status.nodes if (node.host, node.port) == status.desired]
            return named[0] if status.desired else "none"
        if field == "actual":
            return shown(status.actual and status.actual.state)
        found = getattr(status, field)
        return name_of(found) if field == "node_id" and found else shown(None if found is None else str(found))

    def until(self, name: str, ms: str, is_so: Callable[[pumice.TopologyStatus], bool]) -> str:
        deadline = time.monotonic() + int(ms) / 1000
        while not is_so(self.engines[name].topology()):
            if time.monotonic() >= deadline:
                return "false"
            time.sleep(0.005)
        return "true"

    def do_converged(self, name: str, ms: str = MINUTE) -> str:
        return self.until(name, ms, lambda status: status.converged)

    def do_topology_says(self, name: str, part: str) -> str:
        return self.until(name, MINUTE, lambda status: text(part) in (status.reason or ""))

    def do_events(self, name: str) -> None:
        self.events[name] = self.engines[name].events()

    def do_event(self, name: str, kind: str, part: str) -> str:
        while (event := self.events[name].next(int(MINUTE) / 1000)) is not None:
            assert event.time > 0 and event.lost == 0
            if event.kind == kind and text(part) in event.message:
                return "true"
        return "false"

    def do_same_position(self, one: str, other: str) -> str:
        return boolean(self.engines[one].position == self.engines[other].position)

    def do_log(self, name: str) -> int:
        return sum(1 for _ in self.engines[name].log())

    def do_log_after_foreign(self, name: str) -> int:
        return sum(1 for _ in self.engines[name].log(pumice.Position("Z" * 16, 1)))

    def do_changes(self, name: str) -> str:
        *_, last = self.engines[name].log()
        changes = self.engines[name].changes(last)
        return words([f"{found.operation}:{shown(found.namespace)}:{shown(found.key)}" for found in changes])

    def do_verify(self, name: str) -> int:
        return len(self.engines[name].verify("records"))

    def do_info(self, name: str, field: str) -> str:
        info = self.engines[name].info()
        return str(info.position.sequence if field == "sequence" else info.as_dict()[field])

    def do_fixture(self, fixture: str, name: str) -> None:
        shutil.copytree(FIXTURES / fixture / "db", self.folder / name / "db")

    def do_backup(self, fixture: str, folder: str) -> None:
        shutil.copytree(FIXTURES / fixture / "backup", self.folder / folder)

    def do_convert(self, source: str, target: str, layout: str, namespace: str) -> str:
        to_cluster = layout == "cluster"
        made = pumice.convert(self.folder / source, self.folder / target, cluster=to_cluster, namespace=given(namespace))
        assert made.path == (self.folder / target).resolve() and made.layout == layout
        return f"{shown(made.namespace)} {made.keys} {made.records} {len(made.left_out)}"

    def do_usage(self, name: str, namespace: str | None = None) -> str:
        usage = self.engines[name].usage()
        if namespace is None:
            found = [f"{shown(ns.name)}:{boolean(ns.registered)}:{ns.keys}:{ns.bytes}" for ns in usage.namespaces]
            return words([*found, f"other:{usage.other_bytes}", f"unreadable:{usage.unreadable_records}"])
        asked = "__namespace" if namespace == "-" else text(namespace)
        (ns,) = (ns for ns in usage.namespaces if ns.name == asked)
        kinds = [f"{kind.kind}:{kind.keys}:{kind.bytes}" for kind in ns.kinds]
        return words([*kinds, f"expired:{ns.expired_keys}:{ns.expired_bytes}", f"remains:{ns.remains_bytes}"])

    def do_release(self, name: str) -> None:
        pumice.release(self.folder / name)

    def do_sleep(self, ms: str) -> None:
        time.sleep(int(ms) / 1000)


def test_there_are_scenarios() -> None:
    """The folder of scenarios was found, with those that every language must tell."""
    names = {file.stem for file in FILES}
    assert names >= {"strings", "commands", "namespaces", "batches", "order", "full_sync", "kvrocks", "replication", "hand_over", "convert", "topology", "trace", "types"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_scenario(file: Path, tmp_path: Path) -> None:
    """Each line of the story gives the result that it gives in every language."""
    world = World(tmp_path)
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        call, expected = line.split(" => ")
        assert world.run(call) == expected, f"{file.name}:{number}: {line}"
        world.lines += 1
    assert world.lines > 10
    for engine in world.engines.values():
        engine.close()
