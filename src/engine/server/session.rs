//! Who a connection speaks for: AUTH, HELLO, RESET, QUIT.

use super::connection::Connection;
use crate::engine::command::info::{REDIS_VERSION, mode};
use crate::engine::command::{Answer, Refusal, bulk, error, integer, is, map, ok, parse_integer};
use crate::engine::format::key::DEFAULT_NAMESPACE;
use crate::engine::format::registry::Registry;
use crate::engine::format::resp::{Protocol, Reply};
use crate::engine::format::state::Role;

/// What a connection may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authority {
    /// It has not said who it is.
    Nobody,
    /// Everything, and the default namespace for keys.
    Admin,
    /// The namespace that the token opens, for as long as it does.
    Tenant { token: String, namespace: String },
}

impl Authority {
    /// What a password or a token gives: the token of a namespace first, as in a Kvrocks.
    pub fn of(given: &[u8], password: &str, registry: &Registry) -> Option<Authority> {
        let token = std::str::from_utf8(given).ok();
        if let Some((token, namespace)) = token.and_then(|token| Some((token, registry.name_of(token)?))) {
            return Some(Authority::Tenant { token: token.to_owned(), namespace: namespace.to_owned() });
        }
        same(given, password.as_bytes()).then_some(Authority::Admin)
    }

    /// Whether the registry still gives it.
    pub fn holds(&self, registry: &Registry) -> bool {
        match self {
            Authority::Nobody | Authority::Admin => true,
            Authority::Tenant { token, namespace } => registry.name_of(token) == Some(namespace),
        }
    }

    /// The name of the namespace in which its keys are, if it may see any.
    pub fn namespace(&self) -> Option<&[u8]> {
        match self {
            Authority::Nobody => None,
            Authority::Admin => Some(DEFAULT_NAMESPACE),
            Authority::Tenant { namespace, .. } => Some(namespace.as_bytes()),
        }
    }
}

/// Compares without telling by its time where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    let differences = a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(differences) == 0 && a.len() == b.len()
}

/// `AUTH password`, and `AUTH default password` for clients that name a user.
pub fn auth(connection: &mut Connection, args: &[Vec<u8>]) -> Answer {
    match args {
        [_, password] => authenticate(connection, b"default", password)?,
        [_, user, password] => authenticate(connection, user, password)?,
        _ => return Err(Refusal::arity()),
    }
    Ok(ok())
}

fn authenticate(connection: &mut Connection, user: &[u8], given: &[u8]) -> Result<(), Refusal> {
    let Some(password) = connection.server().options.password.clone() else {
        return Err(error("Client sent AUTH, but no password is set"));
    };
    let node = connection.node()?;
    let authority = Authority::of(given, &password, &node.instance.generation()?.registry);
    let authority = authority.filter(|_| user == b"default").ok_or_else(|| error("Invalid password"))?;
    connection.set_authority(authority);
    Ok(())
}

/// `HELLO [2|3 [AUTH [default] password] [SETNAME name]]`.
pub fn hello(connection: &mut Connection, args: &[Vec<u8>]) -> Answer {
    let mut rest = args.get(1..).unwrap_or_default();
    let mut protocol = connection.protocol();
    if let Some((version, options)) = rest.split_first() {
        let version =
            parse_integer(version).map_err(|_| error("Protocol version is not an integer or out of range"))?;
        protocol = match version {
            2 => Protocol::Resp2,
            3 => Protocol::Resp3,
            _ => return Err(Refusal::Text("NOPROTO unsupported protocol version".to_owned())),
        };
        rest = options;
    }
    if connection.listens() && protocol != connection.protocol() {
        return Err(error("HELLO: messages are on their way in the other protocol; UNSUBSCRIBE or RESET first"));
    }
    loop {
        rest = match rest {
            [] => break,
            // Two words or four behind it: then the first is the user.
            [option, user, password, rest @ ..] if is(option, "auth") && matches!(rest.len(), 0 | 2) => {
                authenticate(connection, user, password)?;
                rest
            }
            [option, password, rest @ ..] if is(option, "auth") => {
                authenticate(connection, b"default", password)?;
                rest
            }
            [option, name, rest @ ..] if is(option, "setname") => {
                connection.client().set_name(name)?;
                rest
            }
            [option, ..] => {
                let option = String::from_utf8_lossy(&option[..option.len().min(64)]).into_owned();
                return Err(error(format_args!("Syntax error in HELLO option {option}")));
            }
        };
    }
    let node = connection.node()?;
    let mode = mode(node.instance.generation()?.store.layout);
    let role = if node.instance.role()? == Role::Primary { "master" } else { "slave" };
    connection.set_protocol(protocol);
    let number = if protocol == Protocol::Resp3 { 3 } else { 2 };
    Ok(map([
        ("server", bulk("redis")),
        ("version", bulk(REDIS_VERSION)),
        ("proto", Reply::Integer(number)),
        ("id", integer(connection.client().id)),
        ("mode", bulk(mode)),
        ("role", bulk(role)),
        ("modules", Reply::Array(Vec::new())),
    ]))
}

/// Makes the connection as it was when it was opened: nobody's, where there is a password.
pub fn reset(connection: &mut Connection, _: &[Vec<u8>]) -> Answer {
    connection.set_authority(connection.first_authority());
    connection.client().set_name(b"")?;
    connection.forget();
    connection.reads_replica = false;
    connection.set_protocol(Protocol::Resp2);
    Ok(Reply::Simple("RESET".into()))
}

pub fn quit(connection: &mut Connection, _: &[Vec<u8>]) -> Answer {
    connection.close_after_reply();
    Ok(ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token opens its namespace for as long as it is its token, and the password everything.
    #[test]
    fn tokens_and_password() {
        let mut registry = Registry::default();
        registry.insert("token", "users");
        let tenant = Authority::of(b"token", "secret", &registry).unwrap();
        assert_eq!(tenant.namespace(), Some(&b"users"[..]));
        assert_eq!(Authority::of(b"secret", "secret", &registry), Some(Authority::Admin));
        for wrong in [&b""[..], b"secre", b"secret ", b"toke", b"\xff"] {
            assert_eq!(Authority::of(wrong, "secret", &registry), None);
        }
        assert!(tenant.holds(&registry) && Authority::Admin.holds(&registry));
        registry.insert("other", "users");
        assert!(!tenant.holds(&registry));
        registry.insert("token", "else");
        assert!(!tenant.holds(&registry));
        // A token that equals the password opens its namespace and no more.
        registry.insert("secret", "users");
        assert!(matches!(Authority::of(b"secret", "secret", &registry), Some(Authority::Tenant { .. })));
    }
}
