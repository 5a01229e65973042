"""Types at redis-cli through a pseudo-terminal, as a person would. Arguments: redis-cli's. Ends with a traceback when
an answer does not come."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

PROMPT = r"127\.0\.0\.1:\d+"

pid, terminal = pty.fork()
if pid == 0:
    # Line editing as at a real terminal, but no history in the caller's home.
    os.environ.update(TERM="xterm", REDISCLI_HISTFILE="/dev/null", REDISCLI_RCFILE="/dev/null")
    # Without a size the line editor would ask the terminal for one.
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    os.execvp("redis-cli", ["redis-cli", *sys.argv[1:]])


def expect(pattern):
    """Reads until `pattern` shows up in what redis-cli printed since the last call."""
    seen, until = "", time.monotonic() + 20
    while not re.search(pattern, seen, re.DOTALL):
        ready, _, _ = select.select([terminal], [], [], max(0, until - time.monotonic()))
        assert ready, f"no {pattern!r} in {seen!r}"
        seen += os.read(terminal, 65536).decode(errors="replace")


def talk(line, pattern, state=""):
    """Types a line; the reply has to come, and the next prompt with the session's state, so that nothing is typed too
    early."""
    os.write(terminal, line.encode() + b"\r")
    expect(pattern + ".*" + PROMPT + state + "> ")


try:
    expect(PROMPT + "> ")
    talk("SET greeting hello", r"\nOK\r")
    talk("GET greeting", r'\n"hello"\r')
    talk("GET missing", r"\n\(nil\)\r")
    talk("RPUSH list a b", r"\n\(integer\) 2\r")
    talk("LRANGE list 0 -1", r'\n1\) "a"\r?\n2\) "b"\r')
    talk("LPUSH greeting x", r"\n\(error\) WRONGTYPE")
    talk("MULTI", r"\nOK\r", r"\(TX\)")
    talk("INCR n", r"\nQUEUED\r", r"\(TX\)")
    talk("EXEC", r"\n1\) \(integer\) 1\r")
    talk("SELECT 3", r"\nOK\r", r"\[3\]")
    talk("HELLO 3", r'\n1# "server" => "redis"\r', r"\[3\]")
    talk("HELP @string", r"APPEND.*SETRANGE", r"\[3\]")
    os.write(terminal, b"QUIT\r")
    status = os.waitpid(pid, 0)[1]
    assert os.waitstatus_to_exitcode(status) == 0, status
except BaseException:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    raise
print("all is well")
