//! Masters and replicas, and the cluster.

use common::config::value::Choices;

use super::{INT_MAX, LONG_MAX, field, memory, plain};
use crate::config::directive::{Apply, Directive, NumberField, Rewrite, Special};
use crate::config::special;

/// Smallest backlog, bytes: smaller values are raised to it.
const BACKLOG_MIN: u64 = 16 << 10;

/// Longest host name with its end, bytes.
const HOST_NAME_MAX: usize = 256;

fn host_name_is_valid(name: &[u8]) -> Result<(), &'static str> {
    if name.len() >= HOST_NAME_MAX {
        return Err("Hostnames must be less than 256 characters");
    }
    match name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.')) {
        true => Ok(()),
        false => Err("Hostnames may only contain alphanumeric characters, hyphens or dots"),
    }
}

const DISKLESS_LOAD: Choices = &[("disabled", 0), ("on-empty-db", 1), ("swapdb", 2)];
const PROPAGATION_ERRORS: Choices = &[("ignore", 0), ("panic", 1), ("panic-on-replicas", 2)];

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive::special(
        "replicaof",
        Special {
            default: "",
            many: true,
            set: special::set_replicaof,
            get: special::get_replicaof,
            begin: special::nothing,
            rewrite: Rewrite::Lines(special::replicaof_lines),
        },
        "Start as a replica of this master: <host> <port>.",
    )
    .alias("slaveof")
    .immutable()
    .refused("this server cannot be a replica yet"),
    Directive::text("masterauth", "", None, "Password to give to the master.")
        .also("primaryauth")
        .sensitive(),
    Directive::text("masteruser", "", None, "User to log in as at the master; empty means the default one.")
        .also("primaryuser")
        .sensitive(),
    Directive::yes_no("replica-serve-stale-data", true, None, "Answer reads while the master is away.")
        .alias("slave-serve-stale-data"),
    Directive::yes_no("replica-read-only", true, None, "Refuse writes on a replica.")
        .alias("slave-read-only"),
    Directive::yes_no(
        "replica-ignore-maxmemory",
        true,
        None,
        "Leave eviction to the master: its deletions arrive by themselves.",
    )
    .alias("slave-ignore-maxmemory"),
    Directive::yes_no(
        "replica-lazy-flush",
        false,
        None,
        "Free the old data set in the background before a sync.",
    )
    .alias("slave-lazy-flush"),
    Directive::yes_no(
        "replica-ignore-disk-write-errors",
        false,
        None,
        "Go on applying the master's changes when they cannot be persisted.",
    ),
    Directive::number(
        "replica-priority",
        100,
        plain(0, INT_MAX),
        None,
        "Sentinel prefers low numbers for promotion; 0 means never.",
    )
    .alias("slave-priority"),
    Directive::yes_no("replica-announced", true, None, "Let sentinels list this replica."),
    Directive::text("replica-announce-ip", "", None, "Address that a replica tells its master.")
        .alias("slave-announce-ip"),
    Directive::number(
        "replica-announce-port",
        0,
        plain(0, 65535),
        None,
        "Port that a replica tells its master; 0 means the real one.",
    )
    .alias("slave-announce-port"),
    Directive::yes_no(
        "repl-diskless-sync",
        true,
        field!(bool repl_diskless_sync),
        "Send full synchronizations straight over the network instead of through a file.",
    ),
    Directive::number(
        "repl-diskless-sync-delay",
        5,
        plain(0, INT_MAX),
        field!(number repl_diskless_sync_delay),
        "Seconds to wait for more replicas before a full synchronization, so that they share it.",
    ),
    Directive::number(
        "repl-diskless-sync-max-replicas",
        0,
        plain(0, INT_MAX),
        None,
        "Do not wait longer once this many replicas have come; 0 means wait.",
    ),
    Directive::choice(
        "repl-diskless-load",
        0,
        DISKLESS_LOAD,
        None,
        "Load a full synchronization straight from the network: disabled, on-empty-db or swapdb.",
    )
    .deny_loading(),
    Directive::yes_no(
        "repl-disable-tcp-nodelay",
        false,
        None,
        "Fewer packets to replicas, up to 40 milliseconds later.",
    ),
    Directive::number(
        "repl-ping-replica-period",
        10,
        plain(1, INT_MAX),
        field!(number repl_ping_replica_period),
        "Seconds between two signs of life to replicas.",
    )
    .alias("repl-ping-slave-period"),
    Directive::number(
        "repl-timeout",
        60,
        plain(1, INT_MAX),
        field!(number repl_timeout),
        "Seconds of silence after which a replication link counts as broken.",
    ),
    Directive::number(
        "repl-backlog-size",
        1 << 20,
        memory(1, LONG_MAX),
        Some(NumberField {
            get: |c| i128::from(c.repl_backlog_size),
            set: |c, value| c.repl_backlog_size = (value as u64).max(BACKLOG_MIN),
        }),
        "Bytes of the stream to keep for replicas that come back, at least 16384.",
    )
    .apply(Apply::ReplBacklog),
    Directive::number(
        "repl-backlog-ttl",
        3600,
        plain(0, LONG_MAX),
        field!(number repl_backlog_ttl),
        "Seconds after the last replica has left until the backlog is freed; 0 means never.",
    ),
    Directive::number(
        "min-replicas-to-write",
        0,
        plain(0, INT_MAX),
        field!(number min_replicas_to_write),
        "Refuse writes with fewer good replicas than this; 0 means never.",
    )
    .alias("min-slaves-to-write")
    .apply(Apply::GoodReplicas),
    Directive::number(
        "min-replicas-max-lag",
        10,
        plain(0, INT_MAX),
        field!(number min_replicas_max_lag),
        "A replica is good when it was heard of within so many seconds; 0 switches the check off.",
    )
    .alias("min-slaves-max-lag")
    .apply(Apply::GoodReplicas),
    Directive::choice(
        "propagation-error-behavior",
        0,
        PROPAGATION_ERRORS,
        None,
        "What to do when a replicated command fails: ignore, panic or panic-on-replicas.",
    ),
];

const ENDPOINTS: Choices = &[("ip", 0), ("hostname", 1), ("unknown-endpoint", 2)];

pub(super) const CLUSTER: &[Directive] = &[
    Directive::yes_no("cluster-enabled", false, None, "Be a node of a cluster.")
        .immutable()
        .refused("cluster mode is not supported yet"),
    Directive::text("cluster-config-file", "nodes.conf", None, "File that the node keeps about the cluster.")
        .immutable(),
    Directive::number(
        "cluster-node-timeout",
        15_000,
        plain(0, LONG_MAX),
        None,
        "Milliseconds after which a silent node counts as failing.",
    ),
    Directive::number("cluster-port", 0, plain(0, 65535), None, "Port of the cluster bus; 0: port + 10000.")
        .immutable(),
    Directive::number(
        "cluster-replica-validity-factor",
        10,
        plain(0, INT_MAX),
        None,
        "A replica whose data is older than this many timeouts does not stand for election; 0: always stands.",
    )
    .alias("cluster-slave-validity-factor"),
    Directive::number(
        "cluster-migration-barrier",
        1,
        plain(0, INT_MAX),
        None,
        "Replicas that a master keeps before one moves to a master without.",
    ),
    Directive::yes_no("cluster-allow-replica-migration", true, None, "Whether replicas may move at all."),
    Directive::yes_no("cluster-require-full-coverage", true, None, "Serve nothing while a slot has no owner."),
    Directive::yes_no("cluster-replica-no-failover", false, None, "Never stand for election.")
        .alias("cluster-slave-no-failover"),
    Directive::yes_no("cluster-allow-reads-when-down", false, None, "Answer reads while the cluster is down."),
    Directive::yes_no(
        "cluster-allow-pubsubshard-when-down",
        true,
        None,
        "Deliver sharded messages while the cluster is down.",
    ),
    Directive::number(
        "cluster-link-sendbuf-limit",
        0,
        memory(0, u64::MAX as i128),
        None,
        "Bytes that may wait on a link of the cluster bus; 0 means no limit.",
    ),
    Directive::text("cluster-announce-ip", "", None, "Address that a node tells the others."),
    Directive::text("cluster-announce-hostname", "", None, "Host name that a node tells clients.")
        .checked(host_name_is_valid),
    Directive::number("cluster-announce-port", 0, plain(0, 65535), None, "Port that a node tells the others."),
    Directive::number(
        "cluster-announce-tls-port",
        0,
        plain(0, 65535),
        None,
        "TLS port that a node tells the others.",
    ),
    Directive::number(
        "cluster-announce-bus-port",
        0,
        plain(0, 65535),
        None,
        "Bus port that a node tells the others.",
    ),
    Directive::choice(
        "cluster-preferred-endpoint-type",
        0,
        ENDPOINTS,
        None,
        "How redirections name a node: ip, hostname or unknown-endpoint.",
    ),
];
