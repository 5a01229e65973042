//! The families of commands, listed by hand.

use crate::commands;
use crate::server::{Ochre, Server};
use common::clients::Slot;
use common::command::{Args, Flags, Table};
use common::net::Hint;

/// Builds the table; a module would add a slice the same way.
pub fn command_table() -> Table<Ochre> {
    Table::new(&[
        common::clients::connection_commands(),
        common::command::command_commands(),
        common::pubsub::pubsub_commands(),
        common::pubsub::shard_commands(),
        commands::connection::COMMANDS,
        commands::client::COMMANDS,
        commands::cluster::COMMANDS,
        commands::module::COMMANDS,
        commands::generic::COMMANDS,
        commands::sort::COMMANDS,
        commands::string::COMMANDS,
        commands::bitmap::COMMANDS,
        commands::hyperloglog::COMMANDS,
        commands::list::COMMANDS,
        commands::set::COMMANDS,
        commands::sorted_set::COMMANDS,
        commands::geo::COMMANDS,
        commands::hash::COMMANDS,
        commands::stream::COMMANDS,
        commands::transactions::COMMANDS,
        commands::scripting::COMMANDS,
        commands::functions::COMMANDS,
        commands::persistence::COMMANDS,
        commands::replication::COMMANDS,
        commands::server::COMMANDS,
    ])
}

/// Whether a request may run a script, so that it has to run on a coroutine. `hint` may know its command.
pub fn is_script_runner(server: &Server, slot: Slot, args: &Args<'_>, hint: Hint) -> bool {
    let found = server.table.by_hint(hint.command).or_else(|| server.table.find(args.get(0)));
    let Some(id) = found else { return false };
    let flags = server.table.command(id).flags;
    let Some(multi) = server.clients.get(slot).and_then(|client| client.ext.multi.as_deref()) else {
        return flags.has(Flags::SCRIPT_RUNNER);
    };
    multi.runs_script && flags.has(Flags::RUNS_QUEUED)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_holds_together() {
        common::command::check_table(&super::command_table());
    }
}
