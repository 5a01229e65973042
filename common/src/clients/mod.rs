//! The registry of clients: sessions, their output, and the commands about them.

mod commands;
mod filter;
mod registry;
mod session;

pub use commands::{CLIENT_HELP, client_subcommands, on_off};
pub use registry::{Client, ClientClass, Clients, Extension, Held, ReplyMode, Running, Slot};
pub use session::{check_default_user, connection_commands};
