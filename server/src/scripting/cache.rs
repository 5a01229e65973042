//! The bodies of scripts by their digests.
//!
//! Who sends EVAL with texts made up each time would fill the memory with them: of the scripts that came that way, those
//! used last are kept, as many as Redis keeps since 7.4. What SCRIPT LOAD brought stays.

use super::{ScriptFlags, Sha};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Scripts that came by EVAL, at most.
const MOST_PASSING: usize = 500;

/// What the cache spends on a script beside its text, bytes: an estimate.
const SHARE: u64 = 96;

/// A script in the cache.
#[derive(Debug)]
pub struct Cached {
    /// Its text.
    pub body: Arc<[u8]>,
    /// What its first line declares.
    pub flags: Option<ScriptFlags>,
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
    /// A script. O(1).
    pub fn get(&self, sha: &Sha) -> Option<&Cached> {
        self.scripts.get(sha)
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

    /// A script, of whose use note is taken. O(log n) for one that may be dropped, else O(1).
    pub fn touch(&mut self, sha: &Sha) -> Option<&Cached> {
        let cached = self.scripts.get_mut(sha)?;
        if let Some(used) = &mut cached.used
            && *used != self.uses
        {
            self.passing.remove(used);
            self.uses += 1;
            *used = self.uses;
            self.passing.insert(self.uses, *sha);
        }
        Some(cached)
    }

    /// Has a script stay that came by EVAL and now by SCRIPT LOAD.
    pub fn keep(&mut self, sha: &Sha) {
        if let Some(used) = self.scripts.get_mut(sha).and_then(|cached| cached.used.take()) {
            self.passing.remove(&used);
        }
    }

    /// Adds a script that is not there; gives the one that had to go for it.
    pub fn add(&mut self, sha: &Sha, body: &[u8], flags: Option<ScriptFlags>, origin: Origin) -> Option<Sha> {
        let used = (origin == Origin::Eval).then(|| {
            self.uses += 1;
            self.passing.insert(self.uses, *sha);
            self.uses
        });
        self.scripts.insert(*sha, Cached { body: body.into(), flags, used });
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
        assert!(cache.add(&sha(0), b"0", None, Origin::Load).is_none());
        for n in 1..=MOST_PASSING {
            assert_eq!(cache.add(&sha(n), b"x", None, Origin::Eval), None);
        }
        assert!(cache.touch(&sha(1)).is_some() && cache.touch(&sha(2)).is_some());
        cache.keep(&sha(3));
        assert_eq!(cache.add(&sha(1001), b"x", None, Origin::Eval), None); // in place of the one that was loaded
        assert_eq!(cache.add(&sha(1002), b"x", None, Origin::Eval), Some(sha(4)));
        assert_eq!((cache.count(), cache.evicted), (MOST_PASSING + 2, 1));
        for kept in [0, 1, 2, 3, 1001, 1002] {
            assert!(cache.get(&sha(kept)).is_some(), "{kept}");
        }
        assert!(cache.touch(&sha(4)).is_none());
        cache.clear();
        assert_eq!((cache.count(), cache.add(&sha(1), b"x", None, Origin::Eval)), (0, None));
    }
}
