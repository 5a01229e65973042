//! What others see of the replication: INFO and ROLE.

use super::replica::address;
use crate::commands::server::line;
use crate::server::Server;
use common::resp::Reply;

/// The replication section of INFO.
pub fn info(server: &mut Server, out: &mut String) {
    let now_ms = server.time.now_ms();
    let replication = &server.replication;
    line(out, "role", "master");
    line(out, "connected_slaves", replication.replicas.len());
    if server.config.min_replicas_to_write > 0 && server.config.min_replicas_max_lag > 0 {
        let good = replication.good_replicas(&server.clients, &server.config, now_ms);
        line(out, "min_slaves_good_slaves", good);
    }
    for (index, slot) in replication.replicas.iter().enumerate() {
        let Some(client) = server.clients.get(*slot) else { continue };
        let Some(replica) = client.ext.replica.as_deref() else { continue };
        let (host, port) = address(client);
        let lag_s = match replica.state.name() {
            "online" => (now_ms - replica.seen_ms).max(0) / 1000,
            _ => 0,
        };
        let text = format!(
            "ip={host},port={port},state={},offset={},lag={lag_s}",
            replica.state.name(),
            replica.acknowledged
        );
        line(out, &format!("slave{index}"), text);
    }
    let backlog = replication.backlog.as_ref();
    line(out, "master_failover_state", "no-failover");
    line(out, "master_replid", replication.id());
    line(out, "master_replid2", "0".repeat(40));
    line(out, "master_repl_offset", replication.offset());
    line(out, "second_repl_offset", -1);
    line(out, "repl_backlog_active", u8::from(backlog.is_some()));
    line(out, "repl_backlog_size", backlog.map_or(server.config.repl_backlog_size, |backlog| backlog.size()));
    // Bytes of the stream are counted from one.
    line(out, "repl_backlog_first_byte_offset", backlog.map_or(0, |backlog| backlog.start() + 1));
    line(out, "repl_backlog_histlen", backlog.map_or(0, |backlog| backlog.end() - backlog.start()));
}

/// The reply to ROLE.
pub fn role(server: &Server, reply: &mut Reply) {
    let online: Vec<_> = server
        .replication
        .replicas
        .iter()
        .filter_map(|slot| server.clients.get(*slot))
        .filter_map(|client| Some((client, client.ext.replica.as_deref()?)))
        .filter(|(_, replica)| replica.state.name() == "online")
        .collect();
    reply.array(3);
    reply.bulk(b"master");
    reply.integer(server.replication.offset());
    reply.array(online.len());
    for (client, replica) in online {
        let (host, port) = address(client);
        reply.array(3);
        reply.bulk(host.as_bytes());
        reply.bulk_integer(port);
        reply.bulk_integer(replica.acknowledged);
    }
}
