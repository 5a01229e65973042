#!/usr/bin/env python3
"""Runs Redis 7.0's own Tcl test suite against our binaries and compares with expected.toml.

The suite is not in this repository: it comes with Debian's source package, fetched once by apt into a cache
outside the checkout (OCHRE_TEST_CACHE, default ~/.cache/ochre). Nothing of it is compiled: the units are plain Tcl.

Each unit runs in a process group of its own, in a root directory of its own (the suite deletes tests/tmp when it
starts, so two runs cannot share one), on ports of its own and under its own time limit. What it printed is kept in
target/conformance/, and then judged case by case:

  * a case that fails without being listed, or fewer passed cases than recorded: something broke
  * a listed case that passes, or more passed cases than recorded: the list is out of date (--update)
  * a case whose reason is still "unsorted": somebody owes a reason

A step that cannot run (no apt source, no tclsh, no binary) ends the program with exit code 2; nothing is skipped
in silence. Exit code 1 means that the comparison failed, 0 that everything is as expected.
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import fcntl
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
REPO = HERE.parent.parent
EXPECTED = HERE / "expected.toml"
LOGS = REPO / "target" / "conformance"

# The release whose suite is the yardstick; Debian's revisions of it only add security patches.
UPSTREAM = "7.0.15"

# Seconds a unit may take when expected.toml names no limit of its own.
DEFAULT_LIMIT_S = 300

# Seconds within which the server must have started on an empty directory.
START_LIMIT_S = 20

# Seconds that the suite waits for a server to start. Its own 120 would be lost with each server that is refused its
# start (AOF), several times over in some units.
SUITE_START_LIMIT_S = 8

# Since 7.2 a short list is one listpack and says so, where 7.0 names every list a quicklist. More than a hundred cases
# look at the name in passing; what they are about must not go unseen for that.
SHORT_LIST = "    if {$enc eq {quicklist} && $val eq {listpack}} { return }\n"

# Where unit/scripting asks for the debugger outside of a case: a refusal there would be the end of the unit.
DEBUGGED = """start_server {tags {"scripting external:skip"}} {
    r script debug sync
"""

# Redis 8 and we free in the background by default; 7.0 does not, and its suite looks for DEL in what is propagated.
OLD_DEFAULTS = [
    word
    for moment in ("expire", "eviction", "server-del", "user-del", "user-flush")
    for word in ("--config", f"lazyfree-lazy-{moment}", "no")
]

# Ports per concurrently running unit. The suite's controller listens just below its base port, and cluster units
# add 10,000 for their bus, so everything stays under the kernel's ephemeral range (32768).
BASE_PORT = 20111
PORTS_PER_SLOT = 500

# What --update writes for a case that nobody has looked at; a run with such an entry fails.
UNSORTED = "unsorted"

# The tools of the suite that come from Debian's packages.
DEBIAN_TOOLS = ["redis-cli", "redis-benchmark", "redis-check-rdb", "redis-check-aof"]

ANSI = re.compile(r"\x1b\[[0-9;]*m")
REPORT = re.compile(r"^\[(ok|err|skip|ignore|exception)\]: ?(.*)$")
ELAPSED = re.compile(r" \(\d+ ms\)$")
CASE_FILE = re.compile(r" in tests/\S+\.tcl$")


class CannotRun(Exception):
    """A step that must work did not: the message says which, and what to do about it."""


# ---------------------------------------------------------------------------------------------------------------
# Fetching the suite


def cache_dir():
    """Where the suite is kept between runs, outside the checkout."""
    configured = os.environ.get("OCHRE_TEST_CACHE")
    return pathlib.Path(configured) if configured else pathlib.Path.home() / ".cache" / "ochre"


def fetched_suite():
    """The unpacked source package, fetched under a lock the first time."""
    cache = cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    suite = cache / f"redis-{UPSTREAM}"
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (suite / "tests" / "test_helper.tcl").is_file():
            fetch(cache, suite)
    return suite


def fetch(cache, suite):
    """Downloads with apt and unpacks beside the final place, so that a broken attempt leaves nothing usable."""
    need("apt-get", "this step needs a Debian system")
    need("dpkg-source", "install dpkg-dev")
    print(f"fetching the source package of redis {UPSTREAM} into {cache}", flush=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="fetch-") as work:
        work = pathlib.Path(work)
        options = private_apt(work)
        step(["apt-get", *options, "update"], work, "apt-get update (deb-src)")
        step(["apt-get", *options, "source", "--download-only", "redis"], work, "apt-get source redis")
        dsc = list(work.glob(f"redis_{UPSTREAM}-*.dsc"))
        if len(dsc) != 1:
            found = [p.name for p in work.glob("redis_*.dsc")]
            raise CannotRun(f"apt offers {found or 'no source package'}, wanted redis {UPSTREAM}")
        step(["dpkg-source", "--no-check", "-x", dsc[0].name, "unpacked"], work, "dpkg-source -x")
        shutil.rmtree(suite, ignore_errors=True)
        (work / "unpacked").rename(suite)


def private_apt(work):
    """Options that let apt see the machine's own mirrors as deb-src, without touching its configuration."""
    sources = work / "apt.sources"
    sources.write_text(deb_src_entries())
    (work / "lists" / "partial").mkdir(parents=True)
    (work / "archives" / "partial").mkdir(parents=True)
    return [
        "-qq",
        "-o", f"Dir::Etc::SourceList={sources}",
        "-o", "Dir::Etc::SourceParts=/dev/null",
        "-o", f"Dir::State::Lists={work}/lists",
        "-o", f"Dir::Cache={work}",
        "-o", f"APT::Sandbox::User={os.environ.get('USER', 'root')}",
    ]


def deb_src_entries():
    """The machine's entries for its own Debian release, as deb-src in deb822 form; third parties are left out."""
    codename = os_codename()
    stanzas = []
    for path in [pathlib.Path("/etc/apt/sources.list"), *sorted(pathlib.Path("/etc/apt/sources.list.d").glob("*"))]:
        if not path.is_file():
            continue
        text = path.read_text()
        entries = deb822_entries(text) if path.suffix == ".sources" else one_line_entries(text)
        for entry in entries:
            suites = [s for s in entry.get("suites", "").split() if s.split("-")[0] == codename]
            if suites and "main" in entry.get("components", "").split():
                signed = f"Signed-By: {entry['signed-by']}\n" if "signed-by" in entry else ""
                stanzas.append(
                    f"Types: deb-src\nURIs: {entry['uris']}\nSuites: {' '.join(suites)}\nComponents: main\n{signed}"
                )
    if not stanzas:
        raise CannotRun(f"no apt source for {codename} main found under /etc/apt")
    return "\n".join(stanzas)


def os_codename():
    for line in pathlib.Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.partition("=")[2].strip('"')
    raise CannotRun("/etc/os-release names no VERSION_CODENAME")


def deb822_entries(text):
    """Stanzas of a .sources file as dictionaries with lower-case keys."""
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if ":" in line and not line.startswith("#")]
        entry = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        if entry.get("uris"):
            yield entry


def one_line_entries(text):
    """`deb [options] uri suite components…` lines as dictionaries like the ones of deb822_entries."""
    for line in text.splitlines():
        match = re.match(r"\s*deb(?:-src)?\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.*)", line)
        if match:
            options, uri, suite, components = match.groups()
            entry = {"uris": uri, "suites": suite, "components": components}
            for option in (options or "").split():
                if option.startswith("signed-by="):
                    entry["signed-by"] = option.partition("=")[2]
            yield entry


def need(tool, advice):
    if shutil.which(tool) is None:
        raise CannotRun(f"{tool} is not installed: {advice}")


def step(command, cwd, what):
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise CannotRun(f"{what} failed with code {done.returncode}:\n{done.stdout}")


# ---------------------------------------------------------------------------------------------------------------
# Running one unit


@dataclasses.dataclass
class Binaries:
    """What stands in the suite's src/ directory."""

    server: pathlib.Path
    sentinel: pathlib.Path
    is_redis: bool

    def install(self, src):
        src.mkdir()
        (src / "redis-server").symlink_to(self.server)
        (src / "redis-sentinel").symlink_to(self.sentinel)
        for tool in DEBIAN_TOOLS:
            found = shutil.which(tool)
            if found is None:
                raise CannotRun(f"{tool} is not installed: install redis-tools and redis-server")
            (src / tool).symlink_to(found)


@dataclasses.dataclass
class Result:
    """What one unit printed, by case; a name that occurs again gets ` [2]`, ` [3]` …"""

    unit: str
    passed: set
    failed: dict
    skipped: set
    ignored: int
    elapsed_s: float


def chosen_binaries(args):
    """Ours, unless told otherwise; where no ochre-sentinel lies beside the server, Debian's redis-server stands in
    (it becomes a sentinel when called by that name)."""
    server = pathlib.Path("/usr/bin/redis-server" if args.reference else args.server).absolute()
    sibling = server.parent / "ochre-sentinel"
    sentinel = sibling if sibling.is_file() else pathlib.Path("/usr/bin/redis-server")
    for path in (server, sentinel):
        if not os.access(path, os.X_OK):
            raise CannotRun(f"{path} does not exist or cannot be executed (make conformance builds ours)")
    return Binaries(server, sentinel, args.reference)


def prepared_root(suite, work, unit, binaries):
    """A root directory that looks like the source tree to the suite, with a tests/tmp of its own."""
    root = work / unit.replace("/", "-")
    root.mkdir()
    for entry in suite.iterdir():
        if entry.name not in ("src", "tests"):
            (root / entry.name).symlink_to(entry)
    tests = root / "tests"
    tests.mkdir()
    for entry in (suite / "tests").iterdir():
        if entry.name not in ("tmp", "support", "unit"):
            (tests / entry.name).symlink_to(entry)
    (tests / "tmp").mkdir()
    linked(suite / "tests" / "unit", tests / "unit")
    if not binaries.is_redis:
        edit(suite / "tests" / "unit", tests / "unit", "scripting.tcl", DEBUGGED, DEBUGGED.replace(
            "r script debug sync", "catch {r script debug sync}"))
    adapted_support(suite / "tests" / "support", tests / "support", binaries.is_redis)
    binaries.install(root / "src")
    return root


def adapted_support(support, target, is_redis):
    """The suite's helpers, with another limit on the start of a server and, for ours, today's name of a short list."""
    linked(support, target)
    edit(support, target, "server.tcl", "{120*1000/$checkperiod}", f"{{{SUITE_START_LIMIT_S}*1000/$checkperiod}}")
    if not is_redis:
        edit(support, target, "test.tcl", "    assert_match $enc $val\n", SHORT_LIST + "    assert_match $enc $val\n")


def linked(source, target):
    """A directory of links to what is in another."""
    target.mkdir()
    for entry in source.iterdir():
        (target / entry.name).symlink_to(entry)


def edit(support, target, name, old, new):
    """Puts a changed copy in the place of the link to a helper file."""
    text = (support / name).read_text()
    if text.count(old) != 1:
        raise CannotRun(f"{support / name} is not as it was; look at what is edited there")
    (target / name).unlink()
    (target / name).write_text(text.replace(old, new))


def probe(suite, work, binaries):
    """Starts the server once on the suite's own configuration: without this, one refused directive costs two minutes
    of waiting per server that a unit starts, and its reason is lost in a temporary folder."""
    root = prepared_root(suite, work, "probe", binaries)
    conf = [line for line in (suite / "tests/assets/default.conf").read_text().splitlines()
            if line.strip() and not line.startswith(("#", "port ", "dir "))]
    conf += [f"port {BASE_PORT}", "dir ./tests/tmp", f"unixsocket {root}/tests/tmp/socket"]
    (root / "probe.conf").write_text("\n".join(conf) + "\n")
    output = root / "output"
    with open(output, "wb") as out:
        server = subprocess.Popen(["src/redis-server", "probe.conf"], cwd=root, stdin=subprocess.DEVNULL,
                                  stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    deadline = time.monotonic() + START_LIMIT_S
    try:
        while time.monotonic() < deadline and server.poll() is None:
            text = output.read_text(errors="replace")
            if f" PID: {server.pid}" in text and "Ready to accept" in text:
                return
            time.sleep(0.05)
    finally:
        kill_group(server)
    raise CannotRun(f"{binaries.server} does not start on the suite's configuration:\n"
                    + output.read_text(errors="replace"))


def run_unit(suite, work, unit, plan, binaries, slot):
    """Runs one unit to its end or its limit; whatever it started dies with its process group."""
    root = prepared_root(suite, work, unit, binaries)
    base_port = BASE_PORT + slot * PORTS_PER_SLOT
    command = [
        "tclsh", "tests/test_helper.tcl", "--single", unit, "--durable", "--clients", "1",
        "--baseport", str(base_port), "--portcount", str(PORTS_PER_SLOT - 100), *plan.args,
    ]
    if not binaries.is_redis:
        command += OLD_DEFAULTS + plan.our_args
    for name in plan.skipped:
        command += ["--skiptest", name]
    log = LOGS / (unit.replace("/", "-") + ".log")
    started = time.monotonic()
    with open(log, "wb") as out:
        process = subprocess.Popen(command, cwd=root, stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        try:
            process.wait(plan.limit_s)
            overrun = False
        except subprocess.TimeoutExpired:
            overrun = True
        finally:
            kill_group(process)
    elapsed_s = time.monotonic() - started
    with open(log, "ab") as out:
        for stderr in sorted(root.glob("tests/tmp/server.*/stderr")):
            out.write(b"\n--- " + str(stderr.relative_to(root)).encode() + b"\n" + stderr.read_bytes())
    result = parse(unit, log.read_bytes().decode("utf-8", "replace"), elapsed_s)
    if overrun:
        result.failed.pop("(unit did not finish)", None)
        result.failed["(time limit)"] = f"still running after {plan.limit_s} s"
    shutil.rmtree(root, ignore_errors=True)
    return result


def kill_group(process):
    """Ends the unit and every server it left behind; a group that is gone already is fine."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def parse(unit, text, elapsed_s):
    """Sorts the suite's lines into cases; a unit that did not reach its end counts as a failure of its own."""
    result = Result(unit, set(), {}, set(), 0, elapsed_s)
    seen = collections.Counter()
    finished = False
    detail_of = None
    for line in ANSI.sub("", text).splitlines():
        match = REPORT.match(line)
        if not match:
            finished = finished or ("done]: " + unit) in line
            if "The End" in line:
                break
            if detail_of is not None and not line.startswith("["):
                result.failed[detail_of] += "\n" + line
            continue
        kind, rest = match.groups()
        detail_of = None
        if kind == "ignore":
            result.ignored += 1
            continue
        name = case_name(kind, rest)
        seen[name] += 1
        if seen[name] > 1:
            name += f" [{seen[name]}]"
        if kind == "ok":
            result.passed.add(name)
        elif kind == "skip":
            result.skipped.add(name)
        else:
            result.failed[name] = ""
            detail_of = name
    if not finished:
        result.failed["(unit did not finish)"] = "\n".join(text.splitlines()[-5:])
    return result


def case_name(kind, rest):
    """The case's name; an error outside of any case gets a stable stand-in made of its first line."""
    if kind == "ok":
        return ELAPSED.sub("", rest)
    if kind == "err" and CASE_FILE.search(rest):
        return CASE_FILE.sub("", rest)
    if kind == "skip":
        return rest
    return "(outside of a case) " + re.sub(r"\d+", "N", rest)[:80]


# ---------------------------------------------------------------------------------------------------------------
# expected.toml


@dataclasses.dataclass
class Plan:
    """One unit's entry: how to run it and what comes out."""

    redis: int = 0
    passed: int = 0
    limit_s: int = DEFAULT_LIMIT_S
    args: list = dataclasses.field(default_factory=list)
    our_args: list = dataclasses.field(default_factory=list)
    not_passing: dict = dataclasses.field(default_factory=dict)
    skipped: dict = dataclasses.field(default_factory=dict)


def read_expected():
    with open(EXPECTED, "rb") as file:
        table = tomllib.load(file)
    return {unit: Plan(**entry) for unit, entry in table.get("unit", {}).items()}


def write_expected(plans):
    """Keeps the comment block at the file's head, then one section per unit in alphabetical order."""
    head = []
    for line in EXPECTED.read_text().splitlines():
        if not line.startswith("#"):
            break
        head.append(line)
    out = head
    for unit, plan in sorted(plans.items()):
        out += ["", f"[unit.{quoted(unit)}]", f"redis = {plan.redis}", f"passed = {plan.passed}"]
        out += [f"limit_s = {plan.limit_s}"]
        for title, words in (("args", plan.args), ("our_args", plan.our_args)):
            if words:
                out += [f"{title} = [{', '.join(quoted(arg) for arg in words)}]"]
        for title, cases in (("not_passing", plan.not_passing), ("skipped", plan.skipped)):
            if cases:
                out += ["", f"[unit.{quoted(unit)}.{title}]"]
                out += [f"{quoted(name)} = {quoted(reason)}" for name, reason in cases.items()]
    EXPECTED.write_text("\n".join(out) + "\n")


def quoted(text):
    """A TOML basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda c: f"\\u{ord(c[0]):04x}", escaped) + '"'


def judge(result, plan):
    """Sentences about everything that is not as recorded; an empty list is a unit in order."""
    broken = []
    for name, detail in result.failed.items():
        if name not in plan.not_passing:
            broken.append(f"FAILED and not listed: {name}{indented(detail)}")
    for name, reason in plan.not_passing.items():
        if name in result.passed:
            broken.append(f"listed but passes: {name} ({reason})")
        elif name not in result.failed:
            broken.append(f"listed but did not run: {name}")
        if reason == UNSORTED:
            broken.append(f"has no reason yet: {name}")
    for name in plan.skipped:
        if name not in result.skipped:
            broken.append(f"to be skipped but not met: {name}")
    if len(result.passed) < plan.passed:
        broken.append(f"{len(result.passed)} cases passed, {plan.passed} recorded: cases are lost")
    elif len(result.passed) > plan.passed:
        broken.append(f"{len(result.passed)} cases passed, only {plan.passed} recorded: update the count")
    return broken


def judge_reference(result, plan):
    """For Redis itself nothing may fail."""
    return [f"FAILED: {name}{indented(detail)}" for name, detail in result.failed.items()]


def indented(detail, lines=6):
    """The head of a case's message, without Tcl's traceback."""
    message = detail.split("    while executing")[0]
    kept = [line for line in message.splitlines() if line.strip()][:lines]
    return "".join("\n        " + line[:160] for line in kept)


def updated(plan, result, reference):
    """The entry as this run would have it; reasons already given stay."""
    if reference:
        return dataclasses.replace(plan, redis=len(result.passed))
    reasons = {name: plan.not_passing.get(name, UNSORTED) for name in result.failed}
    return dataclasses.replace(plan, passed=len(result.passed), not_passing=reasons)


# ---------------------------------------------------------------------------------------------------------------
# The program


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("units", nargs="*", help="units such as unit/multi; default: all in expected.toml")
    parser.add_argument("--all", action="store_true", help="every unit of the suite, listed or not")
    parser.add_argument("--list", action="store_true", help="print the suite's units and stop")
    parser.add_argument("--server", default=str(REPO / "target" / "release" / "ochre-server"))
    parser.add_argument("--reference", action="store_true", help="run Debian's redis-server: all must pass")
    parser.add_argument("--jobs", type=int, default=2, help="units at a time (default 2)")
    parser.add_argument("--update", action="store_true", help="record this run's counts and failures")
    return parser.parse_args()


def suite_units(suite):
    listed = subprocess.run(["tclsh", "tests/test_helper.tcl", "--list-tests"], cwd=suite, check=True,
                            stdout=subprocess.PIPE, text=True)
    return listed.stdout.split()


def run_all(suite, units, plans, binaries, args):
    """Yields results as units end, `--jobs` at a time, each on a free slot of ports."""
    slots = queue.SimpleQueue()
    for slot in range(args.jobs):
        slots.put(slot)

    def one(unit, work):
        slot = slots.get()
        try:
            return run_unit(suite, work, unit, plans.get(unit, Plan()), binaries, slot)
        finally:
            slots.put(slot)

    # A short path: a Unix socket's name may have 107 bytes, and the suite puts it six levels down.
    with tempfile.TemporaryDirectory(prefix="ochre-tcl-") as work:
        probe(suite, pathlib.Path(work), binaries)
        with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
            running = [pool.submit(one, unit, pathlib.Path(work)) for unit in units]
            for future in concurrent.futures.as_completed(running):
                yield future.result()


def main():
    args = arguments()
    need("tclsh", "install tcl")
    suite = fetched_suite()
    if args.list:
        print("\n".join(suite_units(suite)))
        return 0
    plans = read_expected()
    known = suite_units(suite)
    units = args.units or (known if args.all else list(plans))
    unknown = [unit for unit in units if unit not in known]
    if unknown:
        raise CannotRun(f"the suite has no unit {', '.join(unknown)} (--list shows them)")
    binaries = chosen_binaries(args)
    LOGS.mkdir(parents=True, exist_ok=True)
    print(f"{len(units)} units of redis {UPSTREAM} against {binaries.server}", flush=True)

    trouble = 0
    passed = reference = 0
    for result in run_all(suite, units, plans, binaries, args):
        plan = plans.get(result.unit, Plan())
        if args.update:
            plan = plans[result.unit] = updated(plan, result, args.reference)
        broken = judge_reference(result, plan) if args.reference else judge(result, plan)
        trouble += bool(broken)
        passed += len(result.passed)
        reference += plan.redis
        of = f"of {plan.redis}" if plan.redis else ""
        skipped = f", {len(result.skipped)} skipped" if result.skipped else ""
        ignored = f", {result.ignored} not meant for this setup" if result.ignored else ""
        print(f"{'BAD ' if broken else 'ok  '} {result.unit:32} passed {len(result.passed):4} {of:8} "
              f"not {len(result.failed):3}{skipped}{ignored}  {result.elapsed_s:6.1f} s", flush=True)
        for sentence in broken:
            print(f"      {sentence}", flush=True)
    if args.update:
        write_expected(plans)
        print(f"wrote {EXPECTED.relative_to(REPO)}")
    print(f"{passed} cases passed (Redis: {reference}), {trouble} of {len(units)} units not as expected; "
          f"output in {LOGS.relative_to(REPO)}/")
    return 1 if trouble else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CannotRun as error:
        print(f"conformance cannot run: {error}", file=sys.stderr)
        sys.exit(2)
