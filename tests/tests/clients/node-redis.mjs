// What an application does through node-redis, in RESP2 and RESP3. Arguments: the folder that holds node-redis, port,
// protocol and, for TLS, the CA's certificate and a client's certificate and key ("-" for none). Any difference ends
// it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [modules, port, protocol, ca, cert, key] = process.argv.slice(2);
const { createClient, WatchError } = createRequire(modules + "/")("redis");
const file = (path) => (path === "-" ? undefined : readFileSync(path));
const socket = { host: "localhost", port: Number(port), reconnectStrategy: false };
if (ca !== "-") Object.assign(socket, { tls: true, ca: file(ca), cert: file(cert), key: file(key) });

const open = [];
async function connect() {
  const client = createClient({ RESP: Number(protocol), socket });
  client.on("error", (error) => {
    console.error(error);
    process.exit(1);
  });
  open.push(client);
  return client.connect();
}
const deadline = setTimeout(() => {
  console.error("an answer is missing");
  process.exit(1);
}, 60_000);

async function values(r) {
  assert.equal(await r.ping(), "PONG");
  assert.equal(await r.set("greeting", "hello"), "OK");
  assert.equal(await r.get("greeting"), "hello");
  assert.equal(await r.get("missing"), null);
  assert.equal(await r.hSet("h", { a: "1", b: "2" }), 2);
  assert.deepEqual({ ...(await r.hGetAll("h")) }, { a: "1", b: "2" });
  assert.equal(await r.zAdd("z", [{ score: 1.5, value: "x" }, { score: 2, value: "y" }]), 2);
  assert.deepEqual(await r.zRangeWithScores("z", 0, -1), [{ value: "x", score: 1.5 }, { value: "y", score: 2 }]);
  await assert.rejects(r.lPush("greeting", "x"), /WRONGTYPE/);
  // Commands that are sent at once travel together.
  const sums = await Promise.all(Array.from({ length: 1_000 }, () => r.incr("together")));
  assert.deepEqual(sums, Array.from({ length: 1_000 }, (_, i) => i + 1));
}

async function counters(r) {
  await r.set("counter", 0);
  async function add() {
    const mine = await connect();
    for (let done = 0; done < 20; ) {
      await mine.watch("counter");
      const seen = Number(await mine.get("counter"));
      try {
        await mine.multi().set("counter", seen + 1).exec();
        done++;
      } catch (error) {
        assert.ok(error instanceof WatchError, error);
      }
    }
  }
  await Promise.all(Array.from({ length: 8 }, add));
  assert.equal(await r.get("counter"), "160");
}

async function queue(r) {
  const worker = await connect();
  const done = [];
  const working = (async () => {
    for (;;) {
      const job = await worker.blPop(["urgent", "jobs"], 10);
      assert.notEqual(job, null, "a job got lost");
      if (job.element === "stop") return;
      done.push(job);
    }
  })();
  for (let i = 0; i < 100; i++) await r.rPush("jobs", `${i}`);
  await r.rPush("urgent", "now");
  await r.rPush("jobs", "stop");
  await working;
  assert.ok(done.some(({ key, element }) => key === "urgent" && element === "now"));
  const jobs = done.filter(({ key }) => key === "jobs").map(({ element }) => element);
  assert.deepEqual(jobs, Array.from({ length: 100 }, (_, i) => `${i}`));
  assert.equal(await r.blPop("nothing", 0.1), null);
}

async function messages(r) {
  const listener = await connect();
  const got = [];
  let told;
  const all = new Promise((resolve) => (told = resolve));
  const note = (message, channel) => got.push([channel, message]) === 3 && told();
  await listener.subscribe("news", note);
  await listener.pSubscribe("weather.*", note);
  await listener.sSubscribe("shard", note);
  assert.equal(await r.publish("news", "first"), 1);
  assert.equal(await r.publish("weather.rome", "sunny"), 1);
  assert.equal(await r.sPublish("shard", "here"), 1);
  await all;
  assert.deepEqual(got, [["news", "first"], ["weather.rome", "sunny"], ["shard", "here"]]);
  await listener.unsubscribe("news");
  await listener.pUnsubscribe("weather.*");
  await listener.sUnsubscribe("shard");
  assert.equal(await r.publish("news", "second"), 0);
  // Behind subscriptions in RESP2, node-redis hands out the bytes as they came.
  assert.equal(String(await listener.get("greeting")), "hello");
}

const client = await connect();
for (const part of [values, counters, queue, messages]) await part(client);
open.forEach((each) => each.destroy());
clearTimeout(deadline);
console.log("all is well");
