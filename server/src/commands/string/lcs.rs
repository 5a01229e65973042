//! LCS: the longest common subsequence of two strings.

use crate::commands::integer;
use crate::context::Cx;
use common::command::{Args, CommandError, CommandResult, Outcome};
use store::Value;

#[derive(Default)]
struct Options {
    len: bool,
    idx: bool,
    with_match_len: bool,
    /// Shorter matches are left out.
    min_match_len: usize,
}

impl Options {
    fn parse(args: &mut Args<'_>) -> Result<Self, CommandError> {
        let mut options = Self::default();
        while args.left() > 0 {
            if args.take("IDX") {
                options.idx = true;
            } else if args.take("LEN") {
                options.len = true;
            } else if args.take("WITHMATCHLEN") {
                options.with_match_len = true;
            } else if args.left() > 1 && args.take("MINMATCHLEN") {
                options.min_match_len = usize::try_from(integer(args.next())?).unwrap_or(0);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        if options.len && options.idx {
            return Err("ERR If you want both the length and indexes, please just use IDX.".into());
        }
        Ok(options)
    }
}

pub(super) fn lcs(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let (one, other) = (args.next(), args.next());
    // Both are looked up, and counted as hits or misses, before one is refused.
    let (one, other) = (string(cx, one), string(cx, other));
    let (one, other) = (one?, other?);
    let options = Options::parse(args)?;
    let table = Table::of(&one, &other, cx.server.config.proto_max_bulk_len)?;
    if options.len {
        cx.reply.integer(i64::from(table.len()));
    } else if options.idx {
        reply_matches(cx, &table.matches(), table.len(), &options);
    } else {
        let bytes: Vec<u8> =
            table.matches().iter().rev().flat_map(|m| &one[m.one.0..=m.one.1]).copied().collect();
        cx.reply.bulk(&bytes);
    }
    Ok(Outcome::Done)
}

/// A key's string; a missing key is an empty one.
fn string(cx: &mut Cx<'_>, key: &[u8]) -> Result<Vec<u8>, CommandError> {
    let key = cx.key(key);
    match cx.server.read(cx.db, key).map(|entry| entry.value()) {
        None => Ok(Vec::new()),
        Some(Value::Int(value)) => Ok(value.to_string().into_bytes()),
        Some(Value::Bytes(bytes)) => Ok(bytes.to_vec()),
        Some(Value::Shared(bytes)) => Ok(bytes.to_vec()),
        Some(_) => Err("ERR The specified keys must contain string values".into()),
    }
}

fn reply_matches(cx: &mut Cx<'_>, matches: &[Match], len: u32, options: &Options) {
    let shown = matches.iter().filter(|m| m.len() >= options.min_match_len);
    cx.reply.map(2);
    cx.reply.bulk(b"matches");
    cx.reply.array(shown.clone().count());
    for found in shown {
        cx.reply.array(if options.with_match_len { 3 } else { 2 });
        for (first, last) in [found.one, found.other] {
            cx.reply.array(2);
            cx.reply.integer(first as i64);
            cx.reply.integer(last as i64);
        }
        if options.with_match_len {
            cx.reply.integer(found.len() as i64);
        }
    }
    cx.reply.bulk(b"len");
    cx.reply.integer(i64::from(len));
}

/// A stretch that both strings have, by its first and last index in each.
struct Match {
    one: (usize, usize),
    other: (usize, usize),
}

impl Match {
    fn len(&self) -> usize {
        self.one.1 - self.one.0 + 1
    }
}

/// Lengths of the longest common subsequences of all prefixes: row `i`, column `j` for the first `i` bytes of one
/// string and `j` of the other.
struct Table<'s> {
    one: &'s [u8],
    other: &'s [u8],
    cells: Vec<u32>,
}

impl<'s> Table<'s> {
    fn of(one: &'s [u8], other: &'s [u8], most_bytes: u64) -> Result<Self, CommandError> {
        if one.len().max(other.len()) >= u32::MAX as usize - 1 {
            return Err("ERR String too long for LCS".into());
        }
        let cells = (one.len() + 1) * (other.len() + 1);
        if (cells as u64).saturating_mul(4) > most_bytes {
            return Err("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len".into());
        }
        let mut table = Self { one, other, cells: Vec::new() };
        if table.cells.try_reserve_exact(cells).is_err() {
            return Err("ERR Insufficient memory, failed allocating transient memory for LCS".into());
        }
        table.cells.resize(cells, 0);
        table.fill();
        Ok(table)
    }

    fn fill(&mut self) {
        let width = self.other.len() + 1;
        for (i, a) in self.one.iter().enumerate() {
            let (above, below) = self.cells[i * width..(i + 2) * width].split_at_mut(width);
            for (j, b) in self.other.iter().enumerate() {
                below[j + 1] = if a == b { above[j] + 1 } else { above[j + 1].max(below[j]) };
            }
        }
    }

    fn cell(&self, i: usize, j: usize) -> u32 {
        self.cells[i * (self.other.len() + 1) + j]
    }

    fn len(&self) -> u32 {
        self.cell(self.one.len(), self.other.len())
    }

    /// The stretches of one longest common subsequence, from the ends backwards. Of two ways of the same length the one
    /// is taken that Redis takes.
    fn matches(&self) -> Vec<Match> {
        let mut matches: Vec<Match> = Vec::new();
        let (mut i, mut j) = (self.one.len(), self.other.len());
        let mut goes_on = false;
        while i > 0 && j > 0 {
            if self.one[i - 1] == self.other[j - 1] {
                (i, j) = (i - 1, j - 1);
                match matches.last_mut().filter(|_| goes_on) {
                    Some(found) => (found.one.0, found.other.0) = (i, j),
                    None => matches.push(Match { one: (i, i), other: (j, j) }),
                }
                goes_on = true;
            } else {
                if self.cell(i - 1, j) > self.cell(i, j - 1) {
                    i -= 1;
                } else {
                    j -= 1;
                }
                goes_on = false;
            }
        }
        matches
    }
}
