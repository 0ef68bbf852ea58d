/*
 * Pumice: Kvrocks light enough to live inside your process. An embedded storage engine on RocksDB with namespaces,
 * checkpoint-based full sync and a replication log, which keeps its data in Apache Kvrocks' on-disk format.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * The rules of this header
 *
 * Errors. A function that can fail returns a pumice_status, which is PUMICE_OK or what the caller can do about it, and
 * takes a `pumice_error **` last. That may be NULL; else it receives NULL on success and on failure an error that says
 * more, which you free with pumice_error_free. What it held before is overwritten and not looked at. Nothing is kept per
 * thread. A missing key is not an error: `*value` is NULL then. Beside what a function names, every one that takes a
 * handle may answer PUMICE_INVALID_ARGUMENT, PUMICE_CLOSED and PUMICE_INTERNAL; one that reads PUMICE_IO and
 * PUMICE_CORRUPTION; one that writes also PUMICE_READ_ONLY and PUMICE_POISONED; one of a namespace PUMICE_NOT_FOUND when
 * that is gone. Memory that runs out ends the process.
 *
 * Arguments. Bytes are a pointer and a size; they may hold anything, and are not needed any more after the call. NULL
 * with size 0 is the empty string. Paths are C strings. A `const pumice_bytes *` is for bytes that may be left out: NULL
 * for none. Where NULL has no meaning it is answered with PUMICE_INVALID_ARGUMENT, and so is a number out of range.
 *
 * Results. What a function puts behind a pointer to a pointer is yours: free it once, with the function of its type.
 * On failure it is NULL, and other results are not written. Functions without a pumice_status cannot fail; of NULL they
 * give NULL, 0 or nothing, and pumice_*_free does nothing. Lent memory is never freed by you, and says how long it lasts.
 *
 * Ownership. A handle keeps alive what it needs, so handles may be freed in any order: an engine before its
 * namespaces, a namespace before its values. The files of an engine are closed once all its handles are freed, or after
 * pumice_engine_close once its values, walks and snapshots are.
 *
 * Threads. All may be used from any thread, and all but pumice_batch, pumice_items, pumice_log and options while they are
 * being set from several threads at once. Free a handle when no thread uses it any more.
 *
 * Forks. In a forked child every call on a handle of the parent that would touch its data answers PUMICE_CLOSED, and
 * freeing such handles leaves the data alone. The child cannot open engines, which answers PUMICE_UNSUPPORTED, and should
 * end with _exit or run another program: RocksDB waits at the exit of a process for threads that only the parent has.
 *
 * Durability. A write survives a killed process when the call returns. It survives a power cut when the engine was
 * opened with `sync`, or the write asked for it, or pumice_engine_flush returned since.
 */


#ifndef PUMICE_H
#define PUMICE_H

/* Made by cbindgen from src/capi/. Change it there, then: make header. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * What a number is that is not known.
 */
#define PUMICE_UNKNOWN 18446744073709551615ull

/**
 * What a time to live is of a key that does not exist.
 */
#define PUMICE_TTL_MISSING -2

/**
 * What a time to live is of a key that does not expire.
 */
#define PUMICE_TTL_FOREVER -1

/**
 * How a call ended. The numbers never change.
 */
typedef enum {
    /**
     * It did what it says.
     */
    PUMICE_OK = 0,
    /**
     * The call is wrong: change an argument.
     */
    PUMICE_INVALID_ARGUMENT = 1,
    /**
     * The named thing does not exist, or is no longer kept. A missing key is not an error.
     */
    PUMICE_NOT_FOUND = 2,
    /**
     * A thing of that name, or with that token, exists with another content.
     */
    PUMICE_ALREADY_EXISTS = 3,
    /**
     * This engine, or this role, does not take writes.
     */
    PUMICE_READ_ONLY = 4,
    /**
     * The engine was closed, or this process is a fork of the one that opened it.
     */
    PUMICE_CLOSED = 5,
    /**
     * Somebody else holds it: try again when they let go.
     */
    PUMICE_BUSY = 6,
    /**
     * The operating system refused: see the message.
     */
    PUMICE_IO = 7,
    /**
     * Stored or received bytes are not what they should be.
     */
    PUMICE_CORRUPTION = 8,
    /**
     * Well formed, but not something this version can do.
     */
    PUMICE_UNSUPPORTED = 9,
    /**
     * An earlier write failed half way: reads go on, writes need a reopened engine.
     */
    PUMICE_POISONED = 10,
    /**
     * The position or entry belongs to another history: a full sync is needed.
     */
    PUMICE_DIVERGED = 11,
    /**
     * The key holds another data type.
     */
    PUMICE_WRONG_TYPE = 12,
    /**
     * A fault in Pumice itself: please report it.
     */
    PUMICE_INTERNAL = 13,
} pumice_status;

/**
 * What an engine is.
 */
typedef enum {
    /**
     * Takes writes and feeds replicas.
     */
    PUMICE_ROLE_PRIMARY = 1,
    /**
     * Follows a primary and takes no writes of its own.
     */
    PUMICE_ROLE_REPLICA = 2,
    /**
     * Neither: read-only until somebody says what it is.
     */
    PUMICE_ROLE_DETACHED = 3,
} pumice_role;

/**
 * What a reply is.
 */
typedef enum {
    /**
     * No value: `nil`.
     */
    PUMICE_REPLY_NIL = 0,
    PUMICE_REPLY_INTEGER = 1,
    PUMICE_REPLY_BYTES = 2,
    /**
     * A short text, like `OK`.
     */
    PUMICE_REPLY_STATUS = 3,
    /**
     * The text of an error. Only as an element: a command that fails has no reply.
     */
    PUMICE_REPLY_ERROR = 4,
    PUMICE_REPLY_ARRAY = 5,
} pumice_reply_type;

/**
 * What a long call is doing.
 */
typedef enum {
    /**
     * Files are linked or copied, and compared with the sync manifest.
     */
    PUMICE_STAGE_RECEIVE = 1,
    /**
     * The new generation is opened beside the living one.
     */
    PUMICE_STAGE_OPEN = 2,
    /**
     * The new generation becomes the current one.
     */
    PUMICE_STAGE_PUBLISH = 3,
    /**
     * Files of a new checkpoint are read for their checksums.
     */
    PUMICE_STAGE_CHECKSUM = 4,
    /**
     * Records are brought into the other key layout.
     */
    PUMICE_STAGE_CONVERT = 5,
    /**
     * Records are counted.
     */
    PUMICE_STAGE_COUNT = 6,
} pumice_stage;

/**
 * What a change did. Later versions may add numbers.
 */
typedef enum {
    /**
     * A key was set. Strings and JSON come with their value; of other kinds the metadata was written.
     */
    PUMICE_OPERATION_PUT = 1,
    /**
     * A key was removed.
     */
    PUMICE_OPERATION_DELETE = 2,
    /**
     * The keys from `key` up to but not including `end` were removed; to the end of the namespace without `end`.
     * Without a namespace both bounds are raw keys of the family.
     */
    PUMICE_OPERATION_DELETE_RANGE = 3,
    /**
     * All keys of the namespace were removed.
     */
    PUMICE_OPERATION_CLEAR = 4,
    /**
     * A field, member, element or the like of a key was set.
     */
    PUMICE_OPERATION_PUT_SUBKEY = 5,
    /**
     * A field, member, element or the like of a key was removed.
     */
    PUMICE_OPERATION_DELETE_SUBKEY = 6,
    /**
     * The namespace registry was written. Its value is not given, since it holds the tokens.
     */
    PUMICE_OPERATION_NAMESPACES = 7,
    /**
     * The replication id was written, or removed when there is no value.
     */
    PUMICE_OPERATION_REPLICATION_ID = 8,
    /**
     * Something else: a raw key, with its value when it was set and without when it was removed.
     */
    PUMICE_OPERATION_OTHER = 9,
} pumice_operation;

/**
 * What a link is doing.
 */
typedef enum {
    /**
     * There is none.
     */
    PUMICE_LINK_STATE_NONE = 0,
    /**
     * It looks for the primary.
     */
    PUMICE_LINK_STATE_CONNECTING = 1,
    /**
     * It agrees with the primary where to begin.
     */
    PUMICE_LINK_STATE_HANDSHAKE = 2,
    /**
     * It receives the whole dataset.
     */
    PUMICE_LINK_STATE_SYNCING = 3,
    /**
     * It receives entries as they are written.
     */
    PUMICE_LINK_STATE_STREAMING = 4,
    /**
     * It waits before it tries again.
     */
    PUMICE_LINK_STATE_WAITING = 5,
} pumice_link_state;

/**
 * Who is at the other end.
 */
typedef enum {
    /**
     * It is not known yet.
     */
    PUMICE_PEER_NONE = 0,
    /**
     * An Apache Kvrocks server.
     */
    PUMICE_PEER_KVROCKS = 1,
    /**
     * An engine like this one.
     */
    PUMICE_PEER_PUMICE = 2,
} pumice_peer;

/**
 * What an event is about. Later versions may add numbers.
 */
typedef enum {
    /**
     * Nothing: of no event.
     */
    PUMICE_EVENT_KIND_NONE = 0,
    /**
     * The engine has another role, or takes writes no more, or again.
     */
    PUMICE_EVENT_KIND_ROLE = 1,
    /**
     * The link to the primary is in another state.
     */
    PUMICE_EVENT_KIND_LINK = 2,
    /**
     * A topology was set, or contradicts the one that governs.
     */
    PUMICE_EVENT_KIND_TOPOLOGY = 3,
    /**
     * A full sync began, or was done.
     */
    PUMICE_EVENT_KIND_FULL_SYNC = 4,
    /**
     * Entries of the engine's own are given up.
     */
    PUMICE_EVENT_KIND_DIVERGENCE = 5,
    /**
     * A feed to a replica began, or ended.
     */
    PUMICE_EVENT_KIND_FEED = 6,
} pumice_event_kind;

/**
 * The type of a key. Other numbers up to 15 are types of a later Kvrocks: their keys are alive and opaque.
 */
typedef enum {
    PUMICE_KIND_NONE = 0,
    PUMICE_KIND_STRING = 1,
    PUMICE_KIND_HASH = 2,
    PUMICE_KIND_LIST = 3,
    PUMICE_KIND_SET = 4,
    PUMICE_KIND_ZSET = 5,
    PUMICE_KIND_BITMAP = 6,
    PUMICE_KIND_SORTEDINT = 7,
    PUMICE_KIND_STREAM = 8,
    PUMICE_KIND_BLOOM = 9,
    PUMICE_KIND_JSON = 10,
    PUMICE_KIND_HYPERLOGLOG = 11,
    PUMICE_KIND_TDIGEST = 12,
    PUMICE_KIND_TIMESERIES = 13,
    PUMICE_KIND_TOPK = 14,
} pumice_kind;

/**
 * How blocks are compressed from level 2 on. All codecs can be read whatever is chosen.
 */
typedef enum {
    /**
     * Kvrocks' default.
     */
    PUMICE_COMPRESSION_NONE = 0,
    PUMICE_COMPRESSION_SNAPPY = 1,
    PUMICE_COMPRESSION_ZLIB = 2,
    PUMICE_COMPRESSION_LZ4 = 3,
    PUMICE_COMPRESSION_ZSTD = 4,
} pumice_compression;

/**
 * How deep a verification looks.
 */
typedef enum {
    /**
     * What is held twice: registry, link, history, log. Milliseconds.
     */
    PUMICE_DEPTH_QUICK = 0,
    /**
     * And the checksum of every data block. One read of all data.
     */
    PUMICE_DEPTH_CHECKSUMS = 1,
    /**
     * And every record decodes. Two reads of all data.
     */
    PUMICE_DEPTH_RECORDS = 2,
} pumice_depth;

/**
 * A batch of writes to any namespaces of one engine. Nothing happens until it is committed; freed without that, it
 * never was. It becomes one entry of the log. One thread at a time.
 */
typedef struct pumice_batch pumice_batch;

/**
 * What an entry does, record by record. It holds nothing of engine or entry.
 */
typedef struct pumice_changes pumice_changes;

/**
 * A checkpoint that was made.
 */
typedef struct pumice_checkpoint pumice_checkpoint;

/**
 * What to convert to.
 */
typedef struct pumice_convert_options pumice_convert_options;

/**
 * A dataset that was converted.
 */
typedef struct pumice_converted pumice_converted;

/**
 * One open data directory. It may be used from any thread.
 */
typedef struct pumice_engine pumice_engine;

/**
 * One committed batch with its sequence numbers and the history that it continues. It holds nothing of the engine, and
 * may be used from any thread.
 */
typedef struct pumice_entry pumice_entry;

/**
 * Why a call failed.
 */
typedef struct pumice_error pumice_error;

/**
 * Something that happened. It holds nothing of the engine.
 */
typedef struct pumice_event pumice_event;

/**
 * What happens in an engine from the moment on when it was asked for, in order. It does not keep the engine open. At most
 * 1,024 events wait; whoever is slower loses the oldest, and is told how many.
 */
typedef struct pumice_events pumice_events;

/**
 * The feeds of a primary at one moment.
 */
typedef struct pumice_feeds pumice_feeds;

/**
 * What a verification found.
 */
typedef struct pumice_findings pumice_findings;

/**
 * How to follow a primary.
 */
typedef struct pumice_follow_options pumice_follow_options;

/**
 * Figures of one moment. Sizes are bytes. Of NULL every figure is 0, every text NULL.
 */
typedef struct pumice_info pumice_info;

/**
 * An ordered walk through the keys of a namespace that are alive, seeing one moment. In the cluster layout the order is
 * by slot, then by key. It holds the dataset of that moment: free it when you are done. One thread at a time.
 */
typedef struct pumice_items pumice_items;

/**
 * The link of a replica at one moment. Of NULL every number is 0, every text NULL.
 */
typedef struct pumice_link_status pumice_link_status;

/**
 * A listener: Redis clients and replicas talk to the engine through it, until it is closed or freed, or the engine is. It
 * does not keep the engine open. In a forked child it is nothing.
 */
typedef struct pumice_listener pumice_listener;

/**
 * A reader of the log, from one position on. It goes on across pumice_engine_apply_checkpoint when its position is in
 * the new history, and says so when it is not. One thread at a time.
 */
typedef struct pumice_log pumice_log;

/**
 * A list of names.
 */
typedef struct pumice_names pumice_names;

/**
 * A namespace of an engine. It stays valid across pumice_engine_apply_checkpoint, and answers PUMICE_NOT_FOUND while its
 * namespace does not exist. It may be used from any thread.
 *
 * Keys are bytes of any kind, the empty key included, at most 512 MiB long, as values are.
 */
typedef struct pumice_namespace pumice_namespace;

/**
 * How to open a directory.
 */
typedef struct pumice_options pumice_options;

/**
 * What a command answered. It holds no data of the engine open.
 */
typedef struct pumice_reply pumice_reply;

/**
 * How to serve an engine.
 */
typedef struct pumice_serve_options pumice_serve_options;

/**
 * Data and namespaces as they were together when it was taken, whatever is written or swapped later. It keeps the
 * dataset of that moment on disk: free it when you are done. It may be used from any thread.
 */
typedef struct pumice_snapshot pumice_snapshot;

/**
 * One namespace as a snapshot sees it. It holds what the snapshot holds. It may be used from any thread.
 */
typedef struct pumice_snapshot_namespace pumice_snapshot_namespace;

/**
 * How a topology is set.
 */
typedef struct pumice_topology_options pumice_topology_options;

/**
 * What a node is meant to be and what it is: one moment of both. Of NULL every number is 0, every text NULL.
 */
typedef struct pumice_topology_status pumice_topology_status;

/**
 * What a dataset holds. Bytes are those of keys and values as they are stored, before compression.
 */
typedef struct pumice_usage pumice_usage;

/**
 * Bytes that you own, where the storage engine keeps them where it can. A value holds the dataset that it is of: read
 * it and free it.
 */
typedef struct pumice_value pumice_value;

/**
 * How one write is done.
 */
typedef struct pumice_write_options pumice_write_options;

/**
 * Bytes that somebody else owns. `data` is NULL for what is not there; empty bytes that are there have a `data`.
 */
typedef struct {
    const char *data;
    size_t size;
} pumice_bytes;

/**
 * The state after the entry that ends at `sequence`, in the history of that replication id.
 */
typedef struct {
    /**
     * 16 characters and a NUL; empty for data of a Kvrocks that keeps no ids.
     */
    char replication_id[17];
    /**
     * RocksDB's sequence number.
     */
    uint64_t sequence;
} pumice_position;

/**
 * Which keys a walk goes through, and which way. All zero is all keys, forward.
 */
typedef struct {
    /**
     * Only keys that start with it.
     */
    pumice_bytes prefix;
    /**
     * The first key that may come; NULL for the first of all.
     */
    const pumice_bytes *start;
    /**
     * The first key that may not come any more; NULL for none.
     */
    const pumice_bytes *end;
    /**
     * From the last key to the first.
     */
    bool reverse;
} pumice_range;

/**
 * One key of a walk.
 */
typedef struct {
    /**
     * The key, without namespace.
     */
    pumice_bytes key;
    /**
     * The value of a string; without `data` for every other type.
     */
    pumice_bytes value;
    /**
     * The pumice_kind of the key.
     */
    uint8_t kind;
} pumice_item;

/**
 * How far a long call is.
 */
typedef struct {
    /**
     * What it is doing.
     */
    pumice_stage stage;
    /**
     * Files done in this stage.
     */
    uint64_t files_done;
    /**
     * Files in all.
     */
    uint64_t files;
    /**
     * Bytes done in this stage.
     */
    uint64_t bytes_done;
    /**
     * Bytes in all; an estimate, never below what is done, where records are gone through.
     */
    uint64_t bytes;
} pumice_progress;

/**
 * Told how far a long call is, on the thread that made it; the record is lent for the call. Anything but 0 cancels.
 * It must return: no exception and no longjmp may leave it.
 */
typedef int (*pumice_progress_callback)(const pumice_progress *progress, void *user_data);

/**
 * One change. Bytes without `data` are not there.
 */
typedef struct {
    /**
     * What was done.
     */
    pumice_operation operation;
    /**
     * The column family that it was done in.
     */
    uint32_t family;
    /**
     * The namespace; empty when `key` is a raw key.
     */
    pumice_bytes ns;
    /**
     * The user key, the first key of a range, or a raw key.
     */
    pumice_bytes key;
    /**
     * The key after the last of a range.
     */
    pumice_bytes end;
    /**
     * The stored field, member, index or id of a subkey.
     */
    pumice_bytes sub;
    /**
     * The value; of JSON with its leading format byte.
     */
    pumice_bytes value;
    /**
     * The version of a composite key, which its subkeys carry: those with another one are remains. 0 for none.
     */
    uint64_t version;
    /**
     * When the key expires, in unix milliseconds; 0 for never.
     */
    uint64_t expire_ms;
    /**
     * The pumice_kind of the key, PUMICE_KIND_NONE where the record does not say.
     */
    uint8_t kind;
} pumice_change;

/**
 * Told what a link does, on the thread that waits for it; the status is lent for the call. Anything but 0 ends the wait.
 * It must return: no exception and no longjmp may leave it.
 */
typedef int (*pumice_link_callback)(const pumice_link_status *link, void *user_data);

/**
 * How far a full sync is.
 */
typedef struct {
    /**
     * Files in all; 0 until they are known.
     */
    uint64_t files;
    /**
     * Files that are here.
     */
    uint64_t files_done;
    /**
     * Bytes in all, as far as they are known: a Kvrocks tells the size of a file when it sends it.
     */
    uint64_t bytes;
    /**
     * Bytes that are here.
     */
    uint64_t bytes_done;
    /**
     * Of those, bytes that were here before and did not come over the wire.
     */
    uint64_t bytes_reused;
    /**
     * Bytes a second over the wire, on average.
     */
    uint64_t bytes_per_second;
    /**
     * How long it will take at that rate; PUMICE_UNKNOWN while there is no rate.
     */
    uint64_t remaining_ms;
} pumice_sync_status;

/**
 * A running feed: one who follows this engine.
 */
typedef struct {
    /**
     * Tells it from every other feed of this engine.
     */
    uint64_t id;
    /**
     * The replica's host, as it announced itself, or as the connection shows it.
     */
    const char *host;
    /**
     * The last sequence sent.
     */
    uint64_t sent;
    /**
     * The last sequence that the replica says it has applied; PUMICE_UNKNOWN while it said nothing, as an older Kvrocks
     * does.
     */
    uint64_t acked;
    /**
     * The last sequence that the replica says will survive a power cut, or PUMICE_UNKNOWN.
     */
    uint64_t durable;
    /**
     * How many sequences the replica lacks, by what it acknowledged, else by what was sent.
     */
    uint64_t lag_sequences;
    /**
     * How long ago it acknowledged something, or PUMICE_UNKNOWN.
     */
    uint64_t last_ack_ms;
    /**
     * When it began, in unix milliseconds.
     */
    uint64_t since_ms;
    /**
     * Who the replica is.
     */
    pumice_peer peer;
    /**
     * The port that the replica announced, 0 when it announced none.
     */
    uint16_t port;
} pumice_feed_status;

/**
 * Slots from the first to the last, both included.
 */
typedef struct {
    uint16_t first;
    uint16_t last;
} pumice_slot_range;

/**
 * One node of a topology. What it points to is lent until the status is freed.
 */
typedef struct {
    /**
     * Its id: 40 characters.
     */
    const char *id;
    /**
     * The host name or address under which it listens.
     */
    const char *host;
    /**
     * The id of the primary that it follows; NULL for a primary.
     */
    const char *primary;
    /**
     * The slots of a primary, in order.
     */
    const pumice_slot_range *slots;
    /**
     * How many ranges of slots it has.
     */
    size_t slot_range_count;
    /**
     * The port on which it listens.
     */
    uint16_t port;
} pumice_node;

/**
 * Something that is not as it must be, in UTF-8.
 */
typedef struct {
    /**
     * What was looked at.
     */
    pumice_bytes what;
    /**
     * What was found, and what was expected.
     */
    pumice_bytes detail;
} pumice_finding;

/**
 * The keys of one type in a namespace.
 */
typedef struct {
    /**
     * How many keys.
     */
    uint64_t keys;
    /**
     * Their bytes, with those of their fields, members or elements.
     */
    uint64_t bytes;
    /**
     * The type, a pumice_kind.
     */
    uint8_t kind;
} pumice_kind_usage;

/**
 * What one namespace holds.
 */
typedef struct {
    /**
     * Its name; `__namespace` for the default one.
     */
    pumice_bytes name;
    /**
     * The types that it has keys of, by their numbers; NULL when there are none.
     */
    const pumice_kind_usage *kinds;
    /**
     * How many types those are.
     */
    size_t kind_count;
    /**
     * Keys of all types.
     */
    uint64_t keys;
    /**
     * Bytes of all types.
     */
    uint64_t bytes;
    /**
     * Keys that are stored and no longer there: expired, or emptied.
     */
    uint64_t expired_keys;
    /**
     * Bytes of those.
     */
    uint64_t expired_bytes;
    /**
     * Bytes of fields, members and elements whose key was deleted or replaced, and that compaction has yet to take.
     */
    uint64_t remains_bytes;
    /**
     * Whether it is registered, or the default one.
     */
    bool registered;
} pumice_namespace_usage;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * What the caller can do about an error; `PUMICE_OK` of NULL.
 */
pumice_status pumice_error_kind(const pumice_error *error);

/**
 * What went wrong, which thing, what was found, what was expected: one line of UTF-8, lent until the error is freed.
 * Empty of NULL.
 */
const char *pumice_error_message(const pumice_error *error);

/**
 * Frees an error.
 */
void pumice_error_free(pumice_error *error);

/**
 * The version of the library, like "0.1.0".
 */
const char *pumice_version(void);

/**
 * The name of a pumice_status, like "NotFound"; "Ok" of PUMICE_OK; "unknown" of any other number.
 */
const char *pumice_status_name(int32_t status);

/**
 * The name of a pumice_role, like "primary"; "unknown" of any other number.
 */
const char *pumice_role_name(int32_t role);

/**
 * The name of a pumice_kind as Kvrocks' TYPE gives it, like "string"; "unknown" of any other number.
 */
const char *pumice_kind_name(int32_t kind);

/**
 * The name of a pumice_stage, like "receive"; "unknown" of any other number.
 */
const char *pumice_stage_name(int32_t stage);

/**
 * The name of a pumice_operation, like "put"; "unknown" of any other number.
 */
const char *pumice_operation_name(int32_t operation);

/**
 * The name of a pumice_link_state, like "streaming"; "unknown" of any other number.
 */
const char *pumice_link_state_name(int32_t state);

/**
 * The name of a pumice_peer, like "kvrocks"; "unknown" of any other number.
 */
const char *pumice_peer_name(int32_t peer);

/**
 * The name of a pumice_event_kind, like "full_sync"; "unknown" of any other number.
 */
const char *pumice_event_kind_name(int32_t kind);

/**
 * The bytes of a value, lent until it is freed; never NULL but of NULL.
 */
const char *pumice_value_data(const pumice_value *value);

/**
 * How many bytes a value has; 0 of NULL.
 */
size_t pumice_value_size(const pumice_value *value);

/**
 * Frees a value.
 */
void pumice_value_free(pumice_value *value);

/**
 * How many names there are; 0 of NULL.
 */
size_t pumice_names_count(const pumice_names *names);

/**
 * A name, lent until the list is freed; without `data` when there is none at that index.
 */
pumice_bytes pumice_names_at(const pumice_names *names, size_t index);

/**
 * Frees a list of names.
 */
void pumice_names_free(pumice_names *names);

/**
 * Options that suit most programs, to be changed and freed.
 */
pumice_options *pumice_options_new(void);

/**
 * The pumice_role to insist on. Unset, what the directory records; a new or foreign one becomes a primary.
 */
pumice_status pumice_options_set_role(pumice_options *options, int32_t role, pumice_error **error);

/**
 * The key layout to insist on: true for the cluster layout, with a slot in every key. Unset, what the directory
 * records or its keys show; a new one gets the standalone layout.
 */
pumice_status pumice_options_set_cluster(pumice_options *options,
                                         bool cluster,
                                         pumice_error **error);

/**
 * Whether to create the database where there is none. Unset, true.
 */
pumice_status pumice_options_set_create(pumice_options *options, bool create, pumice_error **error);

/**
 * Opens without changing a byte; writes answer PUMICE_READ_ONLY. Unset, false.
 */
pumice_status pumice_options_set_read_only(pumice_options *options, bool read_only, pumice_error **error);

/**
 * Whether a write survives a power cut when it returns, unless the call says otherwise. Without it a write survives a
 * killed process. It costs one fsync, shared by concurrent writers. Unset, false.
 */
pumice_status pumice_options_set_sync(pumice_options *options,
                                      bool sync,
                                      pumice_error **error);

/**
 * Bytes for the block cache, with write buffers counted in it. Unset, 256 MiB; at least 4 MiB.
 */
pumice_status pumice_options_set_memory_budget(pumice_options *options, size_t bytes, pumice_error **error);

/**
 * How new data is compressed, a pumice_compression. Unset, not at all.
 */
pumice_status pumice_options_set_compression(pumice_options *options,
                                             int32_t compression,
                                             pumice_error **error);

/**
 * Bytes of replication log to keep for followers. Unset, 1 GiB.
 */
pumice_status pumice_options_set_wal_keep_bytes(pumice_options *options,
                                                uint64_t bytes,
                                                pumice_error **error);

/**
 * How long to keep the replication log for followers. Unset, three hours.
 */
pumice_status pumice_options_set_wal_keep_ms(pumice_options *options, uint64_t keep_ms, pumice_error **error);

/**
 * Frees options. Engines opened with them are not touched.
 */
void pumice_options_free(pumice_options *options);

/**
 * Options of a write, to be changed and freed. As they come: for ever, and durable as the engine was opened.
 */
pumice_write_options *pumice_write_options_new(void);

/**
 * How long the key lives. A write with 0 ms is refused with PUMICE_INVALID_ARGUMENT.
 */
pumice_status pumice_write_options_set_ttl_ms(pumice_write_options *options,
                                              uint64_t ttl_ms,
                                              pumice_error **error);

/**
 * Whether the write survives a power cut when the call returns, however the engine was opened.
 */
pumice_status pumice_write_options_set_sync(pumice_write_options *options, bool sync, pumice_error **error);

/**
 * Frees options of a write.
 */
void pumice_write_options_free(pumice_write_options *options);

/**
 * Options of following, to be changed and freed. As they come: without a password.
 */
pumice_follow_options *pumice_follow_options_new(void);

/**
 * The primary's admin password, in UTF-8. It is kept in the file `state`, which only the owner can read.
 */
pumice_status pumice_follow_options_set_password(pumice_follow_options *options,
                                                 const char *password,
                                                 size_t password_size,
                                                 pumice_error **error);

/**
 * The port under which others can reach this engine, announced to the primary. Unset, that of its listener.
 */
pumice_status pumice_follow_options_set_announce_port(pumice_follow_options *options,
                                                      uint16_t port,
                                                      pumice_error **error);

/**
 * Follows over TLS: the primary's certificate must be signed by one of the CA certificates in the PEM file `ca`, and name
 * the host to which we connect. The path is kept, and the file read anew for each connection. Unset, in the clear.
 *
 * What does not do is told by pumice_engine_follow: PUMICE_UNSUPPORTED in a build without TLS, PUMICE_IO for a file that
 * cannot be read, PUMICE_INVALID_ARGUMENT for what is in it.
 */
pumice_status pumice_follow_options_set_tls(pumice_follow_options *options,
                                            const char *ca,
                                            pumice_error **error);

/**
 * Our own certificate, with those between it and its CA, and its key, for a primary that asks for one: PEM files, read as
 * the CA's. Only together with pumice_follow_options_set_tls.
 */
pumice_status pumice_follow_options_set_tls_certificate(pumice_follow_options *options,
                                                        const char *certificate,
                                                        const char *key,
                                                        pumice_error **error);

/**
 * The name that the primary's certificate must bear. Unset, the host to which we connect. Only together with
 * pumice_follow_options_set_tls.
 */
pumice_status pumice_follow_options_set_tls_server_name(pumice_follow_options *options,
                                                        const char *server_name,
                                                        pumice_error **error);

/**
 * Frees options of following.
 */
void pumice_follow_options_free(pumice_follow_options *options);

/**
 * Options of serving, to be changed and freed. As they come: without a password, so that whoever reaches the address
 * may do everything.
 */
pumice_serve_options *pumice_serve_options_new(void);

/**
 * What clients and replicas say to become admin, in UTF-8. With it, the token of a namespace opens that namespace.
 */
pumice_status pumice_serve_options_set_password(pumice_serve_options *options,
                                                const char *password,
                                                size_t password_size,
                                                pumice_error **error);

/**
 * How many connections there may be at a time. Unset, 1024.
 */
pumice_status pumice_serve_options_set_max_connections(pumice_serve_options *options,
                                                       size_t connections,
                                                       pumice_error **error);

/**
 * How long a connection may take to authenticate. Unset, 10 seconds.
 */
pumice_status pumice_serve_options_set_authenticate_timeout_ms(pumice_serve_options *options,
                                                               uint64_t timeout_ms,
                                                               pumice_error **error);

/**
 * How long the other side may read nothing of what is sent to it. Unset, 30 seconds.
 */
pumice_status pumice_serve_options_set_send_timeout_ms(pumice_serve_options *options,
                                                       uint64_t timeout_ms,
                                                       pumice_error **error);

/**
 * How fast the files of a full sync are sent, all replicas together. Unset, as fast as can be.
 */
pumice_status pumice_serve_options_set_sync_bytes_per_second(pumice_serve_options *options,
                                                             uint64_t bytes,
                                                             pumice_error **error);

/**
 * How many bytes a checkpoint that replicas fetch may keep on the disk when the engine needs them no more. Unset, as many
 * as the database's folder has, and 1 GiB at least.
 */
pumice_status pumice_serve_options_set_checkpoint_disk_limit(pumice_serve_options *options,
                                                             uint64_t bytes,
                                                             pumice_error **error);

/**
 * Speaks TLS with every connection, with the certificate in the PEM file `certificate`, with those between it and its CA,
 * and the key in the PEM file `key`. The files are read when pumice_engine_serve begins to listen. Unset, all is in the
 * clear. TLS is for `host:port` only.
 *
 * What does not do is told by pumice_engine_serve: PUMICE_UNSUPPORTED in a build without TLS, PUMICE_IO for a file that
 * cannot be read, PUMICE_INVALID_ARGUMENT for what is in it.
 */
pumice_status pumice_serve_options_set_tls(pumice_serve_options *options,
                                           const char *certificate,
                                           const char *key,
                                           pumice_error **error);

/**
 * Lets in only clients and replicas that show a certificate signed by one of the CA certificates in the PEM file `ca`.
 * Only together with pumice_serve_options_set_tls.
 */
pumice_status pumice_serve_options_set_tls_client_ca(pumice_serve_options *options,
                                                     const char *ca,
                                                     pumice_error **error);

/**
 * Has `REPLICAOF` on this listener and pumice_engine_hand_over reach other nodes over TLS: their certificates must be
 * signed by one of the CA certificates in the PEM file `ca`, and the listener's own is shown to them. Unset, they are
 * reached in the clear. Only together with pumice_serve_options_set_tls.
 */
pumice_status pumice_serve_options_set_tls_peer_ca(pumice_serve_options *options,
                                                   const char *ca,
                                                   pumice_error **error);

/**
 * Frees options of serving. Listeners made with them are not touched.
 */
void pumice_serve_options_free(pumice_serve_options *options);

/**
 * Opens the data directory `path`, the folder that holds `db/`, as a Kvrocks' `dir` does. A folder written by a
 * Kvrocks is adopted: its `db` becomes a link. `options` may be NULL. Blocks while the log is replayed: about a second
 * for 500 MB of it. As a primary it draws a fresh replication id, which is one write.
 *
 * PUMICE_NOT_FOUND when nothing is there and creating is off; PUMICE_BUSY when another process has it open;
 * PUMICE_INVALID_ARGUMENT when a role or layout is asked for that it does not have, or when the path is no data
 * directory; PUMICE_UNSUPPORTED when a newer Kvrocks wrote it; PUMICE_CORRUPTION when it cannot be read.
 */
pumice_status pumice_engine_open(const char *path,
                                 const pumice_options *options,
                                 pumice_engine **engine,
                                 pumice_error **error);

/**
 * Refuses all later calls, of every handle, with PUMICE_CLOSED. Files are closed and the directory is free once no
 * value, iterator or snapshot is held any more; calls that run on other threads finish first. A second close does
 * nothing. The handle is still to be freed.
 */
pumice_status pumice_engine_close(const pumice_engine *engine,
                                  pumice_error **error);

/**
 * Frees the handle. An engine that was not closed is closed when the last handle of it, its namespaces included, is
 * freed.
 */
void pumice_engine_free(pumice_engine *engine);

/**
 * The directory, without links in its path, lent until the handle is freed; NULL of NULL.
 */
const char *pumice_engine_path(const pumice_engine *engine);

/**
 * What this engine is now.
 */
pumice_status pumice_engine_role(const pumice_engine *engine, pumice_role *role, pumice_error **error);

/**
 * Where the data is now: the replication id and the last sequence written.
 */
pumice_status pumice_engine_position(const pumice_engine *engine,
                                     pumice_position *position,
                                     pumice_error **error);

/**
 * Makes a namespace and gives its handle. Without `token` (NULL) one of 40 characters is drawn. One write, alone in
 * its log record, durable as the engine was opened. The same name with the same token is no error and no write.
 *
 * PUMICE_ALREADY_EXISTS when the name has another token, or the token another name; PUMICE_INVALID_ARGUMENT for a name
 * that is empty, longer than 255 bytes, not UTF-8, ends in 0xFF or is `__namespace`, and for an empty token;
 * PUMICE_UNSUPPORTED in the cluster layout, which has no namespaces.
 */
pumice_status pumice_engine_create_namespace(const pumice_engine *engine,
                                             const char *name,
                                             size_t name_size,
                                             const pumice_bytes *token,
                                             pumice_namespace **ns,
                                             pumice_error **error);

/**
 * The handle of a namespace that is registered, or that has data (a Kvrocks may keep its registry in a configuration
 * file). It stays valid across pumice_engine_apply_checkpoint. PUMICE_NOT_FOUND when there is none of that name.
 */
pumice_status pumice_engine_open_namespace(const pumice_engine *engine,
                                           const char *name,
                                           size_t name_size,
                                           pumice_namespace **ns,
                                           pumice_error **error);

/**
 * The handle of the default namespace, which is always there.
 */
pumice_status pumice_engine_default_namespace(const pumice_engine *engine,
                                              pumice_namespace **ns,
                                              pumice_error **error);

/**
 * Names of all registered namespaces, the default one first as `__namespace`, the others in order.
 */
pumice_status pumice_engine_namespaces(const pumice_engine *engine,
                                       pumice_names **names,
                                       pumice_error **error);

/**
 * Names of namespaces that have data and no registration. One seek for each namespace.
 */
pumice_status pumice_engine_unregistered_namespaces(const pumice_engine *engine,
                                                    pumice_names **names,
                                                    pumice_error **error);

/**
 * Deletes a namespace with its data. Two writes: range deletes in every column family, then the registry alone. Takes
 * milliseconds; the space comes back by compaction. PUMICE_NOT_FOUND when there is none of that name.
 */
pumice_status pumice_engine_drop_namespace(const pumice_engine *engine,
                                           const char *name,
                                           size_t name_size,
                                           pumice_error **error);

/**
 * Returns when every write acknowledged before the call survives a power cut. One fsync, shared.
 */
pumice_status pumice_engine_flush(const pumice_engine *engine, pumice_error **error);

/**
 * Makes this engine a primary, durably. It draws a fresh replication id; the former one stays known, so that replicas
 * that are not ahead go on without a full sync. On a primary it does nothing.
 */
pumice_status pumice_engine_promote(const pumice_engine *engine,
                                    pumice_error **error);

/**
 * Makes the `db` of a closed data directory a plain folder again and removes everything that is not a Kvrocks' own.
 * Opened again, it is adopted anew. PUMICE_BUSY while it is open anywhere; PUMICE_INVALID_ARGUMENT while it keeps data that
 * was given up (pumice_engine_discard).
 */
pumice_status pumice_release(const char *path,
                             pumice_error **error);

/**
 * Its token, to be freed; NULL for the default namespace and for an unregistered one.
 */
pumice_status pumice_namespace_token(const pumice_namespace *ns, pumice_value **token, pumice_error **error);

/**
 * Gives it another token. One write, alone in its log record. PUMICE_ALREADY_EXISTS when another namespace has the
 * token; PUMICE_INVALID_ARGUMENT for the default namespace, which has none, and for an empty token.
 */
pumice_status pumice_namespace_set_token(const pumice_namespace *ns,
                                         const char *token,
                                         size_t token_size,
                                         pumice_error **error);

/**
 * Stores a string, over whatever the key was. `options` may be NULL: for ever, durable as the engine was opened.
 */
pumice_status pumice_namespace_put(const pumice_namespace *ns,
                                   const char *key,
                                   size_t key_size,
                                   const char *value,
                                   size_t value_size,
                                   const pumice_write_options *options,
                                   pumice_error **error);

/**
 * Stores a string only if the key holds `expected` now, or with NULL only if there is no such key. No other write comes
 * between the look and the write. `options` may be NULL. PUMICE_WRONG_TYPE when a value is expected of a key of another
 * type.
 */
pumice_status pumice_namespace_put_if(const pumice_namespace *ns,
                                      const char *key,
                                      size_t key_size,
                                      const char *value,
                                      size_t value_size,
                                      const pumice_bytes *expected,
                                      const pumice_write_options *options,
                                      bool *stored,
                                      pumice_error **error);

/**
 * Deletes a key of any type. Of `options`, which may be NULL, the durability counts. `deleted`, which may be NULL,
 * receives whether it was there.
 */
pumice_status pumice_namespace_delete(const pumice_namespace *ns,
                                      const char *key,
                                      size_t key_size,
                                      const pumice_write_options *options,
                                      bool *deleted,
                                      pumice_error **error);

/**
 * Lets a key of any type expire after `ttl_ms`, at least 1. `found`, which may be NULL, receives whether there is such a
 * key. Durable as the engine was opened.
 */
pumice_status pumice_namespace_expire(const pumice_namespace *ns,
                                      const char *key,
                                      size_t key_size,
                                      uint64_t ttl_ms,
                                      bool *found,
                                      pumice_error **error);

/**
 * Takes the expiry off a key. `changed`, which may be NULL, receives false when there is no such key, or it had none.
 * Durable as the engine was opened.
 */
pumice_status pumice_namespace_persist(const pumice_namespace *ns,
                                       const char *key,
                                       size_t key_size,
                                       bool *changed,
                                       pumice_error **error);

/**
 * Deletes all keys: one range delete, whatever their number. Durable as the engine was opened.
 */
pumice_status pumice_namespace_clear(const pumice_namespace *ns, pumice_error **error);

/**
 * The value of a string, where the storage engine keeps it; `*value` is NULL when there is no such key or it
 * expired. Blocks for the disk when the block is not in the cache. PUMICE_WRONG_TYPE when the key is of another type.
 */
pumice_status pumice_namespace_get(const pumice_namespace *ns,
                                   const char *key,
                                   size_t key_size,
                                   pumice_value **value,
                                   pumice_error **error);

/**
 * The values of `count` strings, in the order of the keys, seen at one moment of one dataset: `values` is an array of
 * `count` places, NULL for what is not there, each to be freed. Faster than as many gets. PUMICE_WRONG_TYPE when a key is
 * of another type; then, as on every failure, no value is given.
 */
pumice_status pumice_namespace_get_many(const pumice_namespace *ns,
                                        const pumice_bytes *keys,
                                        size_t count,
                                        pumice_value **values,
                                        pumice_error **error);

/**
 * The pumice_kind of a key, whatever it is; PUMICE_KIND_NONE when there is no such key.
 */
pumice_status pumice_namespace_kind(const pumice_namespace *ns,
                                    const char *key,
                                    size_t key_size,
                                    uint8_t *kind,
                                    pumice_error **error);

/**
 * Whether a key of any type is there.
 */
pumice_status pumice_namespace_exists(const pumice_namespace *ns,
                                      const char *key,
                                      size_t key_size,
                                      bool *exists,
                                      pumice_error **error);

/**
 * How long a key of any type still lives, in milliseconds; PUMICE_TTL_FOREVER when it has no expiry,
 * PUMICE_TTL_MISSING when there is no such key.
 */
pumice_status pumice_namespace_ttl_ms(const pumice_namespace *ns,
                                      const char *key,
                                      size_t key_size,
                                      int64_t *ttl_ms,
                                      pumice_error **error);

/**
 * The keys of a range in order, with the values of strings, as they are at this moment. `range` may be NULL for all keys;
 * it is not needed any more after the call.
 */
pumice_status pumice_namespace_items(const pumice_namespace *ns,
                                     const pumice_range *range,
                                     pumice_items **items,
                                     pumice_error **error);

/**
 * The exact number of keys. It reads them all: about two million a second.
 */
pumice_status pumice_namespace_count(const pumice_namespace *ns, uint64_t *count, pumice_error **error);

/**
 * Whether it has no key. One seek, past keys that have expired.
 */
pumice_status pumice_namespace_is_empty(const pumice_namespace *ns, bool *is_empty, pumice_error **error);

/**
 * Its name, lent until the handle is freed; `__namespace` for the default one; without `data` of NULL.
 */
pumice_bytes pumice_namespace_name(const pumice_namespace *ns);

/**
 * Frees the handle.
 */
void pumice_namespace_free(pumice_namespace *ns);

/**
 * The next key, lent with its bytes until the next step or the end of the walk; `*item` is NULL at the end. Expired
 * keys do not come. Blocks for the disk when a block is not in the cache. A walk that began before the engine was
 * closed goes on to its end.
 */
pumice_status pumice_items_next(pumice_items *items,
                                const pumice_item **item,
                                pumice_error **error);

/**
 * Ends a walk.
 */
void pumice_items_free(pumice_items *items);

/**
 * Runs a command of Redis on the keys of a namespace, in this process: `args` are `count` words, the name of the command
 * first. What a Redis would answer is the reply. A command is one entry of the log at most, durable as the engine was
 * opened.
 *
 * On the default namespace it may do what an admin of a listener may: CONFIG, NAMESPACE, REPLICAOF. Commands that belong
 * to a connection (AUTH, MULTI, SUBSCRIBE) answer PUMICE_UNSUPPORTED. One that waits (BLPOP and its kin, XREAD BLOCK,
 * XREADGROUP BLOCK) waits no time here, whatever time-out it names: where there is nothing it answers at once what it would
 * answer when that is over, PUMICE_REPLY_NIL. Who must wait asks a listener.
 *
 * An error reply is an error with the server's words as its message: PUMICE_WRONG_TYPE, PUMICE_READ_ONLY, else of the
 * kind that the failure has, and PUMICE_INVALID_ARGUMENT for what is wrong with the command itself.
 */
pumice_status pumice_namespace_execute(const pumice_namespace *ns,
                                       const pumice_bytes *args,
                                       size_t count,
                                       pumice_reply **reply,
                                       pumice_error **error);

/**
 * Runs a command of Redis that only reads, like HGETALL or SCAN, on the keys as they were then: as
 * pumice_namespace_execute does. One that may write answers PUMICE_READ_ONLY, also where it would not: SORT, GEORADIUS and
 * BITFIELD have a form with _RO that does not. One about the engine or a connection, like INFO, answers PUMICE_UNSUPPORTED.
 */
pumice_status pumice_snapshot_namespace_execute(const pumice_snapshot_namespace *ns,
                                                const pumice_bytes *args,
                                                size_t count,
                                                pumice_reply **reply,
                                                pumice_error **error);

/**
 * What a reply is; PUMICE_REPLY_NIL of NULL.
 */
pumice_reply_type pumice_reply_kind(const pumice_reply *reply);

/**
 * The number of a PUMICE_REPLY_INTEGER; 0 of every other.
 */
int64_t pumice_reply_integer(const pumice_reply *reply);

/**
 * The bytes of a PUMICE_REPLY_BYTES, the text of a status or an error, lent until the reply is freed; without `data` of
 * every other.
 */
pumice_bytes pumice_reply_bytes(const pumice_reply *reply);

/**
 * How many elements a PUMICE_REPLY_ARRAY has; 0 of every other.
 */
size_t pumice_reply_count(const pumice_reply *reply);

/**
 * An element, lent until the whole reply is freed, and not to be freed itself; NULL when there is none at that index.
 */
const pumice_reply *pumice_reply_at(const pumice_reply *reply,
                                    size_t index);

/**
 * Frees a reply with all its elements.
 */
void pumice_reply_free(pumice_reply *reply);

/**
 * A batch of writes that happen together or not at all.
 */
pumice_status pumice_engine_batch(const pumice_engine *engine, pumice_batch **batch, pumice_error **error);

/**
 * Adds a string to be stored, over whatever the key was. Of `options`, which may be NULL, the time to live counts, and
 * it counts from now.
 */
pumice_status pumice_batch_put(pumice_batch *batch,
                               const pumice_namespace *ns,
                               const char *key,
                               size_t key_size,
                               const char *value,
                               size_t value_size,
                               const pumice_write_options *options,
                               pumice_error **error);

/**
 * Adds a deletion of a key of any type; of one that is not there it is nothing.
 */
pumice_status pumice_batch_delete(pumice_batch *batch,
                                  const pumice_namespace *ns,
                                  const char *key,
                                  size_t key_size,
                                  pumice_error **error);

/**
 * How many writes it holds; 0 when it was committed, and of NULL.
 */
size_t pumice_batch_count(const pumice_batch *batch);

/**
 * Does all of it, or, with PUMICE_NOT_FOUND when one of its namespaces is gone, nothing. Of `options`, which may be
 * NULL, the durability counts. Either way the batch is spent and only to be freed.
 */
pumice_status pumice_batch_commit(pumice_batch *batch,
                                  const pumice_write_options *options,
                                  pumice_error **error);

/**
 * Frees a batch. What was not committed is discarded.
 */
void pumice_batch_free(pumice_batch *batch);

/**
 * A view of data and namespaces as they are at this moment.
 */
pumice_status pumice_engine_snapshot(const pumice_engine *engine,
                                     pumice_snapshot **snapshot,
                                     pumice_error **error);

/**
 * The position that it shows.
 */
pumice_position pumice_snapshot_position(const pumice_snapshot *snapshot);

/**
 * Names of the namespaces registered then, the default one first as `__namespace`.
 */
pumice_status pumice_snapshot_namespaces(const pumice_snapshot *snapshot,
                                         pumice_names **names,
                                         pumice_error **error);

/**
 * A namespace that was registered or had data then; PUMICE_NOT_FOUND otherwise.
 */
pumice_status pumice_snapshot_open_namespace(const pumice_snapshot *snapshot,
                                             const char *name,
                                             size_t name_size,
                                             pumice_snapshot_namespace **ns,
                                             pumice_error **error);

/**
 * The default namespace.
 */
pumice_status pumice_snapshot_default_namespace(const pumice_snapshot *snapshot,
                                                pumice_snapshot_namespace **ns,
                                                pumice_error **error);

/**
 * Frees a snapshot. Its namespaces go on until they are freed.
 */
void pumice_snapshot_free(pumice_snapshot *snapshot);

/**
 * The value of a string as it was then, where the storage engine keeps it; `*value` is NULL when there was no such key
 * or it expired. Blocks for the disk when the block is not in the cache. PUMICE_WRONG_TYPE when the key is of another
 * type.
 */
pumice_status pumice_snapshot_namespace_get(const pumice_snapshot_namespace *ns,
                                            const char *key,
                                            size_t key_size,
                                            pumice_value **value,
                                            pumice_error **error);

/**
 * The values of `count` strings, in the order of the keys, seen at one moment of one dataset: `values` is an array of
 * `count` places, NULL for what is not there, each to be freed. Faster than as many gets. PUMICE_WRONG_TYPE when a key is
 * of another type; then, as on every failure, no value is given.
 */
pumice_status pumice_snapshot_namespace_get_many(const pumice_snapshot_namespace *ns,
                                                 const pumice_bytes *keys,
                                                 size_t count,
                                                 pumice_value **values,
                                                 pumice_error **error);

/**
 * The pumice_kind of a key, whatever it is; PUMICE_KIND_NONE when there is no such key.
 */
pumice_status pumice_snapshot_namespace_kind(const pumice_snapshot_namespace *ns,
                                             const char *key,
                                             size_t key_size,
                                             uint8_t *kind,
                                             pumice_error **error);

/**
 * Whether a key of any type is there.
 */
pumice_status pumice_snapshot_namespace_exists(const pumice_snapshot_namespace *ns,
                                               const char *key,
                                               size_t key_size,
                                               bool *exists,
                                               pumice_error **error);

/**
 * How long a key of any type still lives, in milliseconds; PUMICE_TTL_FOREVER when it has no expiry,
 * PUMICE_TTL_MISSING when there is no such key. The expiry is that of then, compared with the clock of now.
 */
pumice_status pumice_snapshot_namespace_ttl_ms(const pumice_snapshot_namespace *ns,
                                               const char *key,
                                               size_t key_size,
                                               int64_t *ttl_ms,
                                               pumice_error **error);

/**
 * The keys of a range in order, with the values of strings, as they were then. `range` may be NULL for all keys;
 * it is not needed any more after the call.
 */
pumice_status pumice_snapshot_namespace_items(const pumice_snapshot_namespace *ns,
                                              const pumice_range *range,
                                              pumice_items **items,
                                              pumice_error **error);

/**
 * The exact number of keys. It reads them all: about two million a second.
 */
pumice_status pumice_snapshot_namespace_count(const pumice_snapshot_namespace *ns,
                                              uint64_t *count,
                                              pumice_error **error);

/**
 * Whether it has no key. One seek, past keys that have expired.
 */
pumice_status pumice_snapshot_namespace_is_empty(const pumice_snapshot_namespace *ns,
                                                 bool *is_empty,
                                                 pumice_error **error);

/**
 * Its name, lent until the handle is freed; `__namespace` for the default one; without `data` of NULL.
 */
pumice_bytes pumice_snapshot_namespace_name(const pumice_snapshot_namespace *ns);

/**
 * Frees the handle.
 */
void pumice_snapshot_namespace_free(pumice_snapshot_namespace *ns);

/**
 * Makes a checkpoint of the whole dataset in a folder that does not exist yet: hard links of the SST files where the
 * file system allows, a copy of the rest, and a sync manifest with size and crc32c of every file, which a Kvrocks
 * ignores. Writers wait while links are made; every file is read once for its checksum. `progress` and `checkpoint`
 * may be NULL.
 *
 * PUMICE_ALREADY_EXISTS for the folder; PUMICE_UNSUPPORTED when the engine is read-only; PUMICE_BUSY when `progress`
 * cancelled it, which leaves nothing.
 */
pumice_status pumice_engine_create_checkpoint(const pumice_engine *engine,
                                              const char *path,
                                              pumice_progress_callback progress,
                                              void *user_data,
                                              pumice_checkpoint **checkpoint,
                                              pumice_error **error);

/**
 * The folder that holds it, lent until it is freed; NULL of NULL.
 */
const char *pumice_checkpoint_path(const pumice_checkpoint *checkpoint);

/**
 * The position of its data.
 */
pumice_position pumice_checkpoint_position(const pumice_checkpoint *checkpoint);

/**
 * How many files it has, the sync manifest not counted.
 */
uint64_t pumice_checkpoint_files(const pumice_checkpoint *checkpoint);

/**
 * How many bytes they have.
 */
uint64_t pumice_checkpoint_bytes(const pumice_checkpoint *checkpoint);

/**
 * Frees what is known of the checkpoint. Its folder stays.
 */
void pumice_checkpoint_free(pumice_checkpoint *checkpoint);

/**
 * Replaces the whole dataset, data and namespaces as one, with that of a checkpoint: one made by
 * pumice_engine_create_checkpoint, or the `backup` or `db` folder of a Kvrocks. The folder is only read.
 *
 * Readers never wait and never fail: each call sees the old dataset or the new one, whole. Open snapshots and
 * iterators finish on the old one. Handles of namespaces stay valid; where the namespace is gone they answer
 * PUMICE_NOT_FOUND. On disk the change is one rename, durable on return: a crash leaves the old dataset or the new one.
 * A replica then stands at the checkpoint's position; a primary starts a history of its own there.
 *
 * SST files are linked where the file system allows, else copied. With a sync manifest every file is compared with it;
 * `verify` reads every data block by RocksDB's own checksums before the swap, for checkpoints without one. Costs one
 * read of the checkpoint, and twice the open files while both datasets are open. `progress` may be NULL.
 *
 * Each failure leaves the old dataset as it was: PUMICE_NOT_FOUND and PUMICE_INVALID_ARGUMENT for the folder or another
 * key layout; PUMICE_CORRUPTION naming the file; PUMICE_BUSY when a server has the folder open, another apply runs, or
 * `progress` cancelled it; PUMICE_IO.
 */
pumice_status pumice_engine_apply_checkpoint(const pumice_engine *engine,
                                             const char *path,
                                             bool verify,
                                             pumice_progress_callback progress,
                                             void *user_data,
                                             pumice_error **error);

/**
 * Options that ask for the standalone layout with all keys in the default namespace, to be changed and freed.
 */
pumice_convert_options *pumice_convert_options_new(void);

/**
 * The key layout of the target: true for the cluster layout, with a slot in every key. Unset, false.
 */
pumice_status pumice_convert_options_set_cluster(pumice_convert_options *options,
                                                 bool cluster,
                                                 pumice_error **error);

/**
 * To the cluster layout, which has no namespaces, the one to take; to the standalone layout, the one to make and put all
 * keys into. Unset, the default one.
 */
pumice_status pumice_convert_options_set_namespace(pumice_convert_options *options,
                                                   const char *name,
                                                   size_t name_size,
                                                   pumice_error **error);

/**
 * How the target is compressed, a pumice_compression. Unset, not at all.
 */
pumice_status pumice_convert_options_set_compression(pumice_convert_options *options,
                                                     int32_t compression,
                                                     pumice_error **error);

/**
 * Bytes for caches and write buffers, for the source and for the target each. Unset, 128 MiB; at least 4 MiB.
 */
pumice_status pumice_convert_options_set_memory_budget(pumice_convert_options *options,
                                                       size_t bytes,
                                                       pumice_error **error);

/**
 * Frees options of converting.
 */
void pumice_convert_options_free(pumice_convert_options *options);

/**
 * Makes a new data directory `target` with the dataset of the data directory `source` in the other key layout. Every
 * type is converted, those too that can only be seen here; keys keep their expiry. Scripts come along. Search indexes do
 * not, since a cluster has none, nor do the tokens of namespaces. `options`, `progress` and `converted` may be NULL.
 *
 * The source is only read, and may be open read-only elsewhere meanwhile. The target appears whole or not at all; it is
 * a primary with a history of its own, and its log starts behind the conversion. Memory does not grow with the data.
 *
 * PUMICE_NOT_FOUND for the source, or a namespace that it does not have; PUMICE_INVALID_ARGUMENT when it has that layout
 * already; PUMICE_ALREADY_EXISTS for the target; PUMICE_BUSY when somebody has the source open for writing, or `progress`
 * cancelled it, which leaves nothing; PUMICE_UNSUPPORTED when a source in the cluster layout has keys outside of the
 * default namespace; PUMICE_CORRUPTION naming a record that is not what it should be; PUMICE_IO.
 */
pumice_status pumice_convert(const char *source,
                             const char *target,
                             const pumice_convert_options *options,
                             pumice_progress_callback progress,
                             void *user_data,
                             pumice_converted **converted,
                             pumice_error **error);

/**
 * The data directory that holds it, without links in its path, lent until this is freed; NULL of NULL.
 */
const char *pumice_converted_path(const pumice_converted *converted);

/**
 * Its position, in a history of its own.
 */
pumice_position pumice_converted_position(const pumice_converted *converted);

/**
 * Its key layout, `standalone` or `cluster`, lent until this is freed; NULL of NULL.
 */
const char *pumice_converted_layout(const pumice_converted *converted);

/**
 * The namespace that its keys are in, lent until this is freed.
 */
pumice_bytes pumice_converted_namespace(const pumice_converted *converted);

/**
 * How many keys it has, those that expired and were not compacted away included.
 */
uint64_t pumice_converted_keys(const pumice_converted *converted);

/**
 * How many records: keys with their fields, members and elements, and scripts.
 */
uint64_t pumice_converted_records(const pumice_converted *converted);

/**
 * Bytes of those, before compression.
 */
uint64_t pumice_converted_bytes(const pumice_converted *converted);

/**
 * How many things the source has and the target does not; 0 of NULL.
 */
size_t pumice_converted_left_out_count(const pumice_converted *converted);

/**
 * One of those, a sentence, lent until this is freed; NULL when there is none at that index.
 */
const char *pumice_converted_left_out_at(const pumice_converted *converted, size_t index);

/**
 * Frees what is known of the converted dataset. Its directory stays.
 */
void pumice_converted_free(pumice_converted *converted);

/**
 * A reader of the entries after a position, or, with NULL, of all that are still kept. PUMICE_DIVERGED when the position
 * is not in this history.
 */
pumice_status pumice_engine_log(const pumice_engine *engine,
                                const pumice_position *after,
                                pumice_log **log,
                                pumice_error **error);

/**
 * The next entry, waiting up to `wait_ms` for it to be written; 0 does not wait. `*entry` is NULL at the end of the log for
 * now. A close of the engine ends the wait with PUMICE_CLOSED. PUMICE_NOT_FOUND: the log no longer reaches back to the
 * position. PUMICE_DIVERGED: the position is not in this history. Both need a full sync.
 */
pumice_status pumice_log_next(pumice_log *log,
                              uint64_t wait_ms,
                              pumice_entry **entry,
                              pumice_error **error);

/**
 * Where the reader is: behind the last entry that it gave.
 */
pumice_position pumice_log_position(const pumice_log *log);

/**
 * Frees a reader.
 */
void pumice_log_free(pumice_log *log);

/**
 * An entry of a batch, which is checked and names the sequence numbers. `replication_id` is the one before it, empty for
 * none; `cluster` says whether its keys are in the cluster layout. PUMICE_CORRUPTION or PUMICE_UNSUPPORTED when the bytes
 * are not a batch that a primary writes.
 */
pumice_status pumice_entry_new(const char *replication_id,
                               size_t replication_id_size,
                               bool cluster,
                               const char *batch,
                               size_t batch_size,
                               pumice_entry **entry,
                               pumice_error **error);

/**
 * Reads an entry from what pumice_entry_encode gave, and checks it, its batch included. PUMICE_CORRUPTION when the bytes
 * are not what was written.
 */
pumice_status pumice_entry_decode(const char *data,
                                  size_t size,
                                  pumice_entry **entry,
                                  pumice_error **error);

/**
 * The entry as bytes, to be stored or sent, and freed.
 */
pumice_status pumice_entry_encode(const pumice_entry *entry, pumice_value **encoded, pumice_error **error);

/**
 * The replication id before the batch, empty when the directory had none, lent until the entry is freed; NULL of NULL.
 */
const char *pumice_entry_replication_id(const pumice_entry *entry);

/**
 * The sequence number of its first record; 0 of NULL.
 */
uint64_t pumice_entry_first(const pumice_entry *entry);

/**
 * The sequence number of its last record; 0 of NULL.
 */
uint64_t pumice_entry_last(const pumice_entry *entry);

/**
 * Whether its keys are in the cluster layout; false of NULL.
 */
bool pumice_entry_cluster(const pumice_entry *entry);

/**
 * The batch, as RocksDB and Kvrocks know it, lent until the entry is freed; without `data` of NULL.
 */
pumice_bytes pumice_entry_batch(const pumice_entry *entry);

/**
 * Frees an entry.
 */
void pumice_entry_free(pumice_entry *entry);

/**
 * Writes an entry of the primary into this replica, byte for byte, at its place. It survives a killed process on return;
 * pumice_engine_flush makes it survive a power cut.
 *
 * Nothing is written on PUMICE_DIVERGED, when the entry follows another history; PUMICE_INVALID_ARGUMENT, when it is not
 * the next one, or this is not a replica; PUMICE_CORRUPTION or PUMICE_UNSUPPORTED, when its bytes are not a batch that a
 * primary writes.
 */
pumice_status pumice_engine_apply(const pumice_engine *engine,
                                  const pumice_entry *entry,
                                  pumice_error **error);

/**
 * What an entry does, record by record, for people and for change feeds.
 */
pumice_status pumice_engine_changes(const pumice_engine *engine,
                                    const pumice_entry *entry,
                                    pumice_changes **changes,
                                    pumice_error **error);

/**
 * How many changes there are; 0 of NULL.
 */
size_t pumice_changes_count(const pumice_changes *changes);

/**
 * A change, lent with its bytes until the list is freed; NULL when there is none at that index.
 */
const pumice_change *pumice_changes_at(const pumice_changes *changes, size_t index);

/**
 * Frees changes.
 */
void pumice_changes_free(pumice_changes *changes);

/**
 * Makes this engine a replica of a primary: a Pumice that serves, or a Kvrocks. Kept durably, so that it goes on after a
 * restart. Returns at once; a thread of its own then connects, brings the dataset or goes on from its position, and tries
 * again whenever that fails. Readers go on with the data of before until the primary's is here, all at once. Data that the
 * primary does not have is given up, also that of a former primary. `options` may be NULL.
 *
 * PUMICE_INVALID_ARGUMENT for a host, a port or certificates that cannot be; PUMICE_UNSUPPORTED for TLS in a build
 * without; PUMICE_IO when it cannot be kept, or a certificate not be read.
 */
pumice_status pumice_engine_follow(const pumice_engine *engine,
                                   const char *host,
                                   uint16_t port,
                                   const pumice_follow_options *options,
                                   pumice_error **error);

/**
 * Waits up to `timeout_ms` until the primary's data is here and the link receives entries as they are written. `*linked`
 * is false when the time is over or nobody is followed. `told`, which may be NULL, hears ten times a second at most how
 * it goes.
 *
 * PUMICE_BUSY when `told` ended the wait; the link goes on.
 */
pumice_status pumice_engine_wait_linked(const pumice_engine *engine,
                                        uint64_t timeout_ms,
                                        pumice_link_callback told,
                                        void *user_data,
                                        bool *linked,
                                        pumice_error **error);

/**
 * The link at this moment; `*link` is NULL when this engine follows nobody.
 */
pumice_status pumice_engine_link(const pumice_engine *engine,
                                 pumice_link_status **link,
                                 pumice_error **error);

/**
 * Follows nobody any more and stays read-only, durably. When it returns nothing of the former primary is written any
 * more. PUMICE_INVALID_ARGUMENT on a primary.
 */
pumice_status pumice_engine_detach(const pumice_engine *engine,
                                   pumice_error **error);

/**
 * A planned switch: stops writes here, waits until the replica that announced `host` and `port` has acknowledged every
 * entry, makes it the primary, and follows it. Nothing is given up. The replica is asked with the password of this
 * engine's own listener.
 *
 * PUMICE_NOT_FOUND when no such replica is fed; PUMICE_BUSY when it is not there in time, or says no: writes are taken
 * again then. PUMICE_IO when it did not answer whether it is the primary now: no writes are taken then.
 */
pumice_status pumice_engine_hand_over(const pumice_engine *engine,
                                      const char *host,
                                      uint16_t port,
                                      uint64_t timeout_ms,
                                      pumice_error **error);

/**
 * Deletes what was kept of datasets that this engine gave up because they had diverged from its primary's. How many there
 * were comes in `discarded`, which may be NULL.
 */
pumice_status pumice_engine_discard(const pumice_engine *engine,
                                    size_t *discarded,
                                    pumice_error **error);

/**
 * The primary's host, lent until the status is freed.
 */
const char *pumice_link_status_host(const pumice_link_status *link);

/**
 * The primary's port.
 */
uint16_t pumice_link_status_port(const pumice_link_status *link);

/**
 * What the link is doing; PUMICE_LINK_STATE_NONE of NULL.
 */
pumice_link_state pumice_link_status_state(const pumice_link_status *link);

/**
 * Since when it is doing that, in unix milliseconds.
 */
uint64_t pumice_link_status_since_ms(const pumice_link_status *link);

/**
 * Who the primary is, PUMICE_PEER_NONE until it is known.
 */
pumice_peer pumice_link_status_peer(const pumice_link_status *link);

/**
 * How many sequences the primary was ahead when it last told; PUMICE_UNKNOWN before it did.
 */
uint64_t pumice_link_status_lag_sequences(const pumice_link_status *link);

/**
 * How long ago this replica last had everything, 0 when it has; PUMICE_UNKNOWN before it ever had.
 */
uint64_t pumice_link_status_lag_ms(const pumice_link_status *link);

/**
 * How long ago the last bytes came; PUMICE_UNKNOWN before any did.
 */
uint64_t pumice_link_status_last_io_ms(const pumice_link_status *link);

/**
 * Why it failed last, lent until the status is freed; else NULL.
 */
const char *pumice_link_status_last_error(const pumice_link_status *link);

/**
 * What the operator ought to know of the primary, lent until the status is freed; else NULL.
 */
const char *pumice_link_status_warning(const pumice_link_status *link);

/**
 * The full sync that runs, lent until the status is freed; else NULL.
 */
const pumice_sync_status *pumice_link_status_sync(const pumice_link_status *link);

/**
 * How many full syncs were done since this primary is followed.
 */
uint64_t pumice_link_status_full_syncs(const pumice_link_status *link);

/**
 * Frees the status of a link.
 */
void pumice_link_status_free(pumice_link_status *link);

/**
 * The feeds that run at this moment: who follows this engine.
 */
pumice_status pumice_engine_feeds(const pumice_engine *engine, pumice_feeds **feeds, pumice_error **error);

/**
 * How many feeds there are; 0 of NULL.
 */
size_t pumice_feeds_count(const pumice_feeds *feeds);

/**
 * A feed, lent with its host until the list is freed; NULL when there is none at that index.
 */
const pumice_feed_status *pumice_feeds_at(const pumice_feeds *feeds, size_t index);

/**
 * Frees a list of feeds.
 */
void pumice_feeds_free(pumice_feeds *feeds);

/**
 * Waits up to `timeout_ms` until this engine has what a position says: to read on a replica what was written on its
 * primary. `*reached` is false when the time is over. PUMICE_DIVERGED when it has got there in another history.
 */
pumice_status pumice_engine_wait_for(const pumice_engine *engine,
                                     const pumice_position *position,
                                     uint64_t timeout_ms,
                                     bool *reached,
                                     pumice_error **error);

/**
 * Waits up to `timeout_ms` until as many replicas have applied what a position says; how many have comes in `*acked`.
 * PUMICE_DIVERGED when the position is not in this history.
 */
pumice_status pumice_engine_wait_acked(const pumice_engine *engine,
                                       const pumice_position *position,
                                       size_t replicas,
                                       uint64_t timeout_ms,
                                       size_t *acked,
                                       pumice_error **error);

/**
 * Serves the engine to Redis clients and to replicas, in RESP2 or RESP3, on `host:port` (port 0 takes a free one) or on
 * `unix:/path`, a socket that only this user may open. Returns as soon as it listens. `options` may be NULL.
 *
 * Without a password every connection may do everything with the engine. With one, it says `AUTH` first: the password makes
 * it an admin who sees the default namespace, the token of a namespace opens that namespace alone. Passwords and data
 * cross the wire as they are, unless the options say TLS: then every connection must speak it.
 *
 * PUMICE_BUSY when somebody else listens there; PUMICE_ALREADY_EXISTS when the path is a file that is no socket;
 * PUMICE_INVALID_ARGUMENT for an address that is none, or certificates that do not do; PUMICE_UNSUPPORTED for TLS in a
 * build without; PUMICE_IO.
 */
pumice_status pumice_engine_serve(const pumice_engine *engine,
                                  const char *address,
                                  const pumice_serve_options *options,
                                  pumice_listener **listener,
                                  pumice_error **error);

/**
 * The IP address where it listens, or the path of the Unix socket, lent until it is freed; NULL of NULL.
 */
const char *pumice_listener_host(const pumice_listener *listener);

/**
 * The port where it listens; 0 of a Unix socket and of NULL.
 */
uint16_t pumice_listener_port(const pumice_listener *listener);

/**
 * Ends all connections and waits until the commands that run have finished. Then the address is free. A second close does
 * nothing. The handle is still to be freed.
 */
pumice_status pumice_listener_close(const pumice_listener *listener,
                                    pumice_error **error);

/**
 * Closes a listener and frees it.
 */
void pumice_listener_free(pumice_listener *listener);

/**
 * Options of setting a topology, to be changed and freed. As they come: the other nodes are reached with the password and
 * over TLS as the engine's own listener is, and a version must be higher than the one that governs.
 */
pumice_topology_options *pumice_topology_options_new(void);

/**
 * The admin password of the other nodes, in UTF-8. It is kept in the file `state`, which only the owner can read. Unset,
 * that of the engine's own listener.
 */
pumice_status pumice_topology_options_set_password(pumice_topology_options *options,
                                                   const char *password,
                                                   size_t password_size,
                                                   pumice_error **error);

/**
 * Whether a version that is not higher than the one that governs is taken too. Unset, false.
 *
 * A lower one is to be forced on every node, in any order: one that has not got it goes on by the higher one, and refuses
 * what is not higher still. A primary that says, when all have it, that another took over from it was told so by a node
 * before that had it: force the version there once more.
 */
pumice_status pumice_topology_options_set_force(pumice_topology_options *options,
                                                bool force,
                                                pumice_error **error);

/**
 * Reaches the other nodes over TLS: their certificates must be signed by one of the CA certificates in the PEM file `ca`.
 * The path is kept, and the file read at every connection. Unset, as the engine's own listener says.
 */
pumice_status pumice_topology_options_set_tls(pumice_topology_options *options,
                                              const char *ca,
                                              pumice_error **error);

/**
 * Our own certificate, with those between it and its CA, and its key, for nodes that ask for one: PEM files, read as the
 * CA's. Only together with pumice_topology_options_set_tls.
 */
pumice_status pumice_topology_options_set_tls_certificate(pumice_topology_options *options,
                                                          const char *certificate,
                                                          const char *key,
                                                          pumice_error **error);

/**
 * The name that the certificate of every node must bear. Unset, the host of the node. Only together with
 * pumice_topology_options_set_tls.
 */
pumice_status pumice_topology_options_set_tls_server_name(pumice_topology_options *options,
                                                          const char *server_name,
                                                          pumice_error **error);

/**
 * Frees options of setting a topology.
 */
void pumice_topology_options_free(pumice_topology_options *options);

/**
 * Says which nodes there are, who follows whom, and which of them this engine is: from then on that alone decides whether it
 * is a primary, a replica and of whom, or, when it is not listed, detached. `text` is that of `CLUSTERX SETNODES`, a line for
 * each node: `<id> <host> <port> <master|slave> <-|id of its master> [<slot>|<first>-<last> ...]`; ids have 40 characters.
 * `options` may be NULL.
 *
 * Kept durably before it takes effect, and kept to across restarts until a later version comes. When it returns, a link to a
 * former primary and the feeds of nodes that are not replicas of this one are closed; the new link is made, and made again
 * whenever it breaks, by itself. `changed`, which may be NULL, is whether anything did: the version that governs already is
 * no news, and when it comes with other nodes that is an event, and a finding of pumice_engine_verify.
 *
 * While a topology lists this node, pumice_engine_follow, _detach, _promote and _hand_over are refused. A node that is no longer
 * listed goes on serving reads and takes no writes until it is promoted by hand or listed again.
 *
 * PUMICE_INVALID_ARGUMENT for a version below the one that governs, and for a text or a node id that cannot be; PUMICE_IO and
 * PUMICE_POISONED when it cannot be kept. The old topology governs then.
 */
pumice_status pumice_engine_set_topology(const pumice_engine *engine,
                                         uint64_t version,
                                         const char *text,
                                         size_t text_size,
                                         const char *node_id,
                                         const pumice_topology_options *options,
                                         bool *changed,
                                         pumice_error **error);

/**
 * What this node is meant to be and what it is, side by side, computed from what runs.
 */
pumice_status pumice_engine_topology(const pumice_engine *engine,
                                     pumice_topology_status **status,
                                     pumice_error **error);

/**
 * The version of the topology; PUMICE_UNKNOWN where none was set.
 */
uint64_t pumice_topology_status_version(const pumice_topology_status *status);

/**
 * Who this node is in it, lent until the status is freed; NULL where that was not said.
 */
const char *pumice_topology_status_node_id(const pumice_topology_status *status);

/**
 * How many nodes it has.
 */
size_t pumice_topology_status_node_count(const pumice_topology_status *status);

/**
 * A node, in the order in which they were given, lent until the status is freed; NULL when there is none at that index.
 */
const pumice_node *pumice_topology_status_node_at(const pumice_topology_status *status,
                                                  size_t index);

/**
 * The role of this node; PUMICE_ROLE_DETACHED of NULL.
 */
pumice_role pumice_topology_status_role(const pumice_topology_status *status);

/**
 * The number of the epoch under which this primary writes, or that this replica has seen.
 */
uint64_t pumice_topology_status_epoch(const pumice_topology_status *status);

/**
 * The host of the primary that it is meant to follow, lent until the status is freed; NULL for nobody.
 */
const char *pumice_topology_status_desired_host(const pumice_topology_status *status);

/**
 * The port of the primary that it is meant to follow; 0 for nobody.
 */
uint16_t pumice_topology_status_desired_port(const pumice_topology_status *status);

/**
 * The link that runs, lent until the status is freed, for pumice_link_status_state and the like; NULL when there is none. It
 * is not freed by itself.
 */
const pumice_link_status *pumice_topology_status_actual(const pumice_topology_status *status);

/**
 * Whether what runs is what was wished.
 */
bool pumice_topology_status_converged(const pumice_topology_status *status);

/**
 * Since when it has been so, or has not, in unix milliseconds.
 */
uint64_t pumice_topology_status_since_ms(const pumice_topology_status *status);

/**
 * Why it has not, lent until the status is freed; else NULL.
 */
const char *pumice_topology_status_reason(const pumice_topology_status *status);

/**
 * Frees the status of a topology.
 */
void pumice_topology_status_free(pumice_topology_status *status);

/**
 * What happens from now on: changes of the role, the link and the topology, full syncs, data given up, feeds.
 */
pumice_status pumice_engine_events(const pumice_engine *engine, pumice_events **events, pumice_error **error);

/**
 * The next event, waiting up to `timeout_ms` for it; 0 does not wait. `*event` is NULL when none came in that time; else
 * free it. PUMICE_CLOSED when the engine was closed and every event was taken; a close ends the wait.
 */
pumice_status pumice_events_next(const pumice_events *events,
                                 uint64_t timeout_ms,
                                 pumice_event **event,
                                 pumice_error **error);

/**
 * Frees events; those that wait are lost.
 */
void pumice_events_free(pumice_events *events);

/**
 * When it happened, in unix milliseconds; 0 of NULL.
 */
uint64_t pumice_event_time_ms(const pumice_event *event);

/**
 * What it is about; PUMICE_EVENT_KIND_NONE of NULL.
 */
pumice_event_kind pumice_event_get_kind(const pumice_event *event);

/**
 * What happened, for people, lent until the event is freed; NULL of NULL.
 */
const char *pumice_event_message(const pumice_event *event);

/**
 * How many events before this one were dropped, because nobody took them in time.
 */
uint64_t pumice_event_lost(const pumice_event *event);

/**
 * Frees an event.
 */
void pumice_event_free(pumice_event *event);

/**
 * Compares what must be equal: registry and stored key, link and open folder, history and log; and, as deep as `depth`
 * says (a pumice_depth), checksums and every record. An empty list when all is well. Writers wait for the first part, a
 * few milliseconds.
 */
pumice_status pumice_engine_verify(const pumice_engine *engine,
                                   int32_t depth,
                                   pumice_findings **findings,
                                   pumice_error **error);

/**
 * How many findings there are; 0 of NULL.
 */
size_t pumice_findings_count(const pumice_findings *findings);

/**
 * A finding, its bytes lent until the list is freed; without `data` when there is none at that index.
 */
pumice_finding pumice_findings_at(const pumice_findings *findings, size_t index);

/**
 * Frees findings.
 */
void pumice_findings_free(pumice_findings *findings);

/**
 * Figures of this moment.
 */
pumice_status pumice_engine_info(const pumice_engine *engine, pumice_info **info, pumice_error **error);

/**
 * The data directory, lent until the figures are freed.
 */
const char *pumice_info_path(const pumice_info *info);

/**
 * What the engine is; PUMICE_ROLE_DETACHED of NULL.
 */
pumice_role pumice_info_role(const pumice_info *info);

/**
 * Where its data is.
 */
pumice_position pumice_info_position(const pumice_info *info);

/**
 * `standalone` or `cluster`, lent until the figures are freed.
 */
const char *pumice_info_layout(const pumice_info *info);

/**
 * Why writes are refused, where they are refused whatever the role, lent until the figures are freed; else NULL.
 */
const char *pumice_info_refuses_writes(const pumice_info *info);

/**
 * The number of the current generation, 0 for a plain `db` folder read in place.
 */
uint64_t pumice_info_generation(const pumice_info *info);

/**
 * Registered namespaces, the default one not counted.
 */
uint64_t pumice_info_namespaces(const pumice_info *info);

/**
 * RocksDB's estimate of the records in all column families.
 */
uint64_t pumice_info_records_estimate(const pumice_info *info);

/**
 * Number of SST files.
 */
uint64_t pumice_info_table_files(const pumice_info *info);

/**
 * Size of the SST files.
 */
uint64_t pumice_info_table_bytes(const pumice_info *info);

/**
 * Size of the blob files.
 */
uint64_t pumice_info_blob_bytes(const pumice_info *info);

/**
 * The first sequence that the replication log still has, 0 when it has none.
 */
uint64_t pumice_info_oldest_sequence(const pumice_info *info);

/**
 * What cache and write buffers may take together.
 */
uint64_t pumice_info_memory_budget(const pumice_info *info);

/**
 * What the block cache takes, write buffers included.
 */
uint64_t pumice_info_cache_bytes(const pumice_info *info);

/**
 * What write buffers take.
 */
uint64_t pumice_info_write_buffer_bytes(const pumice_info *info);

/**
 * What table readers take outside the cache.
 */
uint64_t pumice_info_table_reader_bytes(const pumice_info *info);

/**
 * Open snapshots.
 */
uint64_t pumice_info_snapshots(const pumice_info *info);

/**
 * Replicas that are fed.
 */
uint64_t pumice_info_feeds(const pumice_info *info);

/**
 * How many sequences the primary was ahead when it last told; PUMICE_UNKNOWN where nobody is followed or it did not.
 */
uint64_t pumice_info_lag_sequences(const pumice_info *info);

/**
 * How long ago this replica last had everything, 0 when it has; PUMICE_UNKNOWN where nobody is followed or it never had.
 */
uint64_t pumice_info_lag_ms(const pumice_info *info);

/**
 * Frees figures.
 */
void pumice_info_free(pumice_info *info);

/**
 * How many keys of which type each namespace has, and their bytes. Reads every record once, past the cache, and takes
 * memory for the namespaces alone. `progress` may be NULL. PUMICE_BUSY when it cancelled the count.
 */
pumice_status pumice_engine_usage(const pumice_engine *engine,
                                  pumice_progress_callback progress,
                                  void *user_data,
                                  pumice_usage **usage,
                                  pumice_error **error);

/**
 * How many namespaces are registered or have data, the default one included; 0 of NULL.
 */
size_t pumice_usage_count(const pumice_usage *usage);

/**
 * What one of them holds, lent until the usage is freed: the default one first, then in order of their names; NULL when
 * there is none at that index.
 */
const pumice_namespace_usage *pumice_usage_at(const pumice_usage *usage,
                                              size_t index);

/**
 * Bytes of what belongs to no key: the registry, scripts, published messages, search indexes.
 */
uint64_t pumice_usage_other_bytes(const pumice_usage *usage);

/**
 * Records that cannot be decoded: pumice_engine_verify says which.
 */
uint64_t pumice_usage_unreadable_records(const pumice_usage *usage);

/**
 * Frees a usage.
 */
void pumice_usage_free(pumice_usage *usage);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PUMICE_H */
