//! Who waits for which key, in order of arrival, and until when.

use crate::session::{Parked, Session, Wait};
use common::clients::{Clients, Slot};
use std::collections::{BTreeSet, HashMap, VecDeque};
use store::DbIndex;

/// A key in its database.
pub type Place = (DbIndex, Vec<u8>);

/// All blocked clients. A client's own part (its batch and what it waits for) is in its session.
#[derive(Debug, Default)]
pub struct Blocked {
    by_key: HashMap<Place, VecDeque<Slot>>,
    /// Keys that changed while somebody waits for them, in order, each once.
    ready: VecDeque<Place>,
    deadlines: BTreeSet<(i64, Slot)>,
    /// When to try again for clients that wait for pending entries to have been idle for long enough.
    alarms: BTreeSet<(i64, Slot)>,
    /// The same by client; [`NO_ALARM`] while nothing is pending.
    alarm_of: HashMap<Slot, i64>,
    /// Clients that wait for replicas.
    replicas: Vec<Slot>,
    count: usize,
    /// Those of them that want to know as well when a key is deleted.
    until_gone: usize,
}

/// The time of an alarm that is not set.
const NO_ALARM: i64 = i64::MAX;

impl Blocked {
    /// Number of blocked clients.
    pub fn len(&self) -> usize {
        self.count
    }

    /// True when nobody waits.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Number of keys that somebody waits for.
    pub fn keys(&self) -> usize {
        self.by_key.len()
    }

    /// Number of keys of which somebody wants to know as well when they are deleted.
    pub fn keys_until_gone(&self, clients: &Clients<Session>) -> usize {
        let until_gone = |slot: &Slot| {
            let parked = clients.get(*slot).and_then(|client| client.ext.parked.as_ref());
            parked.is_some_and(|parked| matches!(parked.wait, Wait::Keys { until_gone: true, .. }))
        };
        self.by_key.values().filter(|queue| queue.iter().any(until_gone)).count()
    }

    /// Number of clients that have a deadline.
    pub fn timeouts(&self) -> usize {
        self.deadlines.len()
    }

    /// Registers a client and leaves its batch in its session.
    pub fn park(&mut self, clients: &mut Clients<Session>, slot: Slot, parked: Box<Parked>) {
        let Some(client) = clients.get_mut(slot) else { return };
        match &parked.wait {
            Wait::Keys { keys, until_gone, .. } => {
                self.until_gone += usize::from(*until_gone);
                for key in keys {
                    let queue = self.by_key.entry(key.clone()).or_default();
                    if !queue.contains(&slot) {
                        queue.push_back(slot);
                    }
                }
            }
            Wait::Replicas { .. } => self.replicas.push(slot),
            Wait::Pause => {}
        }
        if let Some(deadline) = parked.deadline_ms {
            self.deadlines.insert((deadline, slot));
        }
        if let Some(link) = client.link() {
            link.set_parked(true);
        }
        client.ext.parked = Some(parked);
        self.count += 1;
    }

    /// Takes a client's batch out and forgets that it waits.
    pub fn unpark(&mut self, clients: &mut Clients<Session>, slot: Slot) -> Option<Box<Parked>> {
        let client = clients.get_mut(slot)?;
        let parked = client.ext.parked.take()?;
        if let Some(link) = client.link() {
            link.set_parked(false);
        }
        self.count -= 1;
        self.unregister(slot, &parked);
        Some(parked)
    }

    fn unregister(&mut self, slot: Slot, parked: &Parked) {
        match &parked.wait {
            Wait::Keys { keys, until_gone, .. } => {
                self.until_gone -= usize::from(*until_gone);
                for key in keys {
                    if let Some(queue) = self.by_key.get_mut(key) {
                        // Those who are served are at the front.
                        if let Some(at) = queue.iter().position(|waiting| *waiting == slot) {
                            queue.remove(at);
                        }
                        if queue.is_empty() {
                            self.by_key.remove(key);
                        }
                    }
                }
            }
            Wait::Replicas { .. } => self.replicas.retain(|waiting| *waiting != slot),
            Wait::Pause => {}
        }
        if let Some(deadline) = parked.deadline_ms {
            self.deadlines.remove(&(deadline, slot));
        }
        if let Some(at_ms) = self.alarm_of.remove(&slot) {
            self.alarms.remove(&(at_ms, slot));
        }
    }

    /// Has a client that is about to wait try again at a time, if it is known yet.
    pub fn set_alarm(&mut self, slot: Slot, at_ms: Option<i64>) {
        let at_ms = at_ms.unwrap_or(NO_ALARM);
        if let Some(old) = self.alarm_of.insert(slot, at_ms) {
            self.alarms.remove(&(old, slot));
        }
        if at_ms != NO_ALARM {
            self.alarms.insert((at_ms, slot));
        }
    }

    /// A client whose alarm rings, which ends it.
    pub fn next_alarm(&mut self, now_ms: i64) -> Option<Slot> {
        let (at_ms, slot) = self.alarms.first().copied().filter(|(at_ms, _)| *at_ms <= now_ms)?;
        self.alarms.remove(&(at_ms, slot));
        self.alarm_of.insert(slot, NO_ALARM);
        Some(slot)
    }

    /// Notes that more is pending in a stream, which is news to those who wait for it to become idle.
    #[inline]
    pub fn signal_pending(&mut self, db: DbIndex, key: &[u8]) {
        if !self.alarm_of.is_empty() {
            self.signal(db, key);
        }
    }

    /// Drops what a leaving client waits for.
    pub fn forget(&mut self, clients: &mut Clients<Session>, slot: Slot) {
        drop(self.unpark(clients, slot));
    }

    /// Notes that a key changed, if somebody waits for it.
    #[inline]
    pub fn signal(&mut self, db: DbIndex, key: &[u8]) {
        if !self.by_key.is_empty() {
            self.signal_waiting(db, key);
        }
    }

    #[cold]
    fn signal_waiting(&mut self, db: DbIndex, key: &[u8]) {
        let place = (db, key.to_vec());
        if self.by_key.contains_key(&place) && !self.ready.contains(&place) {
            self.ready.push_back(place);
        }
    }

    /// Notes that all keys of a database changed (SWAPDB).
    pub fn signal_database(&mut self, db: DbIndex) {
        let keys: Vec<_> = self.by_key.keys().filter(|(at, _)| *at == db).cloned().collect();
        for (db, key) in keys {
            self.signal_waiting(db, &key);
        }
    }

    /// Whether a key changed that somebody waits for.
    #[inline]
    pub fn any_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The next changed key.
    pub fn next_ready(&mut self) -> Option<Place> {
        self.ready.pop_front()
    }

    /// Those who wait for a key, first come first.
    pub fn waiting_for(&self, key: &Place) -> Vec<Slot> {
        self.by_key.get(key).map(|queue| queue.iter().copied().collect()).unwrap_or_default()
    }

    /// Whether anyone wants to know when a key is deleted.
    pub fn any_until_gone(&self) -> bool {
        self.until_gone > 0
    }

    /// The first millisecond, Unix time, in which the next client's time is up, or its alarm rings. The one behind its deadline: that was
    /// counted from a time without its fraction, so within the deadline's own millisecond it may still be too early.
    pub fn next_deadline(&self) -> Option<i64> {
        let deadline = self.deadlines.first().map(|(deadline, _)| deadline.saturating_add(1));
        let alarm = self.alarms.first().map(|(at_ms, _)| *at_ms);
        [deadline, alarm].into_iter().flatten().min()
    }

    /// A client whose time is up.
    pub fn overdue(&self, now_ms: i64) -> Option<Slot> {
        self.deadlines.first().filter(|(deadline, _)| *deadline < now_ms).map(|(_, slot)| *slot)
    }

    /// Clients that wait for replicas.
    pub fn waiting_for_replicas(&self) -> Vec<Slot> {
        self.replicas.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_wait_ends_before_its_time() {
        let mut blocked = Blocked::default();
        blocked.deadlines.insert((1100, Slot(3)));
        // A wait of 100 ms that began at 1000.9 ends at 1100.9: not yet in the millisecond 1100.
        assert_eq!((blocked.overdue(1100), blocked.next_deadline()), (None, Some(1101)));
        assert_eq!(blocked.overdue(1101), Some(Slot(3)));
    }

    #[test]
    fn a_client_has_one_alarm() {
        let mut blocked = Blocked::default();
        blocked.set_alarm(Slot(3), Some(1100));
        blocked.set_alarm(Slot(3), Some(1200));
        assert_eq!((blocked.next_alarm(1150), blocked.next_deadline()), (None, Some(1200)));
        assert_eq!((blocked.next_alarm(1200), blocked.next_deadline()), (Some(Slot(3)), None));
        blocked.set_alarm(Slot(3), None);
        assert_eq!(blocked.next_alarm(i64::MAX), None);
    }
}
