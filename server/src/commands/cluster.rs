//! The cluster group, on a server that is no part of a cluster: every command says so.

use super::doc;
use crate::context::Cx;
use crate::server::Ochre;
use common::command::{Acl, Args, Arity, Command, CommandResult, Flags};

const READ: Flags = Flags::LOADING.and(Flags::STALE);
const KEYS: Flags = Flags::STALE;
const ADMIN_READ: Flags = READ.and(Flags::ADMIN);
const ADMIN: Flags = Flags::ADMIN.and(Flags::STALE).and(Flags::NO_ASYNC_LOADING);
const VARIES: &[&str] = &["nondeterministic_output"];

/// The family.
#[rustfmt::skip]
pub const COMMANDS: &[Command<Ochre>] = &[
    connection("asking", Flags::FAST, "Lets the next command use a slot that is being imported."),
    Command { subcommands: SUBCOMMANDS, ..entry("cluster", Arity::AtLeast(2), Flags::NONE, "3.0.0", &[], "", "Looks after a cluster.") },
    connection("readonly", READ.and(Flags::FAST), "Lets a connection read from a replica of a cluster."),
    connection("readwrite", READ.and(Flags::FAST), "Ends what READONLY began."),
];

#[rustfmt::skip]
const SUBCOMMANDS: &[Command<Ochre>] = &[
    entry("addslots", Arity::AtLeast(3), ADMIN, "3.0.0", &[], "slot [slot ...]", "Gives slots to the node."),
    entry("addslotsrange", Arity::AtLeast(4), ADMIN, "7.0.0", &[], "start-slot end-slot [start-slot end-slot ...]", "Gives ranges of slots to the node."),
    entry("bumpepoch", Arity::Exactly(2), ADMIN, "3.0.0", VARIES, "", "Raises the node's epoch."),
    entry("count-failure-reports", Arity::Exactly(3), ADMIN_READ, "3.0.0", VARIES, "node-id", "Counts reports that a node has failed."),
    entry("countkeysinslot", Arity::Exactly(3), KEYS, "3.0.0", &[], "slot", "Counts the keys of a slot."),
    entry("delslots", Arity::AtLeast(3), ADMIN, "3.0.0", &[], "slot [slot ...]", "Takes slots from the node."),
    entry("delslotsrange", Arity::AtLeast(4), ADMIN, "7.0.0", &[], "start-slot end-slot [start-slot end-slot ...]", "Takes ranges of slots from the node."),
    entry("failover", Arity::AtLeast(2), ADMIN, "3.0.0", &[], "[FORCE | TAKEOVER]", "Makes a replica the master."),
    entry("flushslots", Arity::Exactly(2), ADMIN, "3.0.0", &[], "", "Takes all slots from the node."),
    entry("forget", Arity::Exactly(3), ADMIN, "3.0.0", &[], "node-id", "Removes a node."),
    entry("getkeysinslot", Arity::Exactly(4), KEYS, "3.0.0", VARIES, "slot count", "Lists keys of a slot."),
    entry("help", Arity::Exactly(2), READ, "5.0.0", &[], "", "Lists the subcommands of CLUSTER."),
    entry("info", Arity::Exactly(2), READ, "3.0.0", VARIES, "", "Describes the state of the cluster."),
    entry("keyslot", Arity::Exactly(3), READ, "3.0.0", &[], "key", "Tells the slot of a key."),
    entry("links", Arity::Exactly(2), READ, "7.0.0", VARIES, "", "Lists the links to other nodes."),
    entry("meet", Arity::AtLeast(4), ADMIN, "3.0.0", &[], "ip port [cluster-bus-port]", "Introduces a node."),
    entry("myid", Arity::Exactly(2), READ, "3.0.0", &[], "", "Tells the node's id."),
    entry("myshardid", Arity::Exactly(2), READ, "7.2.0", VARIES, "", "Tells the id of the node's shard."),
    entry("nodes", Arity::Exactly(2), READ, "3.0.0", VARIES, "", "Lists the nodes."),
    entry("replicas", Arity::Exactly(3), ADMIN_READ, "5.0.0", VARIES, "node-id", "Lists the replicas of a node."),
    entry("replicate", Arity::Exactly(3), ADMIN, "3.0.0", &[], "node-id", "Makes the node a replica."),
    entry("reset", Arity::AtLeast(2), Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::STALE), "3.0.0", &[], "[HARD | SOFT]", "Makes the node forget the cluster."),
    entry("saveconfig", Arity::Exactly(2), ADMIN, "3.0.0", &[], "", "Writes the node's view of the cluster to disk."),
    entry("set-config-epoch", Arity::Exactly(3), ADMIN, "3.0.0", &[], "config-epoch", "Sets the epoch of a new node."),
    entry("setslot", Arity::AtLeast(4), ADMIN, "3.0.0", &[], "slot [IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE]", "Says to whom a slot belongs."),
    entry("shards", Arity::Exactly(2), READ, "7.0.0", VARIES, "", "Lists slots by shard."),
    entry("slaves", Arity::Exactly(3), ADMIN_READ, "3.0.0", VARIES, "node-id", "Lists the replicas of a node: the old name of CLUSTER REPLICAS.").deprecated("5.0.0", "CLUSTER REPLICAS"),
    entry("slot-stats", Arity::AtLeast(4), READ, "8.2.0", &["nondeterministic_output", "request_policy:all_shards"], "[SLOTSRANGE start-slot end-slot | ORDERBY metric [LIMIT limit] [ASC | DESC]]", "Tells how much slots are used."),
    entry("slots", Arity::Exactly(2), READ, "3.0.0", VARIES, "", "Lists slots by node.").deprecated("7.0.0", "CLUSTER SHARDS"),
];

const fn entry(
    name: &'static str,
    arity: Arity,
    flags: Flags,
    since: &'static str,
    tips: &'static [&'static str],
    syntax: &'static str,
    summary: &'static str,
) -> Command<Ochre> {
    let doc = doc("cluster", since, "O(1)", syntax, summary);
    Command { name, arity, flags, acl: &[], keys: &[], tips, doc, subcommands: &[], run: disabled }
}

const fn connection(name: &'static str, flags: Flags, summary: &'static str) -> Command<Ochre> {
    Command { acl: &[Acl::Connection], ..entry(name, Arity::Exactly(1), flags, "3.0.0", &[], "", summary) }
}

fn disabled(_cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    Err("ERR This instance has cluster support disabled".into())
}
