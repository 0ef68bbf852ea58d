"""redis-py's cluster client against engines in the cluster layout."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pumice
import pytest

redis: Any = pytest.importorskip("redis")

PASSWORD = "secret"
KEYS = [b"key:%04d" % i for i in range(400)]


class Member:
    """An engine in the cluster layout that listens."""

    def __init__(self, path: Path, letter: str) -> None:
        self.engine = pumice.open(path / letter, cluster=True)
        self.listener = self.engine.serve(password=PASSWORD)
        assert isinstance(self.listener.address, tuple)
        self.id, (self.host, self.port) = letter * 40, self.listener.address

    def ask(self, *words: Any) -> Any:
        with redis.Redis(host=self.host, port=self.port, password=PASSWORD) as client:
            return client.execute_command(*words)

    def line(self, follows: "Member | None", slots: str = "") -> str:
        role = f"slave {follows.id}" if follows else "master -"
        return f"{self.id} {self.host} {self.port} {role} {slots}".strip()


@pytest.fixture
def members(tmp_path: Path) -> Iterator[list[Member]]:
    """Two primaries with half of the slots each, and a replica of the first."""
    members = [Member(tmp_path, letter) for letter in "abc"]
    a, b, c = members
    lines = [a.line(None, "0-8191"), b.line(None, "8192-16383"), c.line(a)]
    for member in members:
        assert member.ask("CLUSTERX", "SETNODES", "\n".join(lines), 1) == b"OK"
    yield members
    for member in members:
        member.engine.close()


def cluster(member: Member, **options: Any) -> Any:
    return redis.RedisCluster(host=member.host, port=member.port, password=PASSWORD, **options)


@pytest.mark.parametrize("protocol", [None, 2, 3])
def test_reads_and_writes(members: list[Member], protocol: int | None) -> None:
    """A client that knows one node writes and reads across all slots, and each node has what is in its own."""
    a, b, c = members
    with cluster(c, protocol=protocol) as client:
        for key in KEYS:
            assert client.set(key, b"v" + key) is True
        assert [client.get(key) for key in KEYS] == [b"v" + key for key in KEYS]
        assert client.mset_nonatomic({"x": "1", "y": "2", "{x}": "3"}) and client.get("y") == b"2"
        assert client.mget_nonatomic("x", "y", "nobody") == [b"1", b"2", None]
        with client.pipeline() as pipe:
            for key in KEYS:
                pipe.get(key)
            assert pipe.execute() == [b"v" + key for key in KEYS]
        with pytest.raises(redis.RedisError, match="same slot"):
            a.ask("MGET", *KEYS[:10])
        kept = [{key for key in KEYS if key in member.engine.default} for member in (a, b)]
        assert kept[0] | kept[1] == set(KEYS) and not kept[0] & kept[1] and min(map(len, kept)) > 100
        for key in kept[0]:
            assert client.keyslot(key) == a.ask("CLUSTER", "KEYSLOT", key) < 8192


def test_replicas(members: list[Member]) -> None:
    """A client that reads from replicas gets a primary's keys from them, and writes go to the primary."""
    a, _, c = members
    own = next(key for key in KEYS if a.ask("CLUSTER", "KEYSLOT", key) < 8192)
    with cluster(a, load_balancing_strategy=redis.cluster.LoadBalancingStrategy.ROUND_ROBIN) as client:
        client.set(own, "v")
        assert c.engine.wait_linked(60) and c.engine.wait_for(a.engine.position, 60)
        assert [client.get(own) for _ in range(10)] == [b"v"] * 10
        assert len(client.get_replicas()) == 1 and len(client.get_primaries()) == 2
    with pytest.raises(redis.RedisError, match=f"{a.host}:{a.port}"):
        c.ask("GET", own)


def test_slots_that_move(members: list[Member]) -> None:
    """A client goes where a slot went: it is told by the node that had it."""
    a, b, c = members
    own = next(key for key in KEYS if a.ask("CLUSTER", "KEYSLOT", key) < 8192)
    with cluster(a) as client:
        assert client.set(own, "before") is True
        slot = client.keyslot(own)
        for member in members:
            assert member.ask("CLUSTERX", "SETSLOT", str(slot), "NODE", b.id, 2) == b"OK"
        assert client.get(own) is None and client.set(own, "after") is True
        assert b.engine.default[own] == b"after" and a.engine.default[own] == b"before"
        # Roles swap: the replica takes what is left of its primary.
        lines = [c.line(None, "0-8191"), b.line(None, "8192-16383"), a.line(c)]
        for member in members:
            assert member.ask("CLUSTERX", "SETNODES", "\n".join(lines), 3) == b"OK"
        for key in KEYS:
            assert client.set(key, "v") is True
        assert c.engine.role == "primary" and own in c.engine.default


def test_what_is_shown(members: list[Member]) -> None:
    """What redis-py reads of the cluster's state is what was set."""
    a, b, c = members
    with cluster(a) as client:
        information = client.cluster_info(target_nodes=client.get_default_node())
        assert information["cluster_slots_assigned"] == "16384" and information["cluster_known_nodes"] == "3"
        nodes = client.cluster_nodes()
        assert nodes[f"{c.host}:{c.port}"]["master_id"] == a.id and "myself" in str(nodes)
        assert nodes[f"{b.host}:{b.port}"]["slots"] == [["8192", "16383"]]
        shards = a.ask("CLUSTER SHARDS")
        assert [len(shard[b"nodes"] if isinstance(shard, dict) else shard[3]) for shard in shards] == [2, 1]
        assert client.cluster_slots()[(0, 8191)]["primary"][:2] == (a.host, a.port)
