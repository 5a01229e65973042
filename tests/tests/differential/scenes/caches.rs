//! CLIENT TRACKING in all variants.

pub const CACHES: &[&str] = &[
    "a HELLO 3
     a CLIENT TRACKING ON
     a GET k
     b SET k 1
     b SET k 2
     a GET k
     b DEL k
     b DEL k",
    "a HELLO 3
     a CLIENT TRACKING ON
     a MGET k l
     b MSET k 1 l 2 m 3",
    "a HELLO 3
     a CLIENT TRACKING ON
     a GET k
     a SET k 1
     a PING",
    "a HELLO 3
     a CLIENT TRACKING ON NOLOOP
     a GET k
     a SET k 1
     a GET k
     b SET k 2
     a PING",
    "a HELLO 3
     a CLIENT TRACKING ON OPTIN
     a GET k
     a CLIENT CACHING YES
     a GET l
     a GET m
     b MSET k 1 l 2 m 3
     a CLIENT TRACKINGINFO",
    "a HELLO 3
     a CLIENT TRACKING ON OPTOUT
     a GET k
     a CLIENT CACHING NO
     a GET l
     a GET m
     b MSET k 1 l 2 m 3
     a CLIENT TRACKINGINFO",
    "a HELLO 3
     a CLIENT TRACKING ON OPTIN
     a CLIENT CACHING YES
     a MULTI
     a GET k
     a GET l
     a EXEC
     b MSET k 1 l 2
     a GET k
     b SET k 3",
    "a HELLO 3
     a CLIENT TRACKING ON OPTIN
     a MULTI
     a CLIENT CACHING YES
     a GET k
     a EXEC
     b SET k 1",
    "a HELLO 3
     a CLIENT TRACKING ON BCAST
     b SET k 1
     b DEL none
     b FLUSHALL
     a CLIENT TRACKINGINFO",
    "a HELLO 3
     a CLIENT TRACKING ON BCAST PREFIX k PREFIX l
     b SET key 1
     b SET other 1
     b SET l 1
     a CLIENT TRACKINGINFO
     a CLIENT TRACKING OFF
     b SET key 1
     a CLIENT TRACKINGINFO",
    "a HELLO 3
     a CLIENT TRACKING ON BCAST NOLOOP PREFIX k
     a SET key 1
     b SET key 1
     b SET key2 1
     a PING",
    "a HELLO 3
     a CLIENT TRACKING ON BCAST PREFIX k PREFIX key
     a CLIENT TRACKING ON BCAST PREFIX k
     a CLIENT TRACKING ON BCAST PREFIX key
     a CLIENT TRACKING ON BCAST PREFIX l
     a CLIENT TRACKING ON
     a CLIENT TRACKING ON BCAST OPTIN
     a CLIENT TRACKING ON PREFIX x
     a CLIENT TRACKINGINFO",
    "a CLIENT TRACKING ON OPTIN OPTOUT
     a CLIENT TRACKING ON OPTIN
     a CLIENT TRACKING ON OPTOUT
     a CLIENT TRACKING ON
     a CLIENT TRACKING ON BCAST
     a CLIENT CACHING YES
     a CLIENT CACHING NO
     a CLIENT TRACKINGINFO
     a CLIENT TRACKING OFF
     a CLIENT CACHING YES
     a CLIENT GETREDIR",
    "b SUBSCRIBE __redis__:invalidate
     a CLIENT TRACKING ON REDIRECT {b}
     a CLIENT GETREDIR
     a CLIENT TRACKINGINFO
     a LIST a
     a GET k
     c SET k 1
     c FLUSHALL
     b UNSUBSCRIBE
     a GET k
     c SET k 2",
    "b HELLO 3
     a CLIENT TRACKING ON REDIRECT {b} BCAST PREFIX k
     c SET k 1
     c SET l 1
     c CLIENT KILL ID {b}
     c SET k 2
     a LIST a
     a CLIENT TRACKINGINFO",
    "b HELLO 3
     a HELLO 3
     a CLIENT TRACKING ON REDIRECT {b}
     a GET k
     c CLIENT KILL ID {b}
     c SET k 1
     a LIST a
     a CLIENT TRACKINGINFO
     a CLIENT GETREDIR",
    "a CLIENT TRACKING ON REDIRECT {a}
     a CLIENT TRACKING ON REDIRECT 99999
     a CLIENT TRACKING ON REDIRECT x
     a CLIENT TRACKING ON REDIRECT
     a CLIENT TRACKING ON REDIRECT {a} REDIRECT {a}
     a CLIENT TRACKING ON REDIRECT 0
     a CLIENT TRACKING ON REDIRECT -1
     a CLIENT TRACKING x
     a CLIENT TRACKING ON x
     a CLIENT GETREDIR",
    "a HELLO 3
     a CLIENT TRACKING ON
     a EVAL return(redis.call('get',KEYS[1])) 1 k
     b SET k 1
     a EVAL_RO return(redis.call('get',KEYS[1])) 1 k
     b SET k 2
     a EVAL return(1) 1 k
     b SET k 3",
    "a HELLO 3
     a CLIENT TRACKING ON
     a GET k
     b MULTI
     b SET k 1
     b SET k 2
     b EXEC",
    "a HELLO 3
     a CLIENT TRACKING ON
     a MULTI
     a GET k
     a SET k 1
     a GET k
     a EXEC
     a PING",
    "b DEBUG SET-ACTIVE-EXPIRE 0
     a HELLO 3
     a CLIENT TRACKING ON
     a SET k 1 PX 250
     a GET k
     sleep 400
     a GET k
     b DEBUG SET-ACTIVE-EXPIRE 1",
    "a HELLO 3
     a CLIENT TRACKING ON
     a SET k 1 PX 250
     a GET k
     sleep 700
     a GET k",
    "a HELLO 3
     a CLIENT TRACKING ON
     a GET k
     a LRANGE l 0 -1
     a HGETALL h
     a SMEMBERS s
     a ZRANGE z 0 -1
     a XRANGE x - +
     a EXISTS e f
     a TTL t
     a STRLEN u
     a SINTER v w
     b SET k 1
     b RPUSH l 1
     b HSET h f v
     b SADD s 1
     b ZADD z 1 a
     b XADD x 1-1 f v
     b MSET e 1 f 1 t 1 u 1
     b SADD w 1",
    "a HELLO 3
     a CLIENT TRACKING ON
     a SCAN 0
     a KEYS *
     a DBSIZE
     a RANDOMKEY
     b SET k 1
     a SUBSCRIBE k
     b SET k 2",
    "a HELLO 3
     a CLIENT TRACKING ON
     a GET k
     a CLIENT TRACKING OFF
     b SET k 1
     a CLIENT TRACKING ON
     b SET k 2
     a GET k
     b SET k 3",
    "a HELLO 3
     a CLIENT TRACKING ON
     a GET k
     b FLUSHDB
     a GET k
     b SWAPDB 0 1
     a GET k
     b FLUSHALL ASYNC",
    "a HELLO 3
     a CLIENT TRACKING ON
     a SELECT 1
     a GET k
     b SET k 1",
    "a CLIENT TRACKING ON
     a GET k
     b SET k 1
     a PING
     a HELLO 3
     a GET k
     b SET k 2",
    "a HELLO 3
     a CLIENT TRACKING ON
     a GET k
     a RESET
     b SET k 1
     a CLIENT TRACKINGINFO",
    "a HELLO 3
     a CLIENT TRACKING ON
     a GET k
     a! BLPOP l 0
     b SET k 1
     b RPUSH l 1",
    "a HELLO 3
     a CLIENT TRACKING ON
     a LRANGE l 0 -1
     a! BLPOP l 0
     b RPUSH l 1",
    "a HELLO 3
     a CLIENT TRACKING ON BCAST
     b! BLPOP l 0
     c RPUSH l 1",
];
