//! The data types through the table of commands: on what a Kvrocks wrote, beside a Redis, on damaged records.

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod fixtures;
mod kvrocks;
mod lives;
mod redis;
