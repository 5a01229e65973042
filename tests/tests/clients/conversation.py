"""What an application does through redis-py. Arguments: port, protocol version and, for TLS, the CA's certificate and
a client's certificate and key ("-" for none). Any difference from what redis-py documents ends it with a traceback."""

import sys
import threading
import time

import redis

port, protocol = int(sys.argv[1]), int(sys.argv[2])
ca, cert, key = (None if word == "-" else word for word in sys.argv[3:6])
options = {"host": "localhost", "port": port, "protocol": protocol, "decode_responses": True, "socket_timeout": 20}
if ca:
    options |= {"ssl": True, "ssl_ca_certs": ca, "ssl_certfile": cert, "ssl_keyfile": key}


def connect():
    return redis.Redis(**options)


def strings(r):
    assert r.ping() is True
    assert r.set("greeting", "hello") is True
    assert r.get("greeting") == "hello"
    assert r.set("greeting", "never", nx=True) is None
    assert r.get("missing") is None
    assert r.set("short", "lived", px=20) is True
    time.sleep(0.05)
    assert r.get("short") is None
    blob = "\r\n$5\r\n" * 100_000
    assert r.set("blob", blob) is True and r.get("blob") == blob
    assert r.mget("greeting", "missing") == ["hello", None]
    try:
        r.lpush("greeting", "x")
    except redis.ResponseError as error:
        assert str(error).startswith("WRONGTYPE"), error
    else:
        raise AssertionError("a string is no list")


def pipelines(r):
    pipe = r.pipeline(transaction=False)
    for i in range(10_000):
        pipe.set(f"p:{i}", i)
    for i in range(10_000):
        pipe.get(f"p:{i}")
    replies = pipe.execute()
    assert replies[:10_000] == [True] * 10_000
    assert replies[10_000:] == [str(i) for i in range(10_000)]


def transactions(r):
    """Eight threads add to one counter under WATCH: none of their additions may get lost."""
    r.set("counter", 0)

    def add():
        mine = connect()
        for _ in range(20):
            optimistic(mine)

    def optimistic(mine):
        with mine.pipeline() as pipe:
            while True:
                try:
                    pipe.watch("counter")
                    seen = int(pipe.get("counter"))
                    pipe.multi()
                    pipe.set("counter", seen + 1)
                    assert pipe.execute() == [True]
                    return
                except redis.WatchError:
                    continue

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert r.get("counter") == "160", r.get("counter")
    with r.pipeline() as pipe:
        pipe.rpush("t:list", "a", "b").lrange("t:list", 0, -1).incr("greeting")
        replies = pipe.execute(raise_on_error=False)
    assert replies[:2] == [2, ["a", "b"]] and isinstance(replies[2], redis.ResponseError), replies


def queue(r):
    """A worker takes jobs by BLPOP in the order in which they were queued."""
    done = []

    def work():
        worker = connect()
        while (job := worker.blpop(["urgent", "jobs"], timeout=10)) is not None and job[1] != "stop":
            done.append(tuple(job))

    worker = threading.Thread(target=work)
    worker.start()
    for i in range(100):
        r.rpush("jobs", i)
    r.rpush("urgent", "now")
    r.rpush("jobs", "stop")
    worker.join()
    assert ("urgent", "now") in done
    assert [job for name, job in done if name == "jobs"] == [str(i) for i in range(100)]
    started = time.monotonic()
    assert r.blpop("nothing", timeout=0.1) is None
    assert 0.1 <= time.monotonic() - started < 5


def messages(r):
    listener = r.pubsub()
    listener.subscribe("news")
    listener.psubscribe("weather.*")
    kinds = [next_message(listener)["type"] for _ in range(2)]
    assert kinds == ["subscribe", "psubscribe"]
    assert r.publish("news", "first") == 1 and r.publish("weather.rome", "sunny") == 1
    got = [next_message(listener) for _ in range(2)]
    assert [(m["type"], m["channel"], m["data"]) for m in got] == [
        ("message", "news", "first"), ("pmessage", "weather.rome", "sunny")]
    assert r.pubsub_channels() == ["news"] and r.pubsub_numpat() == 1
    assert r.pubsub_numsub("news") == [("news", 1)]
    listener.unsubscribe()
    listener.punsubscribe()
    listener.close()


def next_message(listener):
    message = listener.get_message(timeout=10)
    assert message is not None, "no message came"
    return message


def scripts(r):
    add = r.register_script("local n = redis.call('INCRBY', KEYS[1], ARGV[1]) return {n, 'sum', false}")
    assert add(keys=["sum"], args=[5]) == [5, "sum", None]
    assert add(keys=["sum"], args=[6]) == [11, "sum", None]
    r.script_flush()
    assert add(keys=["sum"], args=[1]) == [12, "sum", None]
    assert r.script_exists(add.sha) == [True]
    try:
        r.eval("return redis.error_reply('MINE went wrong')", 0)
    except redis.ResponseError as error:
        assert "went wrong" in str(error)
    else:
        raise AssertionError("the script's error got lost")


def iteration(r):
    found = list(r.scan_iter(match="p:*", count=500))
    assert set(found) == {f"p:{i}" for i in range(10_000)}
    assert r.dbsize() >= 10_000
    r.flushdb()
    assert list(r.scan_iter()) == []


client = connect()
for part in (strings, pipelines, transactions, queue, messages, scripts, iteration):
    part(client)
assert client.client_info()["resp"] == str(protocol)
print("all is well")
