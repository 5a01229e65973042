//! What scripts get from `cjson`, `cmsgpack`, `struct` and `bit`: their settings and errors one by one, then random texts,
//! bytes, formats and values, compared with redis-server's.

use super::{Random, seed};
use ochre_tests::{Client, Settings};

/// Random calls of each kind.
const CALLS: usize = 1500;

/// One after the other on the same two servers: settings last.
const SCRIPTS: &[&str] = &[
    "return cjson.encode({1,2,3})",
    "return cjson.encode({})",
    "return cjson.decode('{\"a\":[1,2,{\"b\":null}]}').a",
    "return cjson.decode()",
    "return cjson.decode(1, 2)",
    "return cjson.decode({})",
    "return cjson.decode(12)",
    "return cjson.encode()",
    "return cjson.encode({print = tostring})",
    "return cjson.encode({[{}] = 1})",
    "local t = {} t.t = t return cjson.encode(t)",
    "return cjson.decode(string.rep('[', 1500))",
    "return cjson.decode(string.rep('[', 900) .. string.rep(']', 900))[1] ~= nil",
    "return {cjson.encode_sparse_array()}",
    "return {pcall(cjson.encode_sparse_array, 'on', 3, 4)}",
    "return {pcall(cjson.encode_sparse_array, 'maybe')}",
    "return {pcall(cjson.encode_sparse_array, true, -1)}",
    "return cjson.encode({[1] = 1, [100] = 2})",
    "cjson.encode_sparse_array(false, 2, 10) return cjson.encode({[1] = 1, [100] = 2})",
    "return cjson.encode_max_depth(0)",
    "return cjson.encode_max_depth(5, 6)",
    "cjson.encode_max_depth(3) return cjson.encode({{{{1}}}})",
    "return cjson.encode_max_depth(1000)",
    "cjson.decode_max_depth(2) return cjson.decode('[[[1]]]')",
    "return cjson.decode_max_depth(1000)",
    "cjson.encode_number_precision(3) return cjson.encode({3.14159, 1e10})",
    "return cjson.encode_number_precision(15)",
    "return cjson.encode_number_precision(14)",
    "return tostring(cjson.encode_keep_buffer())",
    "return tostring(cjson.encode_invalid_numbers('null')) .. cjson.encode({1/0, 0/0})",
    "return tostring(cjson.encode_invalid_numbers(true)) .. cjson.encode({1/0, 0/0, -1/0})",
    "return tostring(cjson.encode_invalid_numbers(false)) .. cjson.encode({1/0})",
    "cjson.decode_invalid_numbers(false) return cjson.decode('[0x10]')",
    "return cjson.decode('[nan]')",
    "return tostring(cjson.decode_invalid_numbers('on'))",
    "return {cjson._NAME, cjson._VERSION, cmsgpack._NAME, cmsgpack._VERSION, cmsgpack._DESCRIPTION}",
    "return {tostring(cjson.null), cjson.null, tostring(cjson.decode('null') == cjson.null)}",
    "local t = cjson.new() t.encode_max_depth(1) return {t.encode_max_depth(), cjson.encode_max_depth()}",
    "cjson.x = 1",
    "cjson.encode = nil",
    "return tostring(getmetatable(cjson))",
    "return cmsgpack.pack()",
    "return cmsgpack.unpack()",
    "return cmsgpack.unpack({})",
    "return {cmsgpack.unpack(cmsgpack.pack(1, 'a', true, {1, 2}, {a = 1}))}",
    "return {cmsgpack.unpack_one(cmsgpack.pack(1, 'a'))}",
    "return {cmsgpack.unpack_one(cmsgpack.pack(1, 'a'), 1)}",
    "return {cmsgpack.unpack_limit(cmsgpack.pack(1, 2, 3, 4), 2, 1)}",
    "return {cmsgpack.unpack_limit(cmsgpack.pack(1, 2, 3, 4), -2, 1)}",
    "return {cmsgpack.unpack_limit(cmsgpack.pack(1, 2, 3, 4), 2, 100)}",
    "return {cmsgpack.unpack_limit(cmsgpack.pack(1, 2, 3, 4))}",
    "local t = {} t.t = t return cmsgpack.pack(t)",
    "local t = {} for i = 1, 70000 do t[i] = i % 3 end return cmsgpack.unpack(cmsgpack.pack(t))[70000]",
    "local s = string.rep('x', 70000) return #cmsgpack.pack(s, s:sub(1, 300), s:sub(1, 40))",
    "return bit.tohex(255, -4)",
    "return bit.band()",
    "return bit.band('x')",
    "return bit.band(1, {})",
    "return struct.pack()",
    "return struct.pack('>I2', 'x')",
    "return struct.unpack('s', 'abc')",
    "return struct.size('s')",
    "local decode = cjson.decode return decode('x')",
    "local ok, e = pcall(cjson.decode, 'x') return e",
    "loadstring('return nosuch')()",
];

const DECODE: &str = "local r = {pcall(cjson.decode, ARGV[1])} local v = r[2]
    return {tostring(r[1]), type(v) == 'table' and cjson.encode(v) or tostring(v), type(v)}";
const UNPACK: &str = "local r = {pcall(cmsgpack.unpack, ARGV[1])} local out = {tostring(r[1])}
    for i = 2, math.min(#r, 20) do
        local ok, t = pcall(cjson.encode, r[i])
        out[#out + 1] = tostring(ok) .. type(r[i]) .. tostring(t)
    end
    return out";
const ENCODE: &str = "local v = loadstring('return ' .. ARGV[1])()
    local r, m = {pcall(cjson.encode, v)}, {pcall(cmsgpack.pack, v)}
    return {tostring(r[1]), tostring(r[2]), tostring(m[1]), tostring(m[2])}";
const STRUCT: &str = "local a = {} for i = 4, #ARGV do a[i - 3] = tonumber(ARGV[i]) or ARGV[i] end
    local out = {}
    for _, r in ipairs({{pcall(struct.unpack, ARGV[1], ARGV[2], tonumber(ARGV[3]))}, {pcall(struct.size, ARGV[1])},
            {pcall(struct.pack, ARGV[1], unpack(a))}}) do
        for _, v in ipairs(r) do out[#out + 1] = tostring(v) end
    end
    return out";
const BIT: &str = "local a = {} for i = 2, #ARGV do a[i - 1] = tonumber(ARGV[i]) or ARGV[i] end
    local r = {pcall(bit[ARGV[1]], unpack(a))} return {tostring(r[1]), tostring(r[2])}";

const JSON: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"\"a\"",
    b"\"b\\u00e9\"",
    b"\"\\ud83d\\ude00\"",
    b"\"\\ud800\"",
    b"1",
    b"-0",
    b"1.5e3",
    b"01",
    b"0x1F",
    b"nan",
    b"-inf",
    b"Infinity",
    b"true",
    b"false",
    b"null",
    b"nul",
    b" ",
    b"\n",
    b"\"x\\n\"",
    b"\"\\q\"",
    b"\"unfinished",
    b"{\"a\":1}",
    b"[1,2,3]",
    b"[]",
    b"{}",
    b"[[[]]]",
    b"+1",
    b"-",
    b".5",
    b"1e",
    b"12345678901234567890",
    b"1e400",
    b"\0",
    b"\xff",
    b"\"\x01\"",
    b"{\"k\":null}",
    b"[null]",
];
const PACKED: &[u8] = &[
    0, 1, 2, 5, 65, 0x7f, 0x80, 0x81, 0x82, 0x90, 0x91, 0x92, 0xa0, 0xa1, 0xa3, 0xc0, 0xc1, 0xc2, 0xc3, 0xc7,
    0xca, 0xcb, 0xcc, 0xcd, 0xce, 0xcf, 0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde,
    0xdf, 0xe0, 0xff,
];
const ATOMS: &[&str] = &[
    "1",
    "0",
    "-1",
    "1.5",
    "1e15",
    "1e14",
    "123456789012",
    "2^53",
    "-2^31",
    "0.1",
    "1/3",
    "1e300",
    "\"a\"",
    "\"\\n\\\"/\"",
    "\"\\127\\1\"",
    "true",
    "false",
    "nil",
    "cjson.null",
    "1/0",
    "0/0",
    "tostring",
    "-33",
    "200",
    "70000",
    "2^32",
    "2^63",
    "-2^63",
    "-129",
    "3.25",
    "\"\"",
];
const INDEXES: &[&str] = &["1", "2", "3", "5", "20", "\"k\"", "\"z\"", "1.5", "-1", "true", "0"];
const OPTIONS: &[&str] = &[
    "b",
    "B",
    "h",
    "H",
    "l",
    "L",
    "T",
    "i",
    "I",
    "i1",
    "i3",
    "I8",
    "i16",
    "I33",
    "f",
    "d",
    "x",
    "c",
    "c3",
    "c0",
    "s",
    ">",
    "<",
    "!",
    "!4",
    "!3",
    "!16",
    " ",
    "z",
    "i99999999999",
];
const OPERATIONS: &[&str] =
    &["tobit", "bnot", "band", "bor", "bxor", "lshift", "rshift", "arshift", "rol", "ror", "bswap", "tohex"];
const WORDS: &[&str] = &[
    "0",
    "1",
    "-1",
    "31",
    "32",
    "33",
    "255",
    "1.5",
    "2.5",
    "-3.7",
    "70000",
    "4294967295",
    "1e15",
    "abc",
    "",
    "-8",
    "0xff",
];

/// A Lua expression.
fn expression(r: &mut Random, depth: usize) -> String {
    match r.below(12) {
        0 | 1 if depth < 4 => {
            let parts: Vec<String> = (0..r.below(5)).map(|_| expression(r, depth + 1)).collect();
            format!("{{{}}}", parts.join(","))
        }
        2 if depth < 4 => {
            let part = |r: &mut Random| format!("[{}]={}", r.pick(INDEXES), expression(r, depth + 1));
            let parts: Vec<String> = (0..r.below(4)).map(|_| part(r)).collect();
            format!("{{{}}}", parts.join(","))
        }
        _ => r.pick(ATOMS).to_owned(),
    }
}

fn call(r: &mut Random, kind: usize) -> (&'static str, Vec<Vec<u8>>) {
    let text = |word: &str| word.as_bytes().to_vec();
    match kind {
        0 => (DECODE, vec![(0..=r.below(6)).flat_map(|_| JSON[r.below(JSON.len())].to_vec()).collect()]),
        1 => (UNPACK, vec![(0..=r.below(13)).map(|_| PACKED[r.below(PACKED.len())]).collect()]),
        2 => (ENCODE, vec![expression(r, 0).into_bytes()]),
        3 => {
            let format: String = (0..=r.below(5)).map(|_| r.pick(OPTIONS)).collect();
            let data = (0..r.below(40)).map(|_| if r.below(5) < 2 { 0 } else { r.next() as u8 }).collect();
            let from = r.pick(&["1", "1", "1", "2", "3", "0", "-1", "50"]);
            let mut words = vec![format.into_bytes(), data, text(from)];
            (0..r.below(6)).for_each(|_| words.push(text(r.pick(WORDS))));
            (STRUCT, words)
        }
        _ => {
            let mut words = vec![text(r.pick(OPERATIONS))];
            (0..r.below(4)).for_each(|_| words.push(text(r.pick(WORDS))));
            (BIT, words)
        }
    }
}

fn compare(our: &mut Client, their: &mut Client, script: &str, words: &[Vec<u8>]) {
    let mut request: Vec<&[u8]> = vec![b"EVAL", script.as_bytes(), b"0"];
    request.extend(words.iter().map(Vec::as_slice));
    let (ours, theirs) = (our.call(&request), their.call(&request));
    let shown: Vec<String> = words.iter().map(|word| word.escape_ascii().to_string()).collect();
    assert_eq!(ours.to_string(), theirs.to_string(), "{script} {shown:?}");
}

#[test]
fn libraries_of_scripts() {
    let seed = seed();
    println!("seed {seed}");
    let r = &mut Random(seed);
    let (ours, theirs) = (Settings::new().start(), Settings::new().redis().start());
    let (mut our, mut their) = (ours.client(), theirs.client());
    SCRIPTS.iter().for_each(|script| compare(&mut our, &mut their, script, &[]));
    for _ in 0..CALLS {
        for kind in 0..5 {
            let (script, words) = call(r, kind);
            compare(&mut our, &mut their, script, &words);
        }
    }
}
