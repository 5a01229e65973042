//! Snapshots beside the clients: the walk on the actor, the writer on a thread of its own.
//!
//! ```text
//! keyspace ── walk in slices ──▶ chunks ──▶ writer thread: encode, compress, check sum ──▶ temporary file ──▶ dump.rdb
//!          ── old values of writes ─┘  (bounded)                                  └──▶ blocks (bounded) ──▶ replicas
//! ```
//!
//! When the disk or a replica is slow, the queues fill up and the walk waits. Writes to keys that it has not reached
//! then leave their old values behind; when these outgrow `snapshot-buffer-limit` the snapshot is given up.

use super::chunk::Chunk;
use super::encode::{Encoder, Header, Pause};
use super::handoff::{FromActor, FromThread, ToActor, ToThread, to_actor, to_thread};
use super::save::{Order, Place, SaveError};
use super::{Purpose, Report};
use crate::process::kernel::{Work, settle};
use crate::server::{Internal, Server};
use bytes::Bytes;
use common::net::Mailbox;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest time that the walk takes from the clients at once.
const SLICE: Duration = Duration::from_micros(400);

/// Entries looked at between two looks at the clock.
const STEP: usize = 128;

/// Chunks that wait for the writer: about a megabyte.
const CHUNKS: usize = 16;

/// Blocks that wait for the replicas.
const BLOCKS: usize = 16;

/// Largest block, bytes.
const BLOCK: usize = 64 << 10;

/// Bytes of the mark that ends a snapshot of unknown length.
pub const MARK: usize = 40;

/// The part of a snapshot that is not yet with the writer.
#[derive(Debug)]
struct Walk {
    to_writer: ToThread<Chunk>,
    filling: Chunk,
    /// A full chunk that the writer has no room for.
    waiting: Option<Chunk>,
}

/// A snapshot that is being made.
#[derive(Debug)]
pub struct Running {
    /// `None` once everything is with the writer.
    walk: Option<Walk>,
    order: Arc<Order>,
    /// Where the file goes, if it is one.
    pub place: Option<Place>,
    /// Tells its report from those of snapshots that were given up.
    pub number: u64,
    /// What it is for.
    pub purpose: Purpose,
    /// When it began.
    pub started: Instant,
    /// Changes when it began.
    pub dirty_at_start: u64,
    /// Keys when it began.
    pub keys: u64,
    /// Keys handed to the writer.
    pub keys_done: u64,
    /// Bytes that pre-images may hold.
    pub buffer_limit: usize,
    /// Most bytes that pre-images held.
    pub buffer_peak: usize,
}

/// Why a snapshot did not begin.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// There is one already.
    #[error("a snapshot is running")]
    Busy,
    /// So many were given up in a row that entries have to be stamped anew first; it can begin a little later.
    #[error("the keyspace is being prepared for more snapshots")]
    NotYet,
    /// The folder is gone.
    #[error("{0}")]
    Place(#[from] SaveError),
    /// No thread for the writer.
    #[error("failed to start the writer: {0}")]
    Thread(io::Error),
}

/// What a snapshot for replicas sends.
#[derive(Debug)]
pub struct Stream {
    /// The bytes.
    pub blocks: FromThread<Bytes>,
    /// How they end.
    pub mark: [u8; MARK],
}

/// Begins a snapshot of what is here now. For [`Purpose::Replicas`] it gives the stream to send them.
///
/// # Errors
/// See [`BeginError`].
pub fn begin(server: &mut Server, purpose: Purpose) -> Result<Option<Stream>, BeginError> {
    if server.persistence.running.is_some() {
        return Err(BeginError::Busy);
    }
    if server.keyspace.needs_restamp() {
        return Err(BeginError::NotYet);
    }
    server.persistence.number += 1;
    let number = server.persistence.number;
    let (target, place, stream) = match purpose {
        Purpose::File => {
            let place = Place::new(server.config.db_filename.as_path(), number)?;
            (Target::File(place.clone()), Some(place), None)
        }
        Purpose::Replicas => {
            let (sender, blocks) = to_actor(BLOCKS, &server.internal);
            let mut mark = [0; MARK];
            mark.copy_from_slice(crate::lifecycle::random_hex().as_bytes());
            (Target::Replicas(sender, mark), None, Some(Stream { blocks, mark }))
        }
    };
    let header = header(server);
    let (to_writer, from_actor) = to_thread(CHUNKS, &server.internal);
    let order = Arc::new(Order::default());
    let keys = header.keys();
    let job = Job {
        header,
        pause: Pause::new(server.config.rdb_key_save_delay),
        chunks: from_actor,
        order: order.clone(),
        target,
    };
    start_writer(job, number, server.internal.clone()).map_err(BeginError::Thread)?;
    server.keyspace.begin_snapshot().expect("none runs and stamps are free");
    server.persistence.running = Some(Running {
        walk: Some(Walk { to_writer, filling: Chunk::default(), waiting: None }),
        order,
        place,
        number,
        purpose,
        started: Instant::now(),
        dirty_at_start: server.dirty,
        keys,
        keys_done: 0,
        buffer_limit: buffer_limit(server),
        buffer_peak: 0,
    });
    Ok(stream)
}

/// The facts that a snapshot begun now has in front.
pub fn header(server: &Server) -> Header {
    let mut header = Header::new(&server.keyspace, server.config.rdb_compression, server.config.rdb_checksum);
    header.replication = server.replication.place_in_stream();
    header.libraries =
        server.scripts.functions.libraries().map(|(_, library)| library.code.clone()).collect();
    header
}

fn buffer_limit(server: &Server) -> usize {
    match server.config.snapshot_buffer_limit {
        0 => usize::MAX,
        bytes @ 1.. => bytes as usize,
        percent => (crate::memory::used_bytes() / 100).saturating_mul(percent.unsigned_abs()) as usize,
    }
}

/// Walks on for a slice of time; true when it could go on at once.
pub fn advance(server: &mut Server) -> bool {
    let Some(running) = &mut server.persistence.running else { return restamp(server) };
    let Some(walk) = &mut running.walk else { return false };
    let held = server.keyspace.preimage_bytes();
    running.buffer_peak = running.buffer_peak.max(held);
    if held > running.buffer_limit {
        give_up_for_memory(server, held);
        return false;
    }
    if let Some(chunk) = walk.waiting.take() {
        walk.waiting = walk.to_writer.offer(chunk).err();
        if walk.waiting.is_some() {
            return false;
        }
    }
    let started = Instant::now();
    loop {
        let done = server.keyspace.snapshot_step(STEP, &mut walk.filling);
        if walk.filling.is_full() || done && !walk.filling.is_empty() {
            let chunk = std::mem::take(&mut walk.filling);
            running.keys_done += chunk.len() as u64;
            walk.waiting = walk.to_writer.offer(chunk).err();
        }
        if done && walk.waiting.is_none() {
            running.walk = None; // ends the queue, which tells the writer to finish
            break;
        }
        // Once the walk is done a last chunk may still wait: the next call finds nothing more to hand out.
        if walk.waiting.is_some() || started.elapsed() > SLICE {
            break;
        }
    }
    server
        .persistence
        .running
        .as_ref()
        .is_some_and(|running| running.walk.as_ref().is_some_and(|walk| walk.waiting.is_none()))
}

/// After very many snapshots that were given up, entries get a common stamp again before another one can begin.
fn restamp(server: &mut Server) -> bool {
    if !server.keyspace.needs_restamp() {
        return false;
    }
    let started = Instant::now();
    while started.elapsed() < SLICE {
        if server.keyspace.restamp_step(STEP) {
            return false;
        }
    }
    true
}

#[cold]
fn give_up_for_memory(server: &mut Server, held: usize) {
    tracing::warn!(
        "Snapshot given up: old values of keys that were written to meanwhile take {held} bytes, more than snapshot-buffer-limit. It will be tried again."
    );
    server.persistence.given_up_for_memory += 1;
    let purpose = abort(server);
    if purpose == Some(Purpose::File) {
        server.persistence.scheduled = true;
        server.persistence.retry_after = Some(Instant::now() + super::RETRY_DELAY);
    }
}

/// Gives the running snapshot up and tells those who wait for it; what it was for.
pub fn abort(server: &mut Server) -> Option<Purpose> {
    let running = server.persistence.running.take()?;
    running.order.give_up();
    if let Some(place) = &running.place {
        place.remove_temporary();
    }
    server.keyspace.abort_snapshot();
    super::free_leftovers(server);
    crate::replication::snapshot_ended(server, running.purpose, None);
    Some(running.purpose)
}

// --- the writer ------------------------------------------------------------------------------------------------------

enum Target {
    File(Place),
    Replicas(ToActor<Bytes>, [u8; MARK]),
}

struct Job {
    header: Header,
    pause: Pause,
    chunks: FromActor<Chunk>,
    order: Arc<Order>,
    target: Target,
}

fn start_writer(job: Job, number: u64, mailbox: Mailbox<Internal>) -> io::Result<()> {
    let run = move || {
        settle(Work::Snapshot);
        let result = job.run();
        mailbox.push(Internal::Snapshot(Report { number, result }));
    };
    std::thread::Builder::new().name("ochre-snapshot".into()).spawn(run).map(drop)
}

impl Job {
    fn run(self) -> Result<u64, SaveError> {
        let Self { header, pause, chunks, order, target } = self;
        match target {
            Target::File(place) => {
                let result = write_file(&header, pause, chunks, &order, &place);
                if result.is_err() {
                    place.remove_temporary();
                }
                result
            }
            Target::Replicas(blocks, mark) => {
                let gone = |_| SaveError::NobodyListens;
                let (out, bytes) =
                    write_chunks(Blocks(blocks), &header, pause, chunks, &order).map_err(gone)?;
                if order.is_given_up() {
                    return Err(SaveError::GivenUp);
                }
                out.0.give(Bytes::copy_from_slice(&mark)).map_err(|_| SaveError::NobodyListens)?;
                Ok(bytes)
            }
        }
    }
}

fn write_file(
    header: &Header,
    pause: Pause,
    chunks: FromActor<Chunk>,
    order: &Order,
    place: &Place,
) -> Result<u64, SaveError> {
    let file = place.create()?;
    let written = write_chunks(file, header, pause, chunks, order);
    if order.is_given_up() {
        return Err(SaveError::GivenUp);
    }
    let (file, bytes) = written.map_err(|error| place.error("write", error))?;
    place.commit(&file, order)?;
    tracing::info!("DB saved on disk");
    Ok(bytes)
}

fn write_chunks<W: Write>(
    out: W,
    header: &Header,
    mut pause: Pause,
    chunks: FromActor<Chunk>,
    order: &Order,
) -> io::Result<(W, u64)> {
    let mut encoder = Encoder::begin(out, header)?;
    while let Some(chunk) = chunks.next() {
        chunk.encode(&mut encoder, || {
            pause.after_key(|| order.is_given_up());
            Ok(())
        })?;
        if order.is_given_up() {
            return Err(io::ErrorKind::Interrupted.into());
        }
    }
    encoder.finish()
}

/// Sends what is written to the actor, in blocks.
struct Blocks(ToActor<Bytes>);

impl Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for block in bytes.chunks(BLOCK) {
            self.0.give(Bytes::copy_from_slice(block)).map_err(|_| io::ErrorKind::BrokenPipe)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
