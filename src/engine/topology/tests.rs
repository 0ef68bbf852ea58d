use crate::engine::format::topology::BAD_ID;

use super::*;

fn id(letter: char) -> String {
    letter.to_string().repeat(40)
}

fn port(letter: char) -> u16 {
    letter as u16
}

/// `"A b c"`: A is a primary, b and c follow the last primary before them.
fn topology(version: u64, nodes: &str) -> Topology {
    let mut primary = String::new();
    let nodes = nodes.chars().filter(|letter| *letter != ' ').map(|letter| {
        let name = letter.to_ascii_lowercase();
        let host = format!("host-{name}");
        if letter.is_ascii_uppercase() {
            primary = id(name);
            Node::primary(id(name), host, port(name))
        } else {
            Node::replica(id(name), host, port(name), primary.clone())
        }
    });
    Topology::new(version, nodes.collect()).unwrap()
}

fn order(version: u64, nodes: &str, me: char) -> Order {
    Order { topology: topology(version, nodes), node_id: id(me), password: None, tls: None, force: false }
}

fn dataset() -> Dataset {
    Dataset { id: "now".into(), origin: "first".into() }
}

fn epoch(number: u64, id: &str) -> Epoch {
    Epoch { number, id: id.to_owned() }
}

fn taken(state: &State, order: &Order) -> State {
    match state.ordered(order, &dataset(), "fresh").map_err(|refused| refused.error).unwrap() {
        Outcome::Taken(state) => *state,
        other => panic!("{other:?}"),
    }
}

fn primary() -> State {
    State { epoch: epoch(1, "own"), ..State::of(Role::Primary, None) }
}

fn link_to(state: &State) -> Option<(String, u16)> {
    state.goal().link.map(|link| (link.host, link.port))
}

/// Role and link follow from the topology alone where it lists the node, and from what was asked by hand where it does not.
#[test]
fn goals() {
    let by_hand = DesiredLink { host: "h".into(), port: 1, password: None, announce_port: 0, tls: None };
    for (nodes, me, role, link) in [
        ("A b", 'a', Role::Primary, None),
        ("A b", 'b', Role::Replica, Some('a')),
        ("A b C d", 'd', Role::Replica, Some('c')),
        ("A B", 'b', Role::Primary, None),
        ("A b", 'c', Role::Detached, None),
    ] {
        for before in [
            primary(),
            State::of(Role::Detached, None),
            State::of(Role::Replica, Some(by_hand.clone())),
            taken(&primary(), &order(3, "B a", 'a')),
        ] {
            let state = taken(&before, &order(7, nodes, me));
            assert_eq!(state.goal().role, role, "{nodes} as {me}");
            assert_eq!(link_to(&state), link.map(|letter| (format!("host-{letter}"), port(letter))), "{nodes} as {me}");
            assert_eq!(state.why_read_only().is_some(), role == Role::Detached);
        }
    }
    // Without a topology, and without an id, the hand decides.
    let state = State { node_id: Some(id('a')), ..State::of(Role::Replica, Some(by_hand.clone())) };
    assert_eq!(state.goal(), state.wish);
    assert_eq!(state.place(), Place::Free);
}

/// A lower version is refused, the same is no news, the same with other nodes is a conflict, and force says otherwise.
#[test]
fn versions() {
    let state = taken(&primary(), &order(5, "A b", 'a'));
    let refused = state.ordered(&order(4, "A b", 'a'), &dataset(), "fresh").unwrap_err();
    assert_eq!(refused.kvrocks, BAD_VERSION);
    assert!(refused.error.message().contains("got 4, expected more than 5"), "{}", refused.error);
    assert_eq!(state.ordered(&order(5, "A b", 'a'), &dataset(), "fresh").unwrap(), Outcome::Same);
    let conflict = state.ordered(&order(5, "B a", 'a'), &dataset(), "fresh").unwrap();
    assert!(matches!(conflict, Outcome::Conflict(text) if text.contains("version 5")));
    for version in [4, 5] {
        let forced = taken(&state, &Order { force: true, ..order(version, "B a", 'a') });
        assert_eq!((forced.goal().role, forced.topology().unwrap().version()), (Role::Replica, version));
        assert_eq!(forced.epoch, Epoch::default(), "what was seen under other versions does not count");
    }
    // The same nodes with another password is news, and the password stays when none is given.
    let order =
        |version, password: Option<&str>| Order { password: password.map(str::to_owned), ..order(version, "B a", 'a') };
    let state = taken(&state, &order(6, Some("one")));
    let state = taken(&state, &order(6, Some("two")));
    let state = taken(&state, &order(7, None));
    assert_eq!(state.goal().link.unwrap().password.as_deref(), Some("two"));
    let bad = Order { node_id: "short".into(), ..order(8, None) };
    assert_eq!(state.ordered(&bad, &dataset(), "fresh").unwrap_err().kvrocks, BAD_ID);
}

/// Orders by hand are refused while a topology lists the node, by an error that says which version governs.
#[test]
fn by_hand() {
    let wish = Wish { role: Role::Detached, link: None };
    for (nodes, role) in [("A b", "primary"), ("B a", "replica")] {
        let state = taken(&primary(), &order(9, nodes, 'a'));
        for refused in [state.promoted("x"), state.wished("detach", wish.clone(), &dataset())] {
            let text = refused.unwrap_err().to_string();
            assert!(text.contains("topology version 9 governs this node") && text.contains(role), "{text}");
        }
    }
    let removed = taken(&primary(), &order(9, "B", 'a'));
    let promoted = removed.promoted("x").unwrap();
    assert_eq!((promoted.goal().role, promoted.epoch.clone()), (Role::Primary, epoch(10, "x")));
    assert!(promoted.why_read_only().is_none());
    // A later topology that does not list it either removes nothing; one that lists it decides.
    assert_eq!(taken(&promoted, &order(10, "B c", 'a')).goal().role, Role::Primary);
    assert_eq!(taken(&promoted, &order(11, "B a", 'a')).goal().role, Role::Replica);
    let relisted = taken(&taken(&promoted, &order(11, "B a", 'a')), &order(12, "B", 'a'));
    assert_eq!(relisted.goal(), wish);
}

/// A node writes under the version that makes it a primary, one promoted by hand under the highest number seen and one.
#[test]
fn epochs() {
    let fresh = State::of(Role::Primary, None).opened("id").unwrap();
    assert_eq!(fresh.epoch, epoch(1, "id"));
    assert_eq!(fresh.opened("other"), None);
    assert_eq!(taken(&fresh, &order(5, "A b", 'a')).epoch, epoch(5, "id"), "its claims are told by one id");
    let by_hand = taken(&fresh, &order(5, "B a", 'a'));
    assert_eq!((by_hand.epoch.clone(), by_hand.origin.as_str()), (Epoch::default(), ""), "it gives up its claim");
    assert_eq!(by_hand.known(), 5);
    let wish = Wish { role: Role::Detached, link: None };
    let detached = fresh.wished("detach", wish, &dataset()).unwrap();
    assert_eq!(detached.promoted("x").unwrap().epoch, epoch(2, "x"), "numbers go up all the same");
    let replica = taken(&taken(&fresh, &order(4, "A b", 'a')), &order(5, "B a", 'a'));
    assert_eq!((replica.epoch.clone(), replica.origin.as_str()), (epoch(4, "id"), "first"));
    assert_eq!(taken(&replica, &order(6, "A b", 'a')).epoch, epoch(6, "fresh"));
    let seen = replica.learned(&epoch(8, "b"), "first", &dataset()).unwrap();
    assert_eq!(seen.learned(&epoch(8, "b"), "first", &dataset()), None);
    assert_eq!(seen.learned(&epoch(7, "c"), "first", &dataset()), None);
    let removed = taken(&seen, &order(6, "B", 'a'));
    assert_eq!(removed.promoted("x").unwrap().epoch, epoch(9, "x"));
}

/// A primary that hears of a higher epoch of its own dataset stops, and begins again only under a higher one.
#[test]
fn fencing() {
    let dataset = dataset();
    let state = taken(&primary(), &order(5, "A b", 'a'));
    for (heard, origin, stops) in [
        (epoch(4, "zzz"), "first", false),
        (epoch(5, "own"), "first", false),
        (epoch(6, "own"), "first", false),
        (epoch(5, "abc"), "first", false),
        (epoch(5, "zzz"), "first", true),
        (epoch(6, "abc"), "first", true),
        (epoch(6, "abc"), "other", false),
        (epoch(6, ""), "first", false),
        (epoch(6, "abc"), "", false),
    ] {
        let heard_of = state.learned(&heard, origin, &dataset);
        assert_eq!(heard_of.is_some(), stops, "{heard} of {origin}");
        if let Some(ended) = heard_of {
            assert!(ended.why_read_only().unwrap().contains(&heard.to_string()));
            assert_eq!(ended.learned(&heard, origin, &dataset), None, "no news");
        }
    }
    let ended = state.learned(&epoch(7, "b"), "first", &dataset).unwrap();
    assert!(taken(&ended, &order(6, "A b", 'a')).why_read_only().is_some(), "6 is below 7");
    assert!(taken(&ended, &order(8, "A b", 'a')).why_read_only().is_none());
    let forced = Order { force: true, ..order(6, "A b", 'a') };
    assert!(taken(&ended, &forced).why_read_only().is_none());
    let replica = taken(&ended, &order(8, "B a", 'a'));
    assert!(replica.why_read_only().is_none() && replica.ended_by.is_none());

    let seen = replica.learned(&epoch(8, "b"), "first", &dataset).unwrap();
    assert!(seen.is_stale(&epoch(7, "z"), "first") && seen.is_stale(&epoch(8, "a"), "first"));
    assert!(!seen.is_stale(&epoch(8, "b"), "first") && !seen.is_stale(&epoch(1, "b"), "other"));
}

/// A lower version may be forced on nodes in any order: what a primary claimed itself under a higher number does not end it
/// when a replica tells it of that, and the replica goes on with it.
#[test]
fn forced_back() {
    let dataset = dataset();
    let state = taken(&primary(), &order(7, "A b", 'a'));
    let replica = taken(&State::of(Role::Detached, None), &order(7, "A b", 'b'));
    let replica = replica.learned(&state.epoch, "first", &dataset).unwrap();
    let force = |version, nodes, me| Order { force: true, ..order(version, nodes, me) };
    // It was opened anew meanwhile.
    let reopened = Dataset { id: "later".into(), ..dataset.clone() };
    let Ok(Outcome::Taken(state)) = state.ordered(&force(4, "A b", 'a'), &reopened, "fresh") else { panic!() };
    assert_eq!(state.epoch.number, 4);
    assert_eq!(state.learned(&replica.epoch, "first", &reopened), None);
    assert!(!replica.is_stale(&state.epoch, "first"));
    let told = replica.learned(&state.epoch, "first", &dataset).unwrap();
    assert_eq!((&told.epoch, told.learned(&state.epoch, "first", &dataset)), (&state.epoch, None));
    assert_eq!(told.known(), 7, "a promotion by hand goes up all the same");
    // Of another primary the number decides as before.
    assert!(state.learned(&epoch(7, "other"), "first", &reopened).is_some());
    assert!(told.is_stale(&epoch(3, "other"), "first"));
    // From there on versions go up again.
    let replica = taken(&told, &force(4, "A b", 'b')).learned(&state.epoch, "first", &dataset).unwrap();
    let (next, former) = (taken(&replica, &order(5, "B a", 'b')), taken(&state, &order(5, "B a", 'a')));
    assert!(next.learned(&former.epoch, "first", &dataset).is_none() && !former.is_stale(&next.epoch, "first"));
}

/// Who was promoted by hand more than once may be the primary of a first topology all the same.
#[test]
fn first_version() {
    let by_hand = State { epoch: epoch(3, "own"), ..primary() };
    let state = taken(&by_hand, &order(1, "A b", 'a'));
    assert_eq!((state.epoch.number, state.learned(&by_hand.epoch, "first", &dataset())), (1, None));
}

/// A primary feeds its own replicas and nobody else: a Pumice is known by its id, another by its address.
#[test]
fn members() {
    assert_eq!(Members::of(&primary()), None);
    let state = taken(&primary(), &order(5, "A b c D e", 'a'));
    let mut members = Members::of(&state).unwrap();
    let address = |letter: char| IpAddr::from([10, 0, 0, letter as u8]);
    members.names = ('a'..='e').map(|letter| (format!("host-{letter}"), vec![address(letter)])).collect();
    let (b, d, e, x) = (id('b'), id('d'), id('e'), id('x'));
    let (at_b, at_e) = (address('b').to_string(), address('e').to_string());
    let (mapped_b, unlisted_b) = (format!("::ffff:{at_b}"), format!("does not list {at_b}"));
    for (node_id, host, number, refused) in [
        (Some(&b), "anywhere", 0, None),
        (None, "host-b", port('b'), None),
        (None, &at_b, port('b'), None),
        (None, &mapped_b, port('b'), None),
        (None, &at_b, port('c'), Some(unlisted_b.as_str())),
        (Some(&x), "host-b", port('b'), Some("does not list node x")),
        (Some(&d), "host-d", port('d'), Some("as a primary")),
        (Some(&e), "host-e", port('e'), Some("as a replica of d")),
        (None, "host-e", port('e'), Some("as a replica of d")),
    ] {
        let said = members.admit(node_id.map(String::as_str), host, number);
        match (said, refused) {
            (Ok(_), None) => {}
            (Err(Unfed::Unlisted(said)), Some(refused)) => {
                assert!(said.contains("topology version 5") && said.contains(refused), "{said}");
            }
            said => panic!("{node_id:?} {host}:{number}: {said:?}"),
        }
    }
    assert_eq!(members.admit_address(&at_b).unwrap().id, b);
    assert!(matches!(members.admit_address(&at_e), Err(Unfed::Unlisted(_))));
    // Who was removed feeds nobody, until it is a primary by hand.
    let removed = taken(&state, &order(6, "B c", 'a'));
    assert!(Members::of(&removed).unwrap().admit(Some(&id('c')), "host-c", 1).is_err());
    assert_eq!(Members::of(&removed.promoted("x").unwrap()), None);
}

/// Files are withdrawn where a replica of this node is one no more or is elsewhere, and not where another one is added.
#[test]
fn replicas_that_go() {
    let (a, b, c) = (id('a'), id('b'), id('c'));
    let members = |nodes: Vec<Node>| {
        let order = Order {
            topology: Topology::new(1, nodes).unwrap(),
            node_id: a.clone(),
            password: None,
            tls: None,
            force: false,
        };
        Members::of(&taken(&primary(), &order)).unwrap()
    };
    let node_a = || Node::primary(&a, "10.0.0.1", 1);
    let of_a = |name: &str, host: &str, port| Node::replica(name, host, port, &a);
    let before = members(vec![node_a(), of_a(&b, "10.0.0.2", 2)]);
    for (nodes, loses) in [
        (vec![node_a(), of_a(&b, "10.0.0.2", 2)], false),
        (vec![node_a(), of_a(&b, "10.0.0.2", 2), of_a(&c, "10.0.0.3", 3)], false),
        (vec![node_a()], true),
        (vec![node_a(), of_a(&c, "10.0.0.3", 3)], true),
        (vec![node_a(), of_a(&b, "10.0.0.9", 2)], true),
        (vec![node_a(), of_a(&b, "10.0.0.2", 3)], true),
        (vec![node_a(), Node::primary(&c, "10.0.0.3", 3), Node::replica(&b, "10.0.0.2", 2, &c)], true),
    ] {
        let shown = format!("{nodes:?}");
        assert_eq!(before.loses_any_in(&members(nodes)), loses, "{shown}");
    }
}

/// A name is looked up only where it is not what the topology has, and where it could be a node; what is not found is not
/// known, and neither listed nor unlisted.
#[test]
fn names() {
    let a = id('a');
    let nodes = vec![
        Node::primary(&a, "host-a", 1),
        Node::replica(id('b'), "host-b", 2, &a),
        Node::replica(id('c'), "10.0.0.3", 3, &a),
        Node::replica(id('d'), "host-d", 2, &a),
    ];
    let topology = Topology::new(1, nodes).unwrap();
    let order = Order { topology, node_id: a, password: None, tls: None, force: false };
    let mut members = Members::of(&taken(&primary(), &order)).unwrap();
    let look_up = |names: &[&str]| Err(Unfed::Unresolved(names.iter().map(|&name| name.to_owned()).collect()));
    let admit = |members: &Members, host, port| members.admit(None, host, port).map(|member| member.id[..1].to_owned());
    for (host, port, expected) in [
        ("host-b", 2, Ok("b".to_owned())),
        ("10.0.0.2", 2, look_up(&["host-b", "host-d"])),
        ("host-x", 2, look_up(&["host-b", "host-d", "host-x"])),
        ("10.0.0.3", 3, Ok("c".to_owned())),
        ("host-c", 3, look_up(&["host-c"])),
    ] {
        assert_eq!(admit(&members, host, port), expected, "{host}:{port}");
    }
    for (host, port) in [("10.0.0.4", 3), ("host-x", 4)] {
        assert!(matches!(admit(&members, host, port), Err(Unfed::Unlisted(_))), "{host}:{port}");
    }
    assert_eq!(members.admit_address("10.0.0.3").unwrap().id, id('c'));
    let of_host = |members: &Members| members.admit_address("10.0.0.2").map(|member| member.id.clone());
    assert_eq!(of_host(&members), look_up(&["host-b", "host-d"]));

    let two = IpAddr::from([10, 0, 0, 2]);
    members.names = HashMap::from([("host-b".to_owned(), vec![two]), ("host-d".to_owned(), Vec::new())]);
    assert_eq!(admit(&members, "10.0.0.2", 2), Ok("b".to_owned()));
    assert!(matches!(admit(&members, "10.0.0.9", 2), Err(Unfed::Unknown(why)) if why.contains("host-d")));
    assert!(matches!(members.admit_address("10.0.0.9"), Err(Unfed::Unknown(_))));
    members.names.insert("host-d".to_owned(), vec![two]);
    assert!(matches!(admit(&members, "10.0.0.9", 2), Err(Unfed::Unlisted(_))));
}

/// Naming a node changes what it is only if the topology lists the name.
#[test]
fn naming() {
    let named = |state: &State, me| state.named(&id(me), &dataset(), "fresh");
    let Ok(Outcome::Taken(state)) = named(&primary(), 'a') else { panic!() };
    assert_eq!((state.goal(), state.place()), (primary().goal(), Place::Free));
    let state = taken(&state, &order(3, "A b", 'a'));
    assert_eq!(named(&state, 'a').unwrap(), Outcome::Same);
    let Ok(Outcome::Taken(other)) = named(&state, 'b') else { panic!() };
    assert_eq!(other.goal().role, Role::Replica);
    assert_eq!(named(&state, 'x').unwrap_err().kvrocks, "");
}
