//! What SSCAN, HSCAN and ZSCAN have in common: their options and the frame of their replies.

use common::command::{Args, CommandError};
use common::glob::glob_match;
use common::resp::{Mark, Reply};

/// Elements looked at by one call when the client names no COUNT.
const COUNT: i64 = 10;
/// Most elements one call looks at, whatever COUNT says.
const MOST: i64 = i32::MAX as i64;

/// The options behind the cursor.
pub(super) struct ScanOptions<'a> {
    pattern: Option<&'a [u8]>,
    /// About so many elements are wanted.
    pub count: usize,
    /// Only the names of fields are wanted.
    pub without_values: bool,
}

impl<'a> ScanOptions<'a> {
    /// Reads the options; `bare` is the word that leaves values out, if the command knows one.
    pub fn parse(args: &mut Args<'a>, bare: Option<&str>) -> Result<Self, CommandError> {
        let mut options = Self { pattern: None, count: COUNT as usize, without_values: false };
        while args.left() > 0 {
            if args.left() > 1 && args.take("COUNT") {
                let count = args.integer()?;
                if count < 1 {
                    return Err(CommandError::Syntax);
                }
                options.count = count.min(MOST) as usize;
            } else if args.left() > 1 && args.take("MATCH") {
                options.pattern = Some(args.next()).filter(|pattern| *pattern != b"*");
            } else if bare.is_some_and(|word| args.take(word)) {
                options.without_values = true;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }

    /// Whether an element's name is wanted.
    #[inline]
    pub fn wants(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob_match(pattern, name, false))
    }
}

/// The reply of a walk that found nothing.
pub(super) fn write_empty(reply: &mut Reply) {
    write_frame(reply, None, 0, 0);
}

/// Puts cursor and count before what was written since `mark`, or at the end without one.
pub(super) fn write_frame(reply: &mut Reply, mark: Option<Mark>, cursor: u64, count: usize) {
    let mark = mark.unwrap_or_else(|| reply.mark());
    let mut text = itoa::Buffer::new();
    let text = text.format(cursor);
    reply.insert_at(mark, |head| {
        head.array(2);
        head.bulk(text.as_bytes());
        head.array(count);
    });
}
