//! Listening, connections and their limits.

use common::config::value::{Range, Unit};

use super::{INT_MAX, LONG_MAX, field, memory, plain};
use crate::config::directive::{Apply, Directive, Rewrite, Special};
use crate::config::special;

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive::special(
        "bind",
        Special {
            default: "* -::*",
            many: true,
            set: special::set_bind,
            get: special::get_bind,
            begin: special::nothing,
            rewrite: Rewrite::Plain,
        },
        "Addresses to listen on, at most 16. A leading '-' makes one optional: the server starts without it if the \
         machine does not have it. '*' stands for all IPv4 addresses, '::*' for all IPv6 addresses.",
    )
    .apply(Apply::Bind),
    Directive::number(
        "port",
        6379,
        plain(0, 65535),
        field!(number port),
        "TCP port for plain connections; 0 means none.",
    )
    .apply(Apply::Port),
    Directive::yes_no(
        "protected-mode",
        true,
        field!(bool protected_mode),
        "Serve only connections from this machine as long as the default user has no password.",
    ),
    Directive::number(
        "tcp-backlog",
        511,
        plain(0, INT_MAX),
        field!(number tcp_backlog),
        "Connections that may wait to be accepted. The kernel's somaxconn caps it.",
    )
    .immutable(),
    Directive::number(
        "tcp-keepalive",
        300,
        plain(0, INT_MAX),
        field!(number tcp_keepalive),
        "Probe silent connections after this many seconds, to notice dead peers; 0 means never.",
    )
    .apply(Apply::Accepting),
    Directive::number(
        "timeout",
        0,
        plain(0, INT_MAX),
        field!(number timeout),
        "Close connections that asked nothing for this many seconds; 0 means never.",
    ),
    Directive::text("unixsocket", "", field!(text unix_socket), "Path of a Unix socket to listen on as well.")
        .immutable(),
    Directive::number(
        "unixsocketperm",
        0,
        Range { min: 0, max: 0o777, unit: Unit::Octal },
        field!(number unix_socket_perm),
        "Permissions of the Unix socket, octal; 0 leaves them as they are.",
    )
    .immutable(),
    Directive::text(
        "unixsocketgroup",
        "",
        field!(text unix_socket_group),
        "Group of the Unix socket; empty leaves it as it is.",
    )
    .immutable(),
    Directive::text("bind-source-addr", "", None, "Address that outgoing connections start from."),
    Directive::number(
        "socket-mark-id",
        0,
        plain(0, u32::MAX as i128),
        field!(number socket_mark_id),
        "Mark for the packets of listening sockets, for firewalls; 0 means none.",
    )
    .immutable(),
    Directive::number(
        "max-new-connections-per-cycle",
        10,
        plain(1, 1000),
        field!(number accepts_per_cycle),
        "Connections that a listener accepts before others have their turn.",
    )
    .apply(Apply::Accepting),
    Directive::number(
        "max-new-tls-connections-per-cycle",
        1,
        plain(1, 1000),
        field!(number tls_accepts_per_cycle),
        "Likewise for TLS; the handshakes themselves run on a thread of their own.",
    )
    .apply(Apply::Accepting),
    Directive::number(
        "io-threads",
        1,
        plain(1, 128),
        field!(number io_threads),
        "Threads that read, parse, encrypt and write. With 1, one thread does everything; with more, the keyspace \
         has a thread of its own and connections are spread over the others.",
    )
    .immutable(),
    Directive::yes_no(
        "io-threads-do-reads",
        false,
        None,
        "Accepted for older configurations: I/O threads always read and parse.",
    )
    .immutable()
    .accepted(),
];

pub(super) const LIMITS: &[Directive] = &[
    Directive::number(
        "maxclients",
        10_000,
        plain(1, u32::MAX as i128),
        field!(number max_clients),
        "Connections at the same time; more are told so and closed.",
    )
    .apply(Apply::MaxClients),
    Directive::special(
        "client-output-buffer-limit",
        Special {
            default: "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
            many: true,
            set: special::set_output_limits,
            get: special::get_output_limits,
            begin: special::nothing,
            rewrite: Rewrite::Lines(special::output_limit_lines),
        },
        "Cut off clients that do not read their replies: <class> <hard> <soft> <seconds>, once or several times. \
         Classes are normal, replica and pubsub. More waiting bytes than the hard limit cut a client off at once, \
         more than the soft limit after so many seconds; 0 means no limit.",
    )
    .apply(Apply::OutputLimits),
    Directive::number(
        "client-query-buffer-limit",
        1 << 30,
        memory(1 << 20, LONG_MAX),
        field!(number client_query_buffer_limit),
        "Bytes that a client's unfinished request may take.",
    )
    .apply(Apply::ConnectionLimits),
    Directive::number(
        "proto-max-bulk-len",
        512 << 20,
        memory(1 << 20, LONG_MAX),
        field!(number proto_max_bulk_len),
        "Longest single argument of a request, and longest string value, bytes.",
    )
    .apply(Apply::ConnectionLimits),
    Directive::number(
        "busy-reply-threshold",
        5000,
        plain(0, LONG_MAX),
        field!(number busy_reply_threshold),
        "A script that runs for this many milliseconds no longer makes others wait: they get -BUSY and may end it \
         with SCRIPT KILL; 0 means never.",
    )
    .alias("lua-time-limit"),
    Directive::yes_no(
        "lua-enable-deprecated-api",
        false,
        field!(bool lua_enable_deprecated_api),
        "Scripts and functions find getfenv, setfenv and newproxy. Finalizers of proxies are kept but never run.",
    )
    .immutable()
    .hidden(),
    Directive::number(
        "maxmemory-clients",
        0,
        Range { min: -100, max: LONG_MAX, unit: Unit::MemoryOrPercent },
        field!(number max_memory_clients),
        "Bytes, or percent of maxmemory, that all clients' buffers together may take before clients are cut off; 0 \
         means no limit.",
    ),
];
