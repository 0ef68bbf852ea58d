//! Whatever is wrong with what it is given, the engine answers a typed error that says what, which, got and expected;
//! nothing is lost, and it goes on serving.

#[path = "../support/mod.rs"]
mod support;

mod batches;
mod checkpoints;
mod closing;
mod directories;
mod disks;
mod locks;
mod names;

/// Not a test of its own: what the others run in a process of its own.
#[test]
fn child() {
    let Some((job, paths)) = support::job() else { return };
    println!();
    match job.as_str() {
        "hold rocksdb" => locks::hold_rocksdb(&paths[0]),
        "open rocksdb" => locks::open_rocksdb(&paths[0]),
        "hold engine" => locks::hold_engine(&paths[0]),
        "giant claims" => checkpoints::giant_claims(),
        "huge value" => names::huge_value(&paths[0]),
        _ => panic!("unknown job {job}"),
    }
    println!("job done");
}
