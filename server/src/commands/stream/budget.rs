//! MAXCOUNT and MAXSIZE: what a reply may hold of all streams together.

use common::resp::Reply;

/// What is left of it. The first entry is always written, so that a reader gets on whatever the size of entries.
pub(super) struct Budget {
    entries: usize,
    /// Up to where the reply may grow, in bytes.
    end: usize,
    written: usize,
}

impl Budget {
    /// A budget of so many entries and bytes from here on.
    pub(super) fn new(reply: &Reply, entries: Option<usize>, bytes: Option<usize>) -> Self {
        let end = bytes.map_or(usize::MAX, |bytes| reply.len().saturating_add(bytes));
        Self { entries: entries.unwrap_or(usize::MAX), end, written: 0 }
    }

    /// Nobody asked for limits.
    pub(super) fn is_endless(&self) -> bool {
        self.end == usize::MAX && self.entries == usize::MAX
    }

    /// Nothing more will be written.
    pub(super) fn is_spent(&self) -> bool {
        self.entries == 0
    }

    /// Writes an entry; false, and nothing is written, when there is no room for it.
    pub(super) fn write(&mut self, reply: &mut Reply, write: impl FnOnce(&mut Reply)) -> bool {
        if self.is_spent() {
            return false;
        }
        let mark = reply.mark();
        write(reply);
        if self.written > 0 && reply.len() > self.end {
            reply.truncate(mark);
            self.entries = 0;
            return false;
        }
        self.written += 1;
        if self.entries != usize::MAX {
            self.entries -= 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::resp::Resp;

    fn check(entries: Option<usize>, bytes: Option<usize>, expected: &str) {
        let mut reply = Reply::new(Resp::V2);
        let mut budget = Budget::new(&reply, entries, bytes);
        let written =
            ["abcd", "e", "f", "ghij"].map(|text| budget.write(&mut reply, |reply| reply.simple(text)));
        let shown = String::from_utf8(reply.take().1).expect("text");
        assert_eq!(shown.replace("\r\n", ""), expected, "{written:?}");
    }

    #[test]
    fn the_first_is_always_written() {
        check(None, None, "+abcd+e+f+ghij");
        check(Some(2), None, "+abcd+e");
        check(None, Some(1), "+abcd");
        check(None, Some(12), "+abcd+e");
        check(Some(1), Some(100), "+abcd");
    }
}
