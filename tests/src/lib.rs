//! Support for the black-box suite: servers in temporary folders, and a client that sees raw replies.
//!
//! Tests drive the built `ochre-server`; with `OCHRE_TEST_SERVER=redis-server` the same tests run against a real
//! Redis, which shows whether a test states Redis's behaviour or only ours.

mod client;
mod events;
mod random;
mod server;

pub use client::{Client, Reply, check};
pub use events::Events;
pub use random::Random;
pub use server::{Server, Settings, binary, free_port, wait_until};
