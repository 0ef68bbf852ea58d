"""The compiled half of pumice. Import its names from `pumice`."""

import collections.abc
from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    MutableSequence,
    MutableSet,
    Sequence,
)
from datetime import timedelta
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final, Literal, Self, TypeAlias, TypeVar, final, overload

from typing_extensions import Buffer, disjoint_base

_T = TypeVar("_T")
_Bytes: TypeAlias = str | Buffer
_Path: TypeAlias = str | PathLike[str]
_Seconds: TypeAlias = float | timedelta
_Role: TypeAlias = Literal["primary", "replica", "detached"]
_Reply: TypeAlias = int | bytes | None | list["_Reply"]
_Compression: TypeAlias = Literal["none", "snappy", "zlib", "lz4", "zstd"]

__version__: Final[str]

def cli(arguments: list[str]) -> int: ...

def open(
    path: _Path,
    *,
    role: _Role | None = None,
    create: bool = True,
    read_only: bool = False,
    cluster: bool | None = None,
    sync: bool = False,
    memory_budget: int | None = None,
    compression: _Compression | None = None,
    wal_keep_bytes: int | None = None,
    wal_keep_seconds: _Seconds | None = None,
) -> Engine:
    """Opens the data directory `path`, the folder that holds `db/`, as a Kvrocks' `dir` does.

    What the directory records about role and key layout holds; `role` and `cluster` insist on one, and a new directory
    takes primary and the standalone layout without them. `create` is whether to make a database where there is none,
    `read_only` opens without changing a byte, `sync` is whether writes survive a power cut when they return.
    `memory_budget` is bytes for block cache and write buffers (256 MiB), `compression` is how new data is compressed
    ("none"); `wal_keep_bytes` (1 GiB) and `wal_keep_seconds` (3 hours) say how much replication log is kept for
    followers.
    """

def release(path: _Path) -> None:
    """Makes the closed directory `path` a plain Kvrocks directory again, for handing it over for good.
    InvalidArgumentError while it keeps data that was given up: discard() it first."""

def convert(
    source: _Path,
    target: _Path,
    *,
    cluster: bool,
    namespace: str | bytes | None = None,
    compression: _Compression | None = None,
    memory_budget: int | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> Converted:
    """Makes a new data directory `target` with the dataset of the data directory `source` in the other key layout: with
    `cluster` the one with a slot in every key. Every type is converted; keys keep their expiry. Scripts come along.
    Search indexes do not, nor do the tokens of namespaces.

    `namespace` is, to the cluster layout, which has no namespaces, the one to take, and to the standalone layout the
    one to make and put all keys into; the default one when it is not given. `compression` is how the target is
    compressed ("none"), `memory_budget` bytes for caches and write buffers (128 MiB), for the source and for the target
    each.

    The source is only read. The target appears whole or not at all, a primary with a history of its own. An exception
    from `progress` cancels and propagates, and leaves nothing.

    NotFoundError for the source, or a namespace that it does not have; InvalidArgumentError when it has that layout
    already; AlreadyExistsError for the target; BusyError when somebody has the source open for writing;
    UnsupportedError when a source in the cluster layout has keys outside of the default namespace."""

@final
class Engine:
    """One open data directory. All its methods may be used from any thread."""

    @property
    def path(self) -> Path:
        """The directory, without links in its path."""

    @property
    def role(self) -> _Role:
        """What this engine is now."""

    @property
    def position(self) -> Position:
        """Where the data is now: the replication id and the last sequence written."""

    @property
    def default(self) -> Namespace:
        """The default namespace, which is always there."""

    @property
    def closed(self) -> bool:
        """Whether it was closed, or this process is a fork of the one that opened it."""

    def create_namespace(self, name: str | bytes, token: str | None = None) -> Namespace:
        """Makes a namespace; a token of 40 characters is drawn when none is given."""

    def namespace(self, name: str | bytes) -> Namespace:
        """A namespace that is registered, or that has data. NotFoundError otherwise."""

    def namespaces(self, unregistered: bool = False) -> list[str]:
        """Names of the registered namespaces, the default one first as "__namespace"; with `unregistered` also of
        those that have data and no registration. Bytes that are not UTF-8 are surrogate escapes."""

    def drop_namespace(self, name: str | bytes) -> None:
        """Deletes a namespace with its data."""

    def batch(self, sync: bool | None = None) -> Batch:
        """A batch of writes that happen together or not at all, when its `with` block ends."""

    def snapshot(self) -> Snapshot:
        """A view of data and namespaces as they are at this moment."""

    def create_checkpoint(self, path: _Path, *, progress: Callable[[Progress], object] | None = None) -> Checkpoint:
        """Makes a checkpoint of the whole dataset in a folder that does not exist yet. An exception from `progress`
        cancels and propagates, and leaves nothing."""

    def apply_checkpoint(
        self, path: _Path, *, progress: Callable[[Progress], object] | None = None, verify: bool = False
    ) -> None:
        """Replaces the whole dataset, data and namespaces as one, with that of a checkpoint, or of the `backup` or
        `db` folder of a Kvrocks, while readers go on. `verify` reads every data block first, for folders without a
        sync manifest. An exception from `progress` cancels and propagates, and leaves the old dataset."""

    def log(self, after: Position | None = None, wait: _Seconds | None = None) -> Log:
        """The entries of the log after a position, or all that are still kept. It stops at the end of the log; with
        `wait`, only when nothing came for that many seconds."""

    def changes(self, entry: Entry) -> list[Change]:
        """What an entry does, record by record."""

    def apply(self, entry: Entry) -> None:
        """Writes an entry of the primary into this replica, byte for byte, at its place."""

    def serve(
        self,
        addr: str = "127.0.0.1:0",
        *,
        password: str | None = None,
        max_connections: int | None = None,
        sync_bytes_per_second: int | None = None,
        authenticate_timeout: _Seconds | None = None,
        send_timeout: _Seconds | None = None,
        checkpoint_disk_limit: int | None = None,
        tls: TlsServer | None = None,
    ) -> Listener:
        """Serves the engine to Redis clients and to replicas, in RESP2 or RESP3, on "host:port" (port 0 takes a free one) or on
        "unix:/path", a socket that only this user may open. It serves until it is closed, or the engine is.

        Without a password every connection may do everything with the engine. With one, it says AUTH first: the
        password makes it an admin, the token of a namespace opens that namespace alone. `max_connections` (1024) is
        how many there may be at a time, `sync_bytes_per_second` how fast the files of a full sync are sent,
        `authenticate_timeout` (10 s) how long a connection may take to say AUTH, `send_timeout` (30 s) how long the
        other side may read nothing, and `checkpoint_disk_limit` how many bytes a checkpoint that replicas fetch may keep
        on the disk when the engine needs them no more (as many as the database's folder has, and 1 GiB at least).

        Passwords and data cross the wire as they are, unless `tls` is given: then every connection must speak TLS."""

    def follow(
        self,
        host: str,
        port: int,
        *,
        password: str | None = None,
        announce_port: int | None = None,
        tls: TlsClient | None = None,
        wait: bool = False,
        timeout: _Seconds | None = None,
        progress: Callable[[LinkStatus], object] | None = None,
    ) -> None:
        """Makes this engine a replica of a primary: a Pumice that serves, or a Kvrocks. That is kept, so that it goes
        on after a restart. Readers go on with the data of before until the primary's is here, all at once; data that
        the primary does not have is given up. `password` is the primary's admin password, `announce_port` the port
        under which others reach this engine, that of its listener when it is not given; `tls` is how to reach the
        primary over TLS, without it in the clear. It is kept too.

        Returns at once, or with `wait` when the primary's data is here: `timeout` and `progress` are those of
        `wait_linked`, and BusyError says that the time is over. The link goes on whatever ends the wait."""

    def wait_linked(
        self, timeout: _Seconds | None = None, *, progress: Callable[[LinkStatus], object] | None = None
    ) -> bool:
        """Waits until the primary's data is here and the link receives entries as they are written. False when
        `timeout` seconds are over, or nobody is followed. `progress` is called ten times a second at most; an
        exception from it ends the wait and propagates, and the link goes on."""

    @property
    def link(self) -> LinkStatus | None:
        """The link at this moment; None when this engine follows nobody."""

    def feeds(self) -> list[FeedStatus]:
        """The feeds that run at this moment: who follows this engine."""

    def detach(self) -> None:
        """Follows nobody any more and stays read-only, durably."""

    def hand_over(self, host: str, port: int, timeout: _Seconds) -> None:
        """A planned switch: stops writes here, waits until the replica that announced `host` and `port` has
        acknowledged every entry, makes it the primary, and follows it. Nothing is given up. The replica is asked with
        the password of this engine's own listener.

        NotFoundError when no such replica is fed; BusyError when it is not there in time, or says no, and writes are
        taken again; IoError when it did not answer whether it is the primary now, and no writes are taken. Ctrl-C does
        not stop what was begun."""

    def discard(self) -> int:
        """Deletes what was kept of datasets that this engine gave up because they had diverged from its primary's. How
        many there were."""

    def wait_for(self, position: Position, timeout: _Seconds) -> bool:
        """Waits until this engine has what a position says: to read on a replica what was written on its primary. False
        when `timeout` seconds are over. DivergedError when it has got there in another history."""

    def wait_acked(self, position: Position, replicas: int, timeout: _Seconds) -> int:
        """Waits until as many replicas have applied what a position says; how many have, also when `timeout` seconds
        are over. DivergedError when the position is not in this history."""

    def promote(self) -> None:
        """Makes this engine a primary, durably. On a primary it does nothing."""

    def set_topology(
        self,
        nodes: str | Iterable[Node],
        *,
        version: int,
        node_id: str,
        password: str | None = None,
        tls: TlsClient | None = None,
        force: bool = False,
    ) -> bool:
        """Says which nodes there are, who follows whom, and which of them this engine is: from then on that alone decides
        whether it is a primary, a replica and of whom, or, when it is not listed, detached. `nodes` are `Node`s, or the text
        of `CLUSTERX SETNODES`. It is kept, and kept to across restarts, until a later version comes. `password` is the admin
        password of the other nodes and `tls` how they are reached over TLS, both as this engine's own listener says when
        they are not given; `force` takes a version that is not higher than the one that governs.

        A lower version is to be forced on every node, in any order: one that has not got it goes on by the higher one, and
        refuses what is not higher still. A primary that says, when all have it, that another took over from it was told so
        by a node before that had it: force the version there once more.

        When it returns, a link to a former primary and the feeds of nodes that are not replicas of this one are closed;
        the new link is made, and made again whenever it breaks, by itself. Returns whether anything changed: the version
        that governs already is no news, and when it comes with other nodes that is an event, and a finding of `verify`.

        While a topology lists this node, `follow`, `detach`, `promote` and `hand_over` raise InvalidArgumentError. A node
        that is no longer listed goes on serving reads and takes no writes until it is promoted by hand or listed again."""

    def topology(self) -> TopologyStatus:
        """What this node is meant to be and what it is, side by side, computed from what runs."""

    def events(self) -> Events:
        """What happens from now on: changes of the role, the link and the topology, full syncs, data given up, feeds."""

    def verify(self, depth: Literal["quick", "checksums", "records"] = "quick") -> list[Finding]:
        """Compares what must be equal, and lists what is not: empty when all is well."""

    def usage(self, *, progress: Callable[[Progress], object] | None = None) -> Usage:
        """How many keys of which type each namespace has, and their bytes. Reads every record once, past the cache. An
        exception from `progress` cancels and propagates."""

    def info(self) -> Info:
        """Figures of this moment."""

    def flush(self) -> None:
        """Returns when every write acknowledged before the call survives a power cut."""

    def close(self) -> None:
        """Refuses all later calls with ClosedError, and frees the directory once no view of a value is held any more.
        A second close does nothing."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_exception: object) -> None: ...

@disjoint_base
class ReadOnlyNamespace(Mapping[bytes, bytes]):
    """One namespace to read, as a mapping from keys to values, in order.

    Keys are `bytes`, `str` (which stands for its UTF-8) or any other buffer. A key of another type than string is in
    the mapping with the value None when it is iterated, and raises WrongTypeError when it is read.
    """

    @property
    def name(self) -> str:
        """Its name; "__namespace" for the default one. Bytes that are not UTF-8 are surrogate escapes."""

    @overload
    def get(self, key: _Bytes, default: None = None) -> bytes | None:
        """The value of a string, or `default` when there is no such key."""

    @overload
    def get(self, key: _Bytes, default: _T) -> bytes | _T: ...
    def get_many(self, keys: Iterable[_Bytes]) -> list[bytes | None]:
        """The values of many strings in the order of the keys, None for those that are not there, seen at one
        moment."""

    def get_view(self, key: _Bytes) -> memoryview | None:
        """A read-only view of a value where the storage engine keeps it, without a copy, or None. It stays valid for
        as long as it lives, also after close; the directory stays open until then."""

    def exists(self, key: _Bytes) -> bool:
        """Whether a key of any type is there."""

    def kind(self, key: _Bytes) -> str | None:
        """The type of a key, as Kvrocks' TYPE names it, or None when there is no such key."""

    def ttl(self, key: _Bytes) -> float | None:
        """How many seconds a key of any type still lives; None when it has no expiry. KeyError when there is none."""

    def keys(
        self,
        *,
        prefix: _Bytes | None = None,
        start: _Bytes | None = None,
        end: _Bytes | None = None,
        reverse: bool = False,
    ) -> KeysView:
        """The keys in order: those that start with `prefix`, from `start` on, before `end`."""

    def values(
        self,
        *,
        prefix: _Bytes | None = None,
        start: _Bytes | None = None,
        end: _Bytes | None = None,
        reverse: bool = False,
    ) -> ValuesView:
        """The values in the order of their keys: of those that start with `prefix`, from `start` on, before `end`."""

    def items(
        self,
        *,
        prefix: _Bytes | None = None,
        start: _Bytes | None = None,
        end: _Bytes | None = None,
        reverse: bool = False,
    ) -> ItemsView:
        """Pairs of key and value in order: those that start with `prefix`, from `start` on, before `end`. The value of
        a key of another type than string is None."""

    def execute(self, *args: _Bytes | float) -> _Reply:
        """Runs a command of Redis, its name and its arguments, and gives what a Redis would answer: int, bytes, None, or a
        list of these. An error reply raises, with the server's words: WrongTypeError, ReadOnlyError, else what the failure
        is, and InvalidArgumentError for what is wrong with the command. On the default namespace it may do what an admin of
        a listener may. Commands that belong to a connection (AUTH, MULTI, SUBSCRIBE) raise UnsupportedError. One that waits
        (BLPOP and its kin, XREAD BLOCK, XREADGROUP BLOCK) waits no time here, whatever time-out it names: where there is
        nothing it gives None at once. pumice.redis(db) waits.

        In a snapshot a command that may write raises ReadOnlyError, also where it would not: SORT, GEORADIUS and BITFIELD
        have a form with _RO that does not. One about the engine, like INFO, raises UnsupportedError."""

    def __getitem__(self, key: _Bytes, /) -> bytes: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...
    def __iter__(self) -> NamespaceIterator[bytes]: ...
    def __reversed__(self) -> NamespaceIterator[bytes]: ...

@final
class Namespace(ReadOnlyNamespace, MutableMapping[bytes, bytes]):
    """One namespace, as a mutable mapping from keys to values, in order.

    It stays valid across `apply_checkpoint`, and raises NotFoundError while its namespace does not exist. Each write
    is atomic for itself; `Engine.batch` makes several one.
    """

    @property
    def token(self) -> str | None:
        """Its token; None for the default namespace and for an unregistered one."""

    def set_token(self, token: str) -> None:
        """Gives it another token."""

    def put(self, key: _Bytes, value: _Bytes, *, ttl: _Seconds | None = None, sync: bool | None = None) -> None:
        """Stores a string, over whatever the key was. `ttl` is how long it lives; `sync` is whether it survives a
        power cut when the call returns, None as the engine was opened."""

    def put_if(
        self,
        key: _Bytes,
        value: _Bytes,
        expected: _Bytes | None,
        *,
        ttl: _Seconds | None = None,
        sync: bool | None = None,
    ) -> bool:
        """Stores a string only if the key holds `expected` now, or with None only if there is no such key. Whether it
        did."""

    def delete(self, key: _Bytes, *, sync: bool | None = None) -> bool:
        """Deletes a key of any type. Whether it was there."""

    @overload
    def pop(self, key: _Bytes) -> bytes:
        """Takes a string away and gives its value, or `default` when there is no such key, or else raises KeyError."""

    @overload
    def pop(self, key: _Bytes, default: _T = ...) -> bytes | _T: ...
    def setdefault(self, key: _Bytes, default: _Bytes) -> bytes:  # type: ignore[override]
        """The value of a string, which is stored as `default` when there is no such key, with nothing in between."""

    def expire(self, key: _Bytes, ttl: _Seconds) -> bool:
        """Lets a key of any type expire after `ttl`. False when there is no such key."""

    def persist(self, key: _Bytes) -> bool:
        """Takes the expiry off a key. False when there is no such key, or it had none."""

    def hash(self, key: _Bytes) -> Hash:
        """The hash of that key, as a mutable mapping. Nothing is looked up before it is used."""

    def list(self, key: _Bytes) -> List:
        """The list of that key, as a mutable sequence. Nothing is looked up before it is used."""

    def set(self, key: _Bytes) -> Set:
        """The set of that key, as a mutable set. Nothing is looked up before it is used."""

    def sorted_set(self, key: _Bytes) -> SortedSet:
        """The sorted set of that key, as a mutable mapping of members to scores. Nothing is looked up before it is
        used."""

    def bitmap(self, key: _Bytes) -> Bitmap:
        """The bitmap of that key: `bitmap[7] = True`. Nothing is looked up before it is used."""

    def hyperloglog(self, key: _Bytes) -> HyperLogLog:
        """The HyperLogLog of that key. Nothing is looked up before it is used."""

    def json(self, key: _Bytes) -> Json:
        """The JSON document of that key. Nothing is looked up before it is used."""

    def geo(self, key: _Bytes) -> Geo:
        """The places of that key, by the names of members. Nothing is looked up before it is used."""

    def bloom_filter(self, key: _Bytes) -> BloomFilter:
        """The Bloom filter of that key: `item in bloom`. Nothing is looked up before it is used."""

    def sorted_int(self, key: _Bytes) -> SortedInt:
        """The sorted int of that key. Nothing is looked up before it is used."""

    def stream(self, key: _Bytes) -> Stream:
        """The stream of that key. Nothing is looked up before it is used."""

    def clear(self) -> None:
        """Deletes all keys: one range delete, whatever their number."""

    def __setitem__(self, key: _Bytes, value: _Bytes, /) -> None: ...
    def __delitem__(self, key: _Bytes, /) -> None: ...

@final
class Bitmap:
    """The bitmap of one key: `bitmap[7] = True`. Bits are off until they are set.

    It need not be there; a string is worked on as the bits that it is. Each call is one write or one look. A key of
    another type raises WrongTypeError.
    """

    __iter__: ClassVar[None]
    def __getitem__(self, offset: int, /) -> bool: ...
    def __setitem__(self, offset: int, on: bool, /) -> None: ...
    def count(self, start: int = 0, end: int | None = None) -> int:
        """How many bits are on, from the bit `start` on, before `end`."""

    def find(self, on: bool = True, start: int = 0, end: int | None = None) -> int | None:
        """The first bit that is on, or with `False` off, from the bit `start` on, before `end`. None when there is
        none."""

    def clear(self) -> None:
        """Removes all bits."""

@final
class HyperLogLog:
    """The HyperLogLog of one key: how many different elements there were, within about 0.8 %.

    It need not be there. Each call is one write or one look. A key of another type raises WrongTypeError.
    """

    def add(self, element: _Bytes) -> bool:
        """Adds an element. Whether the estimate may be another now."""

    def update(self, elements: Iterable[_Bytes]) -> bool:
        """Adds elements in one write. Whether the estimate may be another now."""

    def count(self) -> int:
        """The estimated number of different elements."""

    def merge(self, keys: Iterable[_Bytes]) -> None:
        """Adds what other keys of the namespace have counted."""

    def clear(self) -> None:
        """Forgets all elements."""

@final
class Json:
    """The JSON document of one key, read and changed by JSONPath. Values are what Python's `json` makes of them.

    It need not be there. A document is one record: every change writes all of it. A key of another type raises
    WrongTypeError, a path that is none InvalidArgumentError.
    """

    def get(self) -> Any:
        """The whole document, None when there is none."""

    def find(self, path: str) -> list[Any] | None:
        """A list of what a path finds, None when there is no document."""

    def set(self, value: Any, path: str = "$") -> None:
        """Sets the document, or what a path finds in it."""

    def merge(self, patch: Any, path: str = "$") -> None:
        """Merges a patch into what a path finds: members that are None in it go."""

    def append(self, value: Any, path: str = "$") -> list[int | None]:
        """Appends a value to the arrays that a path finds. Their lengths then, None for what is no array."""

    def remove(self, path: str = "$") -> int:
        """Removes what a path finds; the whole document without one. How many values went."""

    def clear(self) -> None:
        """Removes the document."""

@final
class Geo:
    """Places on the earth, in the sorted set of one key: members, each with a longitude and a latitude in degrees.

    It need not be there. Each call is one write or one look. Distances are metres. A place that is not on the map raises
    InvalidArgumentError, a key of another type WrongTypeError.
    """

    def add(self, member: _Bytes, longitude: float, latitude: float) -> bool:
        """Adds a member, or moves it. Whether it is new."""

    def set_many(
        self, places: Mapping[Any, tuple[float, float]] | Iterable[tuple[_Bytes, tuple[float, float]]]
    ) -> int:
        """Adds members in one write, from a mapping or from pairs of a member and its longitude and latitude. How many
        are new."""

    def remove(self, members: Iterable[_Bytes]) -> int:
        """Removes members. How many were there."""

    def position(self, member: _Bytes) -> tuple[float, float] | None:
        """The longitude and latitude of a member, as exactly as they are kept, None when it is not there."""

    def distance(self, member: _Bytes, other: _Bytes) -> float | None:
        """How many metres two members are from each other, None when one of them is not there."""

    def within_radius(
        self, middle: _Bytes | tuple[float, float], radius: float, *, count: int | None = None
    ) -> list[tuple[bytes, float, tuple[float, float]]]:
        """The members in a circle around `middle`, the nearest first, `count` at most: each with its distance and place.
        The middle is a member, else NotFoundError is raised, or a tuple of longitude and latitude."""

    def within_box(
        self, middle: _Bytes | tuple[float, float], width: float, height: float, *, count: int | None = None
    ) -> list[tuple[bytes, float, tuple[float, float]]]:
        """The members in a rectangle around `middle`, as `within_radius` gives them."""

    def __contains__(self, member: _Bytes, /) -> bool: ...
    def __len__(self) -> int: ...
    def clear(self) -> None:
        """Removes all members."""

@final
class BloomFilter:
    """The Bloom filter of one key: `item in bloom` is certain when it is False, and when it is True wrong at the rate that
    was asked for.

    It need not be there: without `reserve` the first item makes one for 100 items, that grows. Each call is one write or
    one look. A key of another type raises WrongTypeError.
    """

    def reserve(self, capacity: int, error_rate: float = 0.01, *, expansion: int = 2) -> bool:
        """Makes the filter, with `expansion=0` one that does not grow. False when it is there already."""

    def add(self, item: _Bytes) -> bool:
        """Adds an item. Whether it is new. A full filter that does not grow raises InvalidArgumentError."""

    def add_many(self, items: Iterable[_Bytes]) -> list[bool]:
        """Adds items in one write: which are new. When one of them finds the filter full, none is added."""

    def __contains__(self, item: _Bytes, /) -> bool: ...
    def contains_many(self, items: Iterable[_Bytes]) -> list[bool]:
        """Which items were probably added, at one moment."""

    def info(self) -> BloomInfo | None:
        """What the filter is like, None when there is none."""

    def clear(self) -> None:
        """Forgets all items."""

@final
class BloomInfo:
    """What a Bloom filter is like."""

    @property
    def capacity(self) -> int:
        """How many items it takes before it grows, or is full."""

    @property
    def items(self) -> int:
        """How many were added."""

    @property
    def filters(self) -> int:
        """How many filters it has grown to."""

    @property
    def bytes(self) -> int:
        """How many bytes these have."""

    @property
    def error_rate(self) -> float:
        """The rate of false alarms that was asked for."""

    @property
    def expansion(self) -> int:
        """By how much each filter is larger than the one before; 0 when it does not grow."""

@final
class SortedInt:
    """The sorted int of one key: a set of integers from 0 to 2**64 - 1 in order, of Kvrocks' own.

    It need not be there. Each call is one write or one look. A key of another type raises WrongTypeError.
    """

    def add(self, integer: int) -> bool:
        """Adds an integer. Whether it is new."""

    def update(self, integers: Iterable[int]) -> int:
        """Adds integers in one write. How many are new."""

    def remove(self, integers: Iterable[int]) -> int:
        """Removes integers in one write. How many were there."""

    def __contains__(self, integer: int, /) -> bool: ...
    def __len__(self) -> int: ...
    def range(
        self, first: int = 0, last: int | None = None, *, count: int | None = None, reverse: bool = False
    ) -> list[int]:
        """The integers from one to another, which is among them, in order or with `reverse` backwards, `count` at
        most."""

    def clear(self) -> None:
        """Removes all integers."""

@final
class Stream:
    """The stream of one key: a log of entries, each an id like "1700000000000-0" and a dict of fields.

    A loop over it gives pairs of both in the order of the ids, as they were when it began; nothing is loaded ahead. It
    need not be there. Each call is one write or one look. A key of another type raises WrongTypeError.
    """

    __contains__: ClassVar[None]
    def __len__(self) -> int: ...
    def __iter__(self) -> ElementIterator[tuple[str, dict[bytes, bytes]]]: ...
    def __reversed__(self) -> ElementIterator[tuple[str, dict[bytes, bytes]]]: ...
    def append(self, fields: dict[_Bytes, _Bytes], *, id: str | None = None) -> str:
        """Appends an entry, with the next id or with one that is behind the last. Gives its id."""

    def entries(
        self, start: str | None = None, end: str | None = None, *, count: int | None = None, reverse: bool = False
    ) -> list[tuple[str, dict[bytes, bytes]]]:
        """Pairs of id and fields from one id to another, which is among them, `count` at most; from the last to the
        first with `reverse`."""

    def remove(self, ids: list[str]) -> int:
        """Deletes entries. How many were there."""

    def trim(self, count: int) -> int:
        """Deletes the oldest entries but `count`. How many went."""

    def trim_before(self, id: str) -> int:
        """Deletes the entries before an id. How many went."""

    def group(self, name: _Bytes) -> StreamGroup:
        """A group of consumers of this stream, there or not."""

    def clear(self) -> None:
        """Removes the stream with its entries and groups."""

@final
class StreamGroup:
    """A group of consumers that share a stream: each entry is given to one of them, and pending until it is
    acknowledged."""

    def create(self, behind: str = "0-0") -> bool:
        """Makes the group, and the stream where there is none; it is given the entries behind an id. False when it is
        there."""

    def remove(self) -> bool:
        """Removes the group with what is pending. Whether it was there."""

    def read(self, consumer: _Bytes, count: int = 100) -> list[tuple[str, dict[bytes, bytes]]]:
        """Gives a consumer entries that none of the group was given, `count` at most."""

    def read_pending(
        self, consumer: _Bytes, behind: str = "0-0", count: int = 100
    ) -> list[tuple[str, dict[bytes, bytes]]]:
        """Gives a consumer again what is pending for it, behind an id, `count` entries at most. What was deleted meanwhile
        is counted, and does not come. Goes through what is pending for others, too."""

    def acknowledge(self, ids: list[str]) -> int:
        """Entries are done with. How many were pending."""

    def claim(
        self, consumer: _Bytes, min_idle: float = 0.0, count: int = 100
    ) -> list[tuple[str, dict[bytes, bytes]]]:
        """Gives a consumer what has been pending for anyone for at least so many seconds, `count` entries at most."""

    def pending(self) -> dict[bytes, int]:
        """How many entries are pending for each consumer that has some."""

@final
class KeysView(collections.abc.KeysView[bytes]):
    """The keys of a namespace, or of a range in it, in order. A set, as the keys of a dict are."""

    def __iter__(self) -> NamespaceIterator[bytes]: ...
    def __reversed__(self) -> NamespaceIterator[bytes]: ...
    def __len__(self) -> int: ...
    def isdisjoint(self, other: Iterable[Any]) -> bool: ...
    def __contains__(self, key: object, /) -> bool: ...

@final
class ValuesView(collections.abc.ValuesView[bytes]):
    """The values of a namespace, or of a range in it, in the order of their keys."""

    def __iter__(self) -> NamespaceIterator[bytes]: ...
    def __reversed__(self) -> NamespaceIterator[bytes]: ...
    def __len__(self) -> int: ...
    def __contains__(self, key: object, /) -> bool: ...

@final
class ItemsView(collections.abc.ItemsView[bytes, bytes]):
    """Pairs of key and value of a namespace, or of a range in it, in order. A set, as the items of a dict are."""

    def __iter__(self) -> NamespaceIterator[tuple[bytes, bytes]]: ...
    def __reversed__(self) -> NamespaceIterator[tuple[bytes, bytes]]: ...
    def __len__(self) -> int: ...
    def isdisjoint(self, other: Iterable[Any]) -> bool: ...
    def __contains__(self, key: object, /) -> bool: ...

@final
class NamespaceIterator(Iterator[_T]):
    """An iterator over one namespace, in order, as it was when the iterator was made. It raises ClosedError after the
    engine, or the snapshot that it came from, was closed."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> _T: ...

@final
class Hash(MutableMapping[bytes, bytes]):
    """The hash of one key, as a mutable mapping from fields to values: in the order of the fields, with bytes on both
    sides.

    It need not be there: a hash without fields is none. Each call is one write or one look. A key of another type
    raises WrongTypeError.
    """

    def __getitem__(self, field: _Bytes, /) -> bytes: ...
    def __setitem__(self, field: _Bytes, value: _Bytes, /) -> None: ...
    def __delitem__(self, field: _Bytes, /) -> None: ...
    def __contains__(self, field: _Bytes, /) -> bool: ...  # type: ignore[override]
    def __len__(self) -> int: ...
    def __iter__(self) -> ElementIterator[bytes]: ...
    def __reversed__(self) -> ElementIterator[bytes]: ...
    @overload
    def get(self, key: _Bytes, default: None = None) -> bytes | None:
        """The value of a field, or `default` when it is not there."""

    @overload
    def get(self, key: _Bytes, default: _T) -> bytes | _T: ...
    @overload
    def pop(self, key: _Bytes) -> bytes:
        """Takes a field away and gives its value, or `default` when it is not there, or else raises KeyError."""

    @overload
    def pop(self, key: _Bytes, default: _T = ...) -> bytes | _T: ...
    def setdefault(self, key: _Bytes, default: _Bytes) -> bytes:  # type: ignore[override]
        """The value of a field, which is stored as `default` when it is not there, with nothing in between."""

    def scan(
        self,
        *,
        prefix: _Bytes | None = None,
        start: _Bytes | None = None,
        end: _Bytes | None = None,
        reverse: bool = False,
    ) -> ElementIterator[tuple[bytes, bytes]]:
        """Pairs of field and value in order, at one moment: of the fields that start with `prefix`, from `start` on,
        before `end`."""

    def get_many(self, fields: Iterable[_Bytes]) -> list[bytes | None]:
        """The values of many fields in their order, None for those that are not there, at one moment."""

    def set_many(self, fields: Mapping[Any, _Bytes] | Iterable[tuple[_Bytes, _Bytes]]) -> int:
        """Sets many fields in one write. How many are new."""

    def increment(self, field: _Bytes, by: int = 1) -> int:
        """Adds to the whole number in a field, 0 where there is none, with nothing in between. Gives what it is
        then."""

    def clear(self) -> None:
        """Removes all fields."""

@final
class List(MutableSequence[bytes]):
    """The list of one key, as a mutable sequence of bytes with the methods of a deque: both ends are near.

    It need not be there: a list without elements is none. Each call is one write or one look. A key of another type
    raises WrongTypeError.
    """

    @overload
    def __getitem__(self, index: int, /) -> bytes: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[bytes]: ...
    def __setitem__(self, index: int, element: _Bytes, /) -> None: ...  # type: ignore[override]
    def __delitem__(self, index: int, /) -> None: ...  # type: ignore[override]
    def __contains__(self, element: _Bytes, /) -> bool: ...  # type: ignore[override]
    def __len__(self) -> int: ...
    def __iter__(self) -> ElementIterator[bytes]: ...
    def __reversed__(self) -> ElementIterator[bytes]: ...
    def insert(self, index: int, value: _Bytes) -> None:
        """Inserts an element before that of an index; at an end where there is none."""

    def append(self, value: _Bytes) -> None:
        """Pushes an element at the right end."""

    def appendleft(self, value: _Bytes) -> None:
        """Pushes an element at the left end."""

    def extend(self, values: Iterable[_Bytes]) -> None:
        """Pushes elements at the right end, one after the other, in one write."""

    def extendleft(self, values: Iterable[_Bytes]) -> None:
        """Pushes elements at the left end, one after the other, in one write: the last of them is the first then."""

    def pop(self, index: int = -1) -> bytes:
        """Takes the element at an index away, the last one without; IndexError where there is none."""

    def popleft(self) -> bytes:
        """Takes the first element away; IndexError where there is none."""

    def remove(self, value: _Bytes) -> None:
        """Removes the first element that equals that; ValueError where there is none."""

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """Where the first element is that equals that; ValueError where there is none."""

    def count(self, value: Any) -> int:
        """How many elements equal that."""

    def trim(self, first: int, last: int) -> None:
        """Keeps the elements from one index to another, which is among them, and no others."""

    def clear(self) -> None:
        """Removes all elements."""

@final
class Set(MutableSet[bytes]):
    """The set of one key, as a mutable set of bytes, in the order of the bytes.

    It need not be there: a set without members is none. Each call is one write or one look. A key of another type
    raises WrongTypeError.
    """

    def __contains__(self, member: object, /) -> bool: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> ElementIterator[bytes]: ...
    def __rand__(self, other: Iterable[Any]) -> set[bytes]: ...
    def __ror__(self, other: Iterable[_T]) -> set[bytes | _T]: ...
    def __rsub__(self, other: Iterable[_T]) -> set[_T]: ...
    def __rxor__(self, other: Iterable[_T]) -> set[bytes | _T]: ...
    def isdisjoint(self, other: Iterable[Any]) -> bool: ...
    def add(self, value: _Bytes) -> None:
        """Adds a member."""

    def update(self, values: Iterable[_Bytes]) -> int:
        """Adds members in one write. How many are new."""

    def discard(self, value: _Bytes) -> None:
        """Removes a member, if it is there."""

    def remove(self, value: _Bytes) -> None:
        """Removes a member; KeyError where it is not there."""

    def pop(self) -> bytes:
        """Takes a random member away; KeyError where there is none. Goes through the set."""

    def clear(self) -> None:
        """Removes all members."""

@final
class SortedSet(MutableMapping[bytes, float]):
    """The sorted set of one key, as a mutable mapping from members, which are bytes, to scores: in the order of the
    scores.

    It need not be there: a sorted set without members is none. Each call is one write or one look. A key of another
    type raises WrongTypeError.
    """

    def __getitem__(self, member: _Bytes, /) -> float: ...
    def __setitem__(self, member: _Bytes, score: float, /) -> None: ...
    def __delitem__(self, member: _Bytes, /) -> None: ...
    def __contains__(self, member: _Bytes, /) -> bool: ...  # type: ignore[override]
    def __len__(self) -> int: ...
    def __iter__(self) -> ElementIterator[bytes]: ...
    def __reversed__(self) -> ElementIterator[bytes]: ...
    @overload
    def get(self, key: _Bytes, default: None = None) -> float | None:
        """The score of a member, or `default` when it is not there."""

    @overload
    def get(self, key: _Bytes, default: _T) -> float | _T: ...
    @overload
    def pop(self, key: _Bytes) -> float:
        """Takes a member away and gives its score, or `default` when it is not there, or else raises KeyError."""

    @overload
    def pop(self, key: _Bytes, default: _T = ...) -> float | _T: ...
    def setdefault(self, key: _Bytes, default: float) -> float:  # type: ignore[override]
        """The score of a member, which is stored as `default` when it is not there, with nothing in between."""

    def set_many(self, scores: Mapping[Any, float] | Iterable[tuple[_Bytes, float]]) -> int:
        """Sets the scores of many members in one write, from a mapping or from pairs. How many are new."""

    def increment(self, member: _Bytes, by: float = 1.0) -> float:
        """Adds to the score of a member, which is 0 where it is not there. Gives what it is then."""

    def rank(self, member: _Bytes, *, reverse: bool = False) -> int | None:
        """How many members come before one, or with `reverse` after it; None when it is not there. In a
        long sorted set only the first question goes through them."""

    def by_rank(self, first: int = 0, last: int = -1, *, reverse: bool = False) -> ElementIterator[tuple[bytes, float]]:
        """Pairs of member and score from one place to another, which is among them, at one moment. Places count in the
        order that is asked for, from the other end with negative numbers."""

    def by_score(
        self, min: float | None = None, max: float | None = None, *, exclusive: bool = False, reverse: bool = False
    ) -> ElementIterator[tuple[bytes, float]]:
        """Pairs of member and score with scores from `min` to `max`, that one among them unless `exclusive`, at one
        moment."""

    def count(self, min: float | None = None, max: float | None = None, *, exclusive: bool = False) -> int:
        """How many members have scores from `min` to `max`, that one among them unless `exclusive`. Goes through
        them."""

    def pop_lowest(self, count: int = 1) -> list[tuple[bytes, float]]:
        """Takes the members with the lowest scores away, `count` at most, and gives them with their scores."""

    def pop_highest(self, count: int = 1) -> list[tuple[bytes, float]]:
        """Takes the members with the highest scores away, `count` at most, and gives them with their scores."""

    def clear(self) -> None:
        """Removes all members."""

@final
class ElementIterator(Iterator[_T]):
    """An iterator over what one key holds, as it was when the iterator was made. Nothing is loaded ahead. It raises
    ClosedError after the engine was closed."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> _T: ...

@final
class Batch:
    """A batch of writes to any namespaces of one engine. Nothing happens until it is committed, which the end of its
    `with` block does, or discards it when it is left by an exception."""

    def put(
        self, namespace: Namespace | str | bytes, key: _Bytes, value: _Bytes, *, ttl: _Seconds | None = None
    ) -> None:
        """Adds a string to be stored, over whatever the key was. `ttl` counts from now."""

    def delete(self, namespace: Namespace | str | bytes, key: _Bytes) -> None:
        """Adds a deletion of a key of any type; of one that is not there it is nothing."""

    def commit(self) -> None:
        """Does all of it, or, with NotFoundError when one of its namespaces is gone, nothing."""

    def discard(self) -> None:
        """Forgets all of it."""

    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exception: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None: ...

@final
class Snapshot:
    """Data and namespaces as they were together when it was taken, whatever is written or swapped later."""

    @property
    def position(self) -> Position:
        """The position that it shows."""

    @property
    def default(self) -> ReadOnlyNamespace:
        """The default namespace."""

    @property
    def closed(self) -> bool:
        """Whether it was closed, or its engine was."""

    def namespaces(self) -> list[str]:
        """Names of the namespaces registered then, the default one first as "__namespace"."""

    def namespace(self, name: str | bytes) -> ReadOnlyNamespace:
        """A namespace that was registered or had data then."""

    def close(self) -> None:
        """Lets go of the dataset. Its namespaces and their iterators raise ClosedError from then on."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_exception: object) -> None: ...

@final
class Log(Iterator[Entry]):
    """A reader of the log from one position on: an iterator of entries. It stops at the end of the log, or when
    nothing came for as long as it was told to wait; asked again, it goes on where it stopped."""

    @property
    def position(self) -> Position:
        """Where it is: behind the last entry that it gave."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> Entry: ...

@final
class Entry:
    """One committed batch, with the history that it continues. It can be stored, sent and pickled."""

    @property
    def replication_id(self) -> str:
        """The replication id before the batch; empty when the directory had none."""

    @property
    def cluster(self) -> bool:
        """Whether its keys are in the cluster layout."""

    @property
    def first(self) -> int:
        """The sequence number of its first record."""

    @property
    def last(self) -> int:
        """The sequence number of its last record."""

    @property
    def data(self) -> bytes:
        """The batch as RocksDB serialises it."""

    @classmethod
    def from_bytes(cls, data: _Bytes) -> Self:
        """Reads and checks an entry that `to_bytes` made, its batch included."""

    def to_bytes(self) -> bytes:
        """The entry as bytes."""

    def __bytes__(self) -> bytes: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Change:
    """One thing that an entry did."""

    @property
    def operation(
        self,
    ) -> Literal[
        "put",
        "delete",
        "delete_range",
        "clear",
        "put_subkey",
        "delete_subkey",
        "namespaces",
        "replication_id",
        "other",
    ]:
        """What was done."""

    @property
    def family(self) -> int:
        """The id of the column family that it was done in."""

    @property
    def namespace(self) -> str:
        """The namespace; empty when `key` is a raw key."""

    @property
    def key(self) -> bytes:
        """The user key, the first key of a range, or a raw key."""

    @property
    def end(self) -> bytes | None:
        """The key after the last of a range."""

    @property
    def sub(self) -> bytes | None:
        """The stored field, member, index or id of a subkey."""

    @property
    def version(self) -> int:
        """The version of a composite key, which its subkeys carry; 0 for none."""

    @property
    def value(self) -> bytes | None:
        """The value; of JSON with its leading format byte."""

    @property
    def kind(self) -> str:
        """The type of the key, "none" where the record does not say."""

    @property
    def expire_ms(self) -> int:
        """When the key expires, in unix milliseconds; 0 for never."""

@final
class Position:
    """A place in a history: the state after the entry that ends at `sequence`, in the history of that replication
    id."""

    def __new__(cls, replication_id: str, sequence: int) -> Self: ...
    @property
    def replication_id(self) -> str:
        """16 characters; empty for data of a Kvrocks that keeps no ids."""

    @property
    def sequence(self) -> int:
        """RocksDB's sequence number."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Checkpoint(PathLike[str]):
    """A checkpoint that was made. It is an `os.PathLike` of its folder."""

    @property
    def path(self) -> Path:
        """The folder that holds it."""

    @property
    def position(self) -> Position:
        """The position of its data."""

    @property
    def files(self) -> int:
        """How many files it has, the sync manifest not counted."""

    @property
    def bytes(self) -> int:
        """How many bytes they have."""

    def __fspath__(self) -> str: ...

@final
class Progress:
    """How far a long call is."""

    @property
    def stage(self) -> Literal["receive", "open", "publish", "checksum", "convert", "count"]:
        """What it is doing."""

    @property
    def files_done(self) -> int:
        """Files done in this stage."""

    @property
    def files(self) -> int:
        """Files in all."""

    @property
    def bytes_done(self) -> int:
        """Bytes done in this stage."""

    @property
    def bytes(self) -> int:
        """Bytes in all; an estimate, never below what is done, where records are gone through."""

    @property
    def fraction(self) -> float:
        """From 0.0 to 1.0, by bytes."""

@final
class Finding:
    """Something that is not as it must be."""

    @property
    def what(self) -> str:
        """What was looked at."""

    @property
    def detail(self) -> str:
        """What was found, and what was expected."""

@final
class Info:
    """Figures of one moment. Sizes are bytes."""

    @property
    def path(self) -> Path:
        """The data directory."""

    @property
    def role(self) -> _Role:
        """What this engine is."""

    @property
    def position(self) -> Position:
        """Where its data is."""

    @property
    def layout(self) -> Literal["standalone", "cluster"]:
        """The key layout."""

    @property
    def generation(self) -> int:
        """The number of the current generation, 0 for a plain `db` folder read in place."""

    @property
    def namespaces(self) -> int:
        """Registered namespaces, the default one not counted."""

    @property
    def refuses_writes(self) -> str | None:
        """Why writes are refused, where they are refused whatever the role."""

    @property
    def records_estimate(self) -> int:
        """RocksDB's estimate of the records in all column families."""

    @property
    def table_files(self) -> int:
        """Number of SST files."""

    @property
    def table_bytes(self) -> int:
        """Size of the SST files."""

    @property
    def blob_bytes(self) -> int:
        """Size of the blob files."""

    @property
    def oldest_sequence(self) -> int:
        """The first sequence that the replication log still has, 0 when it has none."""

    @property
    def memory_budget(self) -> int:
        """What cache and write buffers may take together."""

    @property
    def cache_bytes(self) -> int:
        """What the block cache takes, write buffers included."""

    @property
    def write_buffer_bytes(self) -> int:
        """What write buffers take."""

    @property
    def table_reader_bytes(self) -> int:
        """What table readers take outside the cache."""

    @property
    def snapshots(self) -> int:
        """Open snapshots."""

    @property
    def feeds(self) -> int:
        """Replicas that are fed."""

    @property
    def lag_sequences(self) -> int | None:
        """How many sequences the primary was ahead when it last told; None where nobody is followed or it did not tell."""

    @property
    def lag_seconds(self) -> float | None:
        """How many seconds ago this replica last had everything; None where nobody is followed or it never had."""

    def as_dict(self) -> dict[str, Any]:
        """All figures by their names."""

@final
class Converted(PathLike[str]):
    """A dataset that was converted. It is an `os.PathLike` of its directory."""

    @property
    def path(self) -> Path:
        """The data directory that holds it."""

    @property
    def position(self) -> Position:
        """Its position, in a history of its own."""

    @property
    def layout(self) -> Literal["standalone", "cluster"]:
        """Its key layout."""

    @property
    def namespace(self) -> str:
        """The namespace that its keys are in; "__namespace" for the default one."""

    @property
    def keys(self) -> int:
        """How many keys it has, those that expired and were not compacted away included."""

    @property
    def records(self) -> int:
        """How many records: keys with their fields, members and elements, and scripts."""

    @property
    def bytes(self) -> int:
        """Bytes of those, before compression."""

    @property
    def left_out(self) -> list[str]:
        """What the source has and the target does not, a sentence each."""

    def __fspath__(self) -> str: ...

@final
class Usage:
    """What a dataset holds. Bytes are those of keys and values as they are stored, before compression."""

    @property
    def namespaces(self) -> list[NamespaceUsage]:
        """Every namespace that is registered or has data, the default one first, then in order of their names."""

    @property
    def other_bytes(self) -> int:
        """Bytes of what belongs to no key: the registry, scripts, published messages, search indexes."""

    @property
    def unreadable_records(self) -> int:
        """Records that cannot be decoded: `verify` says which."""

@final
class NamespaceUsage:
    """What one namespace holds."""

    @property
    def name(self) -> str:
        """Its name; "__namespace" for the default one. Bytes that are not UTF-8 are surrogate escapes."""

    @property
    def registered(self) -> bool:
        """Whether it is registered, or the default one."""

    @property
    def kinds(self) -> list[KindUsage]:
        """The types that it has keys of."""

    @property
    def keys(self) -> int:
        """Keys of all types."""

    @property
    def bytes(self) -> int:
        """Bytes of all types."""

    @property
    def expired_keys(self) -> int:
        """Keys that are stored and no longer there: expired, or emptied."""

    @property
    def expired_bytes(self) -> int:
        """Bytes of those."""

    @property
    def remains_bytes(self) -> int:
        """Bytes of fields, members and elements whose key was deleted or replaced, and that compaction has yet to
        take."""

@final
class KindUsage:
    """The keys of one type in a namespace."""

    @property
    def kind(self) -> str:
        """The type, as Kvrocks' TYPE gives it."""

    @property
    def keys(self) -> int:
        """How many keys."""

    @property
    def bytes(self) -> int:
        """Their bytes, with those of their fields, members or elements."""

@final
class Listener:
    """A listener: Redis clients and replicas talk to the engine through it, until it is closed or the engine is. It does
    not keep the engine open, and it need not be kept."""

    @property
    def address(self) -> tuple[str, int] | str:
        """Where it listens: a tuple of host and port, or the path of a Unix socket."""

    def close(self) -> None:
        """Ends all connections and waits until the commands that run have finished. A second close does nothing."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_exception: object) -> None: ...

@final
class TlsServer:
    """How a listener speaks TLS, for `serve`. The files are in PEM and read when it begins to listen: its certificate,
    with those between it and its CA, and the key of that.

    With `client_ca`, clients and replicas must show a certificate that is signed by it. With `peer_ca`, REPLICAOF on the
    listener and `hand_over` reach other nodes over TLS: their certificates must be signed by it, and the listener's own
    is shown to them; without it they are reached in the clear."""

    def __new__(
        cls, certificate: _Path, key: _Path, *, client_ca: _Path | None = None, peer_ca: _Path | None = None
    ) -> Self: ...
    @property
    def certificate(self) -> Path:
        """The file of its certificate."""

    @property
    def key(self) -> Path:
        """The file of its key."""

    @property
    def client_ca(self) -> Path | None:
        """The file of the CA that clients' certificates must be signed by, or None."""

    @property
    def peer_ca(self) -> Path | None:
        """The file of the CA that other nodes' certificates must be signed by, or None."""

@final
class TlsClient:
    """How a primary is reached over TLS, for `follow`. The files are in PEM and read anew for each connection; the paths
    are kept, so that it goes on over TLS after a restart.

    The primary's certificate must be signed by `ca` and name the host to which we connect, or `server_name`.
    `certificate` and `key` are our own, for a primary that asks for one."""

    def __new__(
        cls,
        ca: _Path,
        *,
        certificate: _Path | None = None,
        key: _Path | None = None,
        server_name: str | None = None,
    ) -> Self: ...
    @property
    def ca(self) -> Path:
        """The file of the CA that the primary's certificate must be signed by."""

    @property
    def certificate(self) -> Path | None:
        """The file of our own certificate, or None."""

    @property
    def key(self) -> Path | None:
        """The file of its key, or None."""

    @property
    def server_name(self) -> str | None:
        """The name that the primary's certificate must bear; None is the host to which we connect."""

@final
class LinkStatus:
    """The link of a replica at one moment."""

    @property
    def host(self) -> str:
        """The primary's host."""

    @property
    def port(self) -> int:
        """The primary's port."""

    @property
    def state(self) -> Literal["connecting", "handshake", "syncing", "streaming", "waiting"]:
        """What the link is doing."""

    @property
    def since(self) -> float:
        """Since when it is doing that, as `time.time()` counts."""

    @property
    def peer(self) -> Literal["kvrocks", "pumice"] | None:
        """Who the primary is, once it is known."""

    @property
    def lag_sequences(self) -> int | None:
        """How many sequences the primary was ahead when it last told; None before it did."""

    @property
    def lag_seconds(self) -> float | None:
        """How many seconds ago this replica last had everything, 0 when it has; None before it ever had."""

    @property
    def last_io(self) -> float | None:
        """How many seconds ago the last bytes came."""

    @property
    def last_error(self) -> str | None:
        """Why it failed last."""

    @property
    def warning(self) -> str | None:
        """What the operator ought to know of the primary."""

    @property
    def sync(self) -> SyncStatus | None:
        """The full sync that runs, or None."""

    @property
    def full_syncs(self) -> int:
        """How many full syncs were done since this primary is followed."""

@final
class SyncStatus:
    """How far a full sync is."""

    @property
    def files(self) -> int:
        """Files in all; 0 until they are known."""

    @property
    def files_done(self) -> int:
        """Files that are here."""

    @property
    def bytes(self) -> int:
        """Bytes in all, as far as they are known: a Kvrocks tells the size of a file when it sends it."""

    @property
    def bytes_done(self) -> int:
        """Bytes that are here."""

    @property
    def bytes_reused(self) -> int:
        """Of those, bytes that were here before and did not come over the wire."""

    @property
    def bytes_per_second(self) -> int:
        """Bytes a second over the wire, on average."""

    @property
    def remaining_seconds(self) -> float | None:
        """How many seconds it will take at that rate; None while there is no rate."""

@final
class FeedStatus:
    """A running feed of a primary at one moment: who follows it."""

    @property
    def id(self) -> int:
        """Tells it from every other feed of this engine."""

    @property
    def host(self) -> str:
        """The replica's host, as it announced itself, or as the connection shows it."""

    @property
    def port(self) -> int:
        """The port that the replica announced, 0 when it announced none."""

    @property
    def peer(self) -> Literal["kvrocks", "pumice"]:
        """Who the replica is."""

    @property
    def sent(self) -> int:
        """The last sequence sent."""

    @property
    def acked(self) -> int | None:
        """The last sequence that the replica says it has applied; None while it said nothing."""

    @property
    def durable(self) -> int | None:
        """The last sequence that the replica says will survive a power cut."""

    @property
    def lag_sequences(self) -> int:
        """How many sequences the replica lacks, by what it acknowledged, else by what was sent."""

    @property
    def last_ack(self) -> float | None:
        """How many seconds ago it acknowledged something."""

    @property
    def since(self) -> float:
        """When it began, as `time.time()` counts."""

@final
class Node:
    """One node of a topology. `primary` is the id of the node that it follows, None for a primary; `slots` are those of a
    primary, pairs of first and last."""

    def __new__(
        cls, id: str, host: str, port: int, primary: str | None = None, slots: Sequence[tuple[int, int]] = ()
    ) -> Self: ...
    @property
    def id(self) -> str:
        """Its id: 40 characters."""

    @property
    def host(self) -> str:
        """The host name or address under which it listens."""

    @property
    def port(self) -> int:
        """The port on which it listens."""

    @property
    def primary(self) -> str | None:
        """The id of the primary that it follows; None for a primary."""

    @property
    def slots(self) -> tuple[tuple[int, int], ...]:
        """The slots of a primary: pairs of first and last."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class TopologyStatus:
    """What a node is meant to be and what it is: one moment of both."""

    @property
    def version(self) -> int | None:
        """The version of the topology; None where none was set."""

    @property
    def nodes(self) -> list[Node]:
        """Its nodes."""

    @property
    def node_id(self) -> str | None:
        """Who this node is in it; None where that was not said."""

    @property
    def role(self) -> _Role:
        """The role of this node."""

    @property
    def epoch(self) -> int:
        """The number of the epoch under which this primary writes, or that this replica has seen."""

    @property
    def desired(self) -> tuple[str, int] | None:
        """Host and port of the primary that it is meant to follow."""

    @property
    def actual(self) -> LinkStatus | None:
        """The link that runs."""

    @property
    def converged(self) -> bool:
        """Whether what runs is what was wished."""

    @property
    def since(self) -> float:
        """Since when it has been so, or has not, as `time.time()` counts."""

    @property
    def reason(self) -> str | None:
        """Why it has not."""

@final
class Events(Iterator[Event]):
    """What happens in an engine from the moment on when it was asked for, in order. A loop over it waits for the next event
    and ends when the engine is closed. It does not keep the engine open. At most 1,024 events wait; whoever is slower loses
    the oldest, and `lost` of the next one says how many."""

    def next(self, timeout: _Seconds | None = None) -> Event | None:
        """The next event, waiting for it so many seconds, or as long as it takes; None when none came in that time.
        ClosedError when the engine was closed and every event was taken."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> Event: ...

@final
class Event:
    """Something that happened."""

    @property
    def time(self) -> float:
        """When, as `time.time()` counts."""

    @property
    def kind(self) -> Literal["role", "link", "topology", "full_sync", "divergence", "feed"]:
        """What it is about."""

    @property
    def message(self) -> str:
        """What happened, for people."""

    @property
    def lost(self) -> int:
        """How many events before this one were dropped, because nobody took them in time."""

class Error(Exception):
    """The base of all errors of Pumice."""

    kind: ClassVar[str]

class InvalidArgumentError(Error, ValueError):
    """The call is wrong: change an argument."""

class NotFoundError(Error):
    """The named thing does not exist, or is no longer kept. A missing key is a KeyError."""

class AlreadyExistsError(Error):
    """A thing of that name, or with that token, exists with another content."""

class ReadOnlyError(Error):
    """This engine, or this role, does not take writes."""

class ClosedError(Error):
    """The engine was closed, or this process is a fork of the one that opened it."""

class BusyError(Error):
    """Somebody else holds it: try again when they let go."""

class IoError(Error, OSError):
    """The operating system refused; errno says how, where it is known."""

class CorruptionError(Error):
    """Stored or received bytes are not what they should be."""

class UnsupportedError(Error):
    """Well formed, but not something this version can do."""

class PoisonedError(Error):
    """An earlier write failed half way: reads go on, writes need a reopened engine."""

class DivergedError(Error):
    """The position or entry belongs to another history: a full sync is needed."""

class WrongTypeError(Error):
    """The key holds another data type."""

class InternalError(Error):
    """A fault in Pumice itself: please report it."""

@final
class Session:
    """A conversation about one namespace, with the transaction that it has begun. Not for users: `pumice.redis` is."""

    def __new__(
        cls,
        namespace: Namespace,
        encode: Callable[[Any], bytes | memoryview],
        error: Callable[[str], object],
        resp3: bool,
    ) -> Self: ...
    def execute(self, args: tuple[Any, ...]) -> Any:
        """Runs one command and gives its reply."""

    def execute_all(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        """Runs several commands, one after the other, and gives their replies."""
