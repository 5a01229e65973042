//! Glob-style patterns over bytes: `KEYS`, `SCAN MATCH`, `PSUBSCRIBE`, `CONFIG GET`, ACL key patterns.
//!
//! ```text
//!   *        any bytes, also none         [abc]  one of these     \x  the byte x itself
//!   ?        any one byte                 [^a-c] none of these
//! ```
//!
//! The corners are Redis's: a class that is never closed ends with the pattern, a range may be written backwards, an
//! escape inside a class is compared case-sensitively even when the rest is not, and an empty text matches only an
//! empty pattern (callers treat a lone `*` as "everything" before they come here).
//!
//! A pattern comes from a client, so the work must be bounded: on a mismatch only the *last* star is retried, because
//! whatever an earlier star could reach, the last one can reach too. That makes the worst case
//! O(pattern × text) where plain recursion is exponential (`a*a*a*a*b`), without recursion or allocation.
//!
//! Ranges compare unsigned bytes, as Redis does on ARM; on x86 its ranges that mix ASCII with bytes above 127 follow
//! C's signed `char`.

/// Whether `text` as a whole matches `pattern`; `nocase` folds ASCII letters.
pub fn glob_match(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    // Where to resume after a mismatch: the pattern behind the last star, the text that star has not swallowed yet.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            p += pattern[p..].iter().take_while(|&&b| b == b'*').count();
            if p == pattern.len() {
                return true;
            }
            retry = Some((p, t));
            continue;
        }
        match match_one(&pattern[p..], text[t], nocase) {
            Some(used) => (p, t) = (p + used, t + 1),
            None => {
                let Some((after_star, swallowed)) = retry else { return false };
                retry = Some((after_star, swallowed + 1));
                (p, t) = (after_star, swallowed + 1);
            }
        }
    }
    pattern[p..].iter().all(|&b| b == b'*')
}

/// Matches one byte against the element that `pattern` begins with (never a star); gives the element's length.
fn match_one(pattern: &[u8], byte: u8, nocase: bool) -> Option<usize> {
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', class @ ..] => match_class(class, byte, nocase).map(|used| used + 1),
        [b'\\', literal, ..] => same(*literal, byte, nocase).then_some(2),
        [literal, ..] => same(*literal, byte, nocase).then_some(1),
    }
}

/// Matches one byte against a class, given from behind its `[`; the length includes the closing bracket, if any.
fn match_class(class: &[u8], byte: u8, nocase: bool) -> Option<usize> {
    let negated = class.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut found = false;
    loop {
        match &class[at..] {
            [b'\\', escaped, ..] => {
                found |= *escaped == byte;
                at += 2;
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [] => break,
            [from, b'-', to, ..] => {
                found |= in_range(*from, *to, byte, nocase);
                at += 3;
            }
            [literal, ..] => {
                found |= same(*literal, byte, nocase);
                at += 1;
            }
        }
    }
    (found != negated).then_some(at)
}

fn in_range(from: u8, to: u8, byte: u8, nocase: bool) -> bool {
    // The ends are put in order before they are folded, as Redis does: [Z-a] without case is [z-a], which is empty.
    let (low, high) = (from.min(to), from.max(to));
    if nocase {
        (low.to_ascii_lowercase()..=high.to_ascii_lowercase()).contains(&byte.to_ascii_lowercase())
    } else {
        (low..=high).contains(&byte)
    }
}

fn same(a: u8, b: u8, nocase: bool) -> bool {
    if nocase { a.eq_ignore_ascii_case(&b) } else { a == b }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, text: &str, want: bool) {
        assert_eq!(glob_match(pattern.as_bytes(), text.as_bytes(), false), want, "{pattern:?} on {text:?}");
    }

    #[test]
    fn literals_and_wildcards() {
        check("", "", true);
        check("*", "", false);
        check("", "a", false);
        check("*", "abc", true);
        check("a", "a", true);
        check("a", "ab", false);
        check("ab", "a", false);
        check("a*", "a", true);
        check("a**", "a", true);
        check("a*?", "a", false);
        check("*b", "aab", true);
        check("*b", "aba", false);
        check("h?llo", "hello", true);
        check("h?llo", "hllo", false);
        check("h*llo", "heeeello", true);
        check("a*b*c", "aXbYcZc", true);
        check("\\*", "*", true);
        check("\\*", "a", false);
        check("\\", "\\", true);
        check("a\\", "a\\", true);
    }

    #[test]
    fn classes() {
        check("h[ae]llo", "hello", true);
        check("h[ae]llo", "hillo", false);
        check("h[^e]llo", "hallo", true);
        check("h[^e]llo", "hello", false);
        check("h[a-c]llo", "hbllo", true);
        check("h[c-a]llo", "hbllo", true);
        check("[\\]]", "]", true);
        check("[\\a-z]", "-", true);
        check("[]", "]", false);
        check("[]a]", "a]", false);
        check("[^]", "a", true);
        check("[", "[", false);
        check("[^", "a", true);
        check("[abc", "b", true);
        check("[a-", "-", true);
        check("[\\", "\\", true);
        check("*[0-9]", "abc1", true);
    }

    #[test]
    fn folding_case() {
        let check = |pattern: &str, text: &str, want| {
            assert_eq!(
                glob_match(pattern.as_bytes(), text.as_bytes(), true),
                want,
                "{pattern:?} on {text:?}"
            );
        };
        check("MAX*", "maxmemory", true);
        check("[A-C]", "b", true);
        check("[\\B]", "b", false);
        check("[Z-a]", "b", false);
    }

    #[test]
    fn work_is_bounded() {
        let text = vec![b'a'; 20_000];
        let mut pattern = b"a*".repeat(500);
        pattern.push(b'b');
        assert!(!glob_match(&pattern, &text, false));
    }

    #[test]
    fn agrees_with_a_recursive_reference() {
        // The obvious definition, exponential: only for short inputs.
        fn plain(p: &[u8], t: &[u8]) -> bool {
            match p {
                [b'*', rest @ ..] => (0..=t.len()).any(|n| plain(rest, &t[n..])),
                [] => t.is_empty(),
                _ => {
                    !t.is_empty() && match_one(p, t[0], false).is_some_and(|used| plain(&p[used..], &t[1..]))
                }
            }
        }
        let alphabet = b"ab*?[]^-\\";
        let mut state = 7u64;
        let mut next = |below: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % below
        };
        for _ in 0..20_000 {
            let pattern: Vec<u8> = (0..next(7)).map(|_| alphabet[next(alphabet.len())]).collect();
            let text: Vec<u8> = (0..=next(5)).map(|_| alphabet[next(2)]).collect();
            assert_eq!(glob_match(&pattern, &text, false), plain(&pattern, &text), "{pattern:?} {text:?}");
        }
    }
}
