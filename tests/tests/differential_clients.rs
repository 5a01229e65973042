//! What ties clients to each other, beside Debian's redis-server: scenes with several connections, of each of which all
//! replies and pushes are compared, in order.
//!
//! A line of a scene is a client's letter and a command. Behind the letter, `!` says that it need not be answered at once
//! but shows in CLIENT LIST, `~` that it need not do that either.
//! `{b}` stands for the id of client b, in commands and in what is compared. `a LIST b` notes some fields of b's line in
//! CLIENT LIST; `a GONE` that its connection has ended. `sleep` is followed by milliseconds.

#[path = "differential/scenes/mod.rs"]
mod scenes;

use ochre_tests::{Client, Server, Settings, wait_until};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a client is listened to that has nothing more to say.
const SILENCE: Duration = Duration::from_millis(30);

/// How long it is listened to before it speaks: what others sent it has come by then.
const BREATH: Duration = Duration::from_millis(5);

struct Actor {
    client: Client,
    id: String,
    heard: Vec<String>,
}

struct Stage<'s> {
    server: &'s Server,
    admin: Client,
    actors: BTreeMap<char, Actor>,
}

impl<'s> Stage<'s> {
    fn new(server: &'s Server) -> Self {
        let mut admin = server.client();
        wait_until("the actors before have left", || admin.run("CLIENT LIST").text().lines().count() == 1);
        admin.run("FLUSHALL");
        admin.run("SCRIPT FLUSH");
        admin.run("CONFIG SET notify-keyspace-events ");
        Self { server, admin, actors: BTreeMap::new() }
    }

    fn actor(&mut self, name: char) -> &mut Actor {
        self.actors.entry(name).or_insert_with(|| {
            let mut client = self.server.client();
            let id = client.run("CLIENT ID").text();
            Actor { client, id, heard: Vec::new() }
        })
    }

    /// The line of CLIENT LIST of a client; empty when it has gone.
    fn line_of(&mut self, name: char) -> String {
        let id = self.actor(name).id.clone();
        self.admin.run(&format!("CLIENT LIST ID {id}")).text()
    }

    fn step(&mut self, line: &str) {
        let (who, command) = line.split_once(' ').expect("a client and a command");
        if who == "sleep" {
            return std::thread::sleep(Duration::from_millis(command.parse().expect("milliseconds")));
        }
        let (name, manner) = (who.chars().next().expect("a letter"), who.chars().nth(1));
        if command == "GONE" {
            let line = self.line_of(name);
            let actor = self.actor(name);
            actor.listen();
            actor.heard.push(format!("gone: {}", line.is_empty()));
        } else if let Some(other) = command.strip_prefix("LIST ") {
            let line = self.line_of(other.chars().next().expect("a letter"));
            let ids = self.ids();
            let shown = line.trim_end().split(' ').filter(|word| {
                let field = word.split('=').next().unwrap_or_default();
                ["name", "flags", "db", "sub", "psub", "ssub", "multi", "cmd", "redir", "resp"]
                    .contains(&field)
            });
            let shown = masked(&shown.collect::<Vec<_>>().join(" "), &ids);
            self.actor(name).heard.push(shown);
        } else {
            self.call(name, manner, command);
        }
    }

    fn call(&mut self, name: char, manner: Option<char>, command: &str) {
        for letter in 'a'..='f' {
            if command.contains(&format!("{{{letter}}}")) {
                self.actor(letter);
            }
        }
        let mut command = command.to_owned();
        for (id, mask) in self.ids() {
            command = command.replace(&mask, &id);
        }
        let words: Vec<&str> = command.split(' ').collect();
        let actor = self.actor(name);
        actor.listen_for(BREATH);
        actor.client.send(&words);
        match manner {
            Some('!') => {
                let came = format!("cmd={}", words[0].to_lowercase());
                wait_until("the command comes", || self.line_of(name).contains(&came));
            }
            Some(_) => std::thread::sleep(SILENCE),
            None => actor.hear_answer(words[0]),
        }
    }

    /// Ids of clients and what stands for them.
    fn ids(&self) -> Vec<(String, String)> {
        self.actors.iter().map(|(name, actor)| (actor.id.clone(), format!("{{{name}}}"))).collect()
    }

    /// All that each client heard, in order, once nobody says any more.
    fn end(mut self) -> BTreeMap<char, Vec<String>> {
        let ids = self.ids();
        for actor in self.actors.values_mut() {
            actor.listen();
            actor.heard.iter_mut().for_each(|reply| *reply = masked(reply, &ids));
        }
        self.actors.into_iter().map(|(name, actor)| (name, actor.heard)).collect()
    }
}

impl Actor {
    /// Hears the answer of a command. Pushes that come before it are heard as well; so is what follows at once.
    fn hear_answer(&mut self, command: &str) {
        if let Ok(reply) = self.client.try_read() {
            let is_push = reply.0.starts_with(b">");
            // What a server says of itself differs.
            let is_greeting = command == "HELLO" && !reply.is_error("");
            self.heard.push(if is_greeting { command.to_owned() } else { reply.to_string() });
            if is_push {
                self.listen();
            }
        }
    }

    fn listen(&mut self) {
        self.listen_for(SILENCE);
    }

    fn listen_for(&mut self, wait: Duration) {
        while !self.client.is_silent(wait) {
            match self.client.try_read() {
                Ok(reply) => self.heard.push(reply.to_string()),
                Err(_) => return,
            }
        }
    }
}

/// A text with ids replaced where they stand as numbers of their own.
fn masked(text: &str, ids: &[(String, String)]) -> String {
    let lines = text.split("\r\n").map(|line| {
        let words = line.split(' ').map(|word| {
            for (id, mask) in ids {
                if word.strip_prefix(':') == Some(id) || word.strip_prefix("redir=") == Some(id) {
                    return word.replace(id, mask);
                }
            }
            word.to_owned()
        });
        words.collect::<Vec<_>>().join(" ")
    });
    lines.collect::<Vec<_>>().join(" ")
}

fn play(server: &Server, scene: &str) -> BTreeMap<char, Vec<String>> {
    let mut stage = Stage::new(server);
    for line in scene.lines().map(str::trim).filter(|line| !line.is_empty()) {
        stage.step(line);
    }
    stage.end()
}

/// Plays scenes on both servers, side by side.
fn compare(scenes: &[&str]) {
    let (ours, theirs) = (Settings::new().start(), Settings::new().redis().start());
    for server in [&ours, &theirs] {
        // So that an id is not taken for any other number.
        (0..200).for_each(|_| drop(server.client()));
    }
    let mut wrong = String::new();
    for scene in scenes {
        let (our, their) = std::thread::scope(|scope| {
            let their = scope.spawn(|| play(&theirs, scene));
            (play(&ours, scene), their.join().expect("the other server plays as well"))
        });
        if our != their {
            wrong += &format!("{scene}\n   ours:   {our:?}\n   theirs: {their:?}\n\n");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn transactions() {
    compare(scenes::TRANSACTIONS);
}

#[test]
fn waits() {
    compare(scenes::WAITS);
}

#[test]
fn messages() {
    compare(scenes::MESSAGES);
}

#[test]
fn caches() {
    compare(scenes::CACHES);
}

#[test]
fn control() {
    compare(scenes::CONTROL);
}
