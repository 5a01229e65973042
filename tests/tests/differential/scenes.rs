//! The scenes of `differential_clients.rs`.
//!
//! Left out, since later versions do otherwise and ours does as they do: a client that waits for several keys looks at them
//! in its own order when it is woken (7.2; 7.0 in the order in which they came), messages to the client whose command runs
//! come behind its reply (7.2), blocking pops in scripts (7.2). And since 7.0 breaks off a transaction's reply there: CLIENT
//! KILL of itself within.

/// MULTI, EXEC, DISCARD, WATCH, UNWATCH.
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

/// Blocking commands and all that may wake them.
pub const WAITS: &[&str] = &[
    "a! BLPOP l 0
     b RPUSH l 1 2",
    "a! BLPOP k l m 0
     b RPUSH m 1
     b RPUSH l 1",
    "a! BLPOP l 0
     b! BLPOP l 0
     c! BLPOP l 0
     d RPUSH l 1 2
     d LLEN l
     d RPUSH l 3 4
     d LRANGE l 0 -1",
    "a! BLPOP l 0
     b SET l x
     b DEL l
     b SADD l x
     b DEL l
     b RPUSH l x",
    "a! BLPOP l 0
     b RPUSH m 1
     b RENAME m l",
    "a! BLPOP l 0
     b RPUSH m 1
     b RENAMENX m l",
    "a! BLPOP l 0
     b RPUSH m 1
     b COPY m l
     b LRANGE m 0 -1",
    "a! BLPOP l 0
     b SELECT 1
     b RPUSH l 1
     b COPY l l DB 0",
    "a! BLPOP l 0
     b SELECT 1
     b RPUSH l 1
     b MOVE l 0",
    "a! BLPOP l 0
     b SELECT 1
     b RPUSH l 1
     b SWAPDB 0 1",
    "a SELECT 1
     a! BLPOP l 0
     b RPUSH l 1
     b SWAPDB 1 0
     a LIST a",
    "a! BLPOP l 0
     b SADD s 3 1 2
     b SORT s STORE l",
    "a! BLPOP l 0
     b RPUSH m 1
     b LMOVE m l LEFT RIGHT",
    "a! BLPOP l 0
     b RPUSH m 1
     b RPOPLPUSH m l",
    "a! BLPOP l 0
     b! BLMOVE m l LEFT RIGHT 0
     c! BLPOP l 0
     d RPUSH m 1 2
     d LRANGE m 0 -1",
    "a! BRPOPLPUSH l m 0
     b! BRPOPLPUSH m n 0
     c! BLPOP n 0
     d RPUSH l 1",
    "a! BLMOVE l l LEFT RIGHT 0
     b RPUSH l 1 2
     b LRANGE l 0 -1",
    "a! BRPOPLPUSH l m 0
     b SET m x
     b RPUSH l 1
     b LRANGE l 0 -1",
    "a! BLMOVE l m LEFT RIGHT 0
     b! BLPOP l 0
     c SET m x
     c RPUSH l 1
     c LRANGE l 0 -1",
    "a! BLMPOP 0 2 k l LEFT COUNT 2
     b RPUSH l 1 2 3
     b LRANGE l 0 -1",
    "a! BLMPOP 0 2 k l RIGHT COUNT 9
     b MULTI
     b RPUSH l 1 2
     b RPUSH l 3
     b EXEC",
    "a! BLPOP l 0
     b EVAL redis.call('rpush',KEYS[1],1)redis.call('rpush',KEYS[1],2)return(redis.call('llen',KEYS[1])) 1 l
     b LRANGE l 0 -1",
    "a! BLPOP l 0
     b EVAL redis.call('rpush',KEYS[1],1)redis.call('del',KEYS[1]) 1 l
     b RPUSH l 9",
    "a! BLPOP l 0
     b RPUSH m a b
     b EVAL return(redis.call('restore',KEYS[1],0,redis.call('dump',KEYS[2]))) 2 l m",
    "a! BLPOP l 0
     b MULTI
     b RPUSH l 1
     b SET l x
     b EXEC
     b GET l
     b DEL l
     b RPUSH l 2",
    "a! BLPOP l 0
     b MULTI
     b RPUSH l 1
     b DEL l
     b EXEC
     a LIST a
     b RPUSH l 2",
    "a! BLPOP l 0.05
     sleep 100
     b RPUSH l 1
     b LLEN l",
    "a HELLO 3
     a! BLPOP l 0.05
     a! BRPOPLPUSH l m 0.05
     a! BLMOVE l m LEFT LEFT 0.05
     a! BLMPOP 0.05 1 l LEFT
     a! BZPOPMIN z 0.05
     a! BZMPOP 0.05 1 z MIN
     a! XREAD BLOCK 50 STREAMS x $
     sleep 600
     a PING",
    "a! BLPOP l 0.05
     a! BRPOPLPUSH l m 0.05
     a! BLMOVE l m LEFT LEFT 0.05
     a! BLMPOP 0.05 1 l LEFT
     a! BZPOPMIN z 0.05
     a! BZMPOP 0.05 1 z MIN
     a! XREAD BLOCK 50 STREAMS x $
     sleep 600
     a PING",
    "a! BZPOPMIN z 0
     b ZADD z 2 b 1 a
     b ZRANGE z 0 -1",
    "a! BZPOPMAX y z 0
     b ZADD z 2 b 1 a
     b ZRANGE z 0 -1",
    "a! BZMPOP 0 2 y z MAX COUNT 2
     b ZADD z 2 b 1 a 3 c",
    "a! BZPOPMIN z 0
     b ZADD y 1 a
     b ZUNIONSTORE z 1 y",
    "a! BZPOPMIN z 0
     b ZADD y 1 a
     b ZRANGESTORE z y 0 -1",
    "a! BZPOPMIN z 0
     b GEOADD g 1 2 a
     b GEOSEARCHSTORE z g FROMLONLAT 1 2 BYRADIUS 100 km",
    "a! BZPOPMIN z 0
     b GEOADD z 1 2 a",
    "a! BZPOPMIN z 0
     b ZINCRBY z 3 a",
    "a! BZPOPMIN z 0
     b RPUSH z 1
     b DEL z
     b ZADD z 1 a",
    "a! BZPOPMIN z 0
     b ZADD y 1 a
     b RENAME y z",
    "a HELLO 3
     a! BZPOPMIN z 0
     b ZADD z 1.5 a",
    "a HELLO 3
     a! BZMPOP 0 1 z MIN
     b ZADD z 1.5 a",
    "a! XREAD BLOCK 0 STREAMS x $
     b XADD x 1-1 f v
     b XADD x 2-1 f v",
    "a! XREAD BLOCK 0 COUNT 1 STREAMS x y $ $
     b XADD y 1-1 f v
     b XADD x 2-1 f v",
    "a HELLO 3
     a! XREAD BLOCK 0 STREAMS x $
     b XADD x 1-1 f v",
    "b XADD x 1-1 f v
     a! XREAD BLOCK 0 STREAMS x 1-1
     b DEL x
     b XADD x 1-1 f v
     b XADD x 1-2 f v",
    "b XGROUP CREATE x g $ MKSTREAM
     a! XREADGROUP GROUP g c BLOCK 0 STREAMS x >
     c! XREADGROUP GROUP g d BLOCK 0 STREAMS x >
     b XADD x 1-1 f v
     b XADD x 1-2 f v
     b XADD x 1-3 f v",
    "b XGROUP CREATE x g $ MKSTREAM
     a! XREADGROUP GROUP g c BLOCK 0 STREAMS x >
     b XGROUP DESTROY x g",
    "b XGROUP CREATE x g $ MKSTREAM
     a! XREADGROUP GROUP g c BLOCK 0 STREAMS x >
     b SET x v",
    "b XGROUP CREATE x g $ MKSTREAM
     a! XREADGROUP GROUP g c BLOCK 0 STREAMS x >
     b RENAME x y",
    "b XGROUP CREATE x g $ MKSTREAM
     a! XREADGROUP GROUP g c BLOCK 0 STREAMS x >
     b XGROUP SETID x g 0
     b XADD x 1-1 f v",
    "a! BLPOP l 0
     b CLIENT UNBLOCK {a}
     b CLIENT UNBLOCK {a}",
    "a! BLPOP l 0
     b CLIENT UNBLOCK {a} ERROR
     a PING",
    "a! BLPOP l 0
     b CLIENT UNBLOCK {a} timeout
     a! BLMOVE l m LEFT LEFT 0
     b CLIENT UNBLOCK {a}
     a! BZPOPMIN z 0
     b CLIENT UNBLOCK {a}
     a! XREAD BLOCK 0 STREAMS x $
     b CLIENT UNBLOCK {a}
     a! BLMPOP 0 1 l LEFT
     b CLIENT UNBLOCK {a}
     a! WAIT 1 0
     b CLIENT UNBLOCK {a}
     a! BRPOPLPUSH l m 0
     b CLIENT UNBLOCK {a} ERROR",
    "a! WAIT 1 0
     b CLIENT UNBLOCK {a} ERROR",
    "a CLIENT UNBLOCK {a}
     b CLIENT UNBLOCK {a} x
     b CLIENT UNBLOCK 99999
     b CLIENT UNBLOCK x
     b CLIENT UNBLOCK
     b CLIENT UNBLOCK {a} TIMEOUT x",
    "a! BLPOP l 0
     b CLIENT KILL ID {a}
     b RPUSH l 1
     b LLEN l
     a GONE",
    "a! BLPOP l 0
     a LIST a
     a~ PING
     b RPUSH l 1",
    "a! BLPOP l 0
     b CONFIG SET maxmemory 1
     b RPUSH l 1
     b CONFIG SET maxmemory 0
     b RPUSH l 2",
    "a EVAL return(redis.call('xread','block',0,'streams',KEYS[1],'$')) 1 x",
    "a BLPOP l x
     a BLPOP l -1
     a BLPOP l nan
     a BLMPOP 0 0 l LEFT
     a BLMPOP 0 1 l UP
     a BLMPOP 0 1 l LEFT COUNT 0
     a BZMPOP 0 1 z LEFT
     a XREAD BLOCK -1 STREAMS x $
     a XREAD BLOCK x STREAMS x $
     a BLMOVE l m UP LEFT 0",
];

/// Pub/sub: channels, patterns, shards, both protocols.
pub const MESSAGES: &[&str] = &[
    "a SUBSCRIBE c
     b PUBLISH c m
     b PUBLISH d m",
    "a! SUBSCRIBE c d c
     b PUBSUB NUMSUB c d e
     b PUBSUB CHANNELS c*
     a! UNSUBSCRIBE c
     b PUBLISH c m
     a! UNSUBSCRIBE
     a! UNSUBSCRIBE
     a PING
     a LIST a",
    "a PSUBSCRIBE c*
     a SUBSCRIBE c1
     b PUBLISH c1 m
     b PUBSUB NUMPAT
     a PUNSUBSCRIBE c*
     b PUBLISH c1 n
     b PUBSUB NUMPAT",
    "a PSUBSCRIBE c*
     b PSUBSCRIBE c*
     c PSUBSCRIBE *
     d PUBSUB NUMPAT
     d PUBLISH c m",
    "a SUBSCRIBE c
     a GET k
     a SET k v
     a CLIENT ID
     a PING
     a PING x
     a MULTI
     a SUBSCRIBE d
     a RESET
     a GET k",
    "a SSUBSCRIBE s
     a PING
     a GET k
     b SPUBLISH s m
     b PUBLISH s m
     b PUBSUB SHARDCHANNELS
     b PUBSUB SHARDNUMSUB s t
     b PUBSUB CHANNELS
     a LIST a
     a SUNSUBSCRIBE
     a GET k",
    "a! SSUBSCRIBE s t
     a! SUBSCRIBE c
     a! PSUBSCRIBE p*
     a LIST a
     b SPUBLISH t m
     b PUBLISH t m
     b PUBLISH c m
     a! SUNSUBSCRIBE s
     a! UNSUBSCRIBE
     a! PUNSUBSCRIBE
     a! SUNSUBSCRIBE
     a! SUNSUBSCRIBE x",
    "a HELLO 3
     a SUBSCRIBE c
     a GET k
     a PING
     b PUBLISH c n
     a LIST a
     a UNSUBSCRIBE c",
    "a HELLO 3
     a SSUBSCRIBE s
     b SPUBLISH s m
     a PSUBSCRIBE *
     b PUBLISH c m
     a SUNSUBSCRIBE
     a PUNSUBSCRIBE",
    "a HELLO 3
     a! SUBSCRIBE c d
     a MULTI
     a GET k
     b PUBLISH c 1
     a EXEC",
    "a HELLO 3
     a SUBSCRIBE c
     a HELLO 2
     a GET k
     b PUBLISH c m",
    "a SUBSCRIBE c
     a HELLO 3
     a RESET
     a HELLO 3
     a GET k
     b PUBLISH c m",
    "a! CLIENT REPLY OFF
     a! SUBSCRIBE c
     b PUBLISH c m
     a! CLIENT REPLY ON",
    "a HELLO 3
     a SUBSCRIBE c
     a! CLIENT REPLY SKIP
     a! PING
     b PUBLISH c m
     a PING",
    "a SUBSCRIBE
     a PSUBSCRIBE
     a SSUBSCRIBE
     a PUBLISH c
     a SPUBLISH c
     a PUBSUB
     a PUBSUB NUMSUB
     a PUBSUB SHARDNUMSUB
     a PUBSUB NUMPAT x
     a PUBSUB CHANNELS a b
     a PUBSUB HELP
     a PUBSUB NOSUCH",
    "a UNSUBSCRIBE
     a PUNSUBSCRIBE
     a SUNSUBSCRIBE
     a UNSUBSCRIBE x
     a HELLO 3
     a UNSUBSCRIBE
     a PUNSUBSCRIBE x",
    "a EVAL return(redis.call('publish','c','m')) 0
     b SUBSCRIBE c
     a EVAL return(redis.call('publish','c','m')) 0
     a EVAL return(redis.call('spublish','s','m')) 0
     a EVAL return(redis.call('subscribe','c')) 0",
    "a SUBSCRIBE c
     b CLIENT KILL TYPE pubsub
     a GONE
     b PUBSUB NUMSUB c",
    "a SUBSCRIBE c
     a QUIT
     a GONE
     b PUBSUB NUMSUB c",
    "b CONFIG SET notify-keyspace-events KEA
     a PSUBSCRIBE __key*__:*
     b SET k v
     b MULTI
     b RPUSH l 1
     b DEL k l
     b EXEC
     b SELECT 3
     b SET k v PX 10
     sleep 60
     b GET k
     b CONFIG SET notify-keyspace-events ",
];

/// CLIENT TRACKING in all variants.
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

/// CLIENT PAUSE, KILL, LIST, REPLY, NO-EVICT and the rest.
pub const CONTROL: &[&str] = &[
    "a CLIENT KILL ID {b}
     b GONE
     a CLIENT KILL ID {b}",
    "a CLIENT KILL ID {a}
     a CLIENT KILL ID {a} SKIPME no
     a GONE",
    "a CLIENT KILL ID 0
     a CLIENT KILL ID -1
     a CLIENT KILL ID x
     a CLIENT KILL ID 99999
     a CLIENT KILL TYPE x
     a CLIENT KILL TYPE master
     a CLIENT KILL TYPE replica
     a CLIENT KILL TYPE slave
     a CLIENT KILL TYPE pubsub
     a CLIENT KILL USER nosuch
     a CLIENT KILL SKIPME x
     a CLIENT KILL SKIPME
     a CLIENT KILL ADDR x
     a CLIENT KILL LADDR x
     a CLIENT KILL x
     a CLIENT KILL x y z
     a CLIENT KILL",
    "a PING
     b PING
     c SUBSCRIBE c
     a CLIENT KILL TYPE pubsub ID {b}
     a CLIENT KILL TYPE pubsub USER default
     c GONE
     b PING",
    "a PING
     b PING
     a CLIENT KILL ID {b} TYPE normal USER default SKIPME yes
     b GONE
     a PING",
    "b MULTI
     a CLIENT KILL ID {b}
     b GONE",
    "a! CLIENT PAUSE 600 WRITE
     b GET k
     b! SET k 1
     sleep 20
     c GET k
     sleep 1000
     c GET k",
    "a CLIENT PAUSE 60000 WRITE
     b! SET k 1
     c! EVAL return(1) 0
     d! PUBLISH c m
     e GET k
     e EVAL_RO return(1) 0
     a LIST b
     a CLIENT UNPAUSE
     sleep 50
     a GET k",
    "a CLIENT PAUSE 200 ALL
     b~ GET k
     b~ PING
     a~ CLIENT UNPAUSE
     a~ GET k
     sleep 300",
    "a CLIENT PAUSE 60000 WRITE
     b MULTI
     b GET k
     b EXEC
     c MULTI
     c! SET k 1
     sleep 30
     a CLIENT UNPAUSE
     sleep 50
     c EXEC",
    "b MULTI
     b SET k 1
     a CLIENT PAUSE 60000 WRITE
     b! EXEC
     sleep 30
     a GET k
     a CLIENT UNPAUSE
     sleep 50
     a GET k",
    "a! BLPOP l 0.1
     b CLIENT PAUSE 60000 WRITE
     sleep 250
     a LIST a
     b CLIENT UNPAUSE
     sleep 50",
    "a! BLPOP l 0
     b MULTI
     b CLIENT PAUSE 60000 WRITE
     b RPUSH l 1
     b EXEC
     sleep 50
     b CLIENT UNPAUSE
     sleep 50",
    "a CLIENT PAUSE 60000 WRITE
     b! SET k 1
     c CLIENT KILL ID {b}
     a CLIENT UNPAUSE
     b GONE
     a GET k",
    "a CLIENT PAUSE 60000 WRITE
     a CLIENT PAUSE 10 WRITE
     b! SET k 1
     sleep 60
     c GET k
     a CLIENT UNPAUSE",
    "a SET k 1 PX 250
     a CLIENT PAUSE 60000 WRITE
     sleep 400
     a GET k
     a DBSIZE
     a CLIENT UNPAUSE
     sleep 500
     a DBSIZE",
    "a! CLIENT REPLY SKIP
     a! RESET
     a PING",
    "a CLIENT REPLY OFF x
     a CLIENT REPLY x
     a! CLIENT REPLY OFF
     a! PING
     a! GET k
     a~ NOSUCH
     a CLIENT REPLY ON
     a PING",
    "a! CLIENT REPLY SKIP
     a! PING
     a PING x",
    "a! CLIENT REPLY SKIP
     a! CLIENT REPLY SKIP
     a! PING
     a PING x",
    "a! CLIENT REPLY SKIP
     a~ NOSUCH
     a PING x",
    "a! CLIENT REPLY OFF
     a! CLIENT REPLY SKIP
     a! PING
     a CLIENT REPLY ON",
    "a! CLIENT REPLY SKIP
     a! MULTI
     a SET k v
     a EXEC
     a PING",
    "a! CLIENT REPLY SKIP
     a! BLPOP l 0
     b RPUSH l 1
     a PING",
    "a CLIENT SETNAME me
     a CLIENT GETNAME
     a LIST a
     a CLIENT SETNAME a\x01b
     a CLIENT SETNAME
     a CLIENT GETNAME x",
    "a CLIENT NO-EVICT on
     a LIST a
     a CLIENT NO-EVICT OFF
     a LIST a
     a CLIENT NO-EVICT
     a CLIENT NO-EVICT x",
    "a CLIENT LIST ID
     a CLIENT LIST ID x
     a CLIENT LIST ID 99999 99998
     a CLIENT LIST TYPE
     a CLIENT LIST TYPE x
     a CLIENT LIST TYPE pubsub
     a CLIENT LIST TYPE replica
     a CLIENT LIST TYPE master
     a CLIENT LIST x
     a CLIENT INFO x",
    "a SELECT 3
     a WATCH k
     b SELECT 3
     b SET k 1
     b LIST a
     a MULTI
     a PING
     b LIST a
     a EXEC
     b LIST a",
    "a HELLO 3 SETNAME me
     b LIST a
     a HELLO 2 SETNAME you
     b LIST a
     a HELLO 4
     a HELLO x
     a HELLO 3 SETNAME
     a HELLO 3 x
     a HELLO 2 AUTH default x",
    "a SLOWLOG RESET
     a CONFIG SET slowlog-log-slower-than 0
     b SET k v
     b MULTI
     b GET k
     b EXEC
     b EVAL return(redis.call('get',KEYS[1])) 1 k
     b GET
     b NOSUCH
     b AUTH x
     a CONFIG SET slowlog-log-slower-than -1
     a SLOWLOG LEN
     a CONFIG SET slowlog-log-slower-than 10000
     a SLOWLOG RESET
     a SLOWLOG GET -2
     a SLOWLOG GET x
     a SLOWLOG LEN x
     a SLOWLOG HELP",
];
