"""Locks and queues of Python: the scripts that redis-py's Lock, Celery and RQ bring along, run by those packages.

Arguments: port and, for TLS, the CA's certificate and a client's certificate and key ("-" for none). Any difference
ends it.
"""

import json
import operator
import sys
import threading
import time

import redis
import rq
from celery import Celery
from celery.result import allow_join_result
from redis.exceptions import LockError, LockNotOwnedError, NoScriptError

port, ca, cert, key = sys.argv[1:5]


def connect(**options):
    if ca != "-":
        options |= {"ssl": True, "ssl_ca_certs": ca}
        if cert != "-":
            options |= {"ssl_certfile": cert, "ssl_keyfile": key}
    return redis.Redis(host="localhost", port=int(port), **options)


def url(db):
    if ca == "-":
        return f"redis://localhost:{port}/{db}"
    owner = "" if cert == "-" else f"&ssl_certfile={cert}&ssl_keyfile={key}"
    return f"rediss://localhost:{port}/{db}?ssl_cert_reqs=required&ssl_ca_certs={ca}{owner}"


def until(holds, what, seconds=30):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def locks():
    """redis-py's Lock: release, extend and reacquire are scripts."""
    r = connect()
    mine, theirs = r.lock("lock", timeout=20), connect().lock("lock", timeout=20, blocking=False)
    assert mine.acquire() and not theirs.acquire()
    assert mine.locked() and mine.owned() and not theirs.owned()
    assert mine.extend(10) and 20_000 < r.pttl("lock") <= 30_000
    assert mine.extend(5, replace_ttl=True) and 0 < r.pttl("lock") <= 5_000
    assert mine.reacquire() and 5_000 < r.pttl("lock") <= 20_000
    r.set("lock", "stolen")
    for attempt in (mine.release, lambda: r.lock("lock").release()):
        try:
            attempt()
            raise AssertionError("somebody else's lock was released")
        except LockError as error:
            assert isinstance(error, LockNotOwnedError) or "unlocked" in str(error)
    r.delete("lock")

    counter = {"inside": 0, "most": 0, "turns": 0}

    def worker():
        client = connect()
        for _ in range(20):
            with client.lock("shared", timeout=30, sleep=0.001):
                counter["inside"] += 1
                counter["most"] = max(counter["most"], counter["inside"])
                counter["turns"] += 1
                counter["inside"] -= 1

    threads = [threading.Thread(target=worker) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert (counter["most"], counter["turns"]) == (1, 80), counter


def scripts():
    """register_script falls back from EVALSHA to loading; in a pipeline it loads first."""
    r = connect(decode_responses=True)
    multiply = r.register_script("return redis.call('GET', KEYS[1]) * ARGV[1]")
    r.set("factor", 3)
    assert multiply(keys=["factor"], args=[7]) == 21
    r.script_flush()
    assert r.script_exists(multiply.sha) == [False]
    try:
        r.evalsha(multiply.sha, 1, "factor", 2)
        raise AssertionError("a forgotten script ran")
    except NoScriptError:
        pass
    assert multiply(keys=["factor"], args=[2]) == 6
    r.script_flush()
    with r.pipeline() as pipe:
        multiply(keys=["factor"], args=[5], client=pipe)
        pipe.get("factor")
        assert pipe.execute() == [15, "3"]
    assert json.loads(r.eval("return cjson.encode({KEYS, ARGV})", 1, "k", "v")) == [["k"], ["v"]]


def rq_jobs():
    """RQ: its worker, its registries and its scheduler's lock."""
    r = connect()
    queue, failing = rq.Queue("work", connection=r), rq.Queue("failing", connection=r)
    first = queue.enqueue(operator.mul, 6, 7)
    second = queue.enqueue(operator.add, "a", "b", depends_on=first)
    broken = failing.enqueue(operator.truediv, 1, 0)
    unique = [queue.enqueue(operator.neg, n, job_id=f"job-{n}") for n in range(5)]
    assert queue.count == 6 and queue.get_job_position(unique[0].id) == 1, (queue.count, queue.get_job_ids())
    unique[4].cancel()
    worker = rq.SimpleWorker([queue, failing], connection=r)
    assert worker.work(burst=True, logging_level="CRITICAL")
    assert first.return_value() == 42 and second.return_value() == "ab"
    assert [job.return_value() for job in unique] == [0, -1, -2, -3, None]
    assert broken.get_status() == rq.job.JobStatus.FAILED
    assert broken.id in failing.failed_job_registry and unique[4].id in queue.canceled_job_registry
    assert queue.is_empty() and failing.is_empty()
    assert queue.finished_job_registry.count == 6, queue.finished_job_registry.get_job_ids()
    broken.requeue()
    assert failing.count == 1
    assert failing.empty() == 1 and failing.count == 0  # by a script
    failing.delete(delete_jobs=True)


def celery_tasks():
    """Celery: kombu's queues, the acknowledgements by MULTI and the locks of its restore, results and a chord."""
    app = Celery("app", broker=url(1), backend=url(2))
    app.conf.update(broker_connection_retry_on_startup=True, worker_hijack_root_logger=False, task_acks_late=True,
                    result_chord_join_timeout=20, broker_transport_options={"global_keyprefix": "app:"})

    @app.task(name="add")
    def add(a, b):
        return a + b

    @app.task(name="total")
    def total(numbers):
        return sum(numbers)

    @app.task(name="fails", bind=True, max_retries=2)
    def fails(self):
        raise self.retry(countdown=0, exc=ValueError("always"))

    from celery.contrib.testing.worker import start_worker

    with start_worker(app, perform_ping_check=False, pool="threads", concurrency=2, loglevel="CRITICAL"):
        with allow_join_result():
            assert add.delay(2, 3).get(timeout=30) == 5
            assert add.apply_async((1, 1), countdown=0.1, priority=3).get(timeout=30) == 2
            from celery import chord

            assert chord(add.s(n, n) for n in range(10))(total.s()).get(timeout=30) == 90
            try:
                fails.delay().get(timeout=30)
                raise AssertionError("a failure got lost")
            except ValueError as error:
                assert str(error) == "always"
        # A result is there before its message is acknowledged; a worker that ends in between gives that back.
        broker = connect(db=1)
        until(lambda: not broker.exists("app:unacked", "app:celery"), "messages are left")


locks()
scripts()
rq_jobs()
celery_tasks()
print("all is well")
