//! The scenes of `differential_clients.rs`.
//!
//! Left out, since later versions do otherwise and ours does as they do: a client that waits for several keys looks at them
//! in its own order when it is woken (7.2; 7.0 in the order in which they came), messages to the client whose command runs
//! come behind its reply (7.2), blocking pops in scripts (7.2). And since 7.0 breaks off a transaction's reply there: CLIENT
//! KILL of itself within.

mod caches;
mod control;
mod messages;
mod transactions;
mod waits;

pub use caches::CACHES;
pub use control::CONTROL;
pub use messages::MESSAGES;
pub use transactions::TRANSACTIONS;
pub use waits::WAITS;
