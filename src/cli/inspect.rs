//! `pumice inspect`.

use serde_json::{Map, Value, json};

use super::Failure;
use super::arguments::{self, depth_name};
use super::progress::Display;
use super::report::{Report, name_json, name_text, position_json, position_text};
use super::table::{Table, count, size};
use crate::{Depth, Engine, Finding, Info, NamespaceUsage, Options, TopologyStatus, Usage};

pub fn run(call: &arguments::Inspect) -> Result<Report, Failure> {
    let mut display = Display::begin("open");
    let options = Options { create: false, read_only: true, memory_budget: 64 << 20, ..Default::default() };
    let engine = Engine::open(&call.directory, &options)?;
    let (info, topology) = (engine.info()?, engine.topology()?);
    let usage = if call.brief {
        None
    } else {
        Some(engine.usage_watched(&mut |progress| {
            display.tell(progress);
            std::ops::ControlFlow::Continue(())
        })?)
    };
    let verified = match call.verify {
        Some(depth) => {
            display.step(&format!("verify {}", depth_name(depth)));
            Some((depth, engine.verify(depth)?))
        }
        None => None,
    };
    let (registered, unregistered) = (engine.namespaces()?, engine.unregistered_namespaces()?);
    engine.close()?;
    drop(display);

    let mut text = figures(&info, &topology).to_string();
    text.push('\n');
    match &usage {
        Some(usage) => text.push_str(&keys(usage)),
        None => {
            let names = registered.iter().map(|name| name_text(name.as_bytes()));
            let unregistered = unregistered.iter().map(|name| format!("{} (not registered)", name_text(name)));
            let names: Vec<String> = names.chain(unregistered).collect();
            text.push_str(&format!("namespaces  {}\n", names.join(", ")));
        }
    }
    if let Some((depth, findings)) = &verified {
        text.push('\n');
        text.push_str(&verdict(*depth, findings));
    }
    let status = i32::from(verified.as_ref().is_some_and(|(_, findings)| !findings.is_empty()));

    let mut json = json_of(&info);
    json.insert("topology".to_owned(), topology_json(&topology));
    json.insert(
        "namespaces".to_owned(),
        match &usage {
            Some(usage) => usage.namespaces.iter().map(namespace_json).collect(),
            None => {
                let name = |name: &[u8], registered: bool| {
                    let mut json = name_json(name);
                    json["registered"] = registered.into();
                    json
                };
                let registered = registered.iter().map(|found| name(found.as_bytes(), true));
                registered.chain(unregistered.iter().map(|found| name(found, false))).collect()
            }
        },
    );
    if let Some(usage) = &usage {
        json.insert("other_bytes".to_owned(), usage.other_bytes.into());
        json.insert("unreadable_records".to_owned(), usage.unreadable_records.into());
    }
    if let Some((depth, findings)) = &verified {
        let findings: Vec<Value> =
            findings.iter().map(|finding| json!({ "what": finding.what, "detail": finding.detail })).collect();
        json.insert("verify".to_owned(), json!({ "depth": depth_name(*depth), "findings": findings }));
    }
    Ok(Report { text, json: Value::Object(json), status })
}

fn figures(info: &Info, topology: &TopologyStatus) -> Table {
    let mut table = Table::new(&[]);
    table.row(["directory", &info.path.display().to_string()]);
    table.row(["role", info.role.name()]);
    table.row(["epoch", &topology.epoch.to_string()]);
    let version = topology.version.map_or("none".to_owned(), |version| {
        let nodes = topology.nodes.len();
        format!("version {version}, {nodes} node{}", if nodes == 1 { "" } else { "s" })
    });
    table.row(["topology", &version]);
    if let Some(id) = &topology.node_id {
        let listed = topology.nodes.iter().any(|node| node.id == *id) || topology.version.is_none();
        table.row(["node id", &format!("{id}{}", if listed { "" } else { " (not listed)" })]);
    }
    table.row(["layout", info.layout]);
    let generation = match info.generation {
        0 => "none, db is a plain folder".to_owned(),
        number => number.to_string(),
    };
    table.row(["generation", &generation]);
    table.row(["position", &position_text(&info.position)]);
    let log = match info.oldest_sequence {
        0 => "empty".to_owned(),
        oldest => format!("{oldest} to {}", info.position.sequence),
    };
    table.row(["log", &log]);
    table.row(["table files", &format!("{}, {}", count(info.table_files), size(info.table_bytes))]);
    if info.blob_bytes > 0 {
        table.row(["blob files", &size(info.blob_bytes)]);
    }
    table.row(["records", &format!("about {}", count(info.records_estimate))]);
    table
}

/// Keys and bytes of each namespace by type. A namespace's name stands in its first row only.
fn keys(usage: &Usage) -> String {
    let mut table = Table::new(&[2, 3]);
    table.row(["namespace", "type", "keys", "bytes"]);
    let (mut keys, mut bytes) = (0, 0);
    for namespace in &usage.namespaces {
        let mut name = name_text(&namespace.name);
        if !namespace.registered {
            name.push_str(" (not registered)");
        }
        let mut rows: Vec<(&str, String, u64)> =
            namespace.kinds.iter().map(|kind| (kind.kind.name(), count(kind.keys), kind.bytes)).collect();
        if namespace.expired_keys > 0 {
            rows.push(("expired", count(namespace.expired_keys), namespace.expired_bytes));
        }
        if namespace.remains_bytes > 0 {
            rows.push(("remains", String::new(), namespace.remains_bytes));
        }
        if rows.is_empty() {
            rows.push(("", "0".to_owned(), 0));
        }
        for (kind, count, bytes) in rows {
            table.row([&std::mem::take(&mut name), kind, &count, &size(bytes)]);
        }
        keys += namespace.keys();
        bytes += namespace.bytes() + namespace.expired_bytes + namespace.remains_bytes;
    }
    table.row(["other", "", "", &size(usage.other_bytes)]);
    table.row(["all", "", &count(keys), &size(bytes + usage.other_bytes)]);
    let mut text = table.to_string();
    if usage.unreadable_records > 0 {
        text.push_str(&format!(
            "{} records cannot be decoded: inspect with --verify records says which\n",
            count(usage.unreadable_records)
        ));
    }
    text
}

fn verdict(depth: Depth, findings: &[Finding]) -> String {
    let depth = depth_name(depth);
    if findings.is_empty() {
        return format!("verify {depth}: nothing found\n");
    }
    let mut text = format!("verify {depth}: {} found\n", findings.len());
    for finding in findings {
        text.push_str(&format!("  {finding}\n"));
    }
    text
}

fn json_of(info: &Info) -> Map<String, Value> {
    let json = json!({
        "path": info.path.to_string_lossy(),
        "role": info.role.name(),
        "layout": info.layout,
        "generation": info.generation,
        "position": position_json(&info.position),
        "log": { "oldest": info.oldest_sequence, "latest": info.position.sequence },
        "table_files": info.table_files,
        "table_bytes": info.table_bytes,
        "blob_bytes": info.blob_bytes,
        "records_estimate": info.records_estimate,
    });
    match json {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn topology_json(topology: &TopologyStatus) -> Value {
    let node = |node: &crate::Node| {
        json!({
            "id": node.id,
            "host": node.host,
            "port": node.port,
            "primary": node.primary,
            "slots": node.slots,
        })
    };
    json!({
        "version": topology.version,
        "node_id": topology.node_id,
        "role": topology.role.name(),
        "epoch": topology.epoch,
        "nodes": topology.nodes.iter().map(node).collect::<Vec<_>>(),
    })
}

fn namespace_json(namespace: &NamespaceUsage) -> Value {
    let kinds: Map<String, Value> = namespace
        .kinds
        .iter()
        .map(|kind| (kind.kind.name().to_owned(), json!({ "keys": kind.keys, "bytes": kind.bytes })))
        .collect();
    let mut json = name_json(&namespace.name);
    json["registered"] = namespace.registered.into();
    json["keys"] = namespace.keys().into();
    json["bytes"] = namespace.bytes().into();
    json["types"] = kinds.into();
    json["expired"] = json!({ "keys": namespace.expired_keys, "bytes": namespace.expired_bytes });
    json["remains_bytes"] = namespace.remains_bytes.into();
    json
}
