/*
 * Pumice for C++17: the handles of pumice.h as move-only objects, its errors as exceptions. The rules of that header
 * hold here too: what may be used from several threads, what is lent and for how long, forks, durability.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#ifndef PUMICE_HPP
#define PUMICE_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pumice.h"

namespace pumice {

using Status = pumice_status;
using Role = pumice_role;
using Progress = pumice_progress;
using Milliseconds = std::chrono::milliseconds;

/** Why a call failed; kind() says what the caller can do about it. */
class Error : public std::runtime_error {
public:
    Error(Status kind, const std::string &message) : std::runtime_error(message), kind_(kind) {}

    Status kind() const noexcept { return kind_; }
    const char *name() const noexcept { return pumice_status_name(kind_); }

private:
    Status kind_;
};

/** A place in a history: the state after the entry that ends at `sequence`. */
struct Position {
    std::string replication_id;
    std::uint64_t sequence = 0;

    friend bool operator==(const Position &a, const Position &b) {
        return a.sequence == b.sequence && a.replication_id == b.replication_id;
    }
    friend bool operator!=(const Position &a, const Position &b) { return !(a == b); }
};

namespace detail {

template <class T, void (*Free)(T *)> struct Deleter {
    void operator()(T *handle) const noexcept { Free(handle); }
};
template <class T, void (*Free)(T *)> using Handle = std::unique_ptr<T, Deleter<T, Free>>;

inline void check(Status status, pumice_error *error) {
    if (status == PUMICE_OK) {
        return;
    }
    Handle<pumice_error, pumice_error_free> owned(error);
    throw Error(status, pumice_error_message(error));
}

/** Makes a call that only succeeds or fails. */
template <class Call, class... Arguments> void run(Call call, Arguments... arguments) {
    pumice_error *error = nullptr;
    const Status status = call(arguments..., &error);
    check(status, error);
}

/** Makes a call that gives one result. */
template <class Result, class Call, class... Arguments> Result made(Call call, Arguments... arguments) {
    Result result{};
    pumice_error *error = nullptr;
    const Status status = call(arguments..., &result, &error);
    check(status, error);
    return result;
}

inline pumice_bytes bytes(std::string_view view) { return {view.data(), view.size()}; }

inline std::string_view view(pumice_bytes bytes) { return {bytes.data, bytes.size}; }

inline std::optional<std::string_view> optional_view(pumice_bytes bytes) {
    return bytes.data == nullptr ? std::nullopt : std::optional<std::string_view>(view(bytes));
}

/** Bytes that may be left out, as C wants them. */
class OptionalBytes {
public:
    explicit OptionalBytes(std::optional<std::string_view> view) : given_(view.has_value()) {
        bytes_ = bytes(view.value_or(std::string_view()));
    }

    const pumice_bytes *get() const { return given_ ? &bytes_ : nullptr; }

private:
    bool given_;
    pumice_bytes bytes_;
};

inline Position position(const pumice_position &position) { return {position.replication_id, position.sequence}; }

inline pumice_position position(const Position &position) {
    pumice_position out{};
    if (position.replication_id.size() >= sizeof out.replication_id) {
        throw Error(PUMICE_INVALID_ARGUMENT, "position: got a replication id of more than 16 characters");
    }
    position.replication_id.copy(out.replication_id, sizeof out.replication_id - 1);
    out.sequence = position.sequence;
    return out;
}

inline std::vector<std::string> names(pumice_names *names) {
    Handle<pumice_names, pumice_names_free> owned(names);
    std::vector<std::string> out;
    for (std::size_t i = 0; i < pumice_names_count(names); i++) {
        out.emplace_back(view(pumice_names_at(names, i)));
    }
    return out;
}

/** A callback that is told the progress; an exception in it cancels the call and comes out of it. */
template <class Told> class Watcher {
public:
    explicit Watcher(std::function<bool(const Told &)> tell) : tell_(std::move(tell)) {}

    auto callback() const -> int (*)(const Told *, void *) { return tell_ ? &Watcher::call : nullptr; }

    /** Ends the call that it was given to: throws what it threw, or else what the call says. */
    void finish(Status status, pumice_error *error) const {
        try {
            check(status, error);
        } catch (const Error &) {
            if (thrown_) {
                std::rethrow_exception(thrown_);
            }
            throw;
        }
    }

private:
    static int call(const Told *told, void *self) {
        auto *watcher = static_cast<Watcher *>(self);
        try {
            return watcher->tell_(*told) ? 0 : 1;
        } catch (...) {
            watcher->thrown_ = std::current_exception();
            return 1;
        }
    }

    std::function<bool(const Told &)> tell_;
    std::exception_ptr thrown_;
};

}  // namespace detail

/** Bytes where the storage engine keeps them. */
class Value {
public:
    explicit Value(pumice_value *value) : handle_(value) {}

    std::string_view view() const { return {pumice_value_data(handle_.get()), pumice_value_size(handle_.get())}; }
    operator std::string_view() const { return view(); }
    std::string str() const { return std::string(view()); }
    const char *data() const { return pumice_value_data(handle_.get()); }
    std::size_t size() const { return pumice_value_size(handle_.get()); }

    friend bool operator==(const Value &value, std::string_view other) { return value.view() == other; }
    friend bool operator!=(const Value &value, std::string_view other) { return value.view() != other; }

private:
    detail::Handle<pumice_value, pumice_value_free> handle_;
};

/** How to open a directory; what is left out is as pumice_options_new has it. */
struct Options {
    std::optional<Role> role;
    std::optional<bool> cluster;
    std::optional<bool> create;
    std::optional<bool> read_only;
    std::optional<bool> sync;
    std::optional<std::size_t> memory_budget;
    std::optional<pumice_compression> compression;
    std::optional<std::uint64_t> wal_keep_bytes;
    std::optional<Milliseconds> wal_keep;
};

/** How one write is done. */
struct WriteOptions {
    std::optional<Milliseconds> ttl;
    std::optional<bool> sync;
};

/** How a primary is reached over TLS: paths of PEM files; `certificate` and `key` together, or neither. */
struct TlsClient {
    std::string ca;
    std::optional<std::string> certificate = std::nullopt;
    std::optional<std::string> key = std::nullopt;
    std::optional<std::string> server_name = std::nullopt;
};

/** How to follow a primary. */
struct FollowOptions {
    std::optional<std::string_view> password;
    std::optional<std::uint16_t> announce_port;
    std::optional<TlsClient> tls;
};

/** What to convert to; what is left out is as pumice_convert_options_new has it. */
struct ConvertOptions {
    std::optional<bool> cluster;
    std::optional<std::string_view> ns;
    std::optional<pumice_compression> compression;
    std::optional<std::size_t> memory_budget;
};

/** How a listener speaks TLS: paths of PEM files. `client_ca` lets in only who shows a certificate signed by it,
 * `peer_ca` makes `hand_over` and REPLICAOF reach other nodes over TLS. */
struct TlsServer {
    std::string certificate;
    std::string key;
    std::optional<std::string> client_ca = std::nullopt;
    std::optional<std::string> peer_ca = std::nullopt;
};

/** How to serve an engine; what is left out is as pumice_serve_options_new has it. */
struct ServeOptions {
    std::optional<std::string_view> password;
    std::optional<std::size_t> max_connections;
    std::optional<Milliseconds> authenticate_timeout;
    std::optional<Milliseconds> send_timeout;
    std::optional<std::uint64_t> sync_bytes_per_second;
    std::optional<std::uint64_t> checkpoint_disk_limit;
    std::optional<TlsServer> tls;
};

/** How a topology is set; what is left out is as pumice_topology_options_new has it. */
struct TopologyOptions {
    std::optional<std::string_view> password = std::nullopt;
    std::optional<TlsClient> tls = std::nullopt;
    bool force = false;
};

namespace detail {

using OptionsHandle = Handle<pumice_options, pumice_options_free>;
using WriteOptionsHandle = Handle<pumice_write_options, pumice_write_options_free>;
using FollowOptionsHandle = Handle<pumice_follow_options, pumice_follow_options_free>;
using ConvertOptionsHandle = Handle<pumice_convert_options, pumice_convert_options_free>;
using ServeOptionsHandle = Handle<pumice_serve_options, pumice_serve_options_free>;
using TopologyOptionsHandle = Handle<pumice_topology_options, pumice_topology_options_free>;

/** A time of C++ as C wants it. What is less than nothing becomes 0, which C refuses where it must. */
inline std::uint64_t milliseconds(Milliseconds time) {
    return time.count() > 0 ? static_cast<std::uint64_t>(time.count()) : 0;
}

inline OptionsHandle options(const Options &options) {
    OptionsHandle made(pumice_options_new());
    const auto set = [&made](auto call, const auto &value) {
        if (value) {
            run(call, made.get(), *value);
        }
    };
    std::optional<std::uint64_t> wal_keep_ms;
    if (options.wal_keep) {
        wal_keep_ms = milliseconds(*options.wal_keep);
    }
    set(pumice_options_set_role, options.role);
    set(pumice_options_set_cluster, options.cluster);
    set(pumice_options_set_create, options.create);
    set(pumice_options_set_read_only, options.read_only);
    set(pumice_options_set_sync, options.sync);
    set(pumice_options_set_memory_budget, options.memory_budget);
    set(pumice_options_set_compression, options.compression);
    set(pumice_options_set_wal_keep_bytes, options.wal_keep_bytes);
    set(pumice_options_set_wal_keep_ms, wal_keep_ms);
    return made;
}

inline WriteOptionsHandle write_options(const WriteOptions &options) {
    if (!options.ttl && !options.sync) {
        return nullptr;
    }
    WriteOptionsHandle made(pumice_write_options_new());
    if (options.ttl) {
        const std::uint64_t ttl_ms = milliseconds(*options.ttl);
        run(pumice_write_options_set_ttl_ms, made.get(), ttl_ms);
    }
    if (options.sync) {
        run(pumice_write_options_set_sync, made.get(), *options.sync);
    }
    return made;
}

inline FollowOptionsHandle follow_options(const FollowOptions &options) {
    FollowOptionsHandle made(pumice_follow_options_new());
    if (options.password) {
        run(pumice_follow_options_set_password, made.get(), options.password->data(), options.password->size());
    }
    if (options.announce_port) {
        run(pumice_follow_options_set_announce_port, made.get(), *options.announce_port);
    }
    if (options.tls) {
        const auto &tls = *options.tls;
        const auto path = [](const std::optional<std::string> &given) { return given ? given->c_str() : nullptr; };
        run(pumice_follow_options_set_tls, made.get(), tls.ca.c_str());
        if (tls.certificate || tls.key) {
            run(pumice_follow_options_set_tls_certificate, made.get(), path(tls.certificate), path(tls.key));
        }
        if (tls.server_name) {
            run(pumice_follow_options_set_tls_server_name, made.get(), tls.server_name->c_str());
        }
    }
    return made;
}

inline TopologyOptionsHandle topology_options(const TopologyOptions &options) {
    TopologyOptionsHandle made(pumice_topology_options_new());
    if (options.password) {
        run(pumice_topology_options_set_password, made.get(), options.password->data(), options.password->size());
    }
    if (options.tls) {
        const auto &tls = *options.tls;
        const auto path = [](const std::optional<std::string> &given) { return given ? given->c_str() : nullptr; };
        run(pumice_topology_options_set_tls, made.get(), tls.ca.c_str());
        if (tls.certificate || tls.key) {
            run(pumice_topology_options_set_tls_certificate, made.get(), path(tls.certificate), path(tls.key));
        }
        if (tls.server_name) {
            run(pumice_topology_options_set_tls_server_name, made.get(), tls.server_name->c_str());
        }
    }
    run(pumice_topology_options_set_force, made.get(), options.force);
    return made;
}

inline ConvertOptionsHandle convert_options(const ConvertOptions &options) {
    ConvertOptionsHandle made(pumice_convert_options_new());
    if (options.cluster) {
        run(pumice_convert_options_set_cluster, made.get(), *options.cluster);
    }
    if (options.ns) {
        run(pumice_convert_options_set_namespace, made.get(), options.ns->data(), options.ns->size());
    }
    if (options.compression) {
        run(pumice_convert_options_set_compression, made.get(), *options.compression);
    }
    if (options.memory_budget) {
        run(pumice_convert_options_set_memory_budget, made.get(), *options.memory_budget);
    }
    return made;
}

inline ServeOptionsHandle serve_options(const ServeOptions &options) {
    ServeOptionsHandle made(pumice_serve_options_new());
    if (options.password) {
        run(pumice_serve_options_set_password, made.get(), options.password->data(), options.password->size());
    }
    if (options.max_connections) {
        run(pumice_serve_options_set_max_connections, made.get(), *options.max_connections);
    }
    if (options.authenticate_timeout) {
        run(pumice_serve_options_set_authenticate_timeout_ms, made.get(), milliseconds(*options.authenticate_timeout));
    }
    if (options.send_timeout) {
        run(pumice_serve_options_set_send_timeout_ms, made.get(), milliseconds(*options.send_timeout));
    }
    if (options.sync_bytes_per_second) {
        run(pumice_serve_options_set_sync_bytes_per_second, made.get(), *options.sync_bytes_per_second);
    }
    if (options.checkpoint_disk_limit) {
        run(pumice_serve_options_set_checkpoint_disk_limit, made.get(), *options.checkpoint_disk_limit);
    }
    if (options.tls) {
        const auto &tls = *options.tls;
        run(pumice_serve_options_set_tls, made.get(), tls.certificate.c_str(), tls.key.c_str());
        if (tls.client_ca) {
            run(pumice_serve_options_set_tls_client_ca, made.get(), tls.client_ca->c_str());
        }
        if (tls.peer_ca) {
            run(pumice_serve_options_set_tls_peer_ca, made.get(), tls.peer_ca->c_str());
        }
    }
    return made;
}

}  // namespace detail

/** Which keys a walk goes through, and which way. */
struct Range {
    std::string_view prefix;
    std::optional<std::string_view> start;
    std::optional<std::string_view> end;
    bool reverse = false;
};

/** One key of a walk, lent until the next step. */
struct Item {
    std::string_view key;
    /** The value of a string; nothing for every other type. */
    std::optional<std::string_view> value;
    pumice_kind kind;
};

/** What a command answered, or an element of it, which lives as long as the whole. */
class ReplyView {
public:
    explicit ReplyView(const pumice_reply *reply) : reply_(reply) {}

    pumice_reply_type kind() const { return pumice_reply_kind(reply_); }
    bool is_nil() const { return kind() == PUMICE_REPLY_NIL; }

    /** The number of an integer; 0 of every other. */
    std::int64_t integer() const { return pumice_reply_integer(reply_); }

    /** The bytes, or the text of a status or an error; nothing of every other. */
    std::optional<std::string_view> bytes() const { return detail::optional_view(pumice_reply_bytes(reply_)); }

    /** How many elements an array has; 0 of every other. */
    std::size_t size() const { return pumice_reply_count(reply_); }

    /** An element; nil where there is none. */
    ReplyView operator[](std::size_t index) const { return ReplyView(pumice_reply_at(reply_, index)); }

private:
    const pumice_reply *reply_;
};

/** What a command answered. */
class Reply : public ReplyView {
public:
    explicit Reply(pumice_reply *reply) : ReplyView(reply), handle_(reply) {}

private:
    detail::Handle<pumice_reply, pumice_reply_free> handle_;
};

/** A walk through keys in order, for `for (const pumice::Item &item : ns.items())`. It can be walked once. */
class Items {
public:
    explicit Items(pumice_items *items) : handle_(items) {}

    std::optional<Item> next() {
        const auto *item = detail::made<const pumice_item *>(pumice_items_next, handle_.get());
        if (item == nullptr) {
            return std::nullopt;
        }
        return Item{detail::view(item->key), detail::optional_view(item->value), static_cast<pumice_kind>(item->kind)};
    }

    class iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = Item;
        using difference_type = std::ptrdiff_t;
        using pointer = const Item *;
        using reference = const Item &;

        iterator() = default;
        explicit iterator(Items *items) : items_(items) { ++*this; }

        reference operator*() const { return *item_; }
        pointer operator->() const { return &*item_; }
        iterator &operator++() {
            item_ = items_->next();
            return *this;
        }
        void operator++(int) { ++*this; }

        /** Only for comparing with end(). */
        friend bool operator==(const iterator &a, const iterator &b) {
            return a.item_.has_value() == b.item_.has_value();
        }
        friend bool operator!=(const iterator &a, const iterator &b) { return !(a == b); }

    private:
        Items *items_ = nullptr;
        std::optional<Item> item_;
    };

    iterator begin() { return iterator(this); }
    iterator end() { return iterator(); }

private:
    detail::Handle<pumice_items, pumice_items_free> handle_;
};

namespace detail {

/** The functions that read in a namespace, now or as of a snapshot. */
struct Now {
    using Handle = detail::Handle<pumice_namespace, pumice_namespace_free>;
    static constexpr auto name = pumice_namespace_name;
    static constexpr auto get = pumice_namespace_get;
    static constexpr auto get_many = pumice_namespace_get_many;
    static constexpr auto kind = pumice_namespace_kind;
    static constexpr auto exists = pumice_namespace_exists;
    static constexpr auto ttl_ms = pumice_namespace_ttl_ms;
    static constexpr auto items = pumice_namespace_items;
    static constexpr auto count = pumice_namespace_count;
    static constexpr auto is_empty = pumice_namespace_is_empty;
    static constexpr auto execute = pumice_namespace_execute;
};

struct Then {
    using Handle = detail::Handle<pumice_snapshot_namespace, pumice_snapshot_namespace_free>;
    static constexpr auto name = pumice_snapshot_namespace_name;
    static constexpr auto get = pumice_snapshot_namespace_get;
    static constexpr auto get_many = pumice_snapshot_namespace_get_many;
    static constexpr auto kind = pumice_snapshot_namespace_kind;
    static constexpr auto exists = pumice_snapshot_namespace_exists;
    static constexpr auto ttl_ms = pumice_snapshot_namespace_ttl_ms;
    static constexpr auto items = pumice_snapshot_namespace_items;
    static constexpr auto count = pumice_snapshot_namespace_count;
    static constexpr auto is_empty = pumice_snapshot_namespace_is_empty;
    static constexpr auto execute = pumice_snapshot_namespace_execute;
};

}  // namespace detail

/** What can be read in a namespace. */
template <class C> class Readable {
public:
    std::string_view name() const { return detail::view(C::name(handle_.get())); }

    /** The value of a string; nothing when there is no such key. */
    std::optional<Value> get(std::string_view key) const {
        auto *value = detail::made<pumice_value *>(C::get, handle_.get(), key.data(), key.size());
        return value == nullptr ? std::nullopt : std::optional<Value>(Value(value));
    }

    /** The values of many strings, in the order of the keys, seen at one moment. */
    std::vector<std::optional<Value>> get_many(const std::vector<std::string_view> &keys) const {
        std::vector<pumice_bytes> asked;
        asked.reserve(keys.size());
        for (const auto key : keys) {
            asked.push_back(detail::bytes(key));
        }
        std::vector<std::optional<Value>> values;
        values.reserve(keys.size());
        std::vector<pumice_value *> found(keys.size());
        detail::run(C::get_many, handle_.get(), asked.data(), asked.size(), found.data());
        for (auto *value : found) {
            values.push_back(value == nullptr ? std::nullopt : std::optional<Value>(Value(value)));
        }
        return values;
    }

    /** The type of a key, PUMICE_KIND_NONE when there is no such key. */
    pumice_kind kind(std::string_view key) const {
        return static_cast<pumice_kind>(detail::made<std::uint8_t>(C::kind, handle_.get(), key.data(), key.size()));
    }

    bool exists(std::string_view key) const {
        return detail::made<bool>(C::exists, handle_.get(), key.data(), key.size());
    }

    /** How long a key still lives in milliseconds, or PUMICE_TTL_FOREVER, or PUMICE_TTL_MISSING. */
    std::int64_t ttl_ms(std::string_view key) const {
        return detail::made<std::int64_t>(C::ttl_ms, handle_.get(), key.data(), key.size());
    }

    /** The keys of a range in order. */
    Items items(const Range &range = {}) const {
        const detail::OptionalBytes start(range.start);
        const detail::OptionalBytes end(range.end);
        const pumice_range asked{detail::bytes(range.prefix), start.get(), end.get(), range.reverse};
        return Items(detail::made<pumice_items *>(C::items, handle_.get(), &asked));
    }

    /** The exact number of keys. It reads them all. */
    std::uint64_t count() const { return detail::made<std::uint64_t>(C::count, handle_.get()); }

    bool empty() const { return detail::made<bool>(C::is_empty, handle_.get()); }

    /** Runs a command of Redis: its name, then its arguments; in a snapshot one that only reads. An error reply is an Error
     * with the server's words. */
    Reply execute(const std::vector<std::string_view> &args) const {
        std::vector<pumice_bytes> words;
        words.reserve(args.size());
        for (const std::string_view arg : args) {
            words.push_back(detail::bytes(arg));
        }
        return Reply(detail::made<pumice_reply *>(C::execute, handle_.get(), words.data(), words.size()));
    }

    /** The handle of pumice.h, lent. */
    auto *handle() const noexcept { return handle_.get(); }

protected:
    explicit Readable(typename C::Handle handle) : handle_(std::move(handle)) {}

    typename C::Handle handle_;
};

/** A namespace of an engine. It stays valid across apply_checkpoint. */
class Namespace : public Readable<detail::Now> {
public:
    explicit Namespace(pumice_namespace *ns) : Readable(detail::Now::Handle(ns)) {}

    /** Its token; nothing for the default namespace and for an unregistered one. */
    std::optional<std::string> token() const {
        auto *token = detail::made<pumice_value *>(pumice_namespace_token, handle());
        return token == nullptr ? std::nullopt : std::optional<std::string>(Value(token).str());
    }

    void set_token(std::string_view token) const {
        detail::run(pumice_namespace_set_token, handle(), token.data(), token.size());
    }

    void put(std::string_view key, std::string_view value, const WriteOptions &options = {}) const {
        const auto how = detail::write_options(options);
        detail::run(pumice_namespace_put, handle(), key.data(), key.size(), value.data(), value.size(), how.get());
    }

    /** Stores only if the key holds `expected` now, or with nothing only if there is no such key. Whether it did. */
    bool put_if(std::string_view key, std::string_view value, std::optional<std::string_view> expected,
                const WriteOptions &options = {}) const {
        const detail::OptionalBytes held(expected);
        const auto how = detail::write_options(options);
        return detail::made<bool>(pumice_namespace_put_if, handle(), key.data(), key.size(), value.data(), value.size(),
                                  held.get(), how.get());
    }

    /** Deletes a key of any type. Whether it was there. */
    bool erase(std::string_view key, const WriteOptions &options = {}) const {
        const auto how = detail::write_options(options);
        return detail::made<bool>(pumice_namespace_delete, handle(), key.data(), key.size(), how.get());
    }

    /** Lets a key expire. `false` when there is no such key. */
    bool expire(std::string_view key, Milliseconds ttl) const {
        return detail::made<bool>(pumice_namespace_expire, handle(), key.data(), key.size(), detail::milliseconds(ttl));
    }

    /** Takes the expiry off a key. `false` when there is no such key, or it had none. */
    bool persist(std::string_view key) const {
        return detail::made<bool>(pumice_namespace_persist, handle(), key.data(), key.size());
    }

    /** Deletes all keys. */
    void clear() const { detail::run(pumice_namespace_clear, handle()); }
};

/** One namespace as a snapshot sees it. */
class SnapshotNamespace : public Readable<detail::Then> {
public:
    explicit SnapshotNamespace(pumice_snapshot_namespace *ns) : Readable(detail::Then::Handle(ns)) {}
};

/** A view of data and namespaces at one moment. */
class Snapshot {
public:
    explicit Snapshot(pumice_snapshot *snapshot) : handle_(snapshot) {}

    Position position() const { return detail::position(pumice_snapshot_position(handle_.get())); }

    std::vector<std::string> namespaces() const {
        return detail::names(detail::made<pumice_names *>(pumice_snapshot_namespaces, handle_.get()));
    }

    SnapshotNamespace open_namespace(std::string_view name) const {
        return SnapshotNamespace(detail::made<pumice_snapshot_namespace *>(pumice_snapshot_open_namespace,
                                                                           handle_.get(), name.data(), name.size()));
    }

    SnapshotNamespace default_namespace() const {
        return SnapshotNamespace(
            detail::made<pumice_snapshot_namespace *>(pumice_snapshot_default_namespace, handle_.get()));
    }

private:
    detail::Handle<pumice_snapshot, pumice_snapshot_free> handle_;
};

/** Writes that happen together. Destroyed without commit, they never were. */
class Batch {
public:
    explicit Batch(pumice_batch *batch) : handle_(batch) {}

    void put(const Namespace &ns, std::string_view key, std::string_view value, const WriteOptions &options = {}) {
        const auto how = detail::write_options(options);
        detail::run(pumice_batch_put, handle_.get(), ns.handle(), key.data(), key.size(), value.data(), value.size(),
                    how.get());
    }

    void erase(const Namespace &ns, std::string_view key) {
        detail::run(pumice_batch_delete, handle_.get(), ns.handle(), key.data(), key.size());
    }

    std::size_t size() const { return pumice_batch_count(handle_.get()); }

    /** Does all of it or nothing. The batch is spent then. */
    void commit(std::optional<bool> sync = std::nullopt) {
        const auto how = detail::write_options({std::nullopt, sync});
        detail::run(pumice_batch_commit, handle_.get(), how.get());
    }

private:
    detail::Handle<pumice_batch, pumice_batch_free> handle_;
};

/** One committed batch with its place in the history. */
class Entry {
public:
    explicit Entry(pumice_entry *entry) : handle_(entry) {}

    /** An entry of a batch that came from elsewhere, with the replication id before it. */
    Entry(std::string_view replication_id, bool cluster, std::string_view batch)
        : handle_(detail::made<pumice_entry *>(pumice_entry_new, replication_id.data(), replication_id.size(), cluster,
                                               batch.data(), batch.size())) {}

    static Entry decode(std::string_view data) {
        return Entry(detail::made<pumice_entry *>(pumice_entry_decode, data.data(), data.size()));
    }

    Value encode() const { return Value(detail::made<pumice_value *>(pumice_entry_encode, handle_.get())); }

    std::string_view replication_id() const { return pumice_entry_replication_id(handle_.get()); }
    bool cluster() const { return pumice_entry_cluster(handle_.get()); }
    std::uint64_t first() const { return pumice_entry_first(handle_.get()); }
    std::uint64_t last() const { return pumice_entry_last(handle_.get()); }
    std::string_view batch() const { return detail::view(pumice_entry_batch(handle_.get())); }
    const pumice_entry *handle() const noexcept { return handle_.get(); }

private:
    detail::Handle<pumice_entry, pumice_entry_free> handle_;
};

/** What an entry does, record by record. */
class Changes {
public:
    explicit Changes(pumice_changes *changes) : handle_(changes) {}

    std::size_t size() const { return pumice_changes_count(handle_.get()); }

    /** A change, lent as long as this list. */
    const pumice_change &at(std::size_t index) const {
        const auto *change = pumice_changes_at(handle_.get(), index);
        if (change == nullptr) {
            throw std::out_of_range("pumice::Changes::at");
        }
        return *change;
    }

private:
    detail::Handle<pumice_changes, pumice_changes_free> handle_;
};

/** A reader of the log. */
class Log {
public:
    explicit Log(pumice_log *log) : handle_(log) {}

    /** The next entry, waiting for it so long; nothing at the end of the log for now. */
    std::optional<Entry> next(Milliseconds wait = Milliseconds::zero()) {
        auto *entry = detail::made<pumice_entry *>(pumice_log_next, handle_.get(), detail::milliseconds(wait));
        return entry == nullptr ? std::nullopt : std::optional<Entry>(Entry(entry));
    }

    Position position() const { return detail::position(pumice_log_position(handle_.get())); }

private:
    detail::Handle<pumice_log, pumice_log_free> handle_;
};

/** A checkpoint that was made. */
struct Checkpoint {
    std::string path;
    Position position;
    std::uint64_t files;
    std::uint64_t bytes;
};

/** A dataset that was converted; see pumice_converted. */
struct Converted {
    std::string path;
    Position position;
    std::string layout;
    std::string ns;
    std::uint64_t keys;
    std::uint64_t records;
    std::uint64_t bytes;
    std::vector<std::string> left_out;
};

/** The keys of one type in a namespace. */
struct KindUsage {
    pumice_kind kind;
    std::uint64_t keys;
    std::uint64_t bytes;
};

/** What one namespace holds; see pumice_namespace_usage. */
struct NamespaceUsage {
    std::string name;
    bool registered;
    std::vector<KindUsage> kinds;
    std::uint64_t keys, bytes, expired_keys, expired_bytes, remains_bytes;
};

/** What a dataset holds. Bytes are those of keys and values as they are stored, before compression. */
struct Usage {
    std::vector<NamespaceUsage> namespaces;
    std::uint64_t other_bytes;
    std::uint64_t unreadable_records;
};

/** Something that is not as it must be. */
struct Finding {
    std::string what;
    std::string detail;
};

/** Figures of one moment; see pumice_info. */
struct Info {
    std::string path;
    Role role;
    Position position;
    std::string layout;
    std::optional<std::string> refuses_writes;
    std::uint64_t generation, namespaces, records_estimate, table_files, table_bytes, blob_bytes, oldest_sequence,
        memory_budget, cache_bytes, write_buffer_bytes, table_reader_bytes, snapshots, feeds;
    /** How far this replica is behind, where somebody is followed and it is known. */
    std::optional<std::uint64_t> lag_sequences;
    std::optional<Milliseconds> lag;
};

/** How far a full sync is. */
struct SyncStatus {
    std::uint64_t files, files_done, bytes, bytes_done, bytes_reused, bytes_per_second;
    std::optional<Milliseconds> remaining;
};

/** The link of a replica at one moment; see pumice_link_status. */
struct LinkStatus {
    std::string host;
    std::uint16_t port;
    pumice_link_state state;
    std::uint64_t since_ms;
    pumice_peer peer;
    std::optional<std::uint64_t> lag_sequences;
    std::optional<Milliseconds> lag;
    std::optional<Milliseconds> last_io;
    std::optional<std::string> last_error;
    std::optional<std::string> warning;
    std::optional<SyncStatus> sync;
    std::uint64_t full_syncs;
};

/** One node of a topology; see pumice_node. */
struct Node {
    std::string id;
    std::string host;
    std::uint16_t port;
    std::optional<std::string> primary;
    std::vector<std::pair<std::uint16_t, std::uint16_t>> slots;
};

/** What a node is meant to be and what it is; see pumice_topology_status. */
struct TopologyStatus {
    std::optional<std::uint64_t> version;
    std::vector<Node> nodes;
    std::optional<std::string> node_id;
    Role role;
    std::uint64_t epoch;
    std::optional<std::pair<std::string, std::uint16_t>> desired;
    std::optional<LinkStatus> actual;
    bool converged;
    std::uint64_t since_ms;
    std::optional<std::string> reason;
};

/** Something that happened; see pumice_event. */
struct Event {
    std::uint64_t time_ms;
    pumice_event_kind kind;
    std::string message;
    std::uint64_t lost;
};

/** A running feed of a primary at one moment; see pumice_feed_status. */
struct FeedStatus {
    std::uint64_t id;
    std::string host;
    std::uint16_t port;
    pumice_peer peer;
    std::uint64_t sent;
    std::optional<std::uint64_t> acked;
    std::optional<std::uint64_t> durable;
    std::uint64_t lag_sequences;
    std::optional<Milliseconds> last_ack;
    std::uint64_t since_ms;
};

namespace detail {

inline std::optional<std::uint64_t> known(std::uint64_t number) {
    return number == PUMICE_UNKNOWN ? std::nullopt : std::optional<std::uint64_t>(number);
}

inline std::optional<Milliseconds> known_time(std::uint64_t ms) {
    return ms == PUMICE_UNKNOWN ? std::nullopt : std::optional<Milliseconds>(Milliseconds(ms));
}

inline std::optional<std::string> known_text(const char *text) {
    return text == nullptr ? std::nullopt : std::optional<std::string>(text);
}

inline LinkStatus link(const pumice_link_status *link) {
    std::optional<SyncStatus> sync;
    if (const auto *running = pumice_link_status_sync(link)) {
        sync = SyncStatus{running->files,        running->files_done,       running->bytes,
                          running->bytes_done,   running->bytes_reused,     running->bytes_per_second,
                          known_time(running->remaining_ms)};
    }
    return {pumice_link_status_host(link),
            pumice_link_status_port(link),
            pumice_link_status_state(link),
            pumice_link_status_since_ms(link),
            pumice_link_status_peer(link),
            known(pumice_link_status_lag_sequences(link)),
            known_time(pumice_link_status_lag_ms(link)),
            known_time(pumice_link_status_last_io_ms(link)),
            known_text(pumice_link_status_last_error(link)),
            known_text(pumice_link_status_warning(link)),
            sync,
            pumice_link_status_full_syncs(link)};
}

inline Node node(const pumice_node &node) {
    Node out = {node.id, node.host, node.port, known_text(node.primary), {}};
    for (std::size_t i = 0; i < node.slot_range_count; i++) {
        out.slots.emplace_back(node.slots[i].first, node.slots[i].last);
    }
    return out;
}

inline TopologyStatus topology(const pumice_topology_status *status) {
    TopologyStatus out = {known(pumice_topology_status_version(status)),
                          {},
                          known_text(pumice_topology_status_node_id(status)),
                          pumice_topology_status_role(status),
                          pumice_topology_status_epoch(status),
                          std::nullopt,
                          std::nullopt,
                          pumice_topology_status_converged(status),
                          pumice_topology_status_since_ms(status),
                          known_text(pumice_topology_status_reason(status))};
    for (std::size_t i = 0; i < pumice_topology_status_node_count(status); i++) {
        out.nodes.push_back(node(*pumice_topology_status_node_at(status, i)));
    }
    if (const char *host = pumice_topology_status_desired_host(status)) {
        out.desired.emplace(host, pumice_topology_status_desired_port(status));
    }
    if (const auto *actual = pumice_topology_status_actual(status)) {
        out.actual = link(actual);
    }
    return out;
}

}  // namespace detail

/** What happens in an engine from the moment on when it was asked for. It does not keep the engine open. */
class Events {
public:
    explicit Events(pumice_events *events) : handle_(events) {}

    /** The next event, waiting for it so long; nothing when none came. PUMICE_CLOSED when the engine was closed and every
     * event was taken. */
    std::optional<Event> next(Milliseconds timeout) const {
        const detail::Handle<pumice_event, pumice_event_free> owned(
            detail::made<pumice_event *>(pumice_events_next, handle_.get(), detail::milliseconds(timeout)));
        if (!owned) {
            return std::nullopt;
        }
        const auto *event = owned.get();
        return Event{pumice_event_time_ms(event), pumice_event_get_kind(event), pumice_event_message(event),
                     pumice_event_lost(event)};
    }

private:
    detail::Handle<pumice_events, pumice_events_free> handle_;
};

/** A listener: Redis clients and replicas talk to the engine through it, until it is closed or destroyed, or the engine
 * is closed. It does not keep the engine open. */
class Listener {
public:
    explicit Listener(pumice_listener *listener) : handle_(listener) {}

    /** The IP address where it listens, or the path of the Unix socket. */
    std::string host() const { return pumice_listener_host(handle_.get()); }
    /** The port where it listens; 0 of a Unix socket. */
    std::uint16_t port() const { return pumice_listener_port(handle_.get()); }

    /** Ends all connections and waits until the commands that run have finished. */
    void close() const { detail::run(pumice_listener_close, handle_.get()); }

private:
    detail::Handle<pumice_listener, pumice_listener_free> handle_;
};

/** Told what a link does; `false` ends the wait with PUMICE_BUSY. */
using OnLink = std::function<bool(const LinkStatus &)>;

/** Told how far a long call is; `false` cancels it with PUMICE_BUSY. */
using OnProgress = std::function<bool(const Progress &)>;

/** One open data directory. */
class Engine {
public:
    static Engine open(const std::string &path, const Options &options = {}) {
        const auto how = detail::options(options);
        return Engine(detail::made<pumice_engine *>(pumice_engine_open, path.c_str(), how.get()));
    }

    explicit Engine(pumice_engine *engine) : handle_(engine) {}

    void close() const { detail::run(pumice_engine_close, handle()); }

    std::string path() const { return pumice_engine_path(handle()); }

    Role role() const {
        // No role is 0, which a call that succeeds never leaves.
        return detail::made<Role>(pumice_engine_role, handle());
    }

    Position position() const {
        return detail::position(detail::made<pumice_position>(pumice_engine_position, handle()));
    }

    /** Makes a namespace; a token is drawn when none is given. */
    Namespace create_namespace(std::string_view name, std::optional<std::string_view> token = std::nullopt) const {
        const detail::OptionalBytes given(token);
        return Namespace(detail::made<pumice_namespace *>(pumice_engine_create_namespace, handle(), name.data(),
                                                          name.size(), given.get()));
    }

    Namespace open_namespace(std::string_view name) const {
        return Namespace(
            detail::made<pumice_namespace *>(pumice_engine_open_namespace, handle(), name.data(), name.size()));
    }

    Namespace default_namespace() const {
        return Namespace(detail::made<pumice_namespace *>(pumice_engine_default_namespace, handle()));
    }

    std::vector<std::string> namespaces() const {
        return detail::names(detail::made<pumice_names *>(pumice_engine_namespaces, handle()));
    }

    std::vector<std::string> unregistered_namespaces() const {
        return detail::names(detail::made<pumice_names *>(pumice_engine_unregistered_namespaces, handle()));
    }

    void drop_namespace(std::string_view name) const {
        detail::run(pumice_engine_drop_namespace, handle(), name.data(), name.size());
    }

    Batch batch() const { return Batch(detail::made<pumice_batch *>(pumice_engine_batch, handle())); }

    Snapshot snapshot() const { return Snapshot(detail::made<pumice_snapshot *>(pumice_engine_snapshot, handle())); }

    void flush() const { detail::run(pumice_engine_flush, handle()); }

    Checkpoint create_checkpoint(const std::string &path, OnProgress progress = nullptr) const {
        detail::Watcher<Progress> watcher(std::move(progress));
        pumice_checkpoint *made = nullptr;
        pumice_error *error = nullptr;
        const Status status =
            pumice_engine_create_checkpoint(handle(), path.c_str(), watcher.callback(), &watcher, &made, &error);
        const detail::Handle<pumice_checkpoint, pumice_checkpoint_free> owned(made);
        watcher.finish(status, error);
        return {pumice_checkpoint_path(made), detail::position(pumice_checkpoint_position(made)),
                pumice_checkpoint_files(made), pumice_checkpoint_bytes(made)};
    }

    /** Replaces the whole dataset, data and namespaces as one. `verify` reads every data block before. */
    void apply_checkpoint(const std::string &path, OnProgress progress = nullptr, bool verify = false) const {
        detail::Watcher<Progress> watcher(std::move(progress));
        pumice_error *error = nullptr;
        const Status status =
            pumice_engine_apply_checkpoint(handle(), path.c_str(), verify, watcher.callback(), &watcher, &error);
        watcher.finish(status, error);
    }

    /** A reader of the entries after a position, or of all that are still kept. */
    Log log(const std::optional<Position> &after = std::nullopt) const {
        std::optional<pumice_position> from;
        if (after) {
            from = detail::position(*after);
        }
        return Log(detail::made<pumice_log *>(pumice_engine_log, handle(), from ? &*from : nullptr));
    }

    Changes changes(const Entry &entry) const {
        return Changes(detail::made<pumice_changes *>(pumice_engine_changes, handle(), entry.handle()));
    }

    void apply(const Entry &entry) const { detail::run(pumice_engine_apply, handle(), entry.handle()); }

    void promote() const { detail::run(pumice_engine_promote, handle()); }

    /** Serves the engine to Redis clients and to replicas, on `host:port` or `unix:/path`. */
    Listener serve(const std::string &address = "127.0.0.1:0", const ServeOptions &options = {}) const {
        const auto how = detail::serve_options(options);
        return Listener(detail::made<pumice_listener *>(pumice_engine_serve, handle(), address.c_str(), how.get()));
    }

    /** Makes this engine a replica of a primary, also after a restart. Returns at once. */
    void follow(const std::string &host, std::uint16_t port, const FollowOptions &options = {}) const {
        const auto how = detail::follow_options(options);
        detail::run(pumice_engine_follow, handle(), host.c_str(), port, how.get());
    }

    /** Waits until the primary's data is here and entries come as they are written. `false` when the time is over, or
     * nobody is followed. */
    bool wait_linked(Milliseconds timeout, OnLink told = nullptr) const {
        std::function<bool(const pumice_link_status &)> tell;
        if (told) {
            tell = [told = std::move(told)](const pumice_link_status &link) { return told(detail::link(&link)); };
        }
        detail::Watcher<pumice_link_status> watcher(std::move(tell));
        bool linked = false;
        pumice_error *error = nullptr;
        const Status status = pumice_engine_wait_linked(handle(), detail::milliseconds(timeout), watcher.callback(),
                                                        &watcher, &linked, &error);
        watcher.finish(status, error);
        return linked;
    }

    /** The link at this moment; nothing when this engine follows nobody. */
    std::optional<LinkStatus> link() const {
        const detail::Handle<pumice_link_status, pumice_link_status_free> owned(
            detail::made<pumice_link_status *>(pumice_engine_link, handle()));
        return owned ? std::optional<LinkStatus>(detail::link(owned.get())) : std::nullopt;
    }

    /** The feeds that run at this moment: who follows this engine. */
    std::vector<FeedStatus> feeds() const {
        const detail::Handle<pumice_feeds, pumice_feeds_free> owned(
            detail::made<pumice_feeds *>(pumice_engine_feeds, handle()));
        std::vector<FeedStatus> out;
        for (std::size_t i = 0; i < pumice_feeds_count(owned.get()); i++) {
            const auto &feed = *pumice_feeds_at(owned.get(), i);
            out.push_back({feed.id, feed.host, feed.port, feed.peer, feed.sent, detail::known(feed.acked),
                           detail::known(feed.durable), feed.lag_sequences, detail::known_time(feed.last_ack_ms),
                           feed.since_ms});
        }
        return out;
    }

    /** Follows nobody any more and stays read-only. */
    void detach() const { detail::run(pumice_engine_detach, handle()); }

    /** A planned switch to the replica that announced `host` and `port`, which gives nothing up. */
    void hand_over(const std::string &host, std::uint16_t port, Milliseconds timeout) const {
        detail::run(pumice_engine_hand_over, handle(), host.c_str(), port, detail::milliseconds(timeout));
    }

    /** Deletes what was kept of datasets that had diverged. How many there were. */
    std::size_t discard() const { return detail::made<std::size_t>(pumice_engine_discard, handle()); }

    /** Waits until this engine has what a position says. `false` when the time is over. */
    bool wait_for(const Position &position, Milliseconds timeout) const {
        const auto there = detail::position(position);
        return detail::made<bool>(pumice_engine_wait_for, handle(), &there, detail::milliseconds(timeout));
    }

    /** Waits until as many replicas have applied what a position says. How many have. */
    std::size_t wait_acked(const Position &position, std::size_t replicas, Milliseconds timeout) const {
        const auto there = detail::position(position);
        return detail::made<std::size_t>(pumice_engine_wait_acked, handle(), &there, replicas,
                                         detail::milliseconds(timeout));
    }

    /** Says which nodes there are, who follows whom, and which of them this engine is, in the text of `CLUSTERX SETNODES`.
     * That alone decides then what this engine is, until a later version comes. Whether anything changed. */
    bool set_topology(std::uint64_t version, std::string_view text, const std::string &node_id,
                      const TopologyOptions &options = {}) const {
        const auto how = detail::topology_options(options);
        return detail::made<bool>(pumice_engine_set_topology, handle(), version, text.data(), text.size(),
                                  node_id.c_str(), how.get());
    }

    /** What this node is meant to be and what it is, side by side. */
    TopologyStatus topology() const {
        const detail::Handle<pumice_topology_status, pumice_topology_status_free> owned(
            detail::made<pumice_topology_status *>(pumice_engine_topology, handle()));
        return detail::topology(owned.get());
    }

    /** What happens from now on. */
    Events events() const { return Events(detail::made<pumice_events *>(pumice_engine_events, handle())); }

    std::vector<Finding> verify(pumice_depth depth = PUMICE_DEPTH_QUICK) const {
        const detail::Handle<pumice_findings, pumice_findings_free> found(
            detail::made<pumice_findings *>(pumice_engine_verify, handle(), depth));
        std::vector<Finding> out;
        for (std::size_t i = 0; i < pumice_findings_count(found.get()); i++) {
            const auto finding = pumice_findings_at(found.get(), i);
            out.push_back({std::string(detail::view(finding.what)), std::string(detail::view(finding.detail))});
        }
        return out;
    }

    /** How many keys of which type each namespace has, and their bytes. Reads every record once. */
    Usage usage(OnProgress progress = nullptr) const {
        detail::Watcher<Progress> watcher(std::move(progress));
        pumice_usage *counted = nullptr;
        pumice_error *error = nullptr;
        const Status status = pumice_engine_usage(handle(), watcher.callback(), &watcher, &counted, &error);
        const detail::Handle<pumice_usage, pumice_usage_free> owned(counted);
        watcher.finish(status, error);
        Usage out{{}, pumice_usage_other_bytes(counted), pumice_usage_unreadable_records(counted)};
        for (std::size_t i = 0; i < pumice_usage_count(counted); i++) {
            const auto &ns = *pumice_usage_at(counted, i);
            std::vector<KindUsage> kinds;
            for (std::size_t j = 0; j < ns.kind_count; j++) {
                kinds.push_back({static_cast<pumice_kind>(ns.kinds[j].kind), ns.kinds[j].keys, ns.kinds[j].bytes});
            }
            out.namespaces.push_back({std::string(detail::view(ns.name)), ns.registered, std::move(kinds), ns.keys,
                                      ns.bytes, ns.expired_keys, ns.expired_bytes, ns.remains_bytes});
        }
        return out;
    }

    Info info() const {
        const detail::Handle<pumice_info, pumice_info_free> owned(
            detail::made<pumice_info *>(pumice_engine_info, handle()));
        const auto *info = owned.get();
        const char *refuses = pumice_info_refuses_writes(info);
        return {pumice_info_path(info),
                pumice_info_role(info),
                detail::position(pumice_info_position(info)),
                pumice_info_layout(info),
                refuses == nullptr ? std::nullopt : std::optional<std::string>(refuses),
                pumice_info_generation(info),
                pumice_info_namespaces(info),
                pumice_info_records_estimate(info),
                pumice_info_table_files(info),
                pumice_info_table_bytes(info),
                pumice_info_blob_bytes(info),
                pumice_info_oldest_sequence(info),
                pumice_info_memory_budget(info),
                pumice_info_cache_bytes(info),
                pumice_info_write_buffer_bytes(info),
                pumice_info_table_reader_bytes(info),
                pumice_info_snapshots(info),
                pumice_info_feeds(info),
                detail::known(pumice_info_lag_sequences(info)),
                detail::known_time(pumice_info_lag_ms(info))};
    }

    /** The handle of pumice.h, lent. */
    pumice_engine *handle() const noexcept { return handle_.get(); }

private:
    detail::Handle<pumice_engine, pumice_engine_free> handle_;
};

/** Makes the `db` of a closed data directory a plain folder again, to be handed over for good. */
inline void release(const std::string &path) { detail::run(pumice_release, path.c_str()); }

/** Makes a new data directory with the dataset of another in the other key layout; see pumice_convert. */
inline Converted convert(const std::string &source, const std::string &target, const ConvertOptions &options = {},
                         OnProgress progress = nullptr) {
    const auto how = detail::convert_options(options);
    detail::Watcher<Progress> watcher(std::move(progress));
    pumice_converted *made = nullptr;
    pumice_error *error = nullptr;
    const Status status =
        pumice_convert(source.c_str(), target.c_str(), how.get(), watcher.callback(), &watcher, &made, &error);
    const detail::Handle<pumice_converted, pumice_converted_free> owned(made);
    watcher.finish(status, error);
    std::vector<std::string> left_out;
    for (std::size_t i = 0; i < pumice_converted_left_out_count(made); i++) {
        left_out.emplace_back(pumice_converted_left_out_at(made, i));
    }
    return {pumice_converted_path(made),
            detail::position(pumice_converted_position(made)),
            pumice_converted_layout(made),
            std::string(detail::view(pumice_converted_namespace(made))),
            pumice_converted_keys(made),
            pumice_converted_records(made),
            pumice_converted_bytes(made),
            std::move(left_out)};
}

/** The version of the library. */
inline std::string version() { return pumice_version(); }

}  // namespace pumice

#endif  // PUMICE_HPP
