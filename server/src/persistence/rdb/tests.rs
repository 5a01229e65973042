//! Round trips, damage, and exchanges with a real `redis-server` where one is installed.

use proptest::prelude::*;

use std::collections::BTreeMap;
use store::stream::{Group, NodeBytes, ProducerLimits, Producers, Stream, StreamId, StreamLimits};
use store::{Element, End, HashValue, Limits, List, ListLimit, Listpack, NodeView, ObjectView, Set, Typed};

use super::*;

#[derive(Default, Debug)]
struct Seen {
    aux: Vec<(String, String)>,
    sizes: Vec<(usize, u64, u64)>,
    libraries: Vec<String>,
    records: Vec<Record>,
}

impl RdbSink for Seen {
    fn aux(&mut self, name: &[u8], value: &[u8]) -> Result<(), String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.aux.push((text(name), text(value)));
        Ok(())
    }

    fn resize_db(&mut self, db: usize, keys: u64, expires: u64) {
        self.sizes.push((db, keys, expires));
    }

    fn library(&mut self, code: &[u8]) -> Result<(), String> {
        self.libraries.push(String::from_utf8_lossy(code).into_owned());
        Ok(())
    }

    fn key(&mut self, record: Record) -> Result<(), String> {
        self.records.push(record);
        Ok(())
    }
}

fn load(bytes: &[u8]) -> Result<(Seen, Summary), RdbError> {
    let mut seen = Seen::default();
    let summary = Loader::new(bytes, "test.rdb", true, Limits::default()).load(&mut seen)?;
    Ok((seen, summary))
}

/// What can be compared of a value: its type and, node by node, what is in it.
fn content(value: &RdbValue) -> (&'static str, Vec<Vec<u8>>) {
    let object = match value {
        RdbValue::String(text) => return ("string", vec![text.clone()]),
        RdbValue::Object(object) => object,
    };
    match object.view() {
        ObjectView::List(list) => {
            let node = |node| match node {
                NodeView::Packed(pack) => pack.to_bytes(),
                NodeView::Plain(bytes) => bytes.to_vec(),
                NodeView::Lzf(lzf) => lzf.compressed().to_vec(),
            };
            (list.encoding(), list.nodes().map(node).collect())
        }
        ObjectView::Set(set) => {
            let mut members: Vec<Vec<u8>> = set.iter().map(|member| member.to_vec()).collect();
            members.sort();
            (set.encoding(), members)
        }
        ObjectView::SortedSet(set) => {
            let pair =
                |(member, score): (store::Element<'_>, f64)| [member.to_vec(), score.to_le_bytes().to_vec()];
            (set.encoding(), set.iter(0, false).flat_map(pair).collect())
        }
        ObjectView::Hash(hash) => {
            let field = |f: store::Field<'_>| {
                [f.name.to_vec(), f.value.to_vec(), format!(" {:?}", f.expire).into_bytes()].concat()
            };
            let mut fields: Vec<Vec<u8>> = hash.iter().map(field).collect();
            fields.sort();
            (hash.encoding(), fields)
        }
        ObjectView::Stream(stream) => {
            let node = |(id, node): (StreamId, NodeBytes<'_>)| {
                let mut bytes = id.to_bytes().to_vec();
                node.write_to(&mut bytes);
                bytes
            };
            (stream.encoding(), stream.nodes().map(node).collect())
        }
    }
}

fn check_same(some: &[Record], others: &[Record]) {
    assert_eq!(some.len(), others.len());
    for (one, other) in some.iter().zip(others) {
        assert_eq!((one.db, &one.key), (other.db, &other.key));
        assert_eq!((one.expire_ms, one.access), (other.expire_ms, other.access));
        assert_eq!(content(&one.value), content(&other.value), "{:?}", one.key);
    }
}

fn info() -> Info<'static> {
    Info {
        redis_version: "7.0.15",
        ctime: 1_700_000_000,
        used_memory: 12345,
        replication: None,
        aof_base: false,
        has_expiring_fields: false,
        has_producers: false,
    }
}

fn listpack(elements: &[&[u8]]) -> Listpack {
    let mut pack = Listpack::new();
    elements.iter().for_each(|element| pack.push_back(Element::from_bytes(element)));
    pack
}

fn write(records: &[Record], compression: bool, checksum: bool) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), compression, checksum);
    writer.header(&info()).unwrap();
    let mut db = None;
    for record in records {
        if db != Some(record.db) {
            db = Some(record.db);
            writer.select_db(record.db).unwrap();
        }
        let (key, expire, access) = (&record.key, record.expire_ms, record.access);
        match &record.value {
            RdbValue::String(text) => writer.string(key, expire, access, text).unwrap(),
            RdbValue::Object(object) => writer.object(key, expire, access, object).unwrap(),
        }
    }
    let (bytes, len) = writer.finish().unwrap();
    assert_eq!(bytes.len() as u64, len);
    bytes
}

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..100),
        prop::collection::vec(0u8..3, 0..5000),
        any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        any::<i32>().prop_map(|n| (n >> 12).to_string().into_bytes()),
        (1usize..200_000).prop_map(|n| vec![b'x'; n]),
    ]
}

fn any_record() -> impl Strategy<Value = Record> {
    let elements = prop_oneof![
        prop::collection::vec(any_text(), 1..5),
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..300),
    ];
    let list = elements.prop_map(|elements| {
        let mut list = List::new();
        elements.iter().for_each(|element| list.push(End::Tail, element, &ListLimit::default()));
        list.settle(&ListLimit::default()); // as a loaded one is
        list
    });
    let member = prop_oneof![
        3 => any::<i16>().prop_map(|n| n.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..60),
    ];
    let set = prop::collection::vec(member, 1..300).prop_map(|members| {
        let mut set = Set::new();
        for member in &members {
            set.add(member, &Limits::default().set);
        }
        set
    });
    let field = (prop::collection::vec(any::<u8>(), 0..60), any_text(), prop::option::of(1i64..1 << 46));
    let hash = prop::collection::vec(field, 1..60).prop_map(|fields| {
        let mut hash = HashValue::new();
        // Each name once: a long value that is overwritten leaves a dictionary of what is read back as a listpack.
        let fields: BTreeMap<_, _> = fields.iter().map(|(name, value, at)| (name, (value, at))).collect();
        for (name, (value, expire)) in fields {
            hash.set(name, value, &Limits::default().hash);
            hash.set_expiry(name, *expire);
        }
        hash
    });
    let value = prop_oneof![
        any_text().prop_map(RdbValue::String),
        hash.prop_map(|hash| RdbValue::Object(hash.into())),
        set.prop_map(|set| RdbValue::Object(set.into())),
        list.prop_map(|list| RdbValue::Object(list.into())),
    ];
    let access = prop::option::of(prop_oneof![
        any::<u64>().prop_map(Access::Idle),
        any::<u8>().prop_map(Access::Freq)
    ]);
    (0usize..20_000, any_text(), prop::option::of(any::<i64>()), access, value)
        .prop_map(|(db, key, expire_ms, access, value)| Record { db, key, expire_ms, access, value })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_is_read_back(
        records in prop::collection::vec(any_record(), 0..10),
        compression: bool,
        checksum: bool,
    ) {
        let bytes = write(&records, compression, checksum);
        let (seen, summary) = load(&bytes).unwrap();
        check_same(&seen.records, &records);
        prop_assert_eq!((summary.version, summary.bytes), (10, bytes.len() as u64));
    }

    #[test]
    fn damage_never_panics(records in prop::collection::vec(any_record(), 1..4), flips in prop::collection::vec(any::<(usize, u8)>(), 1..4)) {
        let mut bytes = write(&records, true, true);
        for (at, bits) in flips {
            let at = at % bytes.len();
            bytes[at] ^= bits;
        }
        let _ = load(&bytes);
    }
}

#[test]
fn the_header_is_what_redis_writes() {
    let mut writer = Writer::new(Vec::new(), true, true);
    let replication =
        Some(ReplicationInfo { stream_db: 3, id: "0123456789012345678901234567890123456789", offset: 7 });
    writer.header(&Info { replication, ..info() }).unwrap();
    writer.select_db(3).unwrap();
    writer.resize_db(70_000, 100).unwrap();
    writer.integer(b"n", None, None, i64::MIN).unwrap();
    let (bytes, _) = writer.finish().unwrap();
    assert!(
        bytes.starts_with(b"REDIS0010\xfa\x09redis-ver\x067.0.15\xfa\x0aredis-bits\xc0\x40\xfa\x05ctime\xc2")
    );
    let (seen, _) = load(&bytes).unwrap();
    let names: Vec<&str> = seen.aux.iter().map(|(name, _)| name.as_str()).collect();
    let want = "redis-ver redis-bits ctime used-mem repl-stream-db repl-id repl-offset aof-base";
    assert_eq!(names.join(" "), want);
    assert_eq!(seen.sizes, [(3, 70_000, 100)]);
    assert_eq!(content(&seen.records[0].value), ("string", vec![i64::MIN.to_string().into_bytes()]));
}

/// A file of the given version with this body, without a checksum.
fn file(header: &str, body: &[u8]) -> Vec<u8> {
    [header.as_bytes(), body, b"\xff\0\0\0\0\0\0\0\0"].concat()
}

#[test]
fn older_encodings_are_read() {
    let check = |body: &[u8], want: &[&str]| {
        let (seen, _) = load(&file("REDIS0003", body)).unwrap();
        let want: Vec<&[u8]> = want.iter().map(|element| element.as_bytes()).collect();
        assert_eq!(content(&seen.records[0].value), ("listpack", vec![listpack(&want).to_bytes()]));
    };
    check(b"\x01\x01k\x03\x01a\xc0\x05\x02bc", &["a", "5", "bc"]);
    let ziplist = b"\x0f\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\xf6\xff";
    let ziplist = [&[ziplist.len() as u8 + 1, 0x10][1..], b"", ziplist].concat();
    let mut bytes = ziplist[1..].to_vec();
    bytes[0] = bytes.len() as u8;
    let framed = [&[bytes.len() as u8][..], &bytes].concat();
    check(&[b"\x0a\x01k", &framed[..]].concat(), &["a", "5"]);
    check(&[b"\x0e\x01k\x02", &framed[..], &framed[..]].concat(), &["a", "5", "a", "5"]);
}

#[test]
fn hashes_with_expiring_fields_are_read() {
    let check = |header: &str, body: &[u8], want: &[&str]| {
        let (seen, _) = load(&file(header, body)).unwrap();
        let (_, fields) = content(&seen.records[0].value);
        let fields: Vec<String> = fields.iter().map(|f| String::from_utf8_lossy(f).into_owned()).collect();
        assert_eq!(fields, want, "{body:?}");
    };
    let both = &["a1 Some(5000)", "e2 None"];
    let earliest = 5000i64.to_le_bytes();
    check("REDIS0012", &[b"\x18\x01k", &earliest[..], b"\x02\x01\x01a\x011\x00\x01e\x012"].concat(), both);
    check("REDIS0012", b"\x16\x01k\x02\x53\x88\x01a\x011\x00\x01e\x012", both);
    let never = (-1i64).to_le_bytes();
    let valkey = [b"\x16\x01k\x02\x01a\x011", &earliest[..], b"\x01e\x012", &never].concat();
    check("VALKEY080", &valkey, both);
    let pack = listpack(&[b"a", b"1", b"5000", b"e", b"2", b"0"]).to_bytes();
    let pack = [&[pack.len() as u8][..], &pack].concat();
    check("REDIS0012", &[b"\x17\x01k", &pack[..]].concat(), both);
    check("REDIS0012", &[b"\x19\x01k", &earliest[..], &pack].concat(), both);
    check("REDIS0002", b"\x09\x01k\x0e\x02\x01a\x01\x001\x01e\x01\x022xx\xff", &["a1 None", "e2 None"]);
}

#[test]
fn old_expiry_and_empty_lists() {
    let body = b"\xfd\x10\0\0\0\x00\x01k\x01v\x12\x01e\x01\x02\x07\x07\0\0\0\0\0\xff";
    let (seen, summary) = load(&file("REDIS0010", body)).unwrap();
    assert_eq!((seen.records.len(), seen.records[0].expire_ms), (1, Some(16_000)));
    assert_eq!((summary.keys, summary.empty_keys), (1, 1));
}

#[test]
fn libraries_come_as_texts_also_those_of_release_candidates() {
    // Redis 7.0's release candidates: name, engine, whether there is a description, the description, text.
    let body = b"\xf5\x01x\xf6\x01n\x03LUA\x01\x02of\x04code\xf6\x01m\x03LUA\x00\x01c";
    let (seen, _) = load(&file("REDIS0010", body)).expect("it is complete");
    assert_eq!(seen.libraries, ["x", "#!LUA name=n\ncode", "#!LUA name=m\nc"]);
    let payload = dump_libraries([&b"#!lua name=a\n"[..], &[b'b'; 4000]].into_iter(), true);
    let codes: Result<Vec<_>, _> = restore_libraries(&payload).expect("made here").collect();
    assert_eq!(codes, Ok(vec![b"#!lua name=a\n".to_vec(), vec![b'b'; 4000]]));
    let mut changed = payload.clone();
    changed[3] ^= 1;
    assert!(restore_libraries(&changed).is_none() && restore_libraries(b"short").is_none());
    let value = dump(store::Value::Bytes(b"x"), true);
    let first = restore_libraries(&value).expect("its ending is fine").next();
    assert_eq!(first, Some(Err("given type is not a function")));
}

#[test]
fn what_cannot_be_kept_is_named() {
    let check = |header: &str, body: &[u8], want: &str| {
        let error = load(&file(header, body)).unwrap_err().to_string();
        assert_eq!(error, format!("test.rdb, at byte {want}"), "{header} {body:?}");
    };
    check("REDIS0010", b"\x06\x01k", "10: type 6 (module, pre-release) is not supported by this build");
    check("VALKEY080", b"\x18\x01k", "10: type 24 (unknown) is not supported by this build");
    check("REDIS0010", b"\x63", "10: type 99 (unknown) is not supported by this build");
    let module = [b"\xf7\x81", &0x0410_4104_1041_0400u64.to_be_bytes()[..]].concat();
    let why = "19: opcode 247 (data of the module type BBBBBBBBB) is not supported by this build";
    check("REDIS0010", &module, why);
    check("REDIS0014", b"", "9: can't handle RDB format version 0014");
    check("VALKEY081", b"", "9: can't handle RDB format version 081");
    check("REDIS0080", b"", "9: can't handle RDB format version 0080");
    check("RADIS0010", b"", "9: wrong signature: not a snapshot file");
    check("REDIS0010", b"\x00\x01k\xc9", "13: unknown string encoding 9");
    check("REDIS0010", b"\x00\x82", "11: invalid length (first byte 0x82)");
    check("REDIS0010", b"\x00\x01k\xc3\x01\x05\x00", "16: invalid compressed string");
    check("REDIS0010", b"\x12\x01k\x01\x03", "14: unknown list container 3");
    check("REDIS0010", b"\x12\x01k\x01\x02\x01x", "16: invalid listpack");
    check("REDIS0010", b"\x0a\x01k\x01x", "14: invalid ziplist");
    assert!(
        load(&file("REDIS0010", b"\xf4\x01\x02\x03\x00\x01k\x01v")).is_ok(),
        "slot sizes are only a hint"
    );
}

#[test]
fn streams_out_of_order_are_named() {
    // Entries of no fields: each one's flags, two parts of its ID behind the node's, number of elements before.
    let node = |master: u64, entries: &[[&[u8]; 2]]| {
        let mut words: Vec<&[u8]> = vec![if entries.len() == 1 { b"1" } else { b"2" }, b"0", b"0", b"0"];
        entries.iter().for_each(|[ms, seq]| words.extend([&b"2"[..], *ms, *seq, &b"3"[..]]));
        let (pack, id) = (listpack(&words).to_bytes(), StreamId::new(master, 1).to_bytes());
        [&b"\x10"[..], &id, &[pack.len() as u8], &pack].concat()
    };
    let one: &[[&[u8]; 2]] = &[[b"0", b"0"]];
    let check = |nodes: &[Vec<u8>], facts: &[u8], want: &str| {
        let body = [&[19, 1, b'k', nodes.len() as u8], &nodes.concat()[..], facts, b"\0"].concat();
        let result = load(&file("REDIS0010", &body)).map(|_| String::new());
        let cause = result.unwrap_or_else(|error| error.to_string());
        let cause = cause.split_once(": ").map_or("", |(at, cause)| {
            assert!(at.starts_with("test.rdb, at byte "), "{at}");
            cause
        });
        assert_eq!(cause, want, "{nodes:?} {facts:?}");
    };
    // Length, last ID, first ID, greatest deleted ID, entries added.
    let facts: &[u8] = &[2, 7, 1, 5, 1, 0, 0, 2];
    check(&[node(5, one), node(7, one)], facts, "");
    check(&[node(5, &[[b"0", b"0"], [b"1", b"-1"]])], facts, "");
    check(&[node(7, one), node(5, one)], facts, "invalid stream nodes out of order");
    check(&[node(5, &[[b"0", b"0"], [b"0", b"0"]])], facts, "invalid stream entries out of order");
    check(&[node(5, &[[b"-1", b"0"], [b"0", b"0"]])], facts, "invalid stream entries out of order");
    check(&[node(5, one), node(8, one)], facts, "invalid stream: an entry above the last ID");
    check(&[node(5, one)], facts, "invalid stream length");
    check(
        &[node(5, one), node(7, one)],
        &[2, 7, 1, 5, 1, 0, 0, 1],
        "invalid stream: fewer entries added than there are",
    );
}

#[test]
fn announced_lengths_reserve_nothing() {
    for body in
        [&b"\x00\x81\x7f\xff\xff\xff\xff\xff\xff\xff"[..], b"\x12\x01k\x81\xff\xff\xff\xff\xff\xff\xff\xff"]
    {
        let error = load(&[b"REDIS0010", body].concat()).unwrap_err();
        assert!(matches!(error.cause, RdbCause::UnexpectedEof), "{error}");
    }
}

#[test]
fn checksums_are_checked_unless_told_otherwise() {
    let records = [Record {
        db: 0,
        key: b"key".to_vec(),
        expire_ms: None,
        access: None,
        value: RdbValue::String(b"value".to_vec()),
    }];
    let mut bytes = write(&records, true, true);
    let at = bytes.len() - 10;
    bytes[at] ^= 1;
    assert!(matches!(load(&bytes).unwrap_err().cause, RdbCause::Checksum { .. }));
    assert!(Loader::new(&bytes[..], "x", false, Limits::default()).load(&mut Seen::default()).is_ok());
    let unchecked = write(&records, true, false);
    assert!(unchecked.ends_with(&[0xff, 0, 0, 0, 0, 0, 0, 0, 0]));
}

#[test]
fn what_follows_the_file_is_left_over() {
    let bytes = [&write(&[], true, true)[..], b"*1\r\n"].concat();
    let mut loader = Loader::new(&bytes[..], "x", true, Limits::default());
    loader.load(&mut Seen::default()).unwrap();
    let (rest, _) = loader.into_rest();
    assert_eq!(rest, b"*1\r\n");
}

/// Reads one byte at a time: every boundary of the buffer is crossed.
struct Slow<'a>(&'a [u8]);

impl io::Read for Slow<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.0.len().min(out.len()).min(1);
        out[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

#[test]
fn a_slow_reader_gives_the_same() {
    let mut list = List::new();
    list.append_listpack(listpack(&[b"a", b"b"]));
    list.append_plain(&[b'x'; 500]);
    let value = RdbValue::Object(list.into());
    let records =
        [Record { db: 1, key: b"k".to_vec(), expire_ms: Some(-5), access: Some(Access::Idle(300)), value }];
    let bytes = write(&records, true, true);
    let mut seen = Seen::default();
    Loader::new(Slow(&bytes), "x", true, Limits::default()).load(&mut seen).unwrap();
    check_same(&seen.records, &records);
}

/// A stream with a group that has entries pending.
fn stream() -> Stream {
    let mut stream = Stream::default();
    for n in 1..=20u8 {
        let limits = StreamLimits { node_bytes: 100, node_entries: 5 };
        stream.append(StreamId::new(u64::from(n) << 40, 7), &[(b"field", &[n]), (b"n", b"12")], &limits);
    }
    stream.delete(StreamId::new(3 << 40, 7));
    let mut group = Group::new(StreamId::new(9 << 40, 7), Some(9));
    group.create_consumer(b"alice", 1000);
    group.create_consumer(b"bob", 2000);
    group.assign(StreamId::new(4 << 40, 7), b"alice", 5000, 1);
    group.assign(StreamId::new(5 << 40, 7), b"bob", 6000, 300);
    stream.create_group(b"readers", group);
    stream
}

#[test]
fn streams_come_back_with_their_groups() {
    let record = |value| Record { db: 0, key: b"s".to_vec(), expire_ms: None, access: None, value };
    let written =
        [record(RdbValue::Object(stream().into())), record(RdbValue::Object(Stream::default().into()))];
    let (seen, _) = load(&write(&written, true, true)).unwrap();
    check_same(&seen.records, &written);
    let RdbValue::Object(read) = &seen.records[0].value else { panic!("a stream") };
    let read = Stream::of(read).expect("a stream");
    assert_eq!(read.facts(), stream().facts());
    let (name, group) = read.groups().next().unwrap();
    assert_eq!((name, group.entries_read, group.consumers().len()), (&b"readers"[..], Some(9), 2));
    let nack = group.pending().get(StreamId::new(5 << 40, 7)).unwrap();
    assert_eq!(
        (nack.consumer.as_deref(), nack.delivered_ms, nack.deliveries),
        (Some(&b"bob"[..]), 6000, 300)
    );
}

/// The same, with producers.
fn stream_with_producers() -> Stream {
    let mut stream = stream();
    let limits = ProducerLimits { duration_s: 300, max_size: 7 };
    let producers = stream.producers_mut(limits);
    for n in 1..=9u8 {
        producers.record(b"one", &[n], StreamId::new(u64::from(n) << 40, 7), i64::from(n) << 40);
    }
    producers.record(b"two", b"name", StreamId::new(9 << 40, 7), 9 << 40);
    producers.duplicates = 3;
    stream
}

#[test]
fn streams_come_back_with_their_producers() {
    let value = RdbValue::Object(stream_with_producers().into());
    let written = [Record { db: 0, key: b"s".to_vec(), expire_ms: None, access: None, value }];
    let (seen, _) = load(&write(&written, true, true)).unwrap();
    let RdbValue::Object(read) = &seen.records[0].value else { panic!("a stream") };
    let read = Stream::of(read).expect("a stream");
    let (read, expected) = (read.producers().unwrap(), stream_with_producers());
    let expected = expected.producers().unwrap();
    let all = |producers: &Producers| -> Vec<_> {
        let owned = |(name, id): (&[u8], StreamId)| (name.to_vec(), id);
        producers.iter().map(|(name, _, sent)| (name.to_vec(), sent.map(owned).collect::<Vec<_>>())).collect()
    };
    assert_eq!(all(read), all(expected));
    assert_eq!((read.limits(), read.added, read.duplicates), (expected.limits(), 10, 3));
    // Sent when its entry was added.
    assert_eq!(read.find(b"two", b"name", (9 << 40) + 299_999), Some(StreamId::new(9 << 40, 7)));
    assert_eq!(read.find(b"two", b"name", (9 << 40) + 300_000), None);
}

#[test]
fn damaged_streams_are_refused_or_read() {
    let record = Record {
        db: 0,
        key: b"s".to_vec(),
        expire_ms: None,
        access: None,
        value: RdbValue::Object(stream_with_producers().into()),
    };
    let whole = write(std::slice::from_ref(&record), false, false);
    for at in 100..whole.len() {
        for change in [1u8, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= change;
            if let Ok((seen, _)) = load(&bytes) {
                // What was let in can be walked and written.
                let _ = write(&seen.records, false, false);
            }
        }
    }
}
