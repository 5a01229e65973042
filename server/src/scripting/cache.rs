//! The bodies of scripts by their digests.
//!
//! Who sends EVAL with texts made up each time would fill the memory with them: of the scripts that came that way, those
//! used last are kept, as many as Redis keeps since 7.4. What SCRIPT LOAD brought stays.

use super::Sha;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Scripts that came by EVAL, at most.
const MOST_PASSING: usize = 500;

/// What the cache spends on a script beside its text, bytes: an estimate.
const SHARE: u64 = 96;

#[derive(Debug)]
struct Cached {
    body: Arc<[u8]>,
    /// When it was used last, if it may be dropped.
    used: Option<u64>,
}

/// How a script comes into the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// By EVAL: it may go again.
    Eval,
    /// By SCRIPT LOAD: it stays.
    Load,
}

/// The cache.
#[derive(Debug, Default)]
pub struct ScriptCache {
    scripts: HashMap<Sha, Cached>,
    /// Those that may be dropped, by their last use.
    passing: BTreeMap<u64, Sha>,
    uses: u64,
    /// Scripts dropped so far.
    pub evicted: u64,
}

impl ScriptCache {
    /// A script's body. O(1).
    pub fn get(&self, sha: &Sha) -> Option<&Arc<[u8]>> {
        self.scripts.get(sha).map(|cached| &cached.body)
    }

    /// Number of scripts.
    pub fn count(&self) -> usize {
        self.scripts.len()
    }

    /// Memory taken, bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.scripts.values().map(|cached| cached.body.len() as u64 + SHARE).sum()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.scripts.clear();
        self.passing.clear();
    }

    /// Takes note of a use. O(log n) for a script that may be dropped, else O(1).
    pub fn touch(&mut self, sha: &Sha) {
        let Some(used) = self.scripts.get_mut(sha).and_then(|cached| cached.used.as_mut()) else { return };
        if *used == self.uses {
            return; // the last one used
        }
        self.passing.remove(used);
        self.uses += 1;
        *used = self.uses;
        self.passing.insert(self.uses, *sha);
    }

    /// Adds a script, or takes note that it came again; gives the one that had to go for it.
    pub fn add(&mut self, sha: &Sha, body: &[u8], origin: Origin) -> Option<Sha> {
        if let Some(cached) = self.scripts.get_mut(sha) {
            if origin == Origin::Load
                && let Some(used) = cached.used.take()
            {
                self.passing.remove(&used);
            }
            self.touch(sha);
            return None;
        }
        let used = (origin == Origin::Eval).then(|| {
            self.uses += 1;
            self.passing.insert(self.uses, *sha);
            self.uses
        });
        self.scripts.insert(*sha, Cached { body: body.into(), used });
        if self.passing.len() <= MOST_PASSING {
            return None;
        }
        let (_, oldest) = self.passing.pop_first()?;
        self.scripts.remove(&oldest);
        self.evicted += 1;
        Some(oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::super::sha_of;
    use super::*;

    #[test]
    fn the_script_unused_longest_goes_and_loaded_ones_stay() {
        let mut cache = ScriptCache::default();
        let sha = |n: usize| sha_of(n.to_string().as_bytes());
        assert_eq!(cache.add(&sha(0), b"0", Origin::Load), None);
        for n in 1..=MOST_PASSING {
            assert_eq!(cache.add(&sha(n), b"x", Origin::Eval), None);
        }
        cache.touch(&sha(1));
        cache.add(&sha(2), b"x", Origin::Eval);
        assert_eq!(cache.add(&sha(3), b"x", Origin::Load), None);
        assert_eq!(cache.add(&sha(1001), b"x", Origin::Eval), None); // in place of the one that was loaded
        assert_eq!(cache.add(&sha(1002), b"x", Origin::Eval), Some(sha(4)));
        assert_eq!((cache.count(), cache.evicted), (MOST_PASSING + 2, 1));
        for kept in [0, 1, 2, 3, 1001, 1002] {
            assert!(cache.get(&sha(kept)).is_some(), "{kept}");
        }
        cache.clear();
        assert_eq!((cache.count(), cache.add(&sha(1), b"x", Origin::Eval)), (0, None));
    }
}
