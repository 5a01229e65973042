//! `maxmemory-clients`: the clients that hold most memory go when all together hold too much.
//!
//! What clients hold changes outside of the actor too (query buffers, unsent output), so it is added up when it is asked
//! for: once a turn, and only while a limit is set.

use crate::server::Server;
use crate::session::Session;
use common::clients::{Client, ClientClass, Slot};
use common::clock::monotonic_ns;
use common::net::Link;
use std::sync::{Arc, Weak};

/// The limit is never lower, bytes: below it nobody could connect to raise it again. As in Redis.
const LIMIT_MIN: u64 = 128 << 10;

/// How long a connection may take to end before nobody waits for its memory any more, nanoseconds.
const LEAVING_MAX_NS: u64 = 100_000_000;

/// Connections that were told to end and still hold their buffers. Without them, a look at the memory just after clients
/// were cut off would have keys evicted for what those clients held.
#[derive(Debug, Default)]
pub struct Leaving {
    links: Vec<Weak<Link>>,
    /// When the last of them was told, nanoseconds on the monotonic clock.
    since: u64,
}

impl Leaving {
    fn add(&mut self, link: &Arc<Link>) {
        // Without `maxmemory` nobody else asks.
        self.links.retain(|link| link.strong_count() > 0);
        self.links.push(Arc::downgrade(link));
        self.since = monotonic_ns();
    }

    /// Whether memory will come free by a connection that ends.
    pub fn any(&mut self) -> bool {
        if self.links.is_empty() {
            return false;
        }
        self.links.retain(|link| link.strong_count() > 0);
        if monotonic_ns() - self.since > LEAVING_MAX_NS {
            self.links.clear();
        }
        !self.links.is_empty()
    }
}

/// Whether a client may be cut off, and counts.
fn counts(client: &Client<Session>) -> bool {
    !client.no_evict && matches!(client.class(), ClientClass::Normal | ClientClass::PubSub)
}

impl Server {
    /// Bytes that all clients together may hold; `None` without a limit.
    fn client_memory_limit(&self) -> Option<u64> {
        let limit = match self.config.max_memory_clients {
            0 => None,
            bytes @ 1.. => Some(bytes.cast_unsigned()),
            // Without `maxmemory` a share of it means nothing.
            percent if self.config.max_memory > 0 => {
                Some((u128::from(self.config.max_memory) * u128::from(percent.unsigned_abs()) / 100) as u64)
            }
            _ => None,
        };
        limit.map(|bytes| bytes.max(LIMIT_MIN))
    }

    /// What each client holds that may be cut off, bytes; `None` without a limit.
    pub fn held_by_clients(&self) -> Option<Vec<usize>> {
        self.client_memory_limit()?;
        Some(self.clients.iter().filter(|client| counts(client)).map(|client| client.memory()).collect())
    }

    /// Cuts off the biggest clients until the others are within the limit; `more` are bytes that one of them holds besides.
    /// Whether there were any: what they hold is freed by their connections, a moment later.
    pub fn evict_clients(&mut self, more: Option<(Slot, usize)>) -> bool {
        let Some(limit) = self.client_memory_limit() else { return false };
        let mut held: Vec<(usize, Slot)> = self
            .clients
            .iter()
            .filter(|client| counts(client) && !client.is_closing())
            .map(|client| {
                let besides = more.filter(|(slot, _)| *slot == client.slot).map_or(0, |(_, bytes)| bytes);
                (client.memory() + besides, client.slot)
            })
            .collect();
        let mut total: u64 = held.iter().map(|(bytes, _)| *bytes as u64).sum();
        if total <= limit {
            return false;
        }
        held.sort_unstable();
        while total > limit
            && let Some((bytes, slot)) = held.pop()
        {
            total -= bytes as u64;
            let now_ms = self.time.now_ms();
            if let Some(client) = self.clients.get(slot) {
                tracing::info!(
                    "Evicting client: {}",
                    client.describe_for_log(now_ms, self.config.hide_user_data)
                );
                if let Some(link) = client.link() {
                    self.eviction.leaving.add(link);
                }
            }
            self.eviction.evicted_clients += 1;
            self.clients.close_now(slot);
            if !self.clients.is_running(slot) {
                self.free_client(slot);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::net::{Home, Peer};

    fn link() -> Arc<Link> {
        let peer = Peer { address: "".into(), local: "".into(), fd: -1, unix: true, loopback: true };
        Arc::new(Link::new(peer, Arc::new(Home::default())))
    }

    #[test]
    fn only_connections_that_have_not_ended_are_waited_for() {
        let (mut leaving, stays) = (Leaving::default(), link());
        for _ in 0..1000 {
            leaving.add(&link()); // it ends at once
        }
        assert!(leaving.links.len() <= 1 && !leaving.any());
        leaving.add(&stays);
        assert!(leaving.any());
        drop(stays);
        assert!(!leaving.any());
    }
}
