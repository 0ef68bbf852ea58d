"""Hashes, lists, sets and sorted sets are the collections that Python has; streams are looped over as they are."""

import collections.abc
import os
import random
from collections import deque
from typing import Any

import pumice
import pytest


def test_a_hash_is_a_mapping(users: pumice.Namespace) -> None:
    """Everything that a dict does a hash does, in the order of its fields."""
    ada = users.hash("ada")
    assert isinstance(ada, collections.abc.MutableMapping)
    assert len(ada) == 0 and not ada and "x" not in ada and ada.get("x") is None
    ada["title"] = b"countess"
    ada[b"born"] = "1815"
    assert ada == {b"born": b"1815", b"title": b"countess"}
    assert list(ada) == [b"born", b"title"] and list(reversed(ada)) == [b"title", b"born"]
    assert list(ada.items()) == [(b"born", b"1815"), (b"title", b"countess")]
    assert list(ada.values()) == [b"1815", b"countess"] and b"born" in ada.keys()
    assert ada.increment("born") == 1816 and ada.increment("seen", -2) == -2
    assert ada.set_many({"a": b"1", "b": b"2"}) == 2 and ada.set_many([("a", b"0")]) == 0 and ada.set_many({}) == 0
    assert ada.get_many(["a", "none", "b"]) == [b"0", None, b"2"]
    assert list(ada.scan(prefix="b")) == [(b"b", b"2"), (b"born", b"1816")]
    assert [field for field, _ in ada.scan(start="b", end="t", reverse=True)] == [b"seen", b"born", b"b"]
    assert ada.pop("a") == b"0" and ada.pop("a", None) is None
    ada.update(c=b"3")
    assert ada.setdefault(b"c", b"4") == b"3"
    del ada["c"]
    for raises in (lambda: ada["c"], lambda: ada.__delitem__("c"), lambda: ada.pop("c")):
        with pytest.raises(KeyError):
            raises()
    assert users.kind("ada") == "hash"
    ada.clear()
    assert "ada" not in users and ada == {}
    assert "ada" in repr(ada)
    with pytest.raises(TypeError):
        hash(ada)


def test_a_list_is_a_sequence_and_a_deque(users: pumice.Namespace) -> None:
    """What is done to a list and to a deque gives the same, whatever it is."""
    jobs = users.list("jobs")
    assert isinstance(jobs, collections.abc.MutableSequence)
    like: deque[bytes] = deque()
    seed = int(os.environ.get("PUMICE_SEED", random.randrange(1 << 30)))
    print(f"PUMICE_SEED={seed}")
    chance = random.Random(seed)
    for step in range(600):
        value = b"%d" % chance.randrange(20)
        index = chance.randrange(-12, 12)
        match chance.randrange(9):
            case 0 | 1:
                jobs.append(value)
                like.append(value)
            case 2 | 3:
                jobs.appendleft(value)
                like.appendleft(value)
            case 4:
                jobs.insert(index, value)
                like.insert(index, value)
            case 5:
                jobs.extendleft([value, b"x"])
                like.extendleft([value, b"x"])
            case 6 if like:
                assert chance.choice([jobs.pop, jobs.pop])() == like.pop()
            case 7 if like:
                assert jobs.popleft() == like.popleft()
            case 8 if -len(like) <= index < len(like):
                assert jobs[index] == like[index]
                if chance.random() < 0.5:
                    jobs[index] = value
                    like[index] = value
                else:
                    del jobs[index]
                    del like[index]
            case _:
                pass
        assert len(jobs) == len(like), step
    assert list(jobs) == list(like) and list(reversed(jobs)) == list(reversed(like))
    everything = list(like)
    for start in (None, 0, 2, -3, 100, -100):
        for stop in (None, 0, 5, -1, 100, -100):
            for step in (None, 1, 2, 3, -1, -2):
                part = slice(start, stop, step)
                assert jobs[part] == everything[part], part
    jobs += [b"end"]
    assert jobs[-1] == b"end" and b"end" in jobs and b"nowhere" not in jobs and jobs.index(b"end") == len(like)
    jobs.remove(b"end")
    jobs.reverse()
    assert list(jobs) == everything[::-1]
    jobs.trim(0, 1)
    assert len(jobs) == 2
    jobs.clear()
    assert len(jobs) == 0 and list(jobs) == [] and users.kind("jobs") is None
    for raises in (lambda: jobs[0], lambda: jobs.pop(), lambda: jobs.popleft(), lambda: jobs.__setitem__(0, b"")):
        with pytest.raises(IndexError):
            raises()
    with pytest.raises(ValueError):
        jobs.remove(b"x")
    with pytest.raises(TypeError):
        jobs[0:1] = [b"x"]  # type: ignore[index, assignment]


def test_a_set_is_a_set(users: pumice.Namespace) -> None:
    """Everything that a set does a set of ours does; what comes of two is one in memory."""
    tags = users.set("tags")
    assert isinstance(tags, collections.abc.MutableSet) and not tags
    tags.add("light")
    tags.add(b"porous")
    assert tags.update(["light", "grey"]) == 1 and tags.update([]) == 0
    assert tags == {b"grey", b"light", b"porous"} and list(tags) == [b"grey", b"light", b"porous"]
    assert b"grey" in tags and "grey" in tags and 7 not in tags
    assert tags & {b"grey", b"x"} == {b"grey"} and tags | {b"x"} == {*tags, b"x"} and tags - {b"grey"} < tags
    assert tags.isdisjoint({b"x"}) and not tags.isdisjoint([b"grey"])
    tags |= {b"new"}
    tags -= {b"new", b"none"}
    tags.discard("none")
    with pytest.raises(KeyError):
        tags.remove("none")
    tags.remove("grey")
    assert {tags.pop(), tags.pop()} == {b"light", b"porous"}
    with pytest.raises(KeyError):
        tags.pop()
    assert users.kind("tags") is None


def test_a_sorted_set_is_a_mapping_to_scores(users: pumice.Namespace) -> None:
    """A sorted set is a mapping in the order of the scores, with ranges by score and by place."""
    race = users.sorted_set("race")
    assert isinstance(race, collections.abc.MutableMapping) and not race
    race["usain"] = 9.58
    assert race.set_many({"tyson": 9.69, "yohan": 9.69}) == 2
    race["slow"] = float("inf")
    assert race == {b"usain": 9.58, b"tyson": 9.69, b"yohan": 9.69, b"slow": float("inf")}
    assert list(race) == [b"usain", b"tyson", b"yohan", b"slow"] and list(reversed(race))[0] == b"slow"
    assert list(race.by_score(9.6, 10)) == [(b"tyson", 9.69), (b"yohan", 9.69)]
    assert list(race.by_score(max=9.69, exclusive=True, reverse=True)) == [(b"usain", 9.58)]
    assert list(race.by_rank(-2)) == [(b"yohan", 9.69), (b"slow", float("inf"))]
    assert [member for member, _ in race.by_rank(0, 1, reverse=True)] == [b"slow", b"yohan"]
    assert race.count(9.6, 9.7) == 2 and race.rank("yohan") == 2 and race.rank("yohan", reverse=True) == 1
    assert race.rank("nobody") is None
    assert race.increment("tyson", -0.5) == 9.19 and race.increment("new") == 1.0
    assert race.pop_lowest() == [(b"new", 1.0)] and race.pop_highest(2) == [(b"slow", float("inf")), (b"yohan", 9.69)]
    with pytest.raises(pumice.InvalidArgumentError):
        race["nan"] = float("nan")
    with pytest.raises(ValueError):
        race.by_score(float("nan"))
    with pytest.raises(KeyError):
        race["nan"]
    del race["tyson"]
    assert race.popitem() == (b"usain", 9.58) and users.kind("race") is None


def test_iterators_see_one_moment(users: pumice.Namespace, engine: pumice.Engine) -> None:
    """An iterator goes on over what was there when it was made, and ends with the engine."""
    users.hash("h").set_many({f"{n:04}": b"v" for n in range(5000)})
    users.list("l").extend(["a"] * 5000)
    pairs, elements = users.hash("h").scan(), iter(users.list("l"))
    assert next(pairs) == (b"0000", b"v") and next(elements) == b"a"
    users.hash("h").clear()
    users.list("l").clear()
    users.list("l").append("new")
    assert sum(1 for _ in pairs) == 4999 and sum(1 for _ in elements) == 4999
    left = iter(users.list("l"))
    engine.close()
    with pytest.raises(pumice.ClosedError):
        next(left)
    with pytest.raises(pumice.ClosedError):
        len(users.list("l"))


def test_a_stream_is_iterated(users: pumice.Namespace) -> None:
    """A loop over a stream gives what `entries` gives, both ways, and nothing of its groups."""
    jobs = users.stream("jobs")
    assert list(jobs) == [] and list(reversed(jobs)) == []
    ids = [jobs.append({"n": b"%d" % n, "same": "x"}) for n in range(3)]
    rows = [(id, {b"n": b"%d" % n, b"same": b"x"}) for n, id in enumerate(ids)]
    workers = jobs.group("workers")
    assert workers.create() and workers.read("ada") == rows
    assert list(jobs) == jobs.entries() == rows and list(reversed(jobs)) == rows[::-1]
    assert dict(jobs)[ids[1]] == {b"n": b"1", b"same": b"x"}
    anything: Any = jobs
    with pytest.raises(TypeError):
        ids[0] in anything
    jobs.trim(0)
    assert list(jobs) == [] and users.kind("jobs") == "stream"


def test_a_loop_over_a_stream_sees_one_moment(users: pumice.Namespace, engine: pumice.Engine) -> None:
    """An iterator goes on over the entries that were there when it was made, and ends with the engine."""
    jobs = users.stream("jobs")
    for n in range(1, 5001):
        jobs.append({"n": b"%d" % n}, id=f"{n}-0")
    entries, back = iter(jobs), reversed(jobs)
    assert next(entries) == ("1-0", {b"n": b"1"}) and next(back) == ("5000-0", {b"n": b"5000"})
    assert jobs.trim_before("4000") == 3999
    jobs.append({"n": "new"}, id="5001-0")
    assert [id for id, _ in entries] == [f"{n}-0" for n in range(2, 5001)] and next(entries, None) is None
    assert [id for id, _ in back] == [f"{n}-0" for n in range(4999, 0, -1)]
    jobs.clear()
    assert list(jobs) == []
    jobs.append({"n": "left"})
    left = iter(jobs)
    engine.close()
    with pytest.raises(pumice.ClosedError):
        next(left)
    with pytest.raises(pumice.ClosedError):
        iter(jobs)


def test_what_is_pending_is_read_again(users: pumice.Namespace) -> None:
    """A consumer is given again what it has not acknowledged, and what was deleted meanwhile does not come."""
    jobs = users.stream("jobs")
    assert jobs.trim_before("5") == 0
    ids = [jobs.append({"n": b"%d" % n}) for n in range(4)]
    workers = jobs.group("workers")
    with pytest.raises(pumice.NotFoundError):
        workers.read_pending("ada")
    workers.create()
    assert workers.read_pending("ada") == []
    workers.read("ada", 3)
    workers.read("grace")
    assert workers.read_pending("ada") == jobs.entries(count=3)
    assert workers.read_pending("grace") == jobs.entries(ids[3])
    assert [id for id, _ in workers.read_pending("ada", ids[0], 1)] == [ids[1]]
    assert workers.read_pending("ada", behind=ids[2]) == [] and workers.read_pending("ada", count=0) == []
    assert workers.acknowledge([ids[1]]) == 1
    assert jobs.trim_before(ids[1]) == 1 and jobs.trim_before(ids[1]) == 0
    assert [id for id, _ in workers.read_pending("ada")] == [ids[2]]
    assert [id for id, _ in jobs] == ids[1:]
    for wrong in (lambda: jobs.trim_before("x"), lambda: workers.read_pending("ada", "x")):
        with pytest.raises(ValueError):
            wrong()


def test_other_types_are_refused(users: pumice.Namespace) -> None:
    """A key of another type raises WrongTypeError, whatever is asked of it, and stays as it is."""
    users["s"] = b"text"
    for use in (
        lambda: len(users.hash("s")),
        lambda: users.hash("s").clear(),
        lambda: users.list("s").append("x"),
        lambda: list(users.set("s")),
        lambda: users.sorted_set("s").__setitem__("m", 1.0),
        lambda: iter(users.stream("s")),
        lambda: users.stream("s").trim_before("5"),
    ):
        with pytest.raises(pumice.WrongTypeError):
            use()
    assert users["s"] == b"text"
