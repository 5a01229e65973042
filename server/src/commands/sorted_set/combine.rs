//! Commands that combine several sets, sorted or plain: union, intersection, difference. Members of a plain set have the
//! score 1. Sums are taken from the smallest set to the largest, as Redis takes them, since they may round differently
//! in another order.

use super::{propagate_result, score, write_member, write_members_head};
use crate::commands::{integer, store_result};
use crate::context::Cx;
use crate::events::Event;
use crate::server::{Key, Server};
use common::command::{Args, CommandError, CommandResult, Outcome};
use common::number::parse_i64;
use store::{DbIndex, Element, Member, ObjectView, Set, SortedSet, SortedSetBuilder, SortedSetLimits, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Union,
    Inter,
    Diff,
}

/// How scores of one member are brought together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
    /// The weights of the sets that have the member; without weights their number.
    Count,
}

impl Aggregate {
    fn bring_in(self, so_far: f64, value: f64) -> f64 {
        match self {
            Aggregate::Sum | Aggregate::Count => {
                let sum = so_far + value;
                // Infinities of different signs come to nothing.
                if sum.is_nan() { 0.0 } else { sum }
            }
            // Of two zeros with different signs the first stays.
            Aggregate::Min if value < so_far => value,
            Aggregate::Max if value > so_far => value,
            Aggregate::Min | Aggregate::Max => so_far,
        }
    }
}

/// A set to combine.
#[derive(Clone, Copy)]
enum Source<'s> {
    Sorted(&'s SortedSet),
    Plain(&'s Set),
}

impl<'s> Source<'s> {
    fn len(&self) -> usize {
        match self {
            Source::Sorted(set) => set.len(),
            Source::Plain(set) => set.len(),
        }
    }

    fn score(&self, member: &Element<'_>) -> Option<f64> {
        match self {
            Source::Sorted(set) => set.score(member.as_bytes(&mut itoa::Buffer::new())),
            Source::Plain(set) => set.has(&mut Member::of(*member)).then_some(1.0),
        }
    }

    fn for_each(&self, mut visit: impl FnMut(Element<'s>, f64)) {
        match self {
            Source::Sorted(set) => set.iter(0, false).for_each(|(member, score)| visit(member, score)),
            Source::Plain(set) => set.iter().for_each(|member| visit(member, 1.0)),
        }
    }
}

/// A set to combine, if the key has one, and what its scores are multiplied with.
#[derive(Clone, Copy)]
struct Input<'s> {
    source: Option<Source<'s>>,
    weight: f64,
}

impl Input<'_> {
    fn len(&self) -> usize {
        self.source.map_or(0, |source| source.len())
    }

    /// The score as it counts here; zero times infinity is no number, which an intersection passes over as Redis does.
    fn weighted(&self, score: f64, aggregate: Aggregate) -> f64 {
        if aggregate == Aggregate::Count { self.weight } else { self.weight * score }
    }

    /// As [`Self::weighted`], with zero for what is no number.
    fn weighted_number(&self, score: f64, aggregate: Aggregate) -> f64 {
        let value = self.weighted(score, aggregate);
        if value.is_nan() { 0.0 } else { value }
    }
}

/// What a request asks for.
struct Request<'k> {
    keys: Vec<Key<'k>>,
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
    /// The most that are counted; 0 for all.
    limit: usize,
}

/// What a command knows beside the keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Knows {
    Scores,
    Limit,
    Nothing,
}

impl<'k> Request<'k> {
    fn parse(
        cx: &mut Cx<'_>,
        args: &mut Args<'k>,
        operation: Operation,
        knows: Knows,
        name: &str,
    ) -> Result<Self, CommandError> {
        let number = integer(args.next())?;
        if number < 1 {
            return Err(CommandError::Message(format!(
                "ERR at least 1 input key is needed for '{name}' command"
            )));
        }
        let number = usize::try_from(number).ok().filter(|number| *number <= args.left());
        let number = number.ok_or(CommandError::Syntax)?;
        let keys: Vec<Key<'k>> = (0..number).map(|_| cx.key(args.next())).collect();
        // Redis looks at the keys before it reads on.
        look_up(cx.server, cx.db, &keys)?;
        let mut request = Self {
            weights: vec![1.0; number],
            keys,
            aggregate: Aggregate::Sum,
            with_scores: false,
            limit: 0,
        };
        let weighs = operation != Operation::Diff && knows != Knows::Limit;
        while args.left() > 0 {
            if weighs && args.left() > number && args.take("WEIGHTS") {
                for weight in &mut request.weights {
                    let not_a_float = CommandError::Text("ERR weight value is not a float");
                    *weight = score(args.next()).ok_or(not_a_float)?;
                }
            } else if weighs && args.left() > 1 && args.take("AGGREGATE") {
                let aggregates = [
                    ("SUM", Aggregate::Sum),
                    ("MIN", Aggregate::Min),
                    ("MAX", Aggregate::Max),
                    ("COUNT", Aggregate::Count),
                ];
                request.aggregate = args.take_one(&aggregates).ok_or(CommandError::Syntax)?;
            } else if knows == Knows::Scores && args.take("WITHSCORES") {
                request.with_scores = true;
            } else if knows == Knows::Limit && args.left() > 1 && args.take("LIMIT") {
                request.limit = parse_i64(args.next())
                    .and_then(|limit| usize::try_from(limit).ok())
                    .ok_or(CommandError::Text("ERR LIMIT can't be negative"))?;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(request)
    }

    fn inputs<'s>(&self, server: &'s Server, db: DbIndex) -> Vec<Input<'s>> {
        let db = server.keyspace.db(db);
        let inputs = self.keys.iter().zip(&self.weights).map(|(key, weight)| {
            let source = db.get(key.hash, key.bytes).and_then(|entry| source(entry.value()));
            Input { source, weight: *weight }
        });
        inputs.collect()
    }
}

fn source(value: Value<'_>) -> Option<Source<'_>> {
    let Value::Object(object) = value else { return None };
    match object.view() {
        ObjectView::SortedSet(set) => Some(Source::Sorted(set)),
        ObjectView::Set(set) => Some(Source::Plain(set)),
        _ => None,
    }
}

/// Counts each key as read and deletes those past their time, so that the rest can be borrowed together.
fn look_up(server: &mut Server, db: DbIndex, keys: &[Key<'_>]) -> Result<(), CommandError> {
    for key in keys {
        if let Some(entry) = server.read(db, *key)
            && source(entry.value()).is_none()
        {
            return Err(CommandError::WrongType);
        }
    }
    Ok(())
}

/// Shows what all sets have with the score that results, until `show` says that it is enough.
fn intersect<'s>(inputs: &[Input<'s>], aggregate: Aggregate, mut show: impl FnMut(Element<'s>, f64) -> bool) {
    let mut inputs = inputs.to_vec();
    inputs.sort_by_key(Input::len);
    let Some((first, others)) = inputs.split_first() else { return };
    let Some(source) = first.source else { return };
    let mut over = false;
    source.for_each(|member, own| {
        if over {
            return;
        }
        let mut result = first.weighted_number(own, aggregate);
        for other in others {
            let Some(score) = other.source.and_then(|source| source.score(&member)) else { return };
            result = aggregate.bring_in(result, other.weighted(score, aggregate));
        }
        over = !show(member, result);
    });
}

/// What a command results in.
fn combine(
    inputs: &[Input<'_>],
    operation: Operation,
    aggregate: Aggregate,
    limits: &SortedSetLimits,
) -> SortedSet {
    let mut result = SortedSetBuilder::new();
    let buffer = &mut itoa::Buffer::new();
    match operation {
        Operation::Inter => intersect(inputs, aggregate, |member, score| {
            result.add(member.as_bytes(buffer), score);
            true
        }),
        Operation::Diff => {
            let Some((first, others)) = inputs.split_first() else { return result.finish(limits) };
            let Some(source) = first.source else { return result.finish(limits) };
            let others: Vec<Source<'_>> = others.iter().filter_map(|input| input.source).collect();
            source.for_each(|member, score| {
                if !others.iter().any(|other| other.score(&member).is_some()) {
                    result.add(member.as_bytes(buffer), score);
                }
            });
        }
        Operation::Union => {
            let mut inputs = inputs.to_vec();
            inputs.sort_by_key(Input::len);
            for input in &inputs {
                let Some(source) = input.source else { continue };
                source.for_each(|member, score| {
                    let value = input.weighted_number(score, aggregate);
                    result.put(member.as_bytes(buffer), |so_far| {
                        so_far.map_or(value, |so_far| aggregate.bring_in(so_far, value))
                    });
                });
            }
        }
    }
    result.finish(limits)
}

fn list(cx: &mut Cx<'_>, args: &mut Args<'_>, operation: Operation, name: &str) -> CommandResult {
    let request = Request::parse(cx, args, operation, Knows::Scores, name)?;
    let limits = SortedSetLimits { entries: 0, value: 0 }; // read once and dropped, whatever its form
    let result = combine(&request.inputs(cx.server, cx.db), operation, request.aggregate, &limits);
    write_members_head(&mut cx.reply, result.len(), request.with_scores);
    for (member, score) in result.iter(0, false) {
        write_member(&mut cx.reply, &member, request.with_scores.then_some(score));
    }
    Ok(Outcome::Done)
}

pub(super) fn zunion(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    list(cx, args, Operation::Union, "zunion")
}

pub(super) fn zinter(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    list(cx, args, Operation::Inter, "zinter")
}

pub(super) fn zdiff(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    list(cx, args, Operation::Diff, "zdiff")
}

fn store(
    cx: &mut Cx<'_>,
    args: &mut Args<'_>,
    operation: Operation,
    name: &str,
    event: Event,
) -> CommandResult {
    let target = cx.key(args.next());
    let request = Request::parse(cx, args, operation, Knows::Nothing, name)?;
    let limits = cx.server.limits().sorted_set;
    let result = combine(&request.inputs(cx.server, cx.db), operation, request.aggregate, &limits);
    if request.aggregate == Aggregate::Count {
        propagate_result(cx, target, &result); // Redis 7.0 does not know it
    }
    store_result(cx, target, result, event);
    Ok(Outcome::Done)
}

pub(super) fn zunionstore(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    store(cx, args, Operation::Union, "zunionstore", Event::ZUNIONSTORE)
}

pub(super) fn zinterstore(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    store(cx, args, Operation::Inter, "zinterstore", Event::ZINTERSTORE)
}

pub(super) fn zdiffstore(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    store(cx, args, Operation::Diff, "zdiffstore", Event::ZDIFFSTORE)
}

pub(super) fn zintercard(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let request = Request::parse(cx, args, Operation::Inter, Knows::Limit, "zintercard")?;
    let mut found = 0;
    intersect(&request.inputs(cx.server, cx.db), request.aggregate, |_, _| {
        found += 1;
        found != request.limit
    });
    cx.reply.integer(found as i64);
    Ok(Outcome::Done)
}
