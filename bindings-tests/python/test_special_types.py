"""Bitmaps, HyperLogLogs, JSON documents and streams, in the shapes of Python."""

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
