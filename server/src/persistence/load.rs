//! Loading a snapshot: a thread reads, checks and builds values, the actor only puts them in place.
//!
//! So a file loads on two cores, and clients are served meanwhile (with -LOADING, mostly). DEBUG RELOAD loads without
//! a thread, since nothing may come between.

use super::encode::Pause;
use super::handoff::{FromThread, Taken, ToActor, to_actor};
use super::rdb::{Access, Loader, RdbSink, RdbValue, Record, Summary};
use crate::scripting::ScriptHost;
use crate::server::Server;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};
use store::{DbIndex, Expire, Limits, NewValue, SharedBytes};

/// Longest time that loading takes from the clients at once.
const SLICE: Duration = Duration::from_millis(1);

/// Batches that wait for the actor.
const BATCHES: usize = 16;

/// Keys of a batch at most.
const BATCH_KEYS: usize = 512;

/// Strings from this length on are taken over instead of copied.
const TAKEN_OVER: usize = 16 << 10;

/// A key that is ready to be put in place.
#[derive(Debug)]
struct Loaded {
    db: usize,
    key: Vec<u8>,
    expire_ms: Option<i64>,
    /// Seconds since the last use.
    idle_s: Option<u64>,
    value: RdbValue,
}

/// What was loaded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Keys put in place.
    pub loaded: u64,
    /// Keys left out since they had expired.
    pub expired: u64,
}

/// What the thread sends.
#[derive(Debug)]
enum Batch {
    Keys(Vec<Loaded>, u64),
    Library(Box<[u8]>),
    /// What the file's writer used, bytes.
    UsedMemory(u64),
    Done {
        expired: u64,
    },
    Failed(String),
}

/// A load that is under way.
#[derive(Debug)]
pub struct Loading {
    batches: FromThread<Batch>,
    started: Instant,
    /// Unix time, seconds.
    pub started_s: i64,
    /// Size of the file.
    pub total_bytes: u64,
    /// Bytes read so far.
    pub loaded_bytes: u64,
    /// Memory in use that the writer of the file had, bytes.
    pub used_memory: u64,
    keys: u64,
}

impl Loading {
    /// Seconds that the rest will take at the pace so far.
    pub fn eta_s(&self) -> u64 {
        let elapsed = self.started.elapsed().as_secs_f64();
        let left = self.total_bytes.saturating_sub(self.loaded_bytes) as f64;
        if self.loaded_bytes == 0 { 1 } else { (elapsed * left / self.loaded_bytes as f64) as u64 }
    }
}

/// Takes what the file holds, and leaves out what has expired.
struct Builder {
    databases: usize,
    now_ms: i64,
    expired: u64,
}

impl Builder {
    fn new(server: &Server) -> Self {
        Self { databases: server.config.databases as usize, now_ms: common::clock::now_ms(), expired: 0 }
    }

    fn check_db(&self, db: usize) -> Result<(), String> {
        if db < self.databases {
            return Ok(());
        }
        Err(format!("it has a database number {db}, but this server has only {}", self.databases))
    }

    fn build(&mut self, record: Record) -> Result<Option<Loaded>, String> {
        if record.expire_ms.is_some_and(|at| at < self.now_ms) {
            self.expired += 1;
            return Ok(None);
        }
        let idle_s = match record.access {
            Some(Access::Idle(seconds)) => Some(seconds),
            _ => None,
        };
        Ok(Some(Loaded {
            db: record.db,
            key: record.key,
            expire_ms: record.expire_ms,
            idle_s,
            value: record.value,
        }))
    }
}

/// Says what the file tells of its origin.
fn log_origin(name: &[u8], value: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(value);
    match name {
        b"redis-ver" => tracing::info!("Loading RDB produced by version {text}"),
        b"ctime" => {
            let age_s = common::clock::now_ms() / 1000 - text.parse::<i64>().unwrap_or(0);
            tracing::info!("RDB age {} seconds", age_s.max(0));
        }
        b"used-mem" => {
            let bytes: u64 = text.parse().unwrap_or(0);
            tracing::info!("RDB memory usage when created {:.2} Mb", bytes as f64 / (1024.0 * 1024.0));
            return Some(bytes);
        }
        _ => {}
    }
    None
}

// --- at the start ----------------------------------------------------------------------------------------------------

/// Begins to load the file, if there is one: [`super::advance`] goes on with it.
///
/// # Errors
/// When it is there and can't be read.
pub fn begin(server: &mut Server) -> Result<(), String> {
    if server.config.db_filename.is_empty() {
        return Ok(()); // no name, no file
    }
    let path = std::env::current_dir().unwrap_or_default().join(server.config.db_filename.as_path());
    let failed = |error: std::io::Error| format!("failed to load {}: {error}", path.display());
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let total_bytes = file.metadata().map_err(failed)?.len();
    let (batches, from_thread) = to_actor(BATCHES, &server.internal);
    let reader = Reader {
        path: path.clone(),
        checksum: server.config.rdb_checksum,
        limits: server.limits(),
        builder: Builder::new(server),
        pause: Pause::new(server.config.key_load_delay),
        batch: Vec::new(),
        batch_bytes: 0,
        most_bytes: u64::from(server.config.loading_process_events_interval_bytes),
        read: 0,
        batches,
    };
    let thread = std::thread::Builder::new().name("ochre-load".into());
    thread.spawn(move || reader.run(file)).map_err(failed)?;
    tracing::info!("Loading the dataset in the background");
    server.lifecycle.loading = true;
    server.persistence.loading = Some(Loading {
        batches: from_thread,
        started: Instant::now(),
        started_s: common::clock::now_ms() / 1000,
        total_bytes,
        loaded_bytes: 0,
        used_memory: 0,
        keys: 0,
    });
    Ok(())
}

/// The thread's side.
struct Reader {
    path: PathBuf,
    checksum: bool,
    limits: Limits,
    builder: Builder,
    pause: Pause,
    batch: Vec<Loaded>,
    batch_bytes: u64,
    /// Bytes of the file from which on a batch is sent.
    most_bytes: u64,
    read: u64,
    batches: ToActor<Batch>,
}

impl Reader {
    fn run(mut self, file: File) {
        let name = self.path.to_string_lossy().into_owned();
        let result = Loader::new(file, name, self.checksum, self.limits).load(&mut self);
        self.send();
        let last = match result {
            Ok(_) => Batch::Done { expired: self.builder.expired },
            Err(error) => Batch::Failed(format!("failed to load {error}")),
        };
        // Without a receiver the process is about to end.
        let _ = self.batches.give(last);
    }

    fn send(&mut self) -> bool {
        self.batch_bytes = 0;
        self.batches.give(Batch::Keys(std::mem::take(&mut self.batch), self.read)).is_ok()
    }
}

impl RdbSink for Reader {
    fn aux(&mut self, name: &[u8], value: &[u8]) -> Result<(), String> {
        if let Some(bytes) = log_origin(name, value) {
            // A receiver that is gone is noticed with the next full batch.
            let _ = self.batches.give(Batch::UsedMemory(bytes));
        }
        Ok(())
    }

    fn select_db(&mut self, db: usize) -> Result<(), String> {
        self.builder.check_db(db)
    }

    fn library(&mut self, code: &[u8]) -> Result<(), String> {
        self.batches.give(Batch::Library(code.into())).map_err(|_| "the server is ending".to_owned())
    }

    fn key(&mut self, record: Record) -> Result<(), String> {
        self.batch.extend(self.builder.build(record)?);
        self.pause.after_key(|| false);
        if self.batch.len() >= BATCH_KEYS && !self.send() {
            return Err("the server is ending".to_owned());
        }
        Ok(())
    }

    fn progress(&mut self, bytes: u64) {
        self.batch_bytes += bytes - self.read;
        self.read = bytes;
        if self.batch_bytes >= self.most_bytes {
            // A receiver that is gone is noticed with the next full batch.
            let _ = self.send();
        }
    }
}

/// Puts keys in place for a slice of time; true when it could go on at once.
pub fn advance(server: &mut Server, host: &Rc<ScriptHost>) -> bool {
    let Some(mut loading) = server.persistence.loading.take() else { return false };
    let started = Instant::now();
    while started.elapsed() < SLICE {
        match loading.batches.take() {
            Taken::Nothing => {
                server.persistence.loading = Some(loading);
                return false;
            }
            Taken::Piece(Batch::Keys(keys, bytes)) => {
                loading.loaded_bytes = bytes;
                loading.keys += keys.len() as u64;
                if let Err(error) = keys.into_iter().try_for_each(|key| put(server, key, false)) {
                    fail(server, &format!("failed to load the snapshot: {error}"));
                    return false;
                }
            }
            Taken::Piece(Batch::UsedMemory(bytes)) => loading.used_memory = bytes,
            Taken::Piece(Batch::Library(code)) => {
                if let Err(error) = load_library(server, host, &code, false) {
                    fail(server, &format!("failed to load the snapshot: {error}"));
                    return false;
                }
            }
            Taken::Piece(Batch::Done { expired }) => {
                finish(server, &loading, expired);
                return false;
            }
            Taken::Piece(Batch::Failed(error)) => {
                fail(server, &error);
                return false;
            }
            Taken::End => {
                fail(server, "failed to load the snapshot: its reader died");
                return false;
            }
        }
    }
    server.persistence.loading = Some(loading);
    true
}

fn finish(server: &mut Server, loading: &Loading, expired: u64) {
    server.lifecycle.loading = false;
    server.persistence.last_load = Counts { loaded: loading.keys, expired };
    tracing::info!("Done loading RDB, keys loaded: {}, keys expired: {expired}.", loading.keys);
    tracing::info!("DB loaded from disk: {:.3} seconds", loading.started.elapsed().as_secs_f64());
}

fn fail(server: &mut Server, error: &str) {
    tracing::error!("Fatal error loading the DB: {error}. Exiting.");
    server.persistence.is_fatal = true;
}

/// Takes a library in. One that is there already is replaced if `merging`.
fn load_library(
    server: &mut Server,
    host: &Rc<ScriptHost>,
    code: &[u8],
    merging: bool,
) -> Result<(), String> {
    let loaded = server.scripts.functions.load(host, code, merging, None);
    server.scripts.functions_vm_bytes = host.functions_bytes();
    loaded.map(drop).map_err(|error| format!("a library of functions can't be loaded: {error}"))
}

/// Puts a key in place. A key that is there already is replaced if `merging`.
fn put(server: &mut Server, loaded: Loaded, merging: bool) -> Result<(), String> {
    let Loaded { db, key, expire_ms, idle_s, value } = loaded;
    let hash = server.keyspace.hash(&key);
    let expire = expire_ms.map_or(Expire::None, Expire::At);
    let value = match &value {
        RdbValue::String(bytes) if bytes.len() < TAKEN_OVER => NewValue::from_bytes(bytes),
        _ => match value {
            RdbValue::String(bytes) => NewValue::Shared(SharedBytes::new(bytes)),
            RdbValue::Object(object) => NewValue::Object(object),
        },
    };
    let (clock, is_clock) = (server.time.access_clock(), !server.access.counts());
    let db = server.keyspace.db_mut(DbIndex(db));
    if !merging && db.contains(hash, &key) {
        let key = String::from_utf8_lossy(&key);
        return Err(format!("it has the key '{}' twice", server.config.shown_in_log(&key)));
    }
    db.set(hash, &key, value, expire);
    if let Some(idle_s) = idle_s.filter(|_| is_clock) {
        db.touch(hash, &key, clock.saturating_sub(idle_s.min(u64::from(clock)) as u32));
    }
    Ok(())
}

// --- at once ---------------------------------------------------------------------------------------------------------

struct Foreground<'s> {
    server: &'s mut Server,
    host: &'s Rc<ScriptHost>,
    builder: Builder,
    merging: bool,
}

impl RdbSink for Foreground<'_> {
    fn aux(&mut self, name: &[u8], value: &[u8]) -> Result<(), String> {
        log_origin(name, value);
        Ok(())
    }

    fn select_db(&mut self, db: usize) -> Result<(), String> {
        self.builder.check_db(db)
    }

    fn library(&mut self, code: &[u8]) -> Result<(), String> {
        load_library(self.server, self.host, code, self.merging)
    }

    fn key(&mut self, record: Record) -> Result<(), String> {
        match self.builder.build(record)? {
            Some(loaded) => put(self.server, loaded, self.merging),
            None => Ok(()),
        }
    }
}

/// Loads a file before it returns. O(keys). What was loaded before an error stays.
///
/// # Errors
/// File, offset and cause.
pub fn load_now(
    server: &mut Server,
    host: &Rc<ScriptHost>,
    path: &Path,
    merging: bool,
) -> Result<Summary, String> {
    let name = path.to_string_lossy().into_owned();
    let file = File::open(path).map_err(|error| format!("failed to load {name}: {error}"))?;
    let builder = Builder::new(server);
    let (checksum, limits) = (server.config.rdb_checksum, server.limits());
    let mut sink = Foreground { server, host, builder, merging };
    let summary = Loader::new(file, name, checksum, limits)
        .load(&mut sink)
        .map_err(|error| format!("failed to load {error}"))?;
    let expired = sink.builder.expired;
    let loaded = summary.keys - expired;
    server.persistence.last_load = Counts { loaded, expired };
    tracing::info!("Done loading RDB, keys loaded: {loaded}, keys expired: {expired}.");
    Ok(summary)
}
