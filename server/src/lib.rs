//! The Ochre server: an in-memory data store with Redis's protocol, commands and files.
//!
//! Dependencies point one way: `main → run → main_loop → actor → dispatch → commands → store → common`.

pub mod actor;
pub mod apply;
pub mod blocked;
pub mod commands;
pub mod config;
pub mod context;
pub mod crash;
pub mod cron;
pub mod defrag;
pub mod dispatch;
pub mod events;
pub mod eviction;
pub mod gather;
pub mod hotkeys;
pub mod lazyfree;
pub mod lifecycle;
pub mod log;
pub mod long_double;
mod main_loop;
pub mod memory;
pub mod monitor;
pub mod pause;
pub mod persistence;
pub mod process;
pub mod replication;
pub mod run;
pub mod scripting;
pub mod server;
pub mod session;
pub mod shutdown;
pub mod stats;
mod sys;
mod ticks;
pub mod time;
pub mod tracking;
pub mod watch;
pub mod wiring;
