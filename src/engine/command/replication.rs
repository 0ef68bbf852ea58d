//! What clients see of replication: INFO replication, ROLE, REPLICAOF.

use std::fmt::Write;

use super::{Answer, Context, Refusal, bulk, bulks, error, is, ok};
use crate::engine::engine::Engine;
use crate::engine::format::key::Layout;
use crate::engine::format::resp::Reply;
use crate::engine::format::side::Role;

/// Replication at one moment, as Kvrocks shows it.
struct Shown {
    primary: bool,
    latest: u64,
    link: Link,
    replicas: Vec<Replica>,
}

#[derive(Default)]
struct Link {
    host: String,
    port: u16,
    state: LinkState,
    last_io_seconds: u64,
}

/// Kvrocks' states of a link, as far as it tells them apart.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum LinkState {
    #[default]
    Connecting,
    Sync,
    Connected,
}

struct Replica {
    host: String,
    port: u16,
    sent: u64,
}

fn shown(engine: &Engine) -> Result<Shown, Refusal> {
    let role = engine.role()?;
    let latest = engine.position()?.sequence;
    Ok(Shown { primary: role == Role::Primary, latest, link: Link::default(), replicas: Vec::new() })
}

/// The section of INFO, field for field as a Kvrocks (server.cc GetReplicationInfo).
pub fn section(context: &Context<'_>, out: &mut String) -> Result<(), Refusal> {
    let shown = shown(context.engine)?;
    let Shown { latest, link, .. } = &shown;
    let _ = write!(out, "# Replication\r\nrole:{}\r\n", if shown.primary { "master" } else { "slave" });
    if !shown.primary {
        let up = if link.state == LinkState::Connected { "up" } else { "down" };
        let syncing = u8::from(link.state == LinkState::Sync);
        let _ = write!(out, "master_host:{}\r\nmaster_port:{}\r\n", link.host, link.port);
        let _ = write!(out, "master_link_status:{up}\r\nmaster_sync_unrecoverable_error:no\r\n");
        let _ = write!(out, "master_sync_in_progress:{syncing}\r\n");
        let _ = write!(out, "master_last_io_seconds_ago:{}\r\n", link.last_io_seconds);
        let _ = write!(out, "slave_repl_offset:{latest}\r\nslave_priority:100\r\n");
    }
    let _ = write!(out, "connected_slaves:{}\r\n", shown.replicas.len());
    for (n, Replica { host, port, sent }) in shown.replicas.iter().enumerate() {
        let lag = latest.saturating_sub(*sent);
        let _ = write!(out, "slave{n}:ip={host},port={port},offset={sent},lag={lag}\r\n");
    }
    let _ = write!(out, "master_repl_offset:{latest}\r\n");
    Ok(())
}

/// As a Kvrocks, which gives every number as a bulk string.
pub fn role(context: &Context<'_>, _: &[Vec<u8>]) -> Answer {
    let Shown { primary, latest, link, replicas } = shown(context.engine)?;
    if !primary {
        let state = match link.state {
            LinkState::Connecting => "connecting",
            LinkState::Sync => "sync",
            LinkState::Connected => "connected",
        };
        return Ok(bulks(["slave", &link.host, &link.port.to_string(), state, &latest.to_string()]));
    }
    let mut role = vec![bulk("master"), bulk(latest.to_string())];
    if !replicas.is_empty() {
        let replicas = replicas.into_iter().map(|r| bulks([r.host, r.port.to_string(), r.sent.to_string()]));
        role.push(Reply::Array(replicas.collect()));
    }
    Ok(Reply::Array(role))
}

/// REPLICAOF and SLAVEOF: `host port` follows with this listener's own password, `NO ONE` promotes.
pub fn replicaof(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    if context.engine.instance().generation()?.store.layout == Layout::Cluster {
        return Err(error("can't change to slave in cluster mode"));
    }
    if is(&args[1], "no") && is(&args[2], "one") {
        context.engine.promote()?;
        return Ok(ok());
    }
    let port = std::str::from_utf8(&args[2]).ok().and_then(|port| port.parse::<u16>().ok());
    let _port = port.ok_or_else(|| error("port should be number"))?;
    Err(error("following another server is not possible yet"))
}
