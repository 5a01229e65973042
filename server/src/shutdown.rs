//! The end of the process.

use crate::lifecycle::Shutdown;
use crate::server::Server;
use common::clients::Slot;
use common::command::CommandError;

impl Server {
    /// SHUTDOWN: does what must be done first, then asks the actor to end the process.
    ///
    /// # Errors
    /// When saving failed and nobody forces.
    pub fn begin_shutdown(&mut self, wish: Shutdown, _slot: Slot) -> Result<(), CommandError> {
        tracing::warn!("User requested shutdown...");
        crate::persistence::give_up(self);
        // Half a data set must not replace the file that it is being loaded from.
        let save = !self.lifecycle.loading && wish.save.unwrap_or(!self.config.save.is_empty());
        if save {
            tracing::info!("Saving the final RDB snapshot before exiting.");
            if let Err(error) = crate::persistence::save_now(self) {
                tracing::warn!("Error trying to save the DB, can't exit: {error}");
                if !wish.force {
                    return Err("ERR Errors trying to SHUTDOWN. Check logs.".into());
                }
            }
        }
        self.lifecycle.shutdown = Some(wish);
        Ok(())
    }
}
