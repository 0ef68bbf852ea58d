"""Calls from Python beside rocksdict, plyvel and lmdb, in turns in one run: CPU time of a call, and its ratio. And what a
get from Python costs more than the same get from Rust, on the same files.

Run by `make bench` in a venv with the wheel and what else could be installed. Every store has the same 200,000 keys with
100-byte values, a cache that holds them all and, where it has one, a bloom filter of 10 bits a key. Figures are
medians over the rounds; the raw ones go to benches/results/python.json.
"""

import importlib.util
import json
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import pumice

KEYS, CALLS, ROUNDS, BUDGET = 200_000, 20_000, 7, 512 << 20
KEY = [b"key:%012d" % number for number in range(KEYS)]
VALUE = random.Random(1).randbytes(100)


class Pumice:
    name = "pumice"

    def __init__(self, path):
        self.engine = pumice.open(path, memory_budget=BUDGET)
        self.ns = self.engine.create_namespace("bench")
        for start in range(0, KEYS, 1000):
            with self.engine.batch() as batch:
                for key in KEY[start : start + 1000]:
                    batch.put(self.ns, key, VALUE)
        self.flushed = self.engine.create_checkpoint(path + "-flushed").path
        self.get, self.put, self.get_many = self.ns.get, self.ns.put, self.ns.get_many

    def items(self):
        return self.ns.items()


class Rust:
    """The same call of a program in Rust, benches/cost.rs, on the files that Pumice has."""

    def __init__(self, path, flushed):
        with pumice.open(path, role="replica") as engine:
            engine.apply_checkpoint(flushed)
        command = ["cargo", "bench", "--quiet", "--bench", "cost", "--", "gets", path, "bench", str(BUDGET)]
        root = pathlib.Path(__file__).parent.parent
        self.program = subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def gets(self, keys):
        self.program.stdin.write(b"".join(keys))
        self.program.stdin.flush()
        return float(self.program.stdout.readline())


class Rocksdict:
    name = "rocksdict"

    def __init__(self, path):
        from rocksdict import BlockBasedOptions, Cache, Options, Rdict

        table = BlockBasedOptions()
        table.set_block_cache(Cache(BUDGET))
        table.set_bloom_filter(10, False)
        table.set_block_size(16 * 1024)
        options = Options(raw_mode=True)
        options.set_block_based_table_factory(table)
        self.db = Rdict(path, options)
        for key in KEY:
            self.db[key] = VALUE
        self.db.flush()
        self.get, self.put = self.db.get, self.db.put

    def get_many(self, keys):
        return self.db.get(keys)

    def items(self):
        return self.db.items()


class Plyvel:
    name = "plyvel"

    def __init__(self, path):
        import plyvel

        self.db = plyvel.DB(path, create_if_missing=True, lru_cache_size=BUDGET, bloom_filter_bits=10, compression=None)
        with self.db.write_batch() as batch:
            for key in KEY:
                batch.put(key, VALUE)
        self.db.compact_range()
        self.get, self.put, self.get_many = self.db.get, self.db.put, None

    def items(self):
        return self.db.iterator()


class Lmdb:
    name = "lmdb"

    def __init__(self, path):
        import lmdb

        self.env = lmdb.open(path, map_size=1 << 30, sync=False)
        with self.env.begin(write=True) as writing:
            for key in KEY:
                writing.put(key, VALUE)
        self.reading = self.env.begin()
        self.get, self.put = self.reading.get, None

    def get_many(self, keys):
        with self.reading.cursor() as cursor:
            return cursor.getmulti(keys)

    def items(self):
        return iter(self.reading.cursor())


def timed(work):
    """Nanoseconds of CPU that a piece of work takes."""
    start = time.process_time_ns()
    work()
    return time.process_time_ns() - start


def gets(store, keys):
    get = store.get

    def work():
        for key in keys:
            get(key)

    return timed(work) / len(keys)


def many(store, keys):
    if store.get_many is None:
        return None
    get_many = store.get_many
    hundreds = [keys[start : start + 100] for start in range(0, len(keys), 100)]

    def work():
        for some in hundreds:
            get_many(some)

    return timed(work) / len(keys)


def iteration(store, _keys):
    def work():
        count = 0
        for _pair in store.items():
            count += 1
        assert count == KEYS, count

    return timed(work) / KEYS


def puts(store, keys):
    if store.put is None:
        return None
    put = store.put

    def work():
        for key in keys:
            put(key, VALUE)

    return timed(work) / len(keys)


def drawn(order):
    """Keys made anew, as a program does: those of the writing lie all over the memory."""
    return [b"key:%012d" % key for key in order.sample(range(KEYS), CALLS)]


def beside_rust(store, path, order):
    """What a get from Python costs more than the same one from Rust, in turns."""
    rust = Rust(path, store.flushed)
    figures = {"python": [], "rust": []}
    for number in range(2 * ROUNDS + 1):
        keys = drawn(order)
        took = gets(store, keys), rust.gets(keys)
        if number > 0:
            figures["python"].append(took[0])
            figures["rust"].append(took[1])
    rust.program.communicate()
    more = [a - b for a, b in zip(figures["python"], figures["rust"])]
    median = statistics.median(more)
    print(
        f"\nCPU nanoseconds of a get from Python beside one from Rust: {median:,.0f} more ({min(more):,.0f} to "
        f"{max(more):,.0f} in {len(more)} rounds), target at most 350: {'met' if median <= 350 else 'missed'}"
    )
    return figures


def main():
    with tempfile.TemporaryDirectory() as folder:
        stores = []
        for store in (Pumice, Rocksdict, Plyvel, Lmdb):
            if store is not Pumice and importlib.util.find_spec(store.name) is None:
                print(f"SKIPPED: {store.name} could not be installed")
                continue
            stores.append(store(str(pathlib.Path(folder, store.name))))
        order = random.Random(2)
        if shutil.which("cargo"):
            rust = beside_rust(stores[0], str(pathlib.Path(folder, "rust")), order)
        else:
            print("SKIPPED: get in Rust, there is no cargo")
            rust = None
        figures = {}
        # Puts last: they leave overwritten keys behind.
        for what, call in (("get", gets), ("get_many of 100, a key", many), ("iteration, a pair", iteration), ("put", puts)):
            for number in range(ROUNDS + 1):
                keys = drawn(order)
                for store in stores:
                    took = call(store, keys)
                    # The first round warms caches.
                    if took is not None and number > 0:
                        figures.setdefault(what, {}).setdefault(store.name, []).append(took)

    names = [store.name for store in stores]
    print(f"\nCPU nanoseconds a call from Python, median of {ROUNDS} rounds (least to most)\n")
    print(f"  {'':24}" + "".join(f"{name:>26}" for name in names) + "   beside rocksdict")
    for what, rows in figures.items():
        cells = ""
        for name in names:
            took = rows.get(name)
            text = f"{statistics.median(took):,.0f} ({min(took):,.0f} to {max(took):,.0f})" if took else "-"
            cells += f"{text:>26}"
        beside = ""
        if "rocksdict" in rows:
            ratio = statistics.median(a / b for a, b in zip(rows["pumice"], rows["rocksdict"]))
            beside = f"{ratio:.2f}" if what == "put" else f"{ratio:.2f}, target at most 1: {'met' if ratio <= 1 else 'missed'}"
        print(f"  {what:24}{cells}   {beside}")
    results = pathlib.Path(__file__).with_name("results")
    results.mkdir(exist_ok=True)
    results.joinpath("python.json").write_text(json.dumps({"python": sys.version, "ns": figures, "get_beside_rust": rust}, indent=1) + "\n")


if __name__ == "__main__":
    main()
