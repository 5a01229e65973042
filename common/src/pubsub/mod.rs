//! Channels, patterns and their subscribers.
//!
//! A shard channel is a channel in a namespace of its own, without patterns. In a cluster its messages stay within the
//! shard that owns the slot of its name; a single node owns all.

mod commands;

pub use commands::{pubsub_commands, shard_commands, wrong_subcommand};

use crate::clients::{Clients, Extension, Slot};
use crate::glob::glob_match;
use crate::resp::{Reply, Resp};
use bytes::Bytes;
use std::collections::HashMap;

/// All subscriptions of this node.
#[derive(Debug, Default)]
pub struct PubSub {
    channels: HashMap<Bytes, Vec<Slot>>,
    patterns: HashMap<Bytes, Vec<Slot>>,
    shards: HashMap<Bytes, Vec<Slot>>,
}

/// What a subscription is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// An exact channel name.
    Channel,
    /// A glob over channel names.
    Pattern,
    /// A channel of this node's shard.
    Shard,
}

impl Target {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Channel, Self::Pattern, Self::Shard];
}

impl PubSub {
    fn map(&mut self, target: Target) -> &mut HashMap<Bytes, Vec<Slot>> {
        match target {
            Target::Channel => &mut self.channels,
            Target::Pattern => &mut self.patterns,
            Target::Shard => &mut self.shards,
        }
    }

    fn names(&self, target: Target) -> &HashMap<Bytes, Vec<Slot>> {
        match target {
            Target::Channel => &self.channels,
            Target::Pattern => &self.patterns,
            Target::Shard => &self.shards,
        }
    }

    /// Adds a subscriber.
    pub fn subscribe(&mut self, target: Target, name: Bytes, slot: Slot) {
        self.map(target).entry(name).or_default().push(slot);
    }

    /// Removes a subscriber; O(subscribers of `name`).
    pub fn unsubscribe(&mut self, target: Target, name: &[u8], slot: Slot) {
        let map = self.map(target);
        if let Some(subscribers) = map.get_mut(name) {
            subscribers.retain(|s| *s != slot);
            if subscribers.is_empty() {
                map.remove(name);
            }
        }
    }

    /// Names of a kind with subscribers.
    pub fn channels(&self, target: Target) -> impl Iterator<Item = &Bytes> {
        self.names(target).keys()
    }

    /// Number of subscribers of a name.
    pub fn subscribers(&self, target: Target, name: &[u8]) -> usize {
        self.names(target).get(name).map_or(0, Vec::len)
    }

    /// Number of patterns that somebody is subscribed to.
    pub fn patterns(&self) -> usize {
        self.patterns.len()
    }

    /// Sends a message to the subscribers of `channel` and of patterns that match it, encoded once per protocol
    /// version; the number of deliveries.
    pub fn publish<X: Extension>(&self, clients: &mut Clients<X>, channel: &[u8], message: &[u8]) -> usize {
        let mut receivers = 0;
        if let Some(subscribers) = self.channels.get(channel) {
            fan_out(clients, subscribers, &[b"message", channel, message]);
            receivers += subscribers.len();
        }
        for (pattern, subscribers) in &self.patterns {
            if glob_match(pattern, channel, false) {
                fan_out(clients, subscribers, &[b"pmessage", pattern, channel, message]);
                receivers += subscribers.len();
            }
        }
        receivers
    }

    /// Sends a message to the subscribers of a shard channel; their number.
    pub fn publish_to_shard<X: Extension>(
        &self,
        clients: &mut Clients<X>,
        channel: &[u8],
        message: &[u8],
    ) -> usize {
        let Some(subscribers) = self.shards.get(channel) else { return 0 };
        fan_out(clients, subscribers, &[b"smessage", channel, message]);
        subscribers.len()
    }
}

fn fan_out<X: Extension>(clients: &mut Clients<X>, subscribers: &[Slot], words: &[&[u8]]) {
    let mut encoded: [Option<Bytes>; 2] = [None, None];
    for &slot in subscribers {
        let Some(resp) = clients.resp_of(slot) else { continue };
        let bytes = encoded[usize::from(resp == Resp::V3)].get_or_insert_with(|| encode(resp, words));
        clients.push(slot, bytes);
    }
}

/// A push message of bulk strings.
fn encode(resp: Resp, words: &[&[u8]]) -> Bytes {
    let mut reply = Reply::new(resp);
    reply.push(words.len());
    words.iter().for_each(|word| reply.bulk(word));
    let (segments, tail) = reply.take();
    debug_assert!(segments.is_empty(), "a message is written into one vector");
    tail.into()
}
