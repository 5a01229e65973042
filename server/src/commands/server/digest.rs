//! Signatures of the data set, the same as Redis's: two servers that hold the same data show the same.
//!
//! ```text
//! data set   XOR over all keys of   digest(key and value)
//! a key      chain of database, name, type, elements; an expiry is marked, not its time
//! chain      digest = SHA1(digest XOR SHA1(bytes))
//! ```

use crate::context::Cx;
use common::command::{Args, CommandResult, Outcome};
use common::number::format_17g;
use sha1::{Digest, Sha1};
use store::stream::{Stream, StreamId};
use store::{DbIndex, Element, Entry, Kind, Object, ObjectView, Value};

/// A SHA1 sum in the making of a signature.
#[derive(Clone, Copy, Default)]
struct Signature([u8; 20]);

impl Signature {
    /// Adds something regardless of the order.
    fn add(&mut self, bytes: &[u8]) {
        let sum = Sha1::digest(bytes);
        self.0.iter_mut().zip(sum).for_each(|(byte, other)| *byte ^= other);
    }

    /// Adds something whose place matters.
    fn chain(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.0 = Sha1::digest(self.0).into();
    }

    fn chain_value(&mut self, entry: &Entry<'_>) {
        self.chain(&type_number(entry.kind()).to_be_bytes());
        match entry.value() {
            Value::Int(value) => self.chain(itoa::Buffer::new().format(value).as_bytes()),
            Value::Bytes(bytes) => self.chain(bytes),
            Value::Shared(bytes) => self.chain(bytes),
            Value::Object(object) => self.chain_object(object),
        }
        if entry.expire().is_some() {
            self.add(b"!!expire!!");
        }
    }

    fn chain_object(&mut self, object: &Object) {
        match object.view() {
            ObjectView::List(list) => list.for_each(|element| self.chain_element(&element)),
            ObjectView::SortedSet(set) => {
                for (member, score) in set.iter(0, false) {
                    let mut one = Signature::default();
                    one.chain_element(&member);
                    one.chain(format_17g(score).as_bytes());
                    self.add(&one.0);
                }
            }
            ObjectView::Set(set) => {
                set.iter().for_each(|member| self.add(member.as_bytes(&mut itoa::Buffer::new())));
            }
            ObjectView::Hash(hash) => {
                for field in hash.iter() {
                    let mut one = Signature::default();
                    one.chain_element(&field.name);
                    one.chain_element(&field.value);
                    if field.expire.is_some() {
                        one.add(b"!!hexpire!!");
                    }
                    self.add(&one.0);
                }
            }
            ObjectView::Stream(stream) => self.chain_stream(stream),
        }
    }

    fn chain_stream(&mut self, stream: &Stream) {
        for entry in stream.range(StreamId::MIN, StreamId::MAX) {
            self.chain(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
            for (field, value) in entry.fields() {
                self.chain_element(&field);
                self.chain_element(&value);
            }
        }
    }

    fn chain_element(&mut self, element: &Element<'_>) {
        self.chain(element.as_bytes(&mut itoa::Buffer::new()));
    }

    fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The number that Redis has for a type.
fn type_number(kind: Kind) -> u32 {
    match kind {
        Kind::String => 0,
        Kind::List => 1,
        Kind::Set => 2,
        Kind::SortedSet => 3,
        Kind::Hash => 4,
        Kind::Stream => 6,
    }
}

/// DEBUG DIGEST: the signature of all databases.
pub(super) fn digest(cx: &mut Cx<'_>) -> CommandResult {
    let mut all = Signature::default();
    for index in 0..cx.server.keyspace.count() {
        let db = cx.server.keyspace.db(DbIndex(index));
        if db.is_empty() {
            continue;
        }
        all.chain(&(index as u32).to_be_bytes());
        for entry in db.iter() {
            let mut one = Signature::default();
            one.chain(entry.key());
            one.chain_value(&entry);
            all.add(&one.0);
        }
    }
    cx.reply.simple(&all.hex());
    Ok(Outcome::Done)
}

/// DEBUG DIGEST-VALUE: the signature of each key's value.
pub(super) fn digest_value(cx: &mut Cx<'_>, args: &Args<'_>) -> CommandResult {
    cx.reply.array(args.left());
    for key in args.rest() {
        let key = cx.key(key);
        let mut one = Signature::default();
        if let Some(entry) = cx.server.keyspace.db(cx.db).get(key.hash, key.bytes) {
            one.chain_value(&entry);
        }
        cx.reply.simple(&one.hex());
    }
    Ok(Outcome::Done)
}
