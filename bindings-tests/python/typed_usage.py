"""A program as a user writes it, for the type checker."""

from collections.abc import Mapping, MutableMapping
from datetime import timedelta
from pathlib import Path

import pumice


def total(namespace: Mapping[bytes, bytes]) -> int:
    return sum(len(value) for value in namespace.values())


def fill(namespace: MutableMapping[bytes, bytes]) -> None:
    namespace[b"k"] = b"v"
    namespace.update({b"a": b"b"})


def main(folder: Path) -> int:
    with pumice.open(folder, role="primary", sync=True) as engine:
        users: pumice.Namespace = engine.create_namespace("users")
        fill(users)
        users["text"] = "text"
        users.put(bytearray(b"k"), memoryview(b"v"), ttl=timedelta(minutes=1))
        value: bytes | None = users.get("k")
        sure: bytes = users.get("k", b"")
        either: bytes | int = users.get("k", 5)
        item: bytes = users["k"]
        popped: bytes = users.pop("k")
        view: memoryview | None = users.get_view("k")
        many: list[bytes | None] = users.get_many(["a", b"b"])
        for key, found in users.items(prefix="a", reverse=True):
            print(key.hex(), found.hex())
        keys: set[bytes] = set(users.keys()) | users.keys()
        cities: pumice.Geo = users.geo("cities")
        cities.set_many({"Palermo": (13.361389, 38.115556)})
        near: list[tuple[bytes, float, tuple[float, float]]] = cities.within_radius((15, 37), 2e5, count=1)
        near += cities.within_box("Palermo", 1.0, 1.0)
        seen: list[bool] = users.bloom_filter("seen").add_many(["ada"])
        bloom: pumice.BloomInfo | None = users.bloom_filter("seen").info()
        ids: list[int] = users.sorted_int("ids").range(1, reverse=True)
        print(near, seen, "ada" in users.bloom_filter("seen"), bloom and bloom.items, ids, cities.distance("a", b"b"))
        with engine.batch() as batch:
            batch.put("users", "k", "v", ttl=1.5)
        with engine.snapshot() as snapshot:
            size = total(snapshot.namespace("users"))
        checkpoint: pumice.Checkpoint = engine.create_checkpoint(folder / "c", progress=lambda told: print(told.stage))
        with pumice.open(folder / "r", role="replica") as replica:
            replica.apply_checkpoint(checkpoint)
            for entry in engine.log(replica.position, wait=0.1):
                replica.apply(pumice.Entry.from_bytes(bytes(entry)))
        usage: pumice.Usage = engine.usage(progress=lambda told: print(told.fraction))
        counted: dict[str, int] = {kind.kind: kind.keys for ns in usage.namespaces for kind in ns.kinds}
        converted: pumice.Converted = pumice.convert(checkpoint, folder / "v", cluster=True, namespace="users")
        print(counted, usage.other_bytes, converted.path, converted.layout, converted.left_out)
        with engine.serve(password="secret") as listener, pumice.open(folder / "f") as follower:
            assert isinstance(listener.address, tuple)
            host, port = listener.address
            follower.follow(host, port, password="secret", wait=True, timeout=60, progress=lambda link: print(link.sync))
            link: pumice.LinkStatus | None = follower.link
            feeds: list[pumice.FeedStatus] = engine.feeds()
            there: bool = follower.wait_for(engine.position, timedelta(minutes=1))
            print(link, feeds, there, engine.wait_acked(engine.position, 1, 1.5), follower.discard())
        tls = pumice.TlsServer("node.pem", folder / "node.key", client_ca="ca.pem")
        trusted = pumice.TlsClient(tls.client_ca or "ca.pem", certificate=tls.certificate, key=tls.key, server_name="p")
        with engine.serve(tls=tls), pumice.open(folder / "t") as secured:
            secured.follow("p", 6666, tls=trusted)
        me = pumice.Node("a" * 40, "127.0.0.1", 6666, slots=[(0, 16383)])
        events: pumice.Events = engine.events()
        changed: bool = engine.set_topology([me], version=1, node_id=me.id, password="secret", force=False)
        status: pumice.TopologyStatus = engine.topology()
        wanted: tuple[str, int] | None = status.desired
        event: pumice.Event | None = events.next(timedelta(seconds=1))
        print(changed, status.nodes[0].slots, wanted, status.actual and status.actual.state, event and event.message)
        try:
            engine.namespace("nobody")
        except pumice.NotFoundError as error:
            print(error.kind)
        print(value, sure, either, item, popped, view, many, keys, engine.info().as_dict())
        return size
