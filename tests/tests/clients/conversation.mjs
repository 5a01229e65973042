// What an application does through ioredis, which speaks RESP2 only. Arguments: the folder that holds ioredis, port
// and, for TLS, the CA's certificate and a client's certificate and key ("-" for none). Any difference ends it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [modules, port, ca, cert, key] = process.argv.slice(2);
const Redis = createRequire(modules + "/")("ioredis");
const file = (path) => (path === "-" ? undefined : readFileSync(path));
const options = { host: "localhost", port: Number(port), retryStrategy: null };
if (ca !== "-") options.tls = { ca: file(ca), cert: file(cert), key: file(key) };

const open = [];
function connect() {
  const client = new Redis(options);
  open.push(client);
  return client;
}
const deadline = setTimeout(() => {
  console.error("an answer is missing");
  process.exit(1);
}, 60_000);

async function strings(r) {
  assert.equal(await r.ping(), "PONG");
  assert.equal(await r.set("greeting", "hello"), "OK");
  assert.equal(await r.get("greeting"), "hello");
  assert.equal(await r.set("greeting", "never", "NX"), null);
  assert.equal(await r.get("missing"), null);
  const blob = Buffer.alloc(500_000, "\r\n$5\r\n\0\xff", "latin1");
  assert.equal(await r.set("blob", blob), "OK");
  assert.ok(blob.equals(await r.getBuffer("blob")));
  assert.deepEqual(await r.mget("greeting", "missing"), ["hello", null]);
  await assert.rejects(r.lpush("greeting", "x"), /^ReplyError: WRONGTYPE/);
}

async function pipelines(r) {
  const pipe = r.pipeline();
  for (let i = 0; i < 10_000; i++) pipe.set(`p:${i}`, i);
  for (let i = 0; i < 10_000; i++) pipe.get(`p:${i}`);
  const replies = await pipe.exec();
  assert.ok(replies.every(([error]) => error === null));
  assert.deepEqual(replies.slice(10_000).map(([, reply]) => reply), Array.from({ length: 10_000 }, (_, i) => `${i}`));
  // Commands that are sent at once without any pipeline travel together too.
  const sums = await Promise.all(Array.from({ length: 1_000 }, () => r.incr("together")));
  assert.deepEqual(sums, Array.from({ length: 1_000 }, (_, i) => i + 1));
}

async function transactions(r) {
  await r.set("counter", 0);
  async function add() {
    const mine = connect();
    for (let done = 0; done < 20; ) {
      await mine.watch("counter");
      const seen = Number(await mine.get("counter"));
      if ((await mine.multi().set("counter", seen + 1).exec()) !== null) done++;
    }
  }
  await Promise.all(Array.from({ length: 8 }, add));
  assert.equal(await r.get("counter"), "160");
  const replies = await r.multi().rpush("t:list", "a", "b").lrange("t:list", 0, -1).incr("greeting").exec();
  assert.deepEqual(replies.slice(0, 2), [[null, 2], [null, ["a", "b"]]]);
  assert.match(replies[2][0].message, /not an integer/);
}

async function queue(r) {
  const worker = connect();
  const done = [];
  const working = (async () => {
    for (;;) {
      const job = await worker.blpop("urgent", "jobs", 10);
      assert.notEqual(job, null, "a job got lost");
      if (job[1] === "stop") return;
      done.push(job);
    }
  })();
  for (let i = 0; i < 100; i++) await r.rpush("jobs", i);
  await r.rpush("urgent", "now");
  await r.rpush("jobs", "stop");
  await working;
  assert.ok(done.some(([name, job]) => name === "urgent" && job === "now"));
  const jobs = done.filter(([name]) => name === "jobs").map(([, job]) => job);
  assert.deepEqual(jobs, Array.from({ length: 100 }, (_, i) => `${i}`));
  assert.equal(await r.blpop("nothing", 0.1), null);
}

async function messages(r) {
  const listener = connect();
  const got = [];
  const both = new Promise((resolve) => {
    const note = (...words) => got.push(words) === 2 && resolve();
    listener.on("message", note);
    listener.on("pmessage", note);
  });
  assert.equal(await listener.subscribe("news"), 1);
  assert.equal(await listener.psubscribe("weather.*"), 2);
  assert.equal(await r.publish("news", "first"), 1);
  assert.equal(await r.publish("weather.rome", "sunny"), 1);
  await both;
  assert.deepEqual(got, [["news", "first"], ["weather.*", "weather.rome", "sunny"]]);
  assert.equal(await listener.unsubscribe("news"), 1);
  assert.equal(await listener.punsubscribe("weather.*"), 0);
  assert.equal(await listener.get("greeting"), "hello");
}

async function scripts(r) {
  r.defineCommand("add", {
    numberOfKeys: 1,
    lua: "local n = redis.call('INCRBY', KEYS[1], ARGV[1]) return {n, 'sum', false}",
  });
  assert.deepEqual(await r.add("sum", 5), [5, "sum", null]);
  assert.deepEqual(await r.add("sum", 6), [11, "sum", null]);
  await r.script("FLUSH");
  assert.deepEqual(await r.add("sum", 1), [12, "sum", null]);
  await assert.rejects(r.eval("return redis.error_reply('MINE went wrong')", 0), /MINE went wrong/);
}

async function iteration(r) {
  const found = new Set();
  for await (const keys of r.scanStream({ match: "p:*", count: 500 })) keys.forEach((name) => found.add(name));
  assert.equal(found.size, 10_000);
  assert.equal(await r.flushdb(), "OK");
  assert.equal(await r.dbsize(), 0);
}

const client = connect();
for (const part of [strings, pipelines, transactions, queue, messages, scripts, iteration]) await part(client);
open.forEach((each) => each.disconnect());
clearTimeout(deadline);
console.log("all is well");
