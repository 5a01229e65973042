//! CLIENT PAUSE, KILL, LIST, REPLY, NO-EVICT and the rest.

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
