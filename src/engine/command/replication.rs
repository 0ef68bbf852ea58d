//! What clients see of replication: INFO replication, ROLE, REPLICAOF.

use std::fmt::Write;

use super::{Answer, Context, Refusal, bulk, bulks, error, is, ok};
use crate::engine::engine::Engine;
use crate::engine::format::key::Layout;
use crate::engine::format::resp::Reply;
use crate::engine::format::state::Role;
use crate::engine::options::{FollowOptions, TlsServer};
use crate::engine::replication::link::LinkState;

/// Replication at one moment, as Kvrocks shows it.
struct Shown {
    primary: bool,
    latest: u64,
    link: Link,
    replicas: Vec<Replica>,
}

/// A link, or the want of one.
#[derive(Default)]
struct Link {
    host: String,
    port: u16,
    state: Option<LinkState>,
    /// -1 before anything came.
    last_io_seconds: i64,
}

struct Replica {
    host: String,
    port: u16,
    sent: u64,
}

fn shown(engine: &Engine) -> Result<Shown, Refusal> {
    let primary = engine.role()? == Role::Primary;
    let latest = engine.position()?.sequence;
    let link = engine.link()?.map_or_else(Link::default, |link| Link {
        last_io_seconds: link.last_io.map_or(-1, |ago| ago.as_secs() as i64),
        host: link.host,
        port: link.port,
        state: Some(link.state),
    });
    let feeds = engine.feeds()?.into_iter();
    let replicas = feeds.map(|feed| Replica { host: feed.host, port: feed.port, sent: feed.sent }).collect();
    Ok(Shown { primary, latest, link, replicas })
}

/// The section of INFO, field for field as a Kvrocks (server.cc GetReplicationInfo).
pub fn section(context: &Context<'_>, out: &mut String) -> Result<(), Refusal> {
    let shown = shown(&context.engine()?)?;
    let Shown { latest, link, .. } = &shown;
    let _ = write!(out, "# Replication\r\nrole:{}\r\n", if shown.primary { "master" } else { "slave" });
    if !shown.primary {
        let up = if link.state == Some(LinkState::Streaming) { "up" } else { "down" };
        let syncing = u8::from(link.state == Some(LinkState::Syncing));
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
    let Shown { primary, latest, link, replicas } = shown(&context.engine()?)?;
    if !primary {
        let state = match link.state {
            Some(LinkState::Streaming) => "connected",
            Some(LinkState::Syncing) => "sync",
            _ => "connecting",
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
    context.engine()?.instance().standing()?.state.check_free("REPLICAOF")?;
    if is(&args[1], "no") && is(&args[2], "one") {
        context.engine()?.promote()?;
        return Ok(ok());
    }
    if context.namespace.instance().generation()?.store.layout == Layout::Cluster {
        return Err(error("can't change to slave in cluster mode"));
    }
    let port = std::str::from_utf8(&args[2]).ok().and_then(|port| port.parse::<u16>().ok());
    let port = port.ok_or_else(|| error("port should be number"))?;
    let host = String::from_utf8_lossy(&args[1]).into_owned();
    let mut options = FollowOptions::default();
    if let Some(server) = context.server {
        match server.address.is_reached_by(&host, port) {
            None => return Err(error(format_args!("Can not resolve hostname: {host}"))),
            Some(true) => return Err(error("can't replicate itself")),
            Some(false) => {}
        }
        options = FollowOptions {
            password: server.options.password.clone(),
            announce_port: server.address.port(),
            tls: server.options.tls.as_ref().and_then(TlsServer::peers),
        };
    }
    if context.engine()?.feeds()?.iter().any(|feed| feed.host == host && feed.port == port) {
        return Err(error("can't replicate your own replicas"));
    }
    let link = context.engine()?.link()?;
    if !link.is_some_and(|link| link.host == host && link.port == port) {
        context.engine()?.follow(&host, port, &options)?;
    }
    Ok(ok())
}
