//! A request's words, borrowed from the read buffer.

use super::CommandError;
use crate::number::{parse_f64, parse_i64};

/// The words of a request: random access to all, and a cursor over those behind the command's name.
#[derive(Clone, Debug)]
pub struct Args<'b> {
    source: Source<'b>,
    /// Next word for [`Self::next`].
    at: usize,
}

#[derive(Clone, Copy, Debug)]
enum Source<'b> {
    /// Ranges over a connection's buffer.
    Ranges(&'b [u8], &'b [(u32, u32)]),
    /// Words kept elsewhere: a queued command.
    Words(&'b [Vec<u8>]),
    /// Words that lie elsewhere: a script's call.
    Slices(&'b [&'b [u8]]),
}

impl<'b> Args<'b> {
    /// Words given as ranges over `buf`.
    pub fn over(buf: &'b [u8], ranges: &'b [(u32, u32)]) -> Self {
        Self { source: Source::Ranges(buf, ranges), at: 1 }
    }

    /// Words that own their bytes.
    pub fn of(words: &'b [Vec<u8>]) -> Self {
        Self { source: Source::Words(words), at: 1 }
    }

    /// Words whose bytes lie anywhere.
    pub fn slices(words: &'b [&'b [u8]]) -> Self {
        Self { source: Source::Slices(words), at: 1 }
    }

    /// Number of words, the command's name included.
    pub fn count(&self) -> usize {
        match self.source {
            Source::Ranges(_, ranges) => ranges.len(),
            Source::Words(words) => words.len(),
            Source::Slices(words) => words.len(),
        }
    }

    /// Word `index`; 0 is the command's name. The arity guard has made sure that required ones exist.
    pub fn get(&self, index: usize) -> &'b [u8] {
        match self.source {
            Source::Ranges(buf, ranges) => {
                let (start, end) = ranges[index];
                &buf[start as usize..end as usize]
            }
            Source::Words(words) => &words[index],
            Source::Slices(words) => words[index],
        }
    }

    /// Bytes of all words together.
    pub fn bytes(&self) -> usize {
        self.all().map(<[u8]>::len).sum()
    }

    /// Words not yet taken.
    pub fn left(&self) -> usize {
        self.count() - self.at
    }

    /// Takes the next word, which the arity guard or [`Self::left`] has promised.
    #[expect(clippy::should_implement_trait, reason = "it cannot run out where the arity promises a word")]
    pub fn next(&mut self) -> &'b [u8] {
        self.at += 1;
        self.get(self.at - 1)
    }

    /// Takes the next word if there is one.
    pub fn try_next(&mut self) -> Option<&'b [u8]> {
        (self.left() > 0).then(|| self.next())
    }

    /// Takes the next word, or fails with a syntax error.
    pub fn expect_next(&mut self) -> Result<&'b [u8], CommandError> {
        self.try_next().ok_or(CommandError::Syntax)
    }

    /// Looks at the next word without taking it.
    pub fn peek(&self) -> Option<&'b [u8]> {
        (self.left() > 0).then(|| self.get(self.at))
    }

    /// Takes the next word if it is `word` in any case.
    pub fn take(&mut self, word: &str) -> bool {
        let is = self.peek().is_some_and(|next| next.eq_ignore_ascii_case(word.as_bytes()));
        self.at += usize::from(is);
        is
    }

    /// Takes the next word if it is one of `words` in any case; what that one stands for.
    pub fn take_one<T: Copy>(&mut self, words: &[(&str, T)]) -> Option<T> {
        words.iter().find(|(word, _)| self.take(word)).map(|(_, meaning)| *meaning)
    }

    /// Takes the next word as an integer.
    pub fn integer(&mut self) -> Result<i64, CommandError> {
        parse_i64(self.expect_next()?).ok_or(CommandError::NotAnInteger)
    }

    /// Takes the next word as a double.
    pub fn float(&mut self) -> Result<f64, CommandError> {
        parse_f64(self.expect_next()?).ok_or(CommandError::NotAFloat)
    }

    /// The words not yet taken.
    pub fn rest(&self) -> impl ExactSizeIterator<Item = &'b [u8]> + use<'b> {
        let this = self.clone();
        (this.at..this.count()).map(move |i| this.get(i))
    }

    /// All words, the name included.
    pub fn all(&self) -> impl ExactSizeIterator<Item = &'b [u8]> + use<'b> {
        let this = self.clone();
        (0..this.count()).map(move |i| this.get(i))
    }

    /// Leaves out the first `words` words behind the name: a subcommand starts behind its own name.
    pub fn skip(&mut self, words: usize) {
        self.at += words;
    }

    /// Copies all words, to keep them past the request.
    pub fn to_words(&self) -> Vec<Vec<u8>> {
        self.all().map(<[u8]>::to_vec).collect()
    }
}
