// Queues and limiters of Node.js: the scripts that BullMQ, rate-limiter-flexible, Bottleneck and ioredis's defineCommand
// bring along, run by those packages. Arguments: the folder that holds them, port and, for TLS, the CA's certificate and
// a client's certificate and key ("-" for none). Any difference ends it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [modules, port, ca, cert, key] = process.argv.slice(2);
const require = createRequire(modules + "/");
const Redis = require("ioredis");
const { Queue, QueueEvents, Worker, FlowProducer, UnrecoverableError } = require("bullmq");
const { RateLimiterRedis, RateLimiterQueue, BurstyRateLimiter } = require("rate-limiter-flexible");
const Bottleneck = require("bottleneck");
const file = (path) => (path === "-" ? undefined : readFileSync(path));
const options = { host: "localhost", port: Number(port), maxRetriesPerRequest: null };
if (ca !== "-") options.tls = { ca: file(ca), cert: file(cert), key: file(key) };

const deadline = setTimeout(() => {
  console.error("an answer is missing");
  process.exit(1);
}, 100_000);

async function defineCommand() {
  const r = new Redis(options);
  r.defineCommand("echoKeys", { numberOfKeys: 2, lua: "return {KEYS[1], KEYS[2], ARGV[1], ARGV[2]}" });
  r.defineCommand("counted", { lua: "return redis.call('INCRBY', KEYS[1], ARGV[1])" });
  r.defineCommand("readOnly", { numberOfKeys: 1, lua: "return redis.call('GET', KEYS[1])", readOnly: true });
  assert.deepEqual(await r.echoKeys("k1", "k2", "a1", "a2"), ["k1", "k2", "a1", "a2"]);
  assert.deepEqual(await r.echoKeysBuffer("k1", "k2", "a1", "a2"), ["k1", "k2", "a1", "a2"].map(Buffer.from));
  assert.equal(await r.counted(1, "n", 5), 5);
  await r.script("flush");
  assert.equal(await r.counted(1, "n", 5), 10); // EVALSHA, NOSCRIPT, EVAL
  const replies = await r.pipeline().counted(1, "n", 1).echoKeys("a", "b", "c", "d").readOnly("n").exec();
  assert.deepEqual(replies, [[null, 11], [null, ["a", "b", "c", "d"]], [null, "11"]]);
  r.defineCommand("broken", { numberOfKeys: 0, lua: "return redis.call('nothing')" });
  await assert.rejects(r.broken(), /^ReplyError: ERR Unknown Redis command called from script script: [0-9a-f]{40}, on @user_script:1\.$/);
  r.disconnect();
}

async function bullmq() {
  const queue = new Queue("paint", { connection: options });
  const events = new QueueEvents("paint", { connection: options });
  await events.waitUntilReady();
  const attempts = new Map();
  const order = [];
  const worker = new Worker("paint", async (job) => {
    attempts.set(job.name, (attempts.get(job.name) ?? 0) + 1);
    if (job.name === "flaky" && attempts.get("flaky") < 3) throw new Error("not yet");
    if (job.name === "hopeless") throw new UnrecoverableError("never");
    if (job.name === "parent") return Object.values(await job.getChildrenValues()).reduce((a, b) => a + b, 0);
    await job.updateProgress(50);
    await job.log("half way");
    if (job.name === "ranked") order.push(job.data.rank);
    return job.data.rank ?? 1;
  }, { connection: options, concurrency: 1, autorun: false });

  // Ranked jobs wait until all are there.
  await queue.addBulk([3, 1, 2].map((rank) => ({ name: "ranked", data: { rank }, opts: { priority: rank } })));
  assert.deepEqual(await queue.getJobCounts("prioritized", "waiting"), { prioritized: 3, waiting: 0 });
  const twice = [await queue.add("once", {}, { jobId: "same" }), await queue.add("once", {}, { jobId: "same" })];
  assert.equal(twice[0].id, twice[1].id);
  const later = await queue.add("later", {}, { delay: 150 });
  assert.equal(await later.getState(), "delayed");
  const flaky = await queue.add("flaky", {}, { attempts: 3, backoff: { type: "fixed", delay: 20 } });
  const hopeless = await queue.add("hopeless", {}, { attempts: 5 });
  const running = worker.run();
  for (const job of [twice[0], later, flaky]) assert.equal(await job.waitUntilFinished(events, 30_000), 1);
  await assert.rejects(hopeless.waitUntilFinished(events, 30_000), /never/);
  assert.deepEqual([attempts.get("once"), attempts.get("flaky"), attempts.get("hopeless")], [1, 3, 1]);
  const done = await queue.getJobs(["completed"]);
  await Promise.all(done.map((job) => job.waitUntilFinished(events, 30_000)));

  const flow = new FlowProducer({ connection: options });
  const children = [10, 20, 12].map((rank) => ({ name: "child", data: { rank }, queueName: "paint" }));
  const { job: parent } = await flow.add({ name: "parent", queueName: "paint", children });
  assert.equal(await parent.waitUntilFinished(events, 30_000), 42);
  assert.deepEqual(order, [1, 2, 3]);

  await queue.upsertJobScheduler("every", { every: 100, limit: 3 }, { name: "tick", data: { rank: 9 } });
  while ((attempts.get("tick") ?? 0) < 2) await new Promise((done) => setTimeout(done, 20));
  assert.equal(await queue.removeJobScheduler("every"), true);
  const [log] = (await queue.getJobLogs(twice[0].id)).logs;
  assert.equal(log, "half way");
  await queue.pause();
  assert.equal(await queue.isPaused(), true);
  await queue.add("ranked", { rank: 5 });
  await queue.resume();
  const retried = (await queue.getFailed())[0];
  assert.equal(retried.name, "hopeless");
  await worker.close();
  await running;
  await retried.retry();
  assert.equal(await retried.getState(), "waiting");
  assert.ok((await queue.clean(0, 1000, "completed")).length > 5);
  await queue.drain(true);
  await queue.obliterate({ force: true });
  await Promise.all([queue.close(), events.close(), flow.close()]);
  const r = new Redis(options);
  assert.deepEqual(await r.keys("bull:paint:*"), []);
  r.disconnect();
}

async function limiters() {
  const r = new Redis({ ...options, enableOfflineQueue: true });
  const limiter = new RateLimiterRedis({ storeClient: r, points: 3, duration: 60, keyPrefix: "limit", blockDuration: 60 });
  for (const left of [2, 1, 0]) assert.equal((await limiter.consume("ann")).remainingPoints, left);
  const refused = await limiter.consume("ann").catch((refusal) => refusal);
  assert.equal(refused.consumedPoints, 4);
  assert.ok(refused.msBeforeNext > 50_000 && refused.msBeforeNext <= 60_000, String(refused.msBeforeNext));
  assert.equal((await limiter.consume("bob", 2)).remainingPoints, 1);
  assert.equal((await limiter.penalty("bob", 1)).consumedPoints, 3);
  assert.equal((await limiter.reward("bob", 2)).consumedPoints, 1);
  await limiter.delete("bob");
  assert.equal(await limiter.get("bob"), null);
  const burst = new RateLimiterRedis({ storeClient: r, points: 2, duration: 60, keyPrefix: "burst" });
  const bursty = new BurstyRateLimiter(limiter, burst);
  for (let i = 0; i < 5; i++) await bursty.consume("cid");
  await assert.rejects(bursty.consume("cid"), (refusal) => refusal.msBeforeNext > 0);
  const queue = new RateLimiterQueue(new RateLimiterRedis({ storeClient: r, points: 2, duration: 1, keyPrefix: "q" }));
  await Promise.all([1, 2, 3].map(() => queue.removeTokens(1, "q")));
  r.disconnect();
}

async function bottleneck() {
  const shared = { id: "shared", datastore: "ioredis", clientOptions: options, Redis };
  const settings = { ...shared, maxConcurrent: 1, minTime: 5, reservoir: 20 };
  const one = new Bottleneck({ ...settings, clearDatastore: true });
  await one.ready();
  const two = new Bottleneck(settings);
  await two.ready();
  let inside = 0;
  const job = async (n) => {
    inside += 1;
    assert.equal(inside, 1);
    await new Promise((done) => setTimeout(done, 2));
    inside -= 1;
    return n * n;
  };
  const limiters = [one, two];
  const squares = await Promise.all([...Array(12).keys()].map((n) => limiters[n % 2].schedule(job, n)));
  assert.deepEqual(squares, [...Array(12).keys()].map((n) => n * n));
  assert.equal(await one.currentReservoir(), 8);
  assert.equal(await two.done(), 12);
  assert.equal(await one.incrementReservoir(4), 12);
  await Promise.all([one.disconnect(), two.disconnect()]);
}

await defineCommand();
await bullmq();
await limiters();
await bottleneck();
clearTimeout(deadline);
console.log("all is well");
process.exit(0);
