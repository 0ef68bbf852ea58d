"""Data types beside named peers, in turns in one run: calls, commands over sockets, ranges of a sorted set.

Run by `make bench` in a venv with the wheel and redis-py. It starts the servers that it needs on free ports, and stops
them. An argument runs one part: `python benches/commands.py calls`.

calls: HSET, ZADD and LPUSH from Python, through the collections and through `ns.execute`, beside redis-py with a
    redis-server on loopback that keeps nothing on disk. Wall time of 100-byte values on one growing key. What Pumice
    wrote survives a killed process.
listener: `redis-benchmark` with 50 connections, 100-byte values and a million keys, without pipeline and with 32
    commands at a time, to `pumice serve`, to that redis-server and to the Kvrocks that PUMICE_KVROCKS names, all with
    their own settings. The client takes its share of the processors, so that slow and quick servers come out nearer
    than they are.
range: 100 members of a million, by place and by score, beside 100 neighbouring raw keys of a million, and ranks, in
    CPU time of the same process. Ranks are asked for again and again, also after one score changed each time.

Figures are medians over the rounds with least and most, a ratio is the median of the rounds' own. A part begins no
round after its time is over. The raw figures go to benches/results/commands.json.
"""

import contextlib
import csv
import itertools
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import pumice

VALUE = random.Random(1).randbytes(100)
ROUNDS = 5
# Seconds that each part may take for its rounds.
PATIENCE = {"calls": 25, "listener": 50, "range": 15}


def rounds(part):
    """Round numbers, the first of which warms up and counts for nothing."""
    end = time.monotonic() + PATIENCE[part]
    for number in range(ROUNDS + 1):
        if number > 1 and time.monotonic() > end:
            return
        yield number


def text(figures, unit=""):
    return f"{statistics.median(figures):,.0f}{unit} ({min(figures):,.0f} to {max(figures):,.0f})"


def ratio(ours, theirs, target, most=False):
    """The ratio of two rows of figures, and whether it is at least its target, or at most."""
    each = [a / b for a, b in zip(ours, theirs)]
    median = statistics.median(each)
    met = median <= target if most else median >= target
    words = f"target at {'most' if most else 'least'} {target}: {'met' if met else 'missed'}"
    return f"{median:.2f} ({min(each):.2f} to {max(each):.2f}), {words}"


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def started(command, port):
    """A server, once it listens, and until the block ends."""
    # What it says is kept out of the table, in a file because nobody reads a pipe.
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        try:
            for _ in range(300):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                if process.poll() is not None:
                    said.seek(0)
                    raise RuntimeError(f"{command[0]} ended with {process.returncode}: {said.read()[-2000:]!r}")
                time.sleep(0.1)
            else:
                raise RuntimeError(f"{command[0]} does not listen after 30 seconds")
            yield port
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def redis_server(folder):
    port = free_port()
    where = ["--dir", str(folder), "--bind", "127.0.0.1", "--port", str(port)]
    return started(["redis-server", *where, "--save", "", "--appendonly", "no"], port)


def pumice_server(folder):
    port = free_port()
    # The program of this very wheel.
    program = pathlib.Path(sys.executable).with_name("pumice")
    return started([str(program), "serve", str(folder / "pumice"), "--listen", f"127.0.0.1:{port}"], port)


def kvrocks_server(binary, folder):
    port = free_port()
    (folder / "kvrocks").mkdir()
    configuration = folder / "kvrocks.conf"
    configuration.write_text(f"bind 127.0.0.1\nport {port}\ndir {folder / 'kvrocks'}\ndaemonize no\n")
    return started([binary, "-c", str(configuration)], port)


def calls(folder, keep):
    if shutil.which("redis-server") is None:
        return print("SKIPPED: calls: there is no redis-server")
    try:
        import redis
    except ImportError:
        return print("SKIPPED: calls: redis-py could not be installed")
    with redis_server(folder) as port, pumice.open(folder / "calls") as engine:
        client = redis.Redis(port=port)
        typed, plain = engine.create_namespace("typed"), engine.create_namespace("plain")
        fields, members, elements = typed.hash("h"), typed.sorted_set("z"), typed.list("l")
        # Each makes one call with a number that comes once; handles are made once, as a program does.
        commands = {
            "HSET": (
                lambda n: fields.__setitem__(b"field:%d" % n, VALUE),
                lambda n: plain.execute("HSET", "h", b"field:%d" % n, VALUE),
                lambda n: client.hset("h", b"field:%d" % n, VALUE),
            ),
            "ZADD": (
                lambda n: members.__setitem__(b"%0100d" % n, n % 1000),
                lambda n: plain.execute("ZADD", "z", b"%d" % (n % 1000), b"%0100d" % n),
                lambda n: client.zadd("z", {b"%0100d" % n: n % 1000}),
            ),
            "LPUSH": (
                lambda n: elements.appendleft(VALUE),
                lambda n: plain.execute("LPUSH", "l", VALUE),
                lambda n: client.lpush("l", VALUE),
            ),
        }
        columns = ("collection", "execute", "redis-py")
        numbers = itertools.count()
        for round_number in rounds("calls"):
            for what, ways in commands.items():
                for column, call in zip(columns, ways):
                    some = list(itertools.islice(numbers, 1_000 if column == "redis-py" else 5_000))
                    start = time.perf_counter()
                    for n in some:
                        call(n)
                    took = time.perf_counter() - start
                    if round_number > 0:
                        keep(what, column, len(some) / took)
        assert client.hlen("h") > 0 and len(fields) == plain.execute("HLEN", "h") > 0
    beside = f"redis-py {redis.__version__} beside them"
    print(f"\nCalls a second from Python, {beside}, medians of {keep.rounds} rounds (least to most)\n")
    print(f"  {'':8}{'collection':>28}{'execute':>28}{'redis-py':>28}   each beside redis-py")
    for what, row in keep.figures.items():
        cells = "".join(f"{text(row[column]):>28}" for column in columns)
        for column in columns[:2]:
            print(f"  {what:8}{cells}   {column} {ratio(row[column], row['redis-py'], 10)}")
            what, cells = "", " " * 28 * 3


# The names that redis-benchmark gives them.
TESTS = ("SET", "GET", "HSET", "ZADD", "LPUSH", "LRANGE")


def benchmarked(port, pipeline, requests):
    """Requests a second of each test."""

    def run(count, *what):
        size = ["-c", "50", "-d", "100", "-r", "1000000", "-P", str(pipeline), "-n", str(count)]
        command = ["redis-benchmark", "-h", "127.0.0.1", "-p", str(port), *size, "--csv", *what]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return [(row[0].split()[0], float(row[1])) for row in csv.reader(ran.stdout.splitlines()) if row[0] != "test"]

    took = dict(run(requests, "-t", "set,get,hset,zadd,lpush"))
    # On the list that LPUSH made; a reply of 100 elements is a hundred times as long.
    took.update(run(max(requests // 5, 1_000), "LRANGE", "mylist", "0", "99"))
    assert tuple(sorted(took)) == tuple(sorted(TESTS)), took
    return took


def listener(folder, keep):
    for needed in ("redis-server", "redis-benchmark"):
        if shutil.which(needed) is None:
            return print(f"SKIPPED: listener: there is no {needed}")
    note = ""
    with contextlib.ExitStack() as running:
        ports = {
            "pumice": running.enter_context(pumice_server(folder)),
            "redis": running.enter_context(redis_server(folder)),
        }
        binary = os.environ.get("PUMICE_KVROCKS")
        if binary:
            ports["kvrocks"] = running.enter_context(kvrocks_server(binary, folder))
            said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=20)
            version = (said.stdout + said.stderr).strip()
            note = f"  The Kvrocks calls itself {version!r}, which does not say how it was optimized: mind its ratios."
            keep.notes["kvrocks"] = version
        else:
            note = "  SKIPPED: Kvrocks: PUMICE_KVROCKS is not set"
        order = list(ports.items())
        for number in rounds("listener"):
            for pipeline, requests in ((1, 10_000), (32, 100_000)):
                # Nobody is always the first.
                order.append(order.pop(0))
                for name, port in order:
                    for what, rate in benchmarked(port, pipeline, requests if number > 0 else 5_000).items():
                        if number > 0:
                            keep(f"{what} -P {pipeline}", name, rate)
    names = list(ports)
    print(f"\nRequests a second with 50 connections, medians of {keep.rounds} rounds (least to most)\n")
    print(f"  {'':14}" + "".join(f"{name:>34}" for name in names))
    for what, row in keep.figures.items():
        print(f"  {what:14}" + "".join(f"{text(row[name]):>34}" for name in names))
        for name, target in (("redis", 0.3), ("kvrocks", 0.7)):
            if name in row:
                print(f"  {'':14}{'beside ' + name:>20}: {ratio(row['pumice'], row[name], target)}")
    print(note)


def ranges(folder, keep):
    count, some, each = 1_000_000, 100, 200
    with pumice.open(folder / "range", memory_budget=512 << 20) as engine:
        ns = engine.create_namespace("range")
        members = ns.sorted_set("z")
        name = b"member:%08d"
        for start in range(0, count, 1000):
            members.set_many([(name % n, n) for n in range(start, start + 1000)])
            with engine.batch() as batch:
                for n in range(start, start + 1000):
                    batch.put(ns, b"raw:%08d" % n, b"%08d" % n)
        engine.create_checkpoint(str(folder / "range-flushed"))
        draw = random.Random(2)
        middle = count // 2

        def by_score(n):
            return list(members.by_score(n, n + some - 1))

        def raw(n):
            return list(itertools.islice(ns.items(start=b"raw:%08d" % n), some))

        def by_rank(n):
            return list(members.by_rank(n, n + some - 1))

        def rank(n):
            return members.rank(name % n)

        def written(ask):
            def ask_after_a_write(n):
                other = draw.randrange(count)
                # Its score stays between the same two.
                members[name % other] = other + draw.random() / 2
                return ask(n)

            return ask_after_a_write

        # Whoever asks first goes through the half that is nearer.
        start = time.process_time_ns()
        assert rank(middle) == middle
        keep("first question for a rank", "us", (time.process_time_ns() - start) / 1000)
        ways = {
            "by score": (by_score, each),
            "by place": (by_rank, each),
            "raw keys": (raw, each),
            "a rank": (rank, each),
            "a score changed, by place": (written(by_rank), each),
            "a score changed, a rank": (written(rank), each),
        }
        assert by_score(middle) == by_rank(middle) == [(name % n, n) for n in range(middle, middle + some)]
        assert len(raw(middle)) == some and rank(count - 1) == count - 1
        for number in rounds("range"):
            for what, (call, times) in ways.items():
                places = [draw.randrange(count - some) for _ in range(times)]
                start = time.process_time_ns()
                for n in places:
                    call(n)
                took = (time.process_time_ns() - start) / times / 1000
                if number > 0:
                    keep(what, "us", took)
    print(f"\nCPU microseconds for {some} of {count:,}, medians of {keep.rounds} rounds (least to most)\n")
    for what, row in keep.figures.items():
        beside = "" if not what.startswith("by ") else ratio(row["us"], keep.figures["raw keys"]["us"], 2, most=True)
        print(f"  {what:24}{text(row['us']):>28}   {beside}")


class Kept:
    """Figures of one part, by row and column."""

    def __init__(self):
        self.figures, self.notes = {}, {}

    @property
    def rounds(self):
        return max(len(figures) for row in self.figures.values() for figures in row.values())

    def __call__(self, row, column, figure):
        self.figures.setdefault(row, {}).setdefault(column, []).append(figure)


PARTS = {"calls": calls, "listener": listener, "range": ranges}


def main():
    asked = sys.argv[1:] or list(PARTS)
    unknown = [name for name in asked if name not in PARTS]
    if unknown:
        sys.exit(f"part: got {unknown[0]}, expected one of {', '.join(PARTS)}")
    path = pathlib.Path(__file__).with_name("results") / "commands.json"
    path.parent.mkdir(exist_ok=True)
    # What is not run now keeps its figures.
    results = json.loads(path.read_text()) if path.exists() else {}
    for name in asked:
        kept = Kept()
        with tempfile.TemporaryDirectory() as folder:
            PARTS[name](pathlib.Path(folder), kept)
        if kept.figures:
            results[name] = {"python": sys.version, **kept.notes, "figures": kept.figures}
    if results:
        path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
