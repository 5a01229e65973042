//! What ARCHITECTURE.md promises of the sources, checked by reading them: which way dependencies point, where `unsafe`,
//! locks and `async` may stand, and that nothing unfinished is left behind.
//!
//! A rule looks for words in code: comments and the tests at a file's end are not looked at, unless it says so. Each
//! exception names its file and its reason, and is an error itself once it excuses nothing.

use std::fs;
use std::path::{Path, PathBuf};

/// Words that must not stand in some folders.
struct Rule {
    /// What it keeps, for the failure's text.
    keeps: &'static str,
    /// Folders or files, relative to the checkout.
    places: &'static [&'static str],
    /// A file that has one of them breaks the rule. A word that starts or ends with a letter has to start or end
    /// there in the code too.
    words: &'static [&'static str],
    /// Files or folders where it may stand all the same, each with the reason.
    except: &'static [(&'static str, &'static str)],
}

const RULES: &[Rule] = &[
    Rule {
        keeps: "the store knows no client, socket, reply, configuration or runtime",
        places: &["server/store/src"],
        words: &["tokio", "common", "std::net", "std::fs", "Reply", "Config", "figment", "tracing"],
        except: &[],
    },
    Rule {
        keeps: "a handler runs to completion on the owner of its keys: no async, no locks",
        places: &[
            "server/src/commands",
            "server/store/src",
            "server/src/dispatch",
            "sentinel/src/commands.rs",
        ],
        words: &["async", "await", "Mutex", "RwLock", "Condvar"],
        except: &[],
    },
    Rule {
        keeps: "the sentinel does not build on the server, nor common on either",
        places: &["sentinel", "common"],
        words: &["ochre_server", "ochre-server", "ochre_store", "ochre-store", "store::", "ochre_sentinel"],
        except: &[],
    },
    Rule {
        keeps: "commands reach the dispatcher only where one command runs or wakes others",
        places: &["server/src/commands"],
        words: &["dispatch"],
        except: &[
            ("server/src/commands/transactions.rs", "EXEC runs what was queued"),
            ("server/src/commands/replication.rs", "REPLCONF ACK wakes the clients that WAIT"),
        ],
    },
    Rule {
        keeps: "persistence and replication hand what they load to a sink, never to the dispatcher",
        places: &["server/src/persistence", "server/src/replication"],
        words: &["dispatch"],
        except: &[],
    },
    Rule {
        keeps: "only common's resp folder spells the types that RESP2 and RESP3 write differently",
        places: &["server/src", "sentinel/src", "common/src"],
        words: &[
            r#"b"_\r"#, r#"b"$-1"#, r#"b"*-1"#, r#"b"%"#, r#"b"~"#, r#"b">"#, "b\"#t", "b\"#f", r#"b","#,
        ],
        except: &[
            ("common/src/resp", "it is the place"),
            ("common/src/config/value.rs", "a percent sign behind a number"),
            ("server/src/commands/server/debug.rs", "DEBUG PROTOCOL shows a double with digits of its own"),
        ],
    },
    Rule {
        keeps: "unsafe code lives in the store's raw modules and one sys module",
        places: &["common/src", "server/src", "server/store/src", "sentinel/src", "tests/src", "tests/bench"],
        words: &["unsafe"],
        except: &[
            ("server/store/src/raw", "it is the place; miri and fuzzing look at it"),
            ("server/src/sys", "Lua's C interface"),
            ("server/src/sys.rs", "fork, signals of crashes, the process's title"),
        ],
    },
    Rule {
        keeps: "nothing prints past the log",
        places: &["common/src", "server/src", "server/store/src", "sentinel/src"],
        words: &["println!", "eprintln!", "print!", "eprint!", "dbg!"],
        except: &[],
    },
];

/// Words of unfinished work; looked for in comments and tests too.
const LEFTOVERS: &[&str] = &["TODO", "FIXME", "todo!", "unimplemented!", "dbg!"];

/// Kinds of files that people write.
const WRITTEN: &[&str] = &["rs", "toml", "md", "py", "mjs", "sh", "lua", "conf"];

#[test]
fn dependencies_point_one_way_and_rules_hold() {
    let mut broken = Vec::new();
    for rule in RULES {
        let mut excused: Vec<&str> = Vec::new();
        for file in rule.places.iter().flat_map(|place| files(place, &["rs"])) {
            let text = fs::read_to_string(root().join(&file)).expect("a source file");
            for (number, line) in code(&text) {
                let Some(word) = rule.words.iter().find(|word| has_word(line, word)) else { continue };
                match rule.except.iter().find(|(place, _)| Path::new(&file).starts_with(place)) {
                    Some((place, _)) => excused.push(place),
                    None => broken.push(format!("{file}:{number}: {word} ({})", rule.keeps)),
                }
            }
        }
        for (place, reason) in rule.except {
            if !excused.contains(place) {
                broken.push(format!("{place} needs no exception any more ({reason})"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_store_depends_on_little() {
    let manifest = fs::read_to_string(root().join("server/store/Cargo.toml")).expect("the manifest");
    let section = manifest.split("[dependencies]").nth(1).expect("a section");
    let names: Vec<&str> = section
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', ' ', '=']).next().filter(|name| !name.is_empty()))
        .collect();
    for name in names {
        // Formatting numbers, hashing, counting references, searching bytes: nothing that knows a client.
        let known = ["itoa", "siphasher", "triomphe", "memchr"];
        assert!(known.contains(&name), "the store leans on {name}");
    }
}

#[test]
fn nothing_is_left_unfinished() {
    let mut found = Vec::new();
    for file in files("", WRITTEN).into_iter().filter(|file| file != "tests/tests/architecture.rs") {
        let text = fs::read_to_string(root().join(&file)).expect("a text file");
        for (number, line) in text.lines().enumerate() {
            if let Some(word) = LEFTOVERS.iter().find(|word| has_word(line, word)) {
                found.push(format!("{file}:{}: {word}", number + 1));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    for file in files("", &["rs"]) {
        let text = fs::read_to_string(root().join(&file)).expect("a source file");
        assert!(text.starts_with("//!"), "{file} does not start with //!");
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Files below `place` with one of the endings, relative to the checkout; what builds and fuzzing leave is passed over.
fn files(place: &str, endings: &[&str]) -> Vec<String> {
    let path = root().join(place);
    if path.is_file() {
        return vec![place.to_owned()];
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(&path).unwrap_or_else(|error| panic!("{place}: {error}")) {
        let entry = entry.expect("a directory entry");
        let name = entry.file_name().into_string().expect("our names are plain");
        let inner = if place.is_empty() { name.clone() } else { format!("{place}/{name}") };
        if entry.file_type().expect("a directory entry").is_dir() {
            if !["target", "corpus", "artifacts", "seeds", "node_modules"].contains(&name.as_str())
                && !name.starts_with('.')
            {
                found.extend(files(&inner, endings));
            }
        } else if Path::new(&name).extension().is_some_and(|ending| endings.iter().any(|e| ending == *e)) {
            found.push(inner);
        }
    }
    found.sort();
    found
}

/// Numbered lines of code: without comments, up to the tests at the end.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate();
    lines
        .take_while(|(_, line)| *line != "#[cfg(test)]")
        .map(|(number, line)| (number + 1, line.split("//").next().unwrap_or_default()))
}

/// Whether `word` stands in `line` on its own.
fn has_word(line: &str, word: &str) -> bool {
    let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        let (before, behind) = (line[..at].chars().next_back(), line[at + word.len()..].chars().next());
        !(is_letter(word.chars().next()) && is_letter(before)
            || is_letter(word.chars().next_back()) && is_letter(behind))
    })
}

#[test]
fn words_are_found() {
    assert!(has_word("use tokio::io;", "tokio") && has_word("tokio", "tokio"));
    assert!(!has_word("let tokio_like = 1;", "tokio") && !has_word("atokio", "tokio"));
    assert!(has_word("reply.raw(b\"_\\r\\n\")", "b\"_\\r"));
    let code: Vec<&str> = code("a // b\n// c\n#[cfg(test)]\nd").map(|(_, line)| line).collect();
    assert_eq!(code, ["a ", ""]);
}
