//! How dense memory stays without active defragmentation: keys of one range of sizes come, most of them go, keys of
//! another range come, and again. Redis stands beside it, without active defragmentation too.
//!
//! Two ratios tell it: pages in use over bytes in use as the allocator sees them, which is what moving values together
//! could win, and resident over used memory, which is what the machine pays. There is no target: the figures are there to
//! judge what active defragmentation would be worth.

use crate::client::{encode, mix};
use crate::memory::launch;
use crate::process::Server;
use crate::table::{Table, thousands};
use crate::{Kind, Options, Result};
use std::time::Duration;

/// Millions of keys unless told otherwise.
const KEYS: f64 = 2.0;
/// One key in so many survives a round of deletions.
const SURVIVES: u64 = 4;
/// What happens to the keys, in order.
const STEPS: &[Step] = &[
    Step { name: "filled, 16..80 bytes", generation: 0, smallest: 16, largest: 80 },
    Step { name: "3 of 4 deleted, filled, 100..400", generation: 1, smallest: 100, largest: 400 },
    Step { name: "3 of 4 deleted, filled, 8..1000", generation: 2, smallest: 8, largest: 1000 },
];

struct Step {
    name: &'static str,
    generation: u64,
    smallest: u64,
    largest: u64,
}

/// Runs both servers through all steps. Returns whether every target was met, of which there is none.
pub fn run(options: &Options) -> Result<bool> {
    let keys = options.keys.first().copied().unwrap_or(if options.quick { KEYS / 4.0 } else { KEYS });
    let keys = (keys * 1e6) as u64;
    println!("{keys} keys, sizes at random; seed {}\n", options.seed);
    let mut table =
        Table::new(&["after", "server", "keys", "used MB", "pages/bytes", "RSS/used", "to be won MB"]);
    for kind in [Kind::Ochre, Kind::Redis] {
        let server = launch(kind, options, &[])?;
        let mut client = server.client()?;
        for step in STEPS {
            if step.generation > 0 {
                let generation = step.generation - 1;
                client.load(keys, |n, out| {
                    // A survivor is deleted as a key that does not exist.
                    let kept = mix(options.seed ^ mix(n ^ generation << 40)).is_multiple_of(SURVIVES);
                    encode(out, &[b"DEL", &name(if kept { u64::MAX } else { generation }, n)]);
                })?;
                report(&server, "3 of 4 deleted", &mut table)?;
            }
            client.load(keys, |n, out| {
                let span = step.largest - step.smallest;
                let len = step.smallest + mix(options.seed ^ mix(n ^ step.generation << 50)) % span;
                encode(out, &[b"SET", &name(step.generation, n), &vec![b'v'; len as usize]]);
            })?;
            report(&server, step.name, &mut table)?;
        }
    }
    table.print();
    Ok(true)
}

fn name(generation: u64, number: u64) -> Vec<u8> {
    format!("key:{generation}:{number}").into_bytes()
}

/// Adds a row.
fn report(server: &Server, after: &str, table: &mut Table) -> Result<()> {
    // Freed pages go back by and by.
    std::thread::sleep(Duration::from_secs(2));
    let figure = |field: &str| -> Result<f64> {
        Ok(server.info(field)?.ok_or_else(|| format!("INFO without {field}"))?.parse()?)
    };
    let (allocated, active) = (figure("allocator_allocated")?, figure("allocator_active")?);
    let used = figure("used_memory")?;
    let keys = server.client()?.call(&[b"DBSIZE"])?.integer()? as f64;
    table.row([
        after.to_owned(),
        server.kind.name().to_owned(),
        thousands(keys),
        thousands(used / 1e6),
        format!("{:.3}", active / allocated),
        format!("{:.3}", server.rss()? as f64 / used),
        thousands((active - allocated) / 1e6),
    ]);
    Ok(())
}
