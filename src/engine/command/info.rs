//! INFO, section by section as a Kvrocks gives it (server.cc GetInfo).

use std::fmt::Write;
use std::sync::atomic::Ordering::Relaxed;

use super::{Answer, Context, Refusal, replication};
use crate::engine::format::key::Layout;
use crate::engine::format::resp::Reply;

/// What clients that ask for a Redis may expect, and whose dialect this is.
pub const REDIS_VERSION: &str = "7.0.0";
const KVROCKS_VERSION: &str = "2.10.0";
/// The name that a Kvrocks' replica compares (`db-name`).
pub const DB_NAME: &str = "change.me.db";

type Section = fn(&Context<'_>, &mut String) -> Result<(), Refusal>;

const SECTIONS: [(&str, Section); 11] = [
    ("server", server),
    ("clients", clients),
    ("memory", memory),
    ("persistence", persistence),
    ("stats", stats),
    ("replication", replication::section),
    ("cpu", cpu),
    ("commandstats", commandstats),
    ("cluster", cluster),
    ("keyspace", keyspace),
    ("rocksdb", rocksdb),
];

/// All sections, or those that are named.
pub fn info(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let named: Vec<String> = args[1..].iter().map(|name| String::from_utf8_lossy(name).to_lowercase()).collect();
    let all = named.is_empty() || named.iter().any(|name| ["all", "default", "everything"].contains(&name.as_str()));
    let mut text = String::new();
    for (name, section) in SECTIONS {
        if all || named.iter().any(|wanted| wanted == name) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            section(context, &mut text)?;
        }
    }
    Ok(Reply::Verbatim(text))
}

pub fn mode(layout: Layout) -> &'static str {
    match layout {
        Layout::Standalone => "standalone",
        Layout::Cluster => "cluster",
    }
}

fn server(context: &Context<'_>, out: &mut String) -> Result<(), Refusal> {
    let mode = mode(context.namespace.instance().generation()?.store.layout);
    let (port, uptime) = context.server.map_or((0, 0), |s| (s.address.port(), s.uptime().as_secs()));
    let _ = write!(out, "# Server\r\nversion:{KVROCKS_VERSION}\r\nkvrocks_version:{KVROCKS_VERSION}\r\n");
    let _ = write!(out, "redis_version:{REDIS_VERSION}\r\npumice_version:{}\r\n", env!("CARGO_PKG_VERSION"));
    let _ = write!(out, "redis_mode:{mode}\r\nkvrocks_mode:{mode}\r\n");
    let _ = write!(out, "os:{} {}\r\narch_bits:{}\r\n", std::env::consts::OS, std::env::consts::ARCH, usize::BITS);
    let _ = write!(out, "process_id:{}\r\ntcp_port:{port}\r\n", std::process::id());
    let _ = write!(out, "uptime_in_seconds:{uptime}\r\nuptime_in_days:{}\r\n", uptime / 86_400);
    Ok(())
}

fn clients(context: &Context<'_>, out: &mut String) -> Result<(), Refusal> {
    let (most, connected) = context.server.map_or((0, 0), |s| (s.options.max_connections, s.clients.count()));
    let _ = write!(out, "# Clients\r\nmaxclients:{most}\r\nconnected_clients:{connected}\r\n");
    let blocked = context.server.map_or(0, |server| server.counters.blocked.load(Relaxed));
    let _ = write!(out, "monitor_clients:0\r\nblocked_clients:{blocked}\r\n");
    Ok(())
}

/// The numbers of `/proc`, 0 where there is none.
fn proc_numbers(file: &str) -> Vec<u64> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    // The second field of `stat` is a name in parentheses, which may have spaces.
    let numbers = text.rsplit(')').next().unwrap_or_default();
    numbers.split_whitespace().map(|number| number.parse().unwrap_or(0)).collect()
}

fn memory(context: &Context<'_>, out: &mut String) -> Result<(), Refusal> {
    let pages = proc_numbers("/proc/self/statm").get(1).copied().unwrap_or(0);
    let resident = pages * rustix::param::page_size() as u64;
    let mebibytes = resident as f64 / f64::from(1 << 20);
    let info = context.engine()?.info()?;
    let _ = write!(out, "# Memory\r\nused_memory_rss:{resident}\r\nused_memory_rss_human:{mebibytes:.2}M\r\n");
    let _ = write!(out, "used_memory_lua:0\r\nmaxmemory:0\r\nmemory_budget:{}\r\n", info.memory_budget);
    Ok(())
}

fn persistence(_: &Context<'_>, out: &mut String) -> Result<(), Refusal> {
    out.push_str("# Persistence\r\nloading:0\r\nbgsave_in_progress:0\r\n");
    Ok(())
}

fn stats(context: &Context<'_>, out: &mut String) -> Result<(), Refusal> {
    let none = Default::default();
    let counters = context.server.map_or(&none, |server| &server.counters);
    let _ = write!(
        out,
        "# Stats\r\ntotal_connections_received:{}\r\ntotal_commands_processed:{}\r\nrejected_connections:{}\r\n\
         sync_full:{}\r\nsync_partial_ok:{}\r\nsync_partial_err:{}\r\n",
        counters.connections.load(Relaxed),
        counters.commands.load(Relaxed),
        counters.rejected.load(Relaxed),
        counters.sync_full.load(Relaxed),
        counters.sync_partial_ok.load(Relaxed),
        counters.sync_partial_err.load(Relaxed),
    );
    Ok(())
}

fn cpu(_: &Context<'_>, out: &mut String) -> Result<(), Refusal> {
    let numbers = proc_numbers("/proc/self/stat");
    // Fields 14 and 15 of the file, counted from the third on, which is the first behind the name.
    let ticks = rustix::param::clock_ticks_per_second().max(1) as f64;
    let seconds = |field: usize| numbers.get(field - 3).copied().unwrap_or(0) as f64 / ticks;
    let _ = write!(out, "# CPU\r\nused_cpu_sys:{:.2}\r\nused_cpu_user:{:.2}\r\n", seconds(15), seconds(14));
    Ok(())
}

fn commandstats(_: &Context<'_>, out: &mut String) -> Result<(), Refusal> {
    out.push_str("# Commandstats\r\n");
    Ok(())
}

fn cluster(context: &Context<'_>, out: &mut String) -> Result<(), Refusal> {
    let enabled = u8::from(context.namespace.instance().generation()?.store.layout == Layout::Cluster);
    let _ = write!(out, "# Cluster\r\ncluster_enabled:{enabled}\r\n");
    Ok(())
}

/// Without a count of keys, which would read them all: DBSIZE gives that.
fn keyspace(context: &Context<'_>, out: &mut String) -> Result<(), Refusal> {
    let info = context.engine()?.info()?;
    let _ = write!(out, "# Keyspace\r\n# Keys are not counted here: DBSIZE counts them\r\n");
    let _ = write!(out, "sequence:{}\r\n", info.position.sequence);
    let _ = write!(out, "used_db_size:{}\r\nmax_db_size:0\r\n", info.table_bytes + info.blob_bytes);
    Ok(())
}

fn rocksdb(context: &Context<'_>, out: &mut String) -> Result<(), Refusal> {
    let info = context.engine()?.info()?;
    let _ = write!(out, "# RocksDB\r\nblock_cache_usage:{}\r\n", info.cache_bytes);
    let _ = write!(out, "estimate_keys:{}\r\nall_mem_tables:{}\r\n", info.records_estimate, info.write_buffer_bytes);
    let _ = write!(out, "index_and_filter_cache_usage:{}\r\n", info.table_reader_bytes);
    let _ = write!(out, "snapshots:{}\r\ntable_files:{}\r\n", info.snapshots, info.table_files);
    Ok(())
}
