//! The CLIENT command.

use super::filter::Filter;
use super::registry::{Client, Held, ReplyMode, Running, Slot};
use crate::command::{
    Acl, Args, Arity, Command, CommandError, CommandResult, Daemon, Doc, Flags, Handler, Outcome, write_help,
};
use crate::context::Context;
use crate::number::parse_i64;
use crate::pubsub::Target;

/// Text of CLIENT HELP, as far as it is the same for all daemons.
pub const CLIENT_HELP: &[&str] = &[
    "GETNAME",
    "    Return the name of the current connection.",
    "ID",
    "    Return the ID of the current connection.",
    "INFO",
    "    Return information about the current client connection.",
    "KILL <ip:port>",
    "    Kill connection made from <ip:port>.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Kill connections. Options are:",
    "    * ADDR (<ip:port>|<unixsocket>:0)",
    "      Kill connections made from the specified address",
    "    * LADDR (<ip:port>|<unixsocket>:0)",
    "      Kill connections made to specified local address",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Kill connections by type.",
    "    * USER <username>",
    "      Kill connections authenticated by <username>.",
    "    * SKIPME (YES|NO)",
    "      Skip killing current connection (default: yes).",
    "    * ID <client-id>",
    "      Kill connections by client id.",
    "    * MAXAGE <maxage>",
    "      Kill connections older than the specified age.",
    "    * IDLE <idle>",
    "      Kill connections without a command for so many seconds.",
    "    * NAME <name>, LIB-NAME <name>, LIB-VER <version>, DB <db>, IP <ip>",
    "      Kill connections of which this is true.",
    "    * FLAGS <flags>, CAPA <capabilities>",
    "      Kill connections that have all these letters in CLIENT LIST.",
    "    * NOT-<option> <value>",
    "      Kill connections of which the option is not true.",
    "LIST [options ...]",
    "    Return information about client connections. Options:",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Return clients of specified type.",
    "    * ID <client-id> [<client-id> ...]",
    "      Return clients of specified IDs only.",
    "    * The other options of KILL.",
    "NO-EVICT (ON|OFF)",
    "    Protect current client connection from eviction.",
    "NO-TOUCH (ON|OFF)",
    "    Will not touch LRU/LFU stats when this mode is on.",
    "REPLY (ON|OFF|SKIP)",
    "    Control the replies sent to the current connection.",
    "SETINFO <option> <value>",
    "    Set client meta attr. Options are:",
    "    * LIB-NAME: the client lib name.",
    "    * LIB-VER: the client lib version.",
    "SETNAME <name>",
    "    Assign the name <name> to the current connection.",
    "UNBLOCK <clientid> [TIMEOUT|ERROR]",
    "    Unblock the specified blocked client.",
];

const FLAGS: Flags = Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE);
const ADMIN: Flags = FLAGS.and(Flags::ADMIN);

struct Entries<D>(std::marker::PhantomData<D>);

impl<D: Daemon> Entries<D> {
    const ALL: &'static [Command<D>] = &[
        sub("getname", Arity::Exactly(2), FLAGS, "2.6.9", "", "Tells the connection's name.", getname::<D>),
        sub(
            "help",
            Arity::Exactly(2),
            Flags::LOADING.and(Flags::STALE),
            "5.0.0",
            "",
            "Lists the subcommands of CLIENT.",
            help::<D>,
        ),
        sub("id", Arity::Exactly(2), FLAGS, "5.0.0", "", "Tells the connection's id.", id::<D>),
        sub("info", Arity::Exactly(2), FLAGS, "6.2.0", "", "Describes this connection.", info::<D>),
        sub(
            "kill",
            Arity::AtLeast(3),
            ADMIN,
            "2.4.0",
            "<ip:port | [[NOT-]ID client-id [client-id ...]] [[NOT-]TYPE type] [[NOT-]USER username] [[NOT-]ADDR addr] [[NOT-]LADDR addr] [SKIPME yesno] [MAXAGE maxage] [IDLE idle] [[NOT-]NAME name] [[NOT-]FLAGS flags] [[NOT-]LIB-NAME name] [[NOT-]LIB-VER version] [[NOT-]DB db] [[NOT-]CAPA capa] [[NOT-]IP ip]>",
            "Closes connections.",
            kill::<D>,
        ),
        sub(
            "list",
            Arity::AtLeast(2),
            ADMIN,
            "2.4.0",
            "[[NOT-]TYPE type] [[NOT-]ID client-id [client-id ...]] [other filters of CLIENT KILL ...]",
            "Lists connections.",
            list::<D>,
        ),
        sub(
            "no-evict",
            Arity::Exactly(3),
            ADMIN,
            "7.0.0",
            "<ON | OFF>",
            "Keeps this connection from being evicted.",
            no_evict::<D>,
        ),
        sub(
            "no-touch",
            Arity::Exactly(3),
            FLAGS,
            "7.2.0",
            "<ON | OFF>",
            "Lets reads leave access times alone.",
            no_touch::<D>,
        ),
        sub(
            "reply",
            Arity::Exactly(3),
            FLAGS,
            "3.2.0",
            "<ON | OFF | SKIP>",
            "Switches replies off and on.",
            reply::<D>,
        ),
        sub(
            "setinfo",
            Arity::Exactly(4),
            FLAGS,
            "7.2.0",
            "<LIB-NAME libname | LIB-VER libver>",
            "Tells which library the client uses.",
            setinfo::<D>,
        ),
        sub(
            "setname",
            Arity::Exactly(3),
            FLAGS,
            "2.6.9",
            "connection-name",
            "Names the connection.",
            setname::<D>,
        ),
        sub(
            "unblock",
            Arity::AtLeast(3),
            ADMIN,
            "5.0.0",
            "client-id [TIMEOUT | ERROR]",
            "Wakes a client from a blocking command.",
            unblock::<D>,
        ),
    ];
}

const fn sub<D: Daemon>(
    name: &'static str,
    arity: Arity,
    flags: Flags,
    since: &'static str,
    syntax: &'static str,
    summary: &'static str,
    run: Handler<D>,
) -> Command<D> {
    let complexity = if flags.has(Flags::ADMIN) { "O(N) with the number of clients" } else { "O(1)" };
    let doc = Doc { group: "connection", summary, since, complexity, syntax, deprecated: None };
    let tips: &[&str] = match name.as_bytes() {
        b"list" | b"info" => &["nondeterministic_output"],
        b"setname" | b"setinfo" => &["request_policy:all_nodes", "response_policy:all_succeeded"],
        _ => &[],
    };
    Command { name, arity, flags, acl: &[Acl::Connection], keys: &[], tips, doc, subcommands: &[], run }
}

/// The subcommands of CLIENT that both daemons have.
pub const fn client_subcommands<D: Daemon>() -> &'static [Command<D>] {
    Entries::<D>::ALL
}

/// Checks a name: printable ASCII without spaces, so that CLIENT LIST stays one line per client.
pub(super) fn valid_name(name: &[u8], what: &str) -> Result<(), CommandError> {
    if name.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        return Ok(());
    }
    Err(CommandError::Message(format!("ERR {what} cannot contain spaces, newlines or special characters.")))
}

/// Drops all subscriptions of a client without telling it.
pub(super) fn unsubscribe_all<C: Context>(cx: &mut C, slot: Slot) {
    for target in Target::ALL {
        let Some(client) = cx.clients().get_mut(slot) else { return };
        for name in client.unsubscribe_all(target) {
            cx.pubsub().unsubscribe(target, &name, slot);
        }
    }
}

/// The client whose command runs.
fn this<C: Context>(cx: &mut C) -> &mut Client<C::Extension> {
    let slot = cx.slot();
    cx.clients().get_mut(slot).expect("the running client is registered")
}

fn help<D: Daemon>(cx: &mut D::Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    let end: &[&str] = &["HELP", "    Prints this help."];
    write_help(cx.reply(), "CLIENT", &[CLIENT_HELP, D::CLIENT_HELP, end].concat());
    Ok(Outcome::Done)
}

fn id<D: Daemon>(cx: &mut D::Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    let id = this(cx).id;
    cx.reply().integer(id.cast_signed());
    Ok(Outcome::Done)
}

fn getname<D: Daemon>(cx: &mut D::Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    let name = this(cx).name.clone();
    if name.is_empty() {
        cx.reply().null();
    } else {
        cx.reply().bulk(&name);
    }
    Ok(Outcome::Done)
}

fn setname<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let name = args.get(2);
    valid_name(name, "Client names")?;
    this(cx).name = name.to_vec();
    cx.reply().ok();
    Ok(Outcome::Done)
}

fn setinfo<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let (option, value) = (args.get(2).to_ascii_lowercase(), args.get(3));
    match option.as_slice() {
        b"lib-name" => {
            valid_name(value, "lib-name")?;
            this(cx).library.get_or_insert_default().0 = value.to_vec();
        }
        b"lib-ver" => {
            valid_name(value, "lib-ver")?;
            this(cx).library.get_or_insert_default().1 = value.to_vec();
        }
        _ => {
            return Err(CommandError::quoting("ERR Unrecognized option '", args.get(2), "'"));
        }
    }
    cx.reply().ok();
    Ok(Outcome::Done)
}

fn info<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let line = describe(cx, args, |_| true, true);
    cx.reply().verbatim(&line);
    Ok(Outcome::Done)
}

/// Lines of CLIENT LIST for the clients that `wanted` picks.
fn describe<C: Context>(
    cx: &mut C,
    args: &Args<'_>,
    wanted: impl Fn(&Client<C::Extension>) -> bool,
    only_this: bool,
) -> Vec<u8> {
    let (slot, now_ms) = (cx.slot(), cx.now_ms());
    // The running client's buffers are lent to the context.
    let held = Held { query: cx.query_buffer(), arguments: args.bytes() };
    let reply = cx.reply();
    let running = Running { resp: reply.resp, reply: (reply.len(), reply.capacity()), held };
    let mut out = Vec::new();
    let clients = cx.clients();
    let slots = if only_this { vec![slot] } else { clients.slots() };
    for each in slots {
        let Some(client) = clients.get(each).filter(|client| wanted(client)) else { continue };
        let line = client.describe(now_ms, (each == slot).then_some(running));
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    }
    out
}

fn list<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    let filter = Filter::parse(cx, args, "ERR Invalid client ID", false)?;
    let (slot, now_ms) = (cx.slot(), cx.now_ms());
    let lines = describe(cx, args, |client| filter.picks(client, slot, now_ms), false);
    cx.reply().verbatim(&lines);
    Ok(Outcome::Done)
}

fn kill<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    let old_style = args.count() == 3;
    let filter = if old_style {
        Filter::by_address(args.next())
    } else {
        let mut filter = Filter::parse(cx, args, "ERR client-id should be greater than 0", true)?;
        filter.skip_me.get_or_insert(true);
        filter
    };
    let (slot, now_ms) = (cx.slot(), cx.now_ms());
    let picked: Vec<Slot> = cx
        .clients()
        .iter()
        .filter(|client| filter.picks(client, slot, now_ms))
        .map(|client| client.slot)
        .collect();
    for each in &picked {
        cx.kill(*each);
    }
    match (old_style, picked.len()) {
        (true, 0) => return Err("ERR No such client".into()),
        (true, _) => cx.reply().ok(),
        (false, killed) => cx.reply().integer(killed as i64),
    }
    Ok(Outcome::Done)
}

/// What a switch is set to.
///
/// # Errors
/// When the word is neither `on` nor `off`.
pub fn on_off(word: &[u8]) -> Result<bool, CommandError> {
    match word.to_ascii_lowercase().as_slice() {
        b"on" => Ok(true),
        b"off" => Ok(false),
        _ => Err(CommandError::Syntax),
    }
}

fn no_evict<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    this(cx).no_evict = on_off(args.get(2))?;
    cx.reply().ok();
    Ok(Outcome::Done)
}

fn no_touch<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    this(cx).no_touch = on_off(args.get(2))?;
    cx.reply().ok();
    Ok(Outcome::Done)
}

fn reply<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    match args.get(2).to_ascii_lowercase().as_slice() {
        b"on" => {
            this(cx).reply_mode = ReplyMode::On;
            cx.reply().ok();
        }
        b"off" => this(cx).reply_mode = ReplyMode::Off,
        b"skip" => {
            let client = this(cx);
            if client.reply_mode != ReplyMode::Off {
                client.reply_mode = ReplyMode::SkipNext;
            }
        }
        _ => return Err(CommandError::Syntax),
    }
    Ok(Outcome::Done)
}

fn unblock<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let with_error = match args.count() {
        3 => false,
        4 => match args.get(3).to_ascii_lowercase().as_slice() {
            b"timeout" => false,
            b"error" => true,
            _ => return Err("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR".into()),
        },
        _ => return Err(crate::pubsub::wrong_subcommand(args)),
    };
    let id = parse_i64(args.get(2)).ok_or(CommandError::NotAnInteger)?;
    let slot = cx.clients().by_id(id.cast_unsigned());
    let woken = slot.is_some_and(|slot| cx.unblock(slot, with_error));
    cx.reply().integer(i64::from(woken));
    Ok(Outcome::Done)
}
