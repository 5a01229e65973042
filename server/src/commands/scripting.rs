//! The scripting group.

use crate::server::Ochre;
use common::command::Command;

/// The family.
pub const COMMANDS: &[Command<Ochre>] = &[];
