//! INFO memory.

use super::line;
use crate::server::Server;
use common::clients::ClientClass;
use store::DbIndex;

/// What the table spends on a key beside the key's own allocation, bytes: a seventh of a line at nine tenths, and the
/// slot. Walking the tables would give the exact figure, and stop the server for as long.
const TABLE_SHARE: u64 = 11;

/// What the memory in use is spent on, bytes.
struct Spent {
    startup: u64,
    tables: u64,
    clients: u64,
    replicas: u64,
    backlog: u64,
    scripts: u64,
    functions: u64,
}

impl Spent {
    fn of(server: &Server) -> Self {
        let keys: u64 =
            (0..server.keyspace.count()).map(|db| server.keyspace.db(DbIndex(db)).len() as u64).sum();
        let of = |wanted: bool| -> u64 {
            let chosen = server.clients.iter().filter(|c| (c.class() == ClientClass::Replica) == wanted);
            chosen.map(|client| client.memory() as u64).sum()
        };
        let scripts = server.scripts.cache.memory_bytes();
        let functions = server.scripts.functions.memory_bytes();
        Self {
            startup: server.lifecycle.startup_bytes,
            tables: keys * TABLE_SHARE,
            clients: of(false),
            replicas: of(true),
            backlog: server.replication.backlog_bytes(),
            scripts,
            functions,
        }
    }

    /// All that is no data.
    fn overhead(&self) -> u64 {
        self.startup
            + self.tables
            + self.clients
            + self.replicas
            + self.backlog
            + self.scripts
            + self.functions
    }
}

fn ratio(of: u64, to: u64) -> f64 {
    of as f64 / to.max(1) as f64
}

pub(super) fn section(server: &mut Server, out: &mut String) {
    let used = crate::memory::used_bytes();
    server.stats.peak_memory = server.stats.peak_memory.max(used);
    let (rss, peak) = (crate::process::resident_bytes(), server.stats.peak_memory);
    let allocator = crate::memory::allocator();
    let spent = Spent::of(server);
    let total = crate::process::system_memory_bytes();
    let dataset = used.saturating_sub(spent.overhead());
    let net = used.saturating_sub(spent.startup);
    let vm = server.scripts.vm_bytes;
    let mut size = |name: &str, bytes: u64| {
        line(out, name, bytes);
        line(out, &format!("{name}_human"), human(bytes));
    };
    size("used_memory", used);
    size("used_memory_rss", rss);
    size("used_memory_peak", peak);
    line(out, "used_memory_peak_perc", format_args!("{:.2}%", ratio(used, peak) * 100.0));
    line(out, "used_memory_overhead", spent.overhead());
    line(out, "used_memory_startup", spent.startup);
    line(out, "used_memory_dataset", dataset);
    line(out, "used_memory_dataset_perc", format_args!("{:.2}%", ratio(dataset, net).min(1.0) * 100.0));
    line(out, "allocator_allocated", allocator.allocated);
    line(out, "allocator_active", allocator.active);
    line(out, "allocator_resident", allocator.resident);
    line(out, "allocator_muzzy", 0);
    line(out, "total_system_memory", total);
    line(out, "total_system_memory_human", human(total));
    line(out, "used_memory_lua", vm);
    line(out, "used_memory_vm_eval", vm);
    line(out, "used_memory_lua_human", human(vm));
    line(out, "used_memory_scripts_eval", spent.scripts);
    line(out, "number_of_cached_scripts", server.scripts.cache.count());
    let functions_vm = server.scripts.functions_vm_bytes;
    line(out, "number_of_functions", server.scripts.functions.function_count());
    line(out, "number_of_libraries", server.scripts.functions.library_count());
    line(out, "used_memory_vm_functions", functions_vm);
    line(out, "used_memory_vm_total", vm + functions_vm);
    line(out, "used_memory_vm_total_human", human(vm + functions_vm));
    line(out, "used_memory_functions", spent.functions);
    line(out, "used_memory_scripts", spent.scripts + spent.functions);
    line(out, "used_memory_scripts_human", human(spent.scripts + spent.functions));
    let limit = server.config.max_memory;
    line(out, "maxmemory", limit);
    line(out, "maxmemory_human", human(limit));
    let policy = server.config.max_memory_policy as usize;
    line(out, "maxmemory_policy", crate::config::EvictionPolicy::CHOICES[policy].0);
    line(out, "allocator_frag_ratio", format_args!("{:.2}", ratio(allocator.active, allocator.allocated)));
    line(out, "allocator_frag_bytes", allocator.active.saturating_sub(allocator.allocated));
    line(out, "allocator_rss_ratio", format_args!("{:.2}", ratio(allocator.resident, allocator.active)));
    line(out, "allocator_rss_bytes", allocator.resident.cast_signed() - allocator.active.cast_signed());
    line(out, "rss_overhead_ratio", format_args!("{:.2}", ratio(rss, allocator.resident)));
    line(out, "rss_overhead_bytes", rss.cast_signed() - allocator.resident.cast_signed());
    line(out, "mem_fragmentation_ratio", format_args!("{:.2}", ratio(rss, used)));
    line(out, "mem_fragmentation_bytes", rss.cast_signed() - used.cast_signed());
    line(out, "mem_not_counted_for_evict", 0);
    line(out, "mem_replication_backlog", spent.backlog);
    line(out, "mem_total_replication_buffers", spent.backlog);
    line(out, "mem_clients_slaves", spent.replicas);
    line(out, "mem_clients_normal", spent.clients);
    line(out, "mem_cluster_links", 0);
    line(out, "mem_aof_buffer", 0);
    line(out, "mem_allocator", "jemalloc-5.3.1");
    line(out, "active_defrag_running", server.defrag.cpu_percent);
    line(out, "lazyfree_pending_objects", server.garbage.pending());
    line(out, "lazyfreed_objects", server.garbage.freed());
}

/// A number of bytes with a unit, as Redis prints it.
fn human(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for next in ["K", "M", "G", "T", "P"] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    if unit == "B" { format!("{bytes}B") } else { format!("{value:.2}{unit}") }
}
