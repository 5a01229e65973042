//! Random readers of groups against a small model of the documentation: COUNT of each stream, MAXCOUNT of all, CLAIM of
//! what has been idle, longest first. Idle times are set by XCLAIM, far from each other and from the limit, so that the
//! test's own time does not matter.

use ochre_tests::{Random, Server};
use std::collections::BTreeMap;

/// Milliseconds from which entries are claimed.
const LIMIT_MS: u64 = 5_000_000;

/// What a group knows of a stream.
#[derive(Default)]
struct Model {
    entries: Vec<u64>,
    delivered: u64,
    /// By ID: consumer, how long idle (0: not at all), deliveries.
    pending: BTreeMap<u64, (String, u64, u64)>,
}

impl Model {
    /// What a consumer gets, as words: IDs, and with CLAIM how often each was delivered before.
    fn read(&mut self, consumer: &str, claims: bool, most: usize) -> Vec<String> {
        let mut idle: Vec<(u64, u64)> = Vec::new();
        if claims {
            idle = self.pending.iter().filter(|(_, p)| p.1 >= LIMIT_MS).map(|(id, p)| (p.1, *id)).collect();
            idle.sort_unstable_by_key(|(idle, id)| (std::cmp::Reverse(*idle), *id));
        }
        let mut got = Vec::new();
        for (_, id) in idle {
            // Deleted ones are found on the way, and forgotten.
            let is_there = self.entries.contains(&id);
            match got.len() == most {
                true => break,
                false if !is_there => drop(self.pending.remove(&id)),
                false => {
                    let deliveries = self.pending[&id].2;
                    got.push(format!("{id}-0 {deliveries}"));
                    self.pending.insert(id, (consumer.to_owned(), 0, deliveries + 1));
                }
            }
        }
        let new: Vec<u64> = self.entries.iter().copied().filter(|id| *id > self.delivered).collect();
        for id in new.into_iter().take(most - got.len()) {
            got.push(if claims { format!("{id}-0 0") } else { format!("{id}-0") });
            self.pending.insert(id, (consumer.to_owned(), 0, 1));
            self.delivered = id;
        }
        got
    }
}

/// A reply as stream names and what [`Model::read`] tells.
fn shown(reply: &str, claims: bool) -> String {
    let words: Vec<&str> = reply.split_whitespace().filter(|w| !w.starts_with(['$', '*'])).collect();
    let mut out = Vec::new();
    let mut at = 0;
    while at < words.len() {
        if !words[at].contains('-') {
            out.push(words[at].to_owned());
            at += 1;
        } else if claims {
            out.push(format!("{} {}", words[at], words[at + 4]));
            at += 5;
        } else {
            out.push(words[at].to_owned());
            at += 3;
        }
    }
    out.join(" ")
}

#[test]
fn groups_readers_get_what_the_documentation_says() {
    let seed = Random::seed();
    println!("seed {seed}");
    let (server, mut r) = (Server::start(), Random::new(seed));
    let mut client = server.client();
    let mut models = [Model::default(), Model::default()];
    for stream in ["s0", "s1"] {
        client.run(&format!("XGROUP CREATE {stream} g 0 MKSTREAM"));
    }
    let mut idle_ms = LIMIT_MS;
    for step in 1..=3000_u64 {
        let at = r.below(2);
        let consumer = r.pick(&["a", "b"]).to_owned();
        let pick = |model: &Model, r: &mut Random| model.pending.keys().nth(r.below(8)).copied();
        match r.below(8) {
            0..3 => {
                client.run(&format!("XADD s{at} {step}-0 f v"));
                models[at].entries.push(step);
            }
            3..5 => {
                let Some(id) = pick(&models[at], &mut r) else { continue };
                if !models[at].entries.contains(&id) {
                    continue;
                }
                // A day's steps: between any two lie twenty seconds.
                idle_ms += 20_000;
                client.run(&format!("XCLAIM s{at} g {consumer} 0 {id}-0 IDLE {idle_ms} JUSTID"));
                let deliveries = models[at].pending[&id].2;
                models[at].pending.insert(id, (consumer, idle_ms, deliveries));
            }
            5 => {
                let Some(id) = pick(&models[at], &mut r) else { continue };
                if r.below(2) == 0 {
                    client.run(&format!("XACK s{at} g {id}-0"));
                    models[at].pending.remove(&id);
                } else {
                    client.run(&format!("XDEL s{at} {id}-0"));
                    models[at].entries.retain(|entry| *entry != id);
                }
            }
            _ => {
                let claims = r.below(2) == 0;
                let count = 1 + r.below(4);
                let max_count = count + r.below(3);
                let claim = if claims { format!("CLAIM {LIMIT_MS}") } else { String::new() };
                let line = format!(
                    "XREADGROUP GROUP g {consumer} COUNT {count} MAXCOUNT {max_count} {claim} STREAMS s0 s1 > >"
                );
                let words: Vec<&str> = line.split_whitespace().collect();
                let reply = client.call(&words).to_string();
                let (mut left, mut expected) = (max_count, Vec::new());
                for (index, model) in models.iter_mut().enumerate() {
                    let got =
                        if left > 0 { model.read(&consumer, claims, count.min(left)) } else { Vec::new() };
                    if !got.is_empty() {
                        left -= got.len();
                        expected.push(format!("s{index} {}", got.join(" ")));
                    }
                }
                assert_eq!(
                    shown(&reply, claims),
                    expected.join(" "),
                    "seed {seed}, step {step}: {line}\n{reply}"
                );
            }
        }
    }
}
