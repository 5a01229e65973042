//! MULTI, EXEC, DISCARD, WATCH, UNWATCH.

pub const TRANSACTIONS: &[&str] = &[
    "a WATCH k
     b SET k 1
     a MULTI
     a SET k 2
     a EXEC
     a GET k",
    "a WATCH k
     a SET k 1
     a MULTI
     a GET k
     a EXEC",
    "a SET k 1
     a WATCH k
     b DEL k
     b SET k 1
     a LIST a
     a MULTI
     a LIST a
     a EXEC
     a MULTI
     a EXEC",
    "a WATCH none
     b DEL none
     a MULTI
     a PING
     a EXEC",
    "a WATCH none
     b FLUSHALL
     a MULTI
     a PING
     a EXEC",
    "a SET k 1
     a WATCH k
     b FLUSHALL
     a MULTI
     a PING
     a EXEC",
    "a SET k 1
     a WATCH k
     b SELECT 1
     b FLUSHDB
     a MULTI
     a PING
     a EXEC",
    "a SET k 1
     a WATCH k
     b SWAPDB 0 1
     a MULTI
     a PING
     a EXEC",
    "a WATCH k
     b SELECT 1
     b SET k 1
     b SWAPDB 0 1
     a MULTI
     a PING
     a EXEC",
    "a WATCH k
     b SELECT 1
     b SET k 1
     a MULTI
     a PING
     a EXEC",
    "a WATCH none
     b SWAPDB 0 1
     a MULTI
     a PING
     a EXEC",
    "a SET k 1 PX 250
     a WATCH k
     sleep 400
     a MULTI
     a PING
     a EXEC",
    "b DEBUG SET-ACTIVE-EXPIRE 0
     a SET k 1 PX 20
     sleep 60
     a WATCH k
     a MULTI
     a PING
     a EXEC
     b DEBUG SET-ACTIVE-EXPIRE 1",
    "b DEBUG SET-ACTIVE-EXPIRE 0
     a SET k 1 PX 20
     sleep 60
     a WATCH k
     b GET k
     a MULTI
     a PING
     a EXEC
     b DEBUG SET-ACTIVE-EXPIRE 1",
    "a SET k 1
     a WATCH k
     b EXPIRE k 100
     a MULTI
     a PING
     a EXEC",
    "a SET k 1
     a WATCH k
     b PERSIST k
     a MULTI
     a PING
     a EXEC",
    "a SET k 1
     a WATCH k
     b SET k 1
     a MULTI
     a PING
     a EXEC",
    "a SET k 1
     a WATCH k
     b RENAME k l
     a MULTI
     a PING
     a EXEC",
    "a WATCH l
     b SET k 1
     b RENAME k l
     a MULTI
     a PING
     a EXEC",
    "a SADD s 1
     a WATCH s
     b SADD s 1
     a MULTI
     a PING
     a EXEC",
    "a WATCH l
     b SUNIONSTORE l none
     a MULTI
     a PING
     a EXEC",
    "a WATCH l
     b SADD s 2 1
     b SORT s STORE l
     a MULTI
     a PING
     a EXEC",
    "a RPUSH l a
     a WATCH l
     b LSET l 0 a
     a MULTI
     a PING
     a EXEC",
    "a WATCH k
     b EVAL redis.call('set',KEYS[1],1) 1 k
     a MULTI
     a PING
     a EXEC",
    "a WATCH k l m
     a UNWATCH
     b SET l 1
     a MULTI
     a PING
     a EXEC",
    "a WATCH k
     b SET k 1
     a UNWATCH
     a MULTI
     a PING
     a EXEC",
    "a WATCH k
     b SET k 1
     a MULTI
     a DISCARD
     a MULTI
     a PING
     a EXEC",
    "a MULTI
     a WATCH k
     a MULTI
     a PING
     a EXEC
     a DISCARD
     a EXEC",
    "a MULTI
     a UNWATCH
     a EXEC",
    "a MULTI
     a NOSUCH
     a PING
     a EXEC
     a EXEC",
    "a MULTI
     a GET
     a EXEC",
    "a MULTI
     a SET k v
     a LPUSH k v
     a INCR k
     a GET k
     a EXEC",
    "a MULTI
     a EXEC",
    "a MULTI
     a DISCARD x
     a EXEC x
     a EXEC",
    "a WATCH
     a MULTI x
     a EXEC",
    "a SET k 1
     a MULTI
     a SELECT 1
     a SET k 2
     a EXEC
     a GET k
     a LIST a",
    "a MULTI
     a BLPOP l 0
     a BRPOPLPUSH l m 0
     a BLMOVE l m LEFT LEFT 0
     a BLMPOP 0 1 l LEFT
     a BZPOPMIN z 0
     a BZMPOP 0 1 z MIN
     a XREAD BLOCK 0 STREAMS x $
     a WAIT 1 0
     a EXEC",
    "a HELLO 3
     a MULTI
     a BLPOP l 0
     a BRPOPLPUSH l m 0
     a BZPOPMIN z 0
     a XREAD BLOCK 0 STREAMS x $
     a HGETALL h
     a EXEC",
    "a MULTI
     a HELLO 3
     a HGETALL none
     a GET none
     a EXEC
     a GET none",
    "a MULTI
     a SUBSCRIBE c
     a EXEC
     b PUBLISH c n",
    "a MULTI
     a MONITOR
     a SHUTDOWN NOSAVE x
     a EXEC",
    "a MULTI
     a RESET
     a EXEC
     a LIST a",
    "a MULTI
     a QUIT
     a GONE",
    "a WATCH k
     a RESET
     b SET k 1
     a MULTI
     a PING
     a EXEC",
    "a CONFIG SET maxmemory 1
     a MULTI
     a SET k v
     a EXEC
     a CONFIG SET maxmemory 0",
    "a MULTI
     a SET k v
     b CONFIG SET maxmemory 1
     a EXEC
     b CONFIG SET maxmemory 0
     a GET k",
    "a MULTI
     a GET k
     b CONFIG SET maxmemory 1
     a EXEC
     b CONFIG SET maxmemory 0",
];
