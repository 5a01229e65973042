//! The argument tree of `COMMAND DOCS`, read from the syntax line of the documentation.
//!
//! `key value [NX | XX] [EX seconds | KEEPTTL] [member ...]` says all that the tree holds: choices in brackets or
//! angle brackets, tokens in capitals, names in small letters, `...` for repetition.

/// One argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Name in small letters.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The word that goes before it, or that it is.
    pub token: Option<String>,
    /// May be left out.
    pub optional: bool,
    /// May be repeated.
    pub multiple: bool,
}

/// Kind of an argument; the names of `COMMAND DOCS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A key.
    Key,
    /// Any word.
    String,
    /// An integer.
    Integer,
    /// A float.
    Double,
    /// A glob.
    Pattern,
    /// Seconds or milliseconds since 1970.
    UnixTime,
    /// The token alone.
    PureToken,
    /// One of several.
    OneOf(Vec<Argument>),
    /// Several together.
    Block(Vec<Argument>),
}

impl Kind {
    /// The name of `COMMAND DOCS`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Double => "double",
            Self::Pattern => "pattern",
            Self::UnixTime => "unix-time",
            Self::PureToken => "pure-token",
            Self::OneOf(_) => "oneof",
            Self::Block(_) => "block",
        }
    }
}

/// Reads a syntax line.
pub fn parse(syntax: &str) -> Vec<Argument> {
    let spaced = syntax
        .replace('[', " [ ")
        .replace(']', " ] ")
        .replace('<', " < ")
        .replace('>', " > ")
        .replace('|', " | ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    sequence(&words, &mut at)
}

/// Arguments up to a closing bracket or the end.
fn sequence(words: &[&str], at: &mut usize) -> Vec<Argument> {
    let mut choices: Vec<Vec<Argument>> = vec![Vec::new()];
    while *at < words.len() && words[*at] != "]" && words[*at] != ">" {
        let word = words[*at];
        *at += 1;
        if word == "|" {
            choices.push(Vec::new());
            continue;
        }
        let current = choices.last_mut().expect("there is always one");
        match word {
            "[" | "<" => {
                let inner = sequence(words, at);
                *at += 1; // the closing bracket
                bracket(current, inner, word == "[");
            }
            "..." => {
                if let Some(last) = current.last_mut() {
                    last.multiple = true;
                }
            }
            word if is_token(word) => current.push(Argument {
                name: word.to_lowercase(),
                kind: Kind::PureToken,
                token: Some(word.to_owned()),
                optional: false,
                multiple: false,
            }),
            word => current.push(Argument {
                name: word.to_owned(),
                kind: kind_of(word),
                token: None,
                optional: false,
                multiple: false,
            }),
        }
        join_token(current);
    }
    if choices.len() == 1 {
        return choices.remove(0);
    }
    let options: Vec<Argument> =
        choices.into_iter().filter(|c| !c.is_empty()).map(|c| block(c, false)).collect();
    let name = options.first().map_or("option", |o| &o.name).to_owned();
    vec![Argument { name, kind: Kind::OneOf(options), token: None, optional: false, multiple: false }]
}

/// A bracket closed: what it holds becomes one argument, or the repetition of what precedes it.
fn bracket(current: &mut Vec<Argument>, inner: Vec<Argument>, optional: bool) {
    let Some(first) = inner.first() else { return };
    let tail = current.len().saturating_sub(inner.len());
    if optional
        && inner.iter().any(|a| a.multiple)
        && current[tail..].iter().map(|a| &a.name).eq(inner.iter().map(|a| &a.name))
    {
        // `key value [key value ...]`
        let repeated = current.split_off(tail);
        let mut whole = block(repeated, false);
        whole.multiple = true;
        current.push(whole);
        return;
    }
    debug_assert!(!first.name.is_empty());
    current.push(block(inner, optional));
}

fn block(mut inner: Vec<Argument>, optional: bool) -> Argument {
    if inner.len() == 1 {
        let mut only = inner.remove(0);
        only.optional |= optional;
        return only;
    }
    let name = inner[0].name.clone();
    Argument { name, kind: Kind::Block(inner), token: None, optional, multiple: false }
}

/// `EX seconds`: a lone token and the name behind it are one argument.
fn join_token(current: &mut Vec<Argument>) {
    let [.., token, value] = current.as_slice() else { return };
    let joins = token.kind == Kind::PureToken
        && !matches!(value.kind, Kind::PureToken)
        && value.token.is_none()
        && !token.optional
        && !value.optional;
    if joins {
        let mut value = current.pop().expect("there are two");
        value.token = current.pop().expect("there are two").token;
        current.push(value);
    }
}

fn is_token(word: &str) -> bool {
    word.chars().any(|c| c.is_ascii_uppercase()) && !word.chars().any(|c| c.is_ascii_lowercase())
        || !word.chars().any(|c| c.is_ascii_alphanumeric())
}

fn kind_of(name: &str) -> Kind {
    match name {
        "key" | "key1" | "key2" | "newkey" | "source" | "destination" | "destkey" | "sourcekey" | "dst"
        | "src" => Kind::Key,
        "pattern" => Kind::Pattern,
        "unix-time-seconds" | "unix-time-milliseconds" | "timestamp" => Kind::UnixTime,
        "count" | "seconds" | "milliseconds" | "start" | "stop" | "end" | "index" | "cursor" | "offset"
        | "numkeys" | "numreplicas" | "increment" | "decrement" | "client-id" | "db" | "index1"
        | "index2" | "protover" | "element-index" => Kind::Integer,
        "timeout" | "score" | "longitude" | "latitude" | "radius" => Kind::Double,
        _ => Kind::String,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(arguments: &[Argument]) -> String {
        let one = |a: &Argument| {
            let inner = match &a.kind {
                Kind::OneOf(inner) => format!("oneof({})", show(inner)),
                Kind::Block(inner) => format!("block({})", show(inner)),
                kind => format!("{}:{}", a.name, kind.name()),
            };
            let token = a.token.as_ref().map(|t| format!("{t}=")).unwrap_or_default();
            format!(
                "{token}{inner}{}{}",
                if a.optional { "?" } else { "" },
                if a.multiple { "*" } else { "" }
            )
        };
        arguments.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn check(syntax: &str, expected: &str) {
        assert_eq!(show(&parse(syntax)), expected, "{syntax}");
    }

    #[test]
    fn syntax_lines() {
        check("", "");
        check("key", "key:key");
        check("key [key ...]", "key:key*");
        check("dst src", "dst:key src:key");
        check("key value [key value ...]", "block(key:key value:string)*");
        check("[message]", "message:string?");
        check("[NX | XX]", "oneof(NX=nx:pure-token XX=xx:pure-token)?");
        check("key [EX seconds | KEEPTTL]", "key:key oneof(EX=seconds:integer KEEPTTL=keepttl:pure-token)?");
        check("<ON | OFF>", "oneof(ON=on:pure-token OFF=off:pure-token)");
        check("cursor [MATCH pattern]", "cursor:integer MATCH=pattern:pattern?");
        check(
            "[protover [AUTH username password]]",
            "block(protover:integer block(AUTH=username:string password:string)?)?",
        );
    }
}
