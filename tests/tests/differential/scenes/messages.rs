//! Pub/sub: channels, patterns, shards, both protocols.

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
