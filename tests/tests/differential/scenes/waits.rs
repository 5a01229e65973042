//! Blocking commands and all that may wake them.

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
