//! What is kept on disk: snapshots, when they are taken, and loading them.
//!
//! ```text
//! background.rs  a snapshot beside the clients: walk, writer thread
//! save.rs        snapshot files; SAVE, which lets everyone wait
//! encode.rs      values in the snapshot format        chunk.rs    values on their way to the writer
//! load.rs        reading a snapshot at the start      handoff.rs  queues between the actor and its helper threads
//! rdb/           the format itself                    info.rs     the section of INFO
//! ```

mod background;
mod chunk;
mod encode;
pub mod handoff;
mod info;
mod load;
pub mod rdb;
mod save;

pub use background::{BeginError, MARK, Stream, begin};
pub use info::info;
pub use load::begin as begin_loading;
pub use save::SaveError;

use crate::config::Config;
use crate::scripting::ScriptHost;
use crate::server::Server;
use background::Running;
use load::{Counts, Loading};
use std::rc::Rc;
use std::time::{Duration, Instant};
use store::DbIndex;

/// Time after a failed save until save points try again; Redis's.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// What writes are told while snapshots fail.
pub const MISCONF: &str = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.";

/// What a snapshot is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The snapshot file; replicas may get a copy of it.
    File,
    /// Replicas, directly.
    Replicas,
}

/// Snapshots.
#[derive(Debug)]
pub struct Persistence {
    /// Changes when the last good save began.
    dirty_at_save: u64,
    /// Unix seconds of the last good save.
    last_save_s: i64,
    /// Whether the last background save went well.
    last_bgsave_ok: bool,
    /// When the last background save was tried.
    last_try: Option<Instant>,
    /// Seconds that the last background save took.
    last_took_s: Option<u64>,
    /// Most bytes of old values during the last one.
    last_buffer_peak: usize,
    /// Good saves.
    saves: u64,
    /// Snapshots given up because of `snapshot-buffer-limit`.
    given_up_for_memory: u64,
    /// A background save is to begin as soon as it can…
    scheduled: bool,
    /// … but not before this.
    retry_after: Option<Instant>,
    /// Number of the last snapshot that began.
    number: u64,
    running: Option<Running>,
    loading: Option<Loading>,
    last_load: Counts,
    /// Loading failed: the process must end.
    is_fatal: bool,
}

impl Persistence {
    /// Nothing saved yet.
    pub fn new(_config: &Config) -> Self {
        Self {
            dirty_at_save: 0,
            last_save_s: common::clock::now_ms() / 1000,
            last_bgsave_ok: true,
            last_try: None,
            last_took_s: None,
            last_buffer_peak: 0,
            saves: 0,
            given_up_for_memory: 0,
            scheduled: false,
            retry_after: None,
            number: 0,
            running: None,
            loading: None,
            last_load: Counts::default(),
            is_fatal: false,
        }
    }

    /// Whether writes are refused because saving fails.
    #[inline]
    pub fn refuses_writes(&self, config: &Config) -> bool {
        !self.last_bgsave_ok && config.stop_writes_on_bgsave_error && !config.save.is_empty()
    }

    /// Unix seconds of the last good save.
    pub fn last_save_s(&self) -> i64 {
        self.last_save_s
    }

    /// What the running snapshot is for.
    pub fn running(&self) -> Option<Purpose> {
        self.running.as_ref().map(|running| running.purpose)
    }

    /// Whether [`advance`] has something to do from time to time.
    #[inline]
    pub fn is_working(&self) -> bool {
        self.running.is_some() || self.loading.is_some()
    }

    /// Whether the process must end because its data can't be loaded.
    pub fn is_fatal(&self) -> bool {
        self.is_fatal
    }

    fn saved(&mut self, dirty_at_start: u64) {
        self.dirty_at_save = dirty_at_start;
        self.last_save_s = common::clock::now_ms() / 1000;
        self.last_bgsave_ok = true;
        self.saves += 1;
    }
}

/// What the writer of snapshot `number` reports.
#[derive(Debug)]
pub struct Report {
    number: u64,
    /// Bytes written.
    result: Result<u64, SaveError>,
}

/// Takes the writer's report.
pub fn receive(server: &mut Server, report: Report) {
    let Some(running) = server.persistence.running.take_if(|running| running.number == report.number) else {
        return; // given up before
    };
    server.keyspace.abort_snapshot(); // without effect unless the writer failed before the walk's end
    free_leftovers(server);
    let is_ok = report.result.is_ok();
    let persistence = &mut server.persistence;
    persistence.last_buffer_peak = running.buffer_peak;
    if running.purpose == Purpose::File {
        persistence.last_took_s = Some(running.started.elapsed().as_secs());
        persistence.last_bgsave_ok = is_ok;
    }
    match (running.purpose, &report.result) {
        (Purpose::File, Ok(_)) => {
            persistence.saved(running.dirty_at_start);
            tracing::info!("Background saving terminated with success");
        }
        (Purpose::File, Err(error)) => tracing::error!("Background saving error: {error}"),
        (Purpose::Replicas, Ok(_)) => {
            persistence.saves += 1;
            tracing::info!("Background RDB transfer terminated with success");
        }
        (Purpose::Replicas, Err(error)) => tracing::warn!("Background transfer error: {error}"),
    }
    let path = running.place.as_ref().filter(|_| is_ok).map(|place| place.path());
    crate::replication::snapshot_ended(server, running.purpose, path);
}

fn free_leftovers(server: &mut Server) {
    for garbage in server.keyspace.take_garbage() {
        server.garbage.release(garbage, true);
    }
}

/// Goes on with what is under way, for a slice of time; true when it could go on at once.
pub fn advance(server: &mut Server, host: &Rc<ScriptHost>) -> bool {
    if server.persistence.loading.is_some() {
        return load::advance(server, host);
    }
    background::advance(server)
}

/// Save points, and saves that had to wait.
pub fn tick(server: &mut Server) {
    if server.lifecycle.loading || server.persistence.running.is_some() {
        return;
    }
    let persistence = &server.persistence;
    if persistence.scheduled {
        if persistence.retry_after.is_none_or(|at| at <= Instant::now()) {
            // If it still can't begin, the wish stays.
            let _ = save_in_background(server);
        }
        return;
    }
    let may_try =
        persistence.last_bgsave_ok || persistence.last_try.is_none_or(|at| at.elapsed() > RETRY_DELAY);
    let changes = server.dirty - persistence.dirty_at_save;
    let age_s = (server.time.now_ms() / 1000 - persistence.last_save_s).max(0) as u64;
    let due = server.config.save.iter().find(|point| changes >= point.changes && age_s > point.seconds);
    if let Some(point) = due.filter(|_| may_try) {
        tracing::info!("{} changes in {} seconds. Saving...", point.changes, point.seconds);
        // Logged; the next attempt follows after the retry delay.
        let _ = save_in_background(server);
    }
}

/// Begins a background save; those who wait for a snapshot as a file share it.
///
/// # Errors
/// See [`BeginError`]. When it can't begin only now, it is scheduled.
pub fn save_in_background(server: &mut Server) -> Result<(), BeginError> {
    server.persistence.last_try = Some(Instant::now());
    match begin(server, Purpose::File) {
        Ok(_) => {
            server.persistence.scheduled = false;
            server.persistence.retry_after = None;
            tracing::info!("Background saving started by pid {}", std::process::id());
            Ok(())
        }
        Err(error) => {
            match error {
                BeginError::Busy => {}
                BeginError::NotYet => server.persistence.scheduled = true,
                BeginError::Place(_) | BeginError::Thread(_) => {
                    server.persistence.last_bgsave_ok = false;
                    tracing::error!("Can't save in background: {error}");
                }
            }
            Err(error)
        }
    }
}

/// A background save begins as soon as it can.
pub fn schedule(server: &mut Server) {
    server.persistence.scheduled = true;
}

/// Saves before it returns. O(keys), and the disk's time. A snapshot that runs must be given up first.
///
/// # Errors
/// Why it failed, to be logged by the caller.
pub fn save_now(server: &mut Server) -> Result<(), SaveError> {
    let place = save::Place::new(server.config.db_filename.as_path(), 0)?;
    let header = background::header(server);
    let pause = encode::Pause::new(server.config.rdb_key_save_delay);
    let result = save::save(&mut server.keyspace, &header, &place, pause);
    free_leftovers(server);
    result?;
    server.persistence.saved(server.dirty);
    tracing::info!("DB saved on disk");
    Ok(())
}

/// Saves for the last time before the process ends, as [`save_now`]. Nobody is served meanwhile, so that an operator who
/// interrupts again wants no snapshot any more: the process then exits at once.
///
/// # Errors
/// Those of [`save_now`].
pub fn save_last(server: &mut Server) -> Result<(), SaveError> {
    let place = save::Place::new(server.config.db_filename.as_path(), 0)?;
    crate::crash::exit_on_interrupt(Some(place.temporary()));
    let result = save_now(server);
    crate::crash::exit_on_interrupt(None);
    result
}

/// A snapshot without keys, for replicas that want none, and perhaps no libraries of functions either.
pub fn empty_snapshot(server: &Server, with_libraries: bool) -> Vec<u8> {
    let mut header = background::header(server);
    if !with_libraries {
        header.libraries.clear();
    }
    let written = encode::Encoder::begin(Vec::new(), &header).and_then(|e| e.finish());
    written.expect("writing to memory does not fail").0
}

/// Gives up a snapshot that runs, at shutdown; its temporary file goes with it.
pub fn give_up(server: &mut Server) {
    if server.persistence.running.is_some() {
        tracing::warn!("A snapshot is being made. It is given up.");
        background::abort(server);
    }
}

/// What DEBUG RELOAD leaves out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reload {
    /// Don't save first.
    pub nosave: bool,
    /// Don't delete what is there.
    pub noflush: bool,
    /// Replace keys that are there.
    pub merge: bool,
}

/// Saves, deletes everything and loads it again, before it returns.
///
/// # Errors
/// Why it failed; when loading fails, what was loaded until then stays.
pub fn reload(server: &mut Server, host: &Rc<ScriptHost>, how: Reload) -> Result<(), String> {
    if !how.nosave {
        give_up(server);
        save_now(server).map_err(|error| error.to_string())?;
    }
    if !how.noflush {
        for index in 0..server.keyspace.count() {
            server.empty_db(DbIndex(index), false);
        }
        server.scripts.functions.clear(host);
    }
    let path = server.config.db_filename.as_path().to_owned();
    load::load_now(server, host, &path, how.merge)?;
    tracing::warn!("DB reloaded by DEBUG RELOAD");
    Ok(())
}

impl Server {
    /// FLUSHALL gives up a running save.
    pub fn abort_snapshot_for_flush(&mut self) {
        if background::abort(self).is_some() {
            tracing::info!("The running snapshot was given up because of FLUSHALL");
        }
    }

    /// After FLUSHALL the file must not bring back what was deleted: with save points it is written anew at once.
    pub fn save_after_flush(&mut self) {
        if self.config.save.is_empty() {
            return;
        }
        if let Err(error) = save_now(self) {
            tracing::error!("The snapshot file was not replaced after FLUSHALL: {error}");
        }
    }
}
