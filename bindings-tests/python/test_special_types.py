"""Bitmaps, HyperLogLogs, JSON documents, streams, places, Bloom filters and sorted ints, in the shapes of Python."""

import pytest

import pumice


@pytest.fixture
def names(tmp_path):
    with pumice.open(tmp_path / "data") as engine:
        yield engine.create_namespace("names")


def test_bitmap(names):
    """A bitmap is set and read by index, counted and searched by ranges of bits."""
    bitmap = names.bitmap("b")
    assert bitmap[7] is False and bitmap.count() == 0 and bitmap.find() is None
    for walk in (list, iter, lambda bits: True in bits):
        with pytest.raises(TypeError):
            walk(bitmap)
    bitmap[7] = True
    bitmap[100_000] = True
    assert bitmap[7] is True and bitmap.count() == 2
    assert bitmap.count(8) == 1 and bitmap.count(0, 7) == 0 and bitmap.count(0, 8) == 1 and bitmap.count(8, 8) == 0
    assert bitmap.find() == 7 and bitmap.find(True, 8) == 100_000 and bitmap.find(False, 7) == 8
    with pytest.raises(OverflowError):
        bitmap[1 << 32]
    bitmap.clear()
    assert "b" not in names
    names["text"] = b"a"
    assert names.bitmap("text").count() == 3


def test_hyperloglog(names):
    """Different elements are counted, and those of other keys with them."""
    visitors = names.hyperloglog("h")
    assert visitors.add("ada") and not visitors.add(b"ada")
    assert visitors.update(f"visitor {n}" for n in range(1000))
    names.hyperloglog("more").add("grace")
    visitors.merge(["more"])
    assert 980 < visitors.count() < 1020
    with pytest.raises(pumice.WrongTypeError):
        names.stream("h").append({"f": "v"})


def test_json(names):
    """Documents are Python's own objects, found and changed by paths."""
    cart = names.json("j")
    assert cart.get() is None and cart.find("$") is None
    cart.set({"items": [], "paid": False, "ü": 1.5})
    assert cart.append({"name": "pen"}, "$.items") == [1]
    cart.merge({"paid": True, "ü": None})
    assert cart.get() == {"items": [{"name": "pen"}], "paid": True}
    assert cart.find("$..name") == ["pen"]
    cart.set(2, "$.items[0].price")
    assert cart.remove("$.items[0].name") == 1
    assert cart.get() == {"items": [{"price": 2}], "paid": True}
    with pytest.raises(pumice.InvalidArgumentError):
        cart.find("items")
    with pytest.raises(pumice.NotFoundError):
        names.json("none").append(1)


def test_stream(names):
    """A stream grows at its end, and its groups give each entry to one consumer."""
    jobs = names.stream("s")
    first = jobs.append({"task": "wash"})
    assert jobs.append({b"task": b"dry"}, id="99999999999999-1") == "99999999999999-1"
    assert len(jobs) == 2
    assert jobs.entries(count=1) == [(first, {b"task": b"wash"})]
    assert [id for id, _ in jobs.entries(reverse=True)] == ["99999999999999-1", first]
    workers = jobs.group("workers")
    assert workers.create() and not workers.create()
    assert [id for id, _ in workers.read("ada", 1)] == [first]
    assert workers.pending() == {b"ada": 1}
    assert workers.claim("grace") == [(first, {b"task": b"wash"})]
    assert workers.acknowledge([first]) == 1 and workers.pending() == {}
    assert jobs.trim(1) == 1 and jobs.remove(["99999999999999-1"]) == 1 and len(jobs) == 0
    with pytest.raises(ValueError):
        jobs.remove(["x"])
    with pytest.raises(pumice.InvalidArgumentError):
        jobs.append({"f": "v"}, id="18446744073709551615-1")
    with pytest.raises(pumice.NotFoundError):
        jobs.group("none").read("ada")


def test_geo(names):
    """Places come from a mapping or one by one, and what is near is found around a member or a place."""
    cities = names.geo("g")
    assert cities.position("Palermo") is None and cities.within_radius((15, 37), 1e6) == [] and len(cities) == 0
    assert cities.set_many({"Palermo": (13.361389, 38.115556), b"Catania": (15.087269, 37.502669)}) == 2
    assert cities.add("Rome", 12.5, 41.9) and not cities.add("Rome", 12.496, 41.903) and cities.set_many([]) == 0
    assert "Rome" in cities and "Milan" not in cities and len(cities) == 3
    longitude, latitude = cities.position("Palermo")
    assert abs(longitude - 13.361389) < 1e-5 and abs(latitude - 38.115556) < 1e-5
    assert round(cities.distance("Palermo", "Catania")) == 166274 and cities.distance("Palermo", "Milan") is None
    (member, distance, place), *rest = cities.within_radius((15.0, 37.0), 200_000)
    assert member == b"Catania" and round(distance) == 56441 and round(place[0], 3) == 15.087 and len(rest) == 1
    assert [hit[0] for hit in cities.within_radius("Rome", 1e6, count=2)] == [b"Rome", b"Palermo"]
    assert [hit[0] for hit in cities.within_box("Palermo", 400_000, 400_000)] == [b"Palermo", b"Catania"]
    with pytest.raises(pumice.NotFoundError):
        cities.within_radius("Milan", 1)
    with pytest.raises(TypeError):
        cities.within_radius(("Milan", 1), 1)
    for longitude in [181, float("nan")]:
        with pytest.raises(pumice.InvalidArgumentError):
            cities.add("x", longitude, 0)
    with pytest.raises(pumice.InvalidArgumentError):
        cities.within_radius((0, 0), -1)
    assert cities.remove(["Rome", "Milan"]) == 1 and names.sorted_set("g").keys() == {b"Palermo", b"Catania"}
    cities.clear()
    assert "g" not in names


def test_bloom_filter(names):
    """Items that were added are found, and few others."""
    seen = names.bloom_filter("b")
    assert "ada" not in seen and seen.info() is None and seen.add_many([]) == [] and "b" not in names
    assert seen.reserve(2000, 0.001) and not seen.reserve(5)
    assert seen.add("ada") and not seen.add(b"ada") and seen.add_many(["ada", "grace"]) == [False, True]
    added = seen.add_many(f"visitor {n}" for n in range(1000))
    assert 990 < sum(added) <= 1000 and all(seen.contains_many([f"visitor {n}" for n in range(1000)]))
    assert sum(seen.contains_many([f"stranger {n}" for n in range(1000)])) < 20
    info = seen.info()
    assert info.capacity >= 2000 and info.items == sum(added) + 2 and info.filters == 1 and info.error_rate == 0.001
    assert repr(info).startswith("BloomInfo(capacity=") and info.expansion == 2 and info.bytes > 0
    small = names.bloom_filter("small")
    assert small.reserve(2, expansion=0) and small.add("one")
    with pytest.raises(pumice.InvalidArgumentError):
        small.add_many(["two", "three", "four"])
    # Nothing of a call that did not fit is there.
    assert small.info().items == 1 and "two" not in small
    with pytest.raises(pumice.InvalidArgumentError):
        names.bloom_filter("x").reserve(0)
    seen.clear()
    assert "b" not in names


def test_sorted_int(names):
    """Integers are kept in order, and found in ranges from both sides."""
    ids = names.sorted_int("i")
    assert len(ids) == 0 and ids.range() == [] and 5 not in ids
    assert ids.update([30, 10, 2**64 - 1, 0]) == 4 and ids.update(range(10, 12)) == 1
    assert ids.add(20) and not ids.add(20) and 20 in ids and len(ids) == 6
    assert ids.range() == [0, 10, 11, 20, 30, 2**64 - 1] and ids.range(10, 20) == [10, 11, 20]
    assert ids.range(1, count=2) == [10, 11] and ids.range(0, 29, reverse=True, count=2) == [20, 11]
    assert ids.remove([0, 1, 10]) == 2 and ids.range(0, 19) == [11]
    for wrong in [-1, 2**64]:
        with pytest.raises(OverflowError):
            ids.add(wrong)
    with pytest.raises(pumice.WrongTypeError):
        names.bloom_filter("i").add("x")
    ids.clear()
    assert "i" not in names
