//! Keyspace events as a subscriber sees them.

use crate::Client;

/// A connection that hears of every keyspace event.
pub struct Events(Client);

impl Events {
    /// Subscribes to the events of a server on this port; which ones it publishes is its configuration's affair.
    pub fn of(port: u16) -> Self {
        let mut client = Client::connect(port);
        client.run("PSUBSCRIBE __key*");
        Self(client)
    }

    /// Channel and message of each event of the commands that were answered since this was last asked.
    pub fn take(&mut self) -> Vec<String> {
        self.0.send(&["PING", "-- end --"]);
        let mut events = Vec::new();
        loop {
            let reply = self.0.read().to_string();
            if reply.contains("-- end --") {
                return events;
            }
            let lines: Vec<&str> = reply.split("\r\n").collect();
            // pmessage, pattern, channel, message: each behind its length.
            events.push(format!("{} {}", lines[6], lines[8..lines.len() - 1].join("\r\n")));
        }
    }
}
