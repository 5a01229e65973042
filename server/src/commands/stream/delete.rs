//! XDEL, and deletions that look at the groups in which an entry is pending.

use super::{counted_ids, no_group, stream_mut, strict_id};
use crate::context::Cx;
use crate::events::Event;
use crate::server::Key;
use common::command::{Args, CommandResult, Outcome};
use store::stream::{Stream, StreamId, Trim};

/// What becomes of the references that groups have to an entry which is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum References {
    /// They stay.
    Keep,
    /// They go as well.
    Delete,
    /// An entry that some group has not read and acknowledged is not deleted.
    Acked,
}

impl References {
    /// The option, if it comes next.
    pub(super) fn take(args: &mut Args<'_>) -> Option<Self> {
        let words = [("KEEPREF", Self::Keep), ("DELREF", Self::Delete), ("ACKED", Self::Acked)];
        words.into_iter().find(|(word, _)| args.take(word)).map(|(_, references)| references)
    }
}

/// What was removed, for replicas.
#[derive(Debug, Default)]
pub(super) struct Removed {
    entries: Vec<StreamId>,
    /// Groups with the pending entries that they lost.
    pending: Vec<(Vec<u8>, Vec<StreamId>)>,
}

impl Removed {
    fn forget_pending(&mut self, stream: &mut Stream, id: StreamId) {
        if !stream.is_pending(id) {
            return;
        }
        let names: Vec<Vec<u8>> = stream
            .groups()
            .filter(|(_, group)| group.pending().get(id).is_some())
            .map(|(name, _)| name.to_vec())
            .collect();
        for name in names {
            if let Some(group) = stream.group_mut(&name) {
                group.acknowledge(id);
            }
            match self.pending.iter_mut().find(|(own, _)| *own == name) {
                Some((_, ids)) => ids.push(id),
                None => self.pending.push((name, vec![id])),
            }
        }
    }
}

/// Tells replicas of removals: XDEL for entries, XACK for pending ones.
pub(super) fn propagate(cx: &mut Cx<'_>, key: Key<'_>, removed: &Removed) {
    let send = |cx: &mut Cx<'_>, head: &[&[u8]], ids: &[StreamId]| {
        let ids: Vec<String> = ids.iter().map(StreamId::to_string).collect();
        let words: Vec<&[u8]> = head.iter().copied().chain(ids.iter().map(String::as_bytes)).collect();
        cx.propagate_as(&words);
    };
    if !cx.is_propagating() {
        return;
    }
    for (group, ids) in &removed.pending {
        send(cx, &[b"XACK", key.bytes, group], ids);
    }
    if !removed.entries.is_empty() {
        send(cx, &[b"XDEL", key.bytes], &removed.entries);
    }
}

/// Trims, and drops the references to what goes.
pub(super) fn trim_with_references(
    stream: &mut Stream,
    trim: Trim,
    approximate: bool,
    most: u64,
) -> (u64, Removed) {
    let mut removed = Removed::default();
    let before: Vec<StreamId> =
        stream.groups().flat_map(|(_, group)| group.pending().iter().map(|(id, _)| id)).collect();
    let first = stream.facts().first_id;
    let deleted = stream.trim(trim, approximate, most);
    if deleted > 0 {
        let kept = if stream.is_empty() { StreamId::MAX } else { stream.facts().first_id };
        let gone = before.into_iter().filter(|id| (first..kept).contains(id));
        gone.for_each(|id| removed.forget_pending(stream, id));
    }
    (deleted, removed)
}

/// Trims only entries with which every group has finished.
pub(super) fn trim_acknowledged(stream: &mut Stream, trim: Trim, most: u64) -> (u64, Removed) {
    let facts = stream.facts();
    let candidates = match trim {
        Trim::MaxLen(len) => facts.len.saturating_sub(len),
        Trim::MinId(_) => u64::MAX,
    };
    let beyond = |id: StreamId| matches!(trim, Trim::MinId(least) if id >= least);
    let most = if most == 0 { u64::MAX } else { most };
    let entries: Vec<StreamId> = stream
        .range(StreamId::MIN, StreamId::MAX)
        .map(|entry| entry.id)
        .take_while(|id| !beyond(*id))
        .filter(|id| stream.is_done_with(*id))
        .take(usize::try_from(candidates.min(most)).unwrap_or(usize::MAX))
        .collect();
    for id in &entries {
        stream.delete(*id);
    }
    (entries.len() as u64, Removed { entries, ..Removed::default() })
}

pub(super) fn xdel(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    if cx.server.find_typed::<Stream>(cx.db, key)?.is_none() {
        cx.reply.integer(0);
        return Ok(Outcome::Done);
    }
    let ids = args.rest().map(|word| strict_id(word, 0)).collect::<Result<Vec<_>, _>>()?;
    let stream = stream_mut(cx, key);
    let deleted = ids.into_iter().filter(|id| stream.delete(*id)).count();
    if deleted > 0 {
        cx.changed_by(deleted as u64, key, Event::XDEL);
    }
    cx.reply.integer(deleted as i64);
    Ok(Outcome::Done)
}

/// There is no such entry.
const MISSING: i64 = -1;
/// It was deleted.
const DELETED: i64 = 1;
/// Some group has not finished with it.
const STILL_REFERENCED: i64 = 2;

/// Deletes one entry as asked for, and tells what happened.
fn delete_one(stream: &mut Stream, id: StreamId, references: References, removed: &mut Removed) -> i64 {
    if !stream.contains(id) {
        return MISSING;
    }
    match references {
        References::Acked if !stream.is_done_with(id) => return STILL_REFERENCED,
        References::Delete => removed.forget_pending(stream, id),
        _ => {}
    }
    stream.delete(id);
    removed.entries.push(id);
    DELETED
}

fn finish(cx: &mut Cx<'_>, key: Key<'_>, results: &[i64], removed: &Removed) {
    cx.reply.array(results.len());
    results.iter().for_each(|result| cx.reply.integer(*result));
    cx.propagate = crate::replication::Propagate::Nothing;
    if !removed.entries.is_empty() {
        cx.changed_by(removed.entries.len() as u64, key, Event::XDEL);
    } else if !removed.pending.is_empty() {
        super::note(cx, key, None);
    }
    propagate(cx, key, removed);
}

pub(super) fn xdelex(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let references = References::take(args).unwrap_or(References::Keep);
    let ids = counted_ids(args)?;
    if args.left() > 0 {
        return Err(common::command::CommandError::Syntax);
    }
    let mut removed = Removed::default();
    let results: Vec<i64> = match cx.server.edit::<Stream>(cx.db, key)? {
        None => vec![MISSING; ids.len()],
        Some(stream) => ids.iter().map(|id| delete_one(stream, *id, references, &mut removed)).collect(),
    };
    finish(cx, key, &results, &removed);
    Ok(Outcome::Done)
}

pub(super) fn xackdel(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let name = args.next();
    let references = References::take(args).unwrap_or(References::Keep);
    let ids = counted_ids(args)?;
    if args.left() > 0 {
        return Err(common::command::CommandError::Syntax);
    }
    let mut removed = Removed::default();
    let stream = cx.server.edit::<Stream>(cx.db, key)?.filter(|stream| stream.group(name).is_some());
    let Some(stream) = stream else {
        let results = vec![MISSING; ids.len()];
        finish(cx, key, &results, &removed);
        return Ok(Outcome::Done);
    };
    let mut results = Vec::with_capacity(ids.len());
    let mut acknowledged = Vec::new();
    for id in ids {
        if !stream.group_mut(name).ok_or_else(|| no_group(key.bytes, name))?.acknowledge(id) {
            results.push(MISSING);
            continue;
        }
        acknowledged.push(id);
        // An entry that is gone already counts as deleted.
        let result = delete_one(stream, id, references, &mut removed);
        results.push(if result == MISSING { DELETED } else { result });
    }
    if !acknowledged.is_empty() {
        removed.pending.insert(0, (name.to_vec(), acknowledged));
    }
    finish(cx, key, &results, &removed);
    Ok(Outcome::Done)
}
