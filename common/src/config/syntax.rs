//! Arguments within one line, quoted as in `redis.conf`, inline commands and `redis-cli`.
//!
//! ```text
//! name bare "double \n \x41 \" quoted" 'single \' quoted'
//! ```
//!
//! Double quotes know `\n \r \t \b \a`, `\xHH` and `\` before any other byte; single quotes know `\'` only. A closing
//! quote must be followed by white space or the end. A quote may open in the middle of a word (`ab"c d"` is one
//! argument). Arguments are bytes: passwords and paths need not be UTF-8.

/// Splits a line into its arguments; `None` when quotes do not balance.
///
/// An empty or blank line has no arguments. A zero byte ends the line, as in C.
pub fn split_args(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let line = line.split(|&b| b == 0).next().unwrap_or_default();
    let mut args = Vec::new();
    let mut rest = skip_blanks(line);
    while !rest.is_empty() {
        let mut word = Vec::new();
        rest = skip_blanks(take_word(rest, &mut word)?);
        args.push(word);
    }
    Some(args)
}

/// C's `isspace`: Rust's white space plus the vertical tab.
fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

fn skip_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|&&b| is_blank(b)).count();
    &text[blanks..]
}

/// Moves one word from the front of `text` to `word`; gives what follows.
fn take_word<'a>(mut text: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match text {
            // Only these four end a bare word; a form feed inside one is kept, though it separates before a word.
            [] | [b' ' | b'\n' | b'\r' | b'\t', ..] => return Some(text),
            [b'"', rest @ ..] => return take_double_quoted(rest, word),
            [b'\'', rest @ ..] => return take_single_quoted(rest, word),
            [byte, rest @ ..] => {
                word.push(*byte);
                text = rest;
            }
        }
    }
}

fn take_double_quoted<'a>(mut text: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, rest) = match text {
            [b'"', rest @ ..] => return closed(rest),
            [b'\\', b'x', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex_digit(*high) << 4 | hex_digit(*low), rest)
            }
            [b'\\', escaped, rest @ ..] => (unescape(*escaped), rest),
            [byte, rest @ ..] => (*byte, rest),
            [] => return None,
        };
        word.push(byte);
        text = rest;
    }
}

fn take_single_quoted<'a>(mut text: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, rest) = match text {
            [b'\'', rest @ ..] => return closed(rest),
            [b'\\', b'\'', rest @ ..] => (b'\'', rest),
            [byte, rest @ ..] => (*byte, rest),
            [] => return None,
        };
        word.push(byte);
        text = rest;
    }
}

/// What may follow a closing quote.
fn closed(rest: &[u8]) -> Option<&[u8]> {
    rest.first().is_none_or(|&b| is_blank(b)).then_some(rest)
}

fn hex_digit(byte: u8) -> u8 {
    char::from(byte).to_digit(16).map_or(0, |digit| digit as u8)
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

/// Appends `arg` in double quotes, escaped so that [`split_args`] gives it back.
pub fn push_quoted(line: &mut Vec<u8>, arg: &[u8]) {
    line.push(b'"');
    for &byte in arg {
        match byte {
            b'\\' | b'"' => line.extend([b'\\', byte]),
            b'\n' => line.extend(b"\\n"),
            b'\r' => line.extend(b"\\r"),
            b'\t' => line.extend(b"\\t"),
            0x07 => line.extend(b"\\a"),
            0x08 => line.extend(b"\\b"),
            b' '..=b'~' => line.push(byte),
            _ => line.extend(format!("\\x{byte:02x}").as_bytes()),
        }
    }
    line.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, want: Option<&[&str]>) {
        let want = want.map(|args| args.iter().map(|a| a.as_bytes().to_vec()).collect::<Vec<_>>());
        assert_eq!(split_args(line.as_bytes()), want, "{line:?}");
    }

    #[test]
    fn words_and_quotes() {
        check("", Some(&[]));
        check("  \t ", Some(&[]));
        check("port 6379", Some(&["port", "6379"]));
        check("  save\t900  1\r", Some(&["save", "900", "1"]));
        check("save \"\"", Some(&["save", ""]));
        check("a 'b c' d", Some(&["a", "b c", "d"]));
        check("ab\"c d\" e", Some(&["abc d", "e"]));
        check(r#""\x41\n\q\"" "#, Some(&["A\nq\""]));
        check(r#""\x4g""#, Some(&["x4g"]));
        check(r"'it\'s \n'", Some(&[r"it's \n"]));
        check("a\0b c", Some(&["a"]));
    }

    #[test]
    fn unbalanced_quotes() {
        for line in ["\"", "'", "a \"b", "\"a\"b", "'a'b", "\"a\\\""] {
            check(line, None);
        }
    }

    #[test]
    fn quoting_round_trips() {
        let every_byte: Vec<u8> = (1..=255).collect();
        for arg in [&b""[..], b"plain", b"a \"b\" \\c", &every_byte] {
            let mut line = b"x ".to_vec();
            push_quoted(&mut line, arg);
            assert_eq!(split_args(&line), Some(vec![b"x".to_vec(), arg.to_vec()]));
        }
    }
}
