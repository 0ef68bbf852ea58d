//! CONFIG: what clients ask of it before they begin. Nothing can be set here: an engine is opened with its options.

use super::pattern::matches;
use super::{Answer, Context, Refusal, bulk, error, is};
use crate::engine::format::key::Layout;
use crate::engine::format::resp::Reply;

pub fn config(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    match args {
        [_, get, pattern] if is(get, "get") => {
            let pattern = pattern.to_ascii_lowercase();
            let parameters = parameters(context)?;
            let shown = parameters.into_iter().filter(|(name, _)| matches(&pattern, name.as_bytes()));
            Ok(Reply::Map(shown.flat_map(|(name, value)| [bulk(name), bulk(value)]).collect()))
        }
        [_, set, name, _] if is(set, "set") => Err(error(format_args!(
            "CONFIG SET '{}' error: options are given when the engine is opened and served, and stay as they are",
            String::from_utf8_lossy(&name[..name.len().min(64)])
        ))),
        [_, rewrite] if is(rewrite, "rewrite") => Err(error("CONFIG REWRITE error: there is no configuration file")),
        [_, subcommand, ..] if ["get", "set", "rewrite"].iter().any(|known| is(subcommand, known)) => {
            Err(Refusal::arity())
        }
        _ => Err(error("CONFIG subcommand must be one of GET, SET, REWRITE")),
    }
}

/// No password is among them.
fn parameters(context: &Context<'_>) -> Result<Vec<(&'static str, String)>, Refusal> {
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let cluster = context.namespace.instance().generation()?.store.layout == Layout::Cluster;
    let mut parameters = vec![
        ("appendonly", yes(false)),
        ("cluster-enabled", yes(cluster)),
        ("databases", "16".to_owned()),
        ("db-name", super::info::DB_NAME.to_owned()),
        ("dir", context.namespace.instance().path().display().to_string()),
        ("maxmemory", "0".to_owned()),
        ("maxmemory-policy", "noeviction".to_owned()),
        ("proto-max-bulk-len", (512 << 20).to_string()),
        ("repl-namespace-enabled", yes(!cluster)),
        ("save", String::new()),
        ("slave-read-only", yes(true)),
        ("timeout", "0".to_owned()),
        ("use-rsid-psync", yes(true)),
    ];
    if let Some(server) = context.server {
        parameters.push(("maxclients", server.options.max_connections.to_string()));
        parameters.push(("port", server.address.port().to_string()));
    }
    Ok(parameters)
}
