// Every method of pumice.hpp, once; or with a folder of certificates, those that speak TLS.
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <pumice.hpp>
#include <type_traits>

#define CHECK(condition)                                                                    \
    do {                                                                                    \
        if (!(condition)) {                                                                 \
            std::cerr << "wrapper.cpp:" << __LINE__ << ": expected " << #condition << "\n"; \
            std::exit(1);                                                                   \
        }                                                                                   \
    } while (0)

using pumice::Milliseconds;

template <class Call> static pumice::Status kind_of(Call call) {
    try {
        call();
    } catch (const pumice::Error &error) {
        CHECK(std::string(error.what()).size() > 10 && error.name() == std::string(pumice_status_name(error.kind())));
        return error.kind();
    }
    return PUMICE_OK;
}

template <class T> constexpr bool only_moves =
    std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T> && !std::is_copy_constructible_v<T>;
static_assert(only_moves<pumice::Engine> && only_moves<pumice::Namespace> && only_moves<pumice::Value>);
static_assert(only_moves<pumice::Items> && only_moves<pumice::Snapshot> && only_moves<pumice::SnapshotNamespace>);
static_assert(only_moves<pumice::Batch> && only_moves<pumice::Log> && only_moves<pumice::Entry>);
static_assert(only_moves<pumice::Reply> && only_moves<pumice::Changes> && only_moves<pumice::Listener>);

template <class Reader> static void read_all(const Reader &ns) {
    CHECK(ns.name() == "n");
    CHECK(ns.get("a")->view() == "1" && ns.get("a")->str() == "1" && *ns.get("a") == "1" && !ns.get("missing"));
    CHECK(ns.get("empty") && ns.get("empty")->size() == 0 && ns.get("empty")->data() != nullptr);
    const auto values = ns.get_many({"a", "missing", "b"});
    CHECK(values.size() == 3 && *values[0] == "1" && !values[1] && *values[2] == "2" && *values[2] != "1");
    CHECK(ns.kind("a") == PUMICE_KIND_STRING && ns.kind("missing") == PUMICE_KIND_NONE);
    CHECK(ns.exists("a") && !ns.exists("missing") && !ns.empty() && ns.count() == 3);
    CHECK(ns.ttl_ms("a") == PUMICE_TTL_FOREVER && ns.ttl_ms("missing") == PUMICE_TTL_MISSING && ns.ttl_ms("b") > 0);
    std::string seen;
    for (const auto &item : ns.items()) {
        CHECK(item.kind == PUMICE_KIND_STRING);
        seen += std::string(item.key) + "=" + std::string(*item.value) + " ";
    }
    CHECK(seen == "a=1 b=2 empty= ");
    pumice::Range range;
    range.prefix = "";
    range.start = "a";
    range.end = "c";
    range.reverse = true;
    auto items = ns.items(range);
    CHECK(items.next()->key == "b" && items.next()->key == "a" && !items.next());
}

static void replicate(const std::string &folder) {
    const Milliseconds minute(60000);
    pumice::Options as_replica;
    as_replica.role = PUMICE_ROLE_REPLICA;
    const auto a = pumice::Engine::open(folder + "/a");
    const auto b = pumice::Engine::open(folder + "/b", as_replica);
    a.create_namespace("n").put("k", "v");
    pumice::ServeOptions serving;
    serving.password = "secret";
    serving.max_connections = 100;
    serving.authenticate_timeout = minute;
    serving.send_timeout = minute;
    serving.sync_bytes_per_second = 1 << 30;
    serving.checkpoint_disk_limit = 1 << 30;
    const auto at_a = a.serve("127.0.0.1:0", serving), at_b = b.serve("127.0.0.1:0", serving);
    CHECK(at_a.host() == "127.0.0.1" && at_a.port() != 0 && !b.link() && a.feeds().empty());
    CHECK(kind_of([&] { (void)a.serve("nowhere"); }) == PUMICE_INVALID_ARGUMENT);

    // Without the password nothing comes; an answer and an exception end the wait.
    b.follow(at_a.host(), at_a.port());
    CHECK(!b.wait_linked(Milliseconds(0)));
    CHECK(kind_of([&] { b.wait_linked(minute, [](const auto &) { return false; }); }) == PUMICE_BUSY);
    bool thrown = false;
    try {
        b.wait_linked(minute, [](const pumice::LinkStatus &link) -> bool {
            if (link.last_error && link.last_error->find("NOAUTH") != std::string::npos) {
                throw std::runtime_error("told");
            }
            return true;
        });
    } catch (const pumice::Error &) {
        CHECK(false);
    } catch (const std::runtime_error &error) {
        thrown = error.what() == std::string("told");
    }
    CHECK(thrown);

    pumice::FollowOptions following;
    following.password = "secret";
    following.announce_port = at_b.port();
    b.follow(at_a.host(), at_a.port(), following);
    CHECK(b.wait_linked(minute) && *b.open_namespace("n").get("k") == "v");
    CHECK(b.wait_for(a.position(), minute) && a.wait_acked(a.position(), 1, minute) == 1);
    const auto link = *b.link();
    CHECK(link.host == at_a.host() && link.port == at_a.port() && link.state == PUMICE_LINK_STATE_STREAMING);
    CHECK(link.peer == PUMICE_PEER_PUMICE && link.since_ms > 0 && link.lag_sequences == 0 && link.lag && link.last_io);
    CHECK(!link.last_error && !link.warning && !link.sync && link.full_syncs == 0);
    const auto feeds = a.feeds();
    CHECK(feeds.size() == 1 && feeds[0].port == at_b.port() && feeds[0].peer == PUMICE_PEER_PUMICE && feeds[0].id > 0);
    CHECK(feeds[0].acked == a.position().sequence && feeds[0].sent == *feeds[0].acked && feeds[0].durable);
    CHECK(feeds[0].lag_sequences == 0 && feeds[0].last_ack && feeds[0].since_ms > 0 && feeds[0].host == "127.0.0.1");

    a.hand_over(at_b.host(), at_b.port(), minute);
    CHECK(a.role() == PUMICE_ROLE_REPLICA && b.role() == PUMICE_ROLE_PRIMARY && a.wait_linked(minute));
    CHECK(a.discard() == 0);
    a.detach();
    CHECK(a.role() == PUMICE_ROLE_DETACHED && !a.link());
    at_b.close();
    at_b.close();
    b.close();
    CHECK(kind_of([&] { (void)b.serve(); }) == PUMICE_CLOSED);
}

// Serves over TLS to who shows a certificate, follows so, and hands the role over.
static void over_tls(const std::string &folder, const std::string &certificates) {
    const Milliseconds minute(60000);
    const auto pem = [&](const char *name) { return certificates + "/" + name; };
    pumice::Options as_replica;
    as_replica.role = PUMICE_ROLE_REPLICA;
    const auto a = pumice::Engine::open(folder + "/tls_a");
    const auto b = pumice::Engine::open(folder + "/tls_b", as_replica);
    a.default_namespace().put("k", "v");
    pumice::ServeOptions serving;
    serving.tls = pumice::TlsServer{pem("node.pem"), pem("node.key"), pem("ca.pem"), pem("ca.pem")};
    const auto at_a = a.serve("127.0.0.1:0", serving), at_b = b.serve("127.0.0.1:0", serving);
    serving.tls = pumice::TlsServer{pem("node.pem"), pem("missing")};
    CHECK(kind_of([&] { (void)a.serve("127.0.0.1:0", serving); }) == PUMICE_IO);

    pumice::FollowOptions following;
    following.tls = pumice::TlsClient{pem("ca.pem"), pem("node.pem")};
    CHECK(kind_of([&] { b.follow(at_a.host(), at_a.port(), following); }) == PUMICE_INVALID_ARGUMENT);
    following.tls = pumice::TlsClient{pem("other-ca.pem"), pem("node.pem"), pem("node.key"), "localhost"};
    b.follow(at_a.host(), at_a.port(), following);
    const auto no_issuer = [](const pumice::LinkStatus &link) {
        return !link.last_error || link.last_error->find("UnknownIssuer") == std::string::npos;
    };
    CHECK(kind_of([&] { b.wait_linked(minute, no_issuer); }) == PUMICE_BUSY);
    following.tls->ca = pem("ca.pem");
    b.follow(at_a.host(), at_a.port(), following);
    CHECK(b.wait_linked(minute) && b.wait_for(a.position(), minute) && *b.default_namespace().get("k") == "v");
    a.hand_over(at_b.host(), at_b.port(), minute);
    CHECK(a.role() == PUMICE_ROLE_REPLICA && b.role() == PUMICE_ROLE_PRIMARY && a.wait_linked(minute));
}

static void convert(const std::string &folder) {
    const auto source = folder + "/source", target = folder + "/target";
    auto engine = pumice::Engine::open(source);
    engine.create_namespace("n").put("k", "value");
    engine.default_namespace().put("elsewhere", "");
    CHECK(kind_of([&] { engine.usage([](const auto &) { return false; }); }) == PUMICE_BUSY);
    unsigned told = 0;
    const auto usage = engine.usage([&](const auto &now) { return now.stage == PUMICE_STAGE_COUNT && ++told > 0; });
    CHECK(told > 0 && usage.namespaces.size() == 2 && usage.other_bytes > 0 && usage.unreadable_records == 0);
    const auto &n = usage.namespaces[1];
    CHECK(usage.namespaces[0].name == "__namespace" && n.name == "n" && n.registered && n.kinds.size() == 1);
    CHECK(n.kinds[0].kind == PUMICE_KIND_STRING && n.kinds[0].keys == 1 && n.kinds[0].bytes == 17);
    CHECK(n.keys == 1 && n.bytes == 17 && n.expired_keys == 0 && n.expired_bytes == 0 && n.remains_bytes == 0);
    CHECK(engine.usage().namespaces.size() == 2);

    pumice::ConvertOptions options;
    options.cluster = true;
    options.ns = "n";
    options.compression = PUMICE_COMPRESSION_ZSTD;
    options.memory_budget = 16 << 20;
    CHECK(kind_of([&] { pumice::convert(source, target, options); }) == PUMICE_BUSY);
    engine.close();
    CHECK(kind_of([&] { pumice::convert(source, target); }) == PUMICE_INVALID_ARGUMENT);
    CHECK(kind_of([&] { pumice::convert(source, target, options, [](const auto &) { return false; }); }) ==
          PUMICE_BUSY);
    bool thrown = false;
    try {
        pumice::convert(source, target, options, [](const auto &) -> bool { throw std::runtime_error("stop"); });
    } catch (const pumice::Error &) {
        CHECK(false);
    } catch (const std::runtime_error &error) {
        thrown = error.what() == std::string("stop");
    }
    CHECK(thrown && !std::filesystem::exists(target));
    const auto made = pumice::convert(source, target, options);
    CHECK(made.path == target && made.layout == "cluster" && made.ns == "__namespace" && made.keys == 1);
    CHECK(made.records >= 1 && made.bytes > 0 && made.left_out.size() == 1 && !made.left_out[0].empty());
    const auto cluster = pumice::Engine::open(target);
    CHECK(cluster.position().sequence >= made.position.sequence && cluster.info().layout == "cluster");
    CHECK(*cluster.default_namespace().get("k") == "value");
}

static void govern(const std::string &folder) {
    const auto engine = pumice::Engine::open(folder + "/governed");
    const auto before = engine.topology();
    CHECK(!before.version && !before.node_id && before.nodes.empty() && before.converged && !before.actual);
    const auto events = engine.events();
    CHECK(!events.next(Milliseconds(0)));
    const std::string a(40, 'a'), b(40, 'b');
    const std::string first = a + " 127.0.0.1 1 master - 0-100 200\n" + b + " 127.0.0.1 2 slave " + a;
    CHECK(engine.set_topology(7, first, a) && !engine.set_topology(7, first, a));
    auto status = engine.topology();
    CHECK(status.version == 7u && status.node_id == a && status.role == PUMICE_ROLE_PRIMARY && status.epoch == 7);
    CHECK(status.nodes.size() == 2 && !status.nodes[0].primary && status.nodes[1].primary == a);
    CHECK(status.nodes[1].port == 2 && status.nodes[1].host == "127.0.0.1" && status.nodes[1].id == b);
    CHECK(status.nodes[0].slots.size() == 2 && status.nodes[0].slots[1].second == 200);
    CHECK(!status.desired && status.converged && !status.reason && status.since_ms > 0);
    const auto event = events.next(Milliseconds(60000));
    CHECK(event && event->kind == PUMICE_EVENT_KIND_TOPOLOGY && event->time_ms > 0 && event->lost == 0);
    CHECK(event->message.find("version 7") != std::string::npos);
    pumice::TopologyOptions options;
    options.password = "secret";
    CHECK(kind_of([&] { engine.set_topology(6, first, b); }) == PUMICE_INVALID_ARGUMENT);
    options.force = true;
    CHECK(engine.set_topology(6, first, b, options));
    status = engine.topology();
    CHECK(status.role == PUMICE_ROLE_REPLICA && status.desired->second == 1 && status.actual && !status.converged);
    CHECK(status.actual->port == 1 && status.reason->find("127.0.0.1:1") != std::string::npos);
    CHECK(kind_of([&] { engine.promote(); }) == PUMICE_INVALID_ARGUMENT);
    engine.close();
    while (true) {
        const auto kind = kind_of([&] { (void)events.next(Milliseconds(60000)); });
        CHECK(kind == PUMICE_OK || kind == PUMICE_CLOSED);
        if (kind == PUMICE_CLOSED) break;
    }
}

static void run(const std::string &folder) {
    CHECK(!pumice::version().empty());
    pumice::Options options;
    options.create = false;
    CHECK(kind_of([&] { pumice::Engine::open(folder + "/p", options); }) == PUMICE_NOT_FOUND);
    options = {PUMICE_ROLE_PRIMARY, false, true, false, false, 64 << 20, PUMICE_COMPRESSION_LZ4, 1 << 28,
               Milliseconds(60000)};
    auto primary = pumice::Engine::open(folder + "/p", options);
    CHECK(primary.role() == PUMICE_ROLE_PRIMARY && primary.path() == folder + "/p");
    CHECK(primary.info().memory_budget == 64 << 20 && primary.info().layout == "standalone");

    const auto ns = primary.create_namespace("n", "token");
    CHECK(ns.token() == "token" && !primary.default_namespace().token());
    ns.set_token("other");
    CHECK(primary.open_namespace("n").token() == "other");
    CHECK(primary.namespaces() == (std::vector<std::string>{"__namespace", "n"}));
    CHECK(primary.unregistered_namespaces().empty());
    CHECK(kind_of([&] { primary.create_namespace("n", ""); }) == PUMICE_INVALID_ARGUMENT);
    CHECK(kind_of([&] { (void)primary.open_namespace("missing"); }) == PUMICE_NOT_FOUND);

    ns.put("a", "0", {std::nullopt, true});
    CHECK(!ns.put_if("a", "1", std::nullopt) && !ns.put_if("a", "1", "") && ns.put_if("a", "1", "0"));
    ns.put("b", "2", {Milliseconds(60000), std::nullopt});
    CHECK(ns.persist("b") && !ns.persist("b") && ns.expire("b", Milliseconds(60000)));
    CHECK(kind_of([&] { ns.put("b", "2", {Milliseconds(-1), std::nullopt}); }) == PUMICE_INVALID_ARGUMENT);
    ns.put("empty", {});
    ns.put("gone", "");
    CHECK(ns.erase("gone") && !ns.erase("gone"));
    read_all(ns);

    const auto snapshot = primary.snapshot();
    CHECK(snapshot.position() == primary.position());
    auto batch = primary.batch();
    batch.put(ns, "c", "3");
    batch.erase(ns, "a");
    CHECK(batch.size() == 2);
    batch.commit(true);
    CHECK(kind_of([&] { batch.commit(); }) == PUMICE_INVALID_ARGUMENT);
    CHECK(*ns.get("c") == "3" && !ns.get("a"));
    read_all(snapshot.open_namespace("n"));
    CHECK(snapshot.default_namespace().empty() && snapshot.namespaces().size() == 2);
    CHECK(snapshot.default_namespace().execute({"DBSIZE"}).integer() == 0);
    CHECK(kind_of([&] { snapshot.default_namespace().execute({"SET", "k", "v"}); }) == PUMICE_READ_ONLY);
    CHECK(snapshot.position() != primary.position());

    // Cancelled by its answer, and by an exception, which comes out as it is.
    CHECK(kind_of([&] { primary.create_checkpoint(folder + "/c", [](const auto &) { return false; }); }) ==
          PUMICE_BUSY);
    bool thrown = false;
    try {
        primary.create_checkpoint(folder + "/c", [](const auto &) -> bool { throw std::runtime_error("stop"); });
    } catch (const pumice::Error &) {
        CHECK(false);
    } catch (const std::runtime_error &error) {
        thrown = error.what() == std::string("stop");
    }
    CHECK(thrown);
    const auto checkpoint = primary.create_checkpoint(folder + "/c");
    CHECK(checkpoint.path == folder + "/c" && checkpoint.files > 0 && checkpoint.bytes > 0);
    CHECK(checkpoint.position == primary.position());

    pumice::Options as_replica;
    as_replica.role = PUMICE_ROLE_REPLICA;
    const auto replica = pumice::Engine::open(folder + "/r", as_replica);
    CHECK(kind_of([&] { replica.apply_checkpoint(folder + "/c", [](const auto &) { return false; }); }) == PUMICE_BUSY);
    unsigned told = 0;
    replica.apply_checkpoint(checkpoint.path, [&](const pumice::Progress &) { return ++told > 0; }, true);
    CHECK(told > 0 && replica.position() == primary.position());

    ns.put("d", "4");
    auto log = primary.log(replica.position());
    while (const auto entry = log.next(Milliseconds(10))) {
        const auto copy = pumice::Entry::decode(entry->encode());
        CHECK(copy.first() == entry->first() && copy.last() == entry->last() && copy.batch() == entry->batch());
        const pumice::Entry same(entry->replication_id(), entry->cluster(), entry->batch());
        const auto changes = primary.changes(same);
        CHECK(changes.size() == 1 && changes.at(0).operation == PUMICE_OPERATION_PUT);
        replica.apply(copy);
    }
    CHECK(log.position() == primary.position() && *replica.open_namespace("n").get("d") == "4");
    CHECK(kind_of([&] { primary.log(pumice::Position{"ZZZZZZZZZZZZZZZZ", 1}); }) == PUMICE_DIVERGED);
    CHECK(kind_of([&] { primary.log(pumice::Position{"more than 16 characters", 1}); }) == PUMICE_INVALID_ARGUMENT);
    CHECK(primary.log().next()->first() == 1);

    replica.promote();
    CHECK(replica.role() == PUMICE_ROLE_PRIMARY && replica.verify(PUMICE_DEPTH_RECORDS).empty());
    replica.drop_namespace("n");
    CHECK(replica.namespaces().size() == 1);
    const auto found = ns.execute({"MGET", "c", "missing"});
    CHECK(found.kind() == PUMICE_REPLY_ARRAY && found.size() == 2 && *found[0].bytes() == "3" && found[1].is_nil());
    CHECK(ns.execute({"DEL", "c", "missing"}).integer() == 1 && found[2].is_nil() && !found.bytes());
    CHECK(kind_of([&] { ns.execute({"NOPE", "x"}); }) == PUMICE_INVALID_ARGUMENT);
    ns.clear();
    CHECK(ns.empty());
    primary.flush();
    primary.close();
    CHECK(kind_of([&] { primary.flush(); }) == PUMICE_CLOSED);
    CHECK(kind_of([&] { snapshot.namespaces(); }) == PUMICE_CLOSED);
    CHECK(kind_of([&] { pumice::release(folder + "/r"); }) == PUMICE_BUSY);
}

int main(int argc, char **argv) {
    const auto folder = std::filesystem::canonical(std::filesystem::temp_directory_path()) /
                        ("pumice-wrapper-" + std::to_string(std::rand()) + "-" +
                         std::to_string(std::chrono::system_clock::now().time_since_epoch().count()));
    std::filesystem::create_directory(folder);
    if (argc > 1) {
        over_tls(folder.string(), argv[1]);
    } else {
        run(folder.string());
        replicate(folder.string());
        govern(folder.string());
    convert(folder.string());
        pumice::release((folder / "p").string());
        CHECK(std::filesystem::is_directory(std::filesystem::symlink_status(folder / "p" / "db")));
    }
    std::filesystem::remove_all(folder);
    std::cout << "every method ok\n";
    return 0;
}
