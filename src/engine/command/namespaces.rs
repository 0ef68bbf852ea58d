//! NAMESPACE: the registry, with Kvrocks' replies (server/namespace.cc).

use super::{Answer, Context, Refusal, bulk, bulks, error, is, ok};
use crate::engine::error::{Error, ErrorKind};
use crate::engine::format::key::{DEFAULT_NAMESPACE, Layout, MAX_NAMESPACE};
use crate::engine::format::resp::Reply;
use crate::engine::format::state::Role;
use crate::engine::namespace;

pub fn namespace(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let subcommand = &args[1];
    if args.len() == 2 && is(subcommand, "current") {
        return Ok(bulk(context.namespace.name()));
    }
    if !context.admin {
        return Err(Refusal::admin());
    }
    if !is(subcommand, "get") && context.namespace.instance().role()? != Role::Primary {
        return Err(error("namespace is read-only for slave"));
    }
    match args {
        [_, _, name] if is(subcommand, "get") => get(context, name),
        [_, _, name, token] if is(subcommand, "set") => set(context, name, token),
        [_, _, name, token] if is(subcommand, "add") => add(context, name, token),
        [_, _, name] if is(subcommand, "del") => del(context, name),
        _ => Err(error("NAMESPACE subcommand must be one of GET, SET, DEL, ADD")),
    }
}

fn get(context: &Context<'_>, name: &[u8]) -> Answer {
    let generation = context.namespace.instance().generation()?;
    let registry = &generation.registry;
    if name == b"*" {
        let password = password(context).unwrap_or_default().as_bytes();
        let named = registry.tokens().flat_map(|(token, name)| [name.as_bytes(), token.as_bytes()]);
        return Ok(bulks(named.chain([DEFAULT_NAMESPACE, password])));
    }
    let token = std::str::from_utf8(name).ok().and_then(|name| registry.token_of(name));
    Ok(token.map_or(Reply::Nil, bulk))
}

fn set(context: &Context<'_>, name: &[u8], token: &[u8]) -> Answer {
    check(context, name, token)?;
    namespace::register(context.namespace.instance(), name, text(token)?).map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => error("the token already exists"),
        _ => e.into(),
    })?;
    Ok(ok())
}

/// Refuses what may not be registered.
fn check(context: &Context<'_>, name: &[u8], token: &[u8]) -> Result<(), Refusal> {
    if name.len() > MAX_NAMESPACE {
        return Err(error(format_args!("size exceed limit {MAX_NAMESPACE}")));
    }
    if name.last() == Some(&0xFF) {
        return Err(error("namespace contain illegal letter"));
    }
    let password = password(context);
    // Without one everybody on the network would be an admin. In the process everybody is.
    if password.is_none() && context.server.is_some() {
        return Err(error("forbidden to add namespace when requirepass was empty"));
    }
    if context.namespace.instance().generation()?.store.layout == Layout::Cluster {
        return Err(error("forbidden to add namespace when cluster mode was enabled"));
    }
    if name == DEFAULT_NAMESPACE {
        return Err(error("forbidden to add the default namespace"));
    }
    if password.is_some_and(|password| token == password.as_bytes()) {
        return Err(error("the token is duplicated with requirepass or masterauth"));
    }
    Ok(())
}

fn add(context: &Context<'_>, name: &[u8], token: &[u8]) -> Answer {
    if let Some(answer) = registered(context, name, token)? {
        return answer;
    }
    check(context, name, token)?;
    match namespace::create(context.namespace.instance(), name, Some(text(token)?)) {
        Ok(()) => Ok(ok()),
        // Somebody else was faster.
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            registered(context, name, token)?.unwrap_or_else(|| Err(e.into()))
        }
        Err(e) => Err(e.into()),
    }
}

/// What ADD answers when the name or the token is registered.
fn registered(context: &Context<'_>, name: &[u8], token: &[u8]) -> Result<Option<Answer>, Error> {
    let generation = context.namespace.instance().generation()?;
    let registry = &generation.registry;
    Ok(match std::str::from_utf8(name).ok().and_then(|name| registry.token_of(name)) {
        Some(registered) if registered.as_bytes() == token => Some(Ok(ok())),
        Some(_) => Some(Err(error("the namespace already exists"))),
        None if std::str::from_utf8(token).is_ok_and(|token| registry.name_of(token).is_some()) => {
            Some(Err(error("the token already exists")))
        }
        None => None,
    })
}

/// Drops the namespace with its data: a Kvrocks leaves the data to whoever takes the name next.
fn del(context: &Context<'_>, name: &[u8]) -> Answer {
    if name == DEFAULT_NAMESPACE {
        return Err(error("forbidden to delete the default namespace"));
    }
    let missing = || error("the namespace was not found");
    if !context.namespace.instance().generation()?.is_registered(name) {
        return Err(missing());
    }
    namespace::remove(context.namespace.instance(), name).map_err(|e| match e.kind() {
        ErrorKind::NotFound => missing(),
        _ => e.into(),
    })?;
    Ok(ok())
}

fn password<'a>(context: &Context<'a>) -> Option<&'a str> {
    context.server?.options.password.as_deref()
}

fn text(token: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(token).map_err(|_| {
        Error::new(ErrorKind::InvalidArgument, "namespace token: got bytes that are not UTF-8, expected UTF-8")
    })
}
