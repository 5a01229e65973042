//! Snapshot files: written under a temporary name, made durable, then put in the place of the last one.

use super::encode::{Direct, Encoder, Header, Pause};
use crate::log::os_text;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use store::Keyspace;

/// Entries looked at between two looks at the result when saving in the foreground.
const FOREGROUND_STEP: usize = 64 * 1024;

/// Why a snapshot was not written.
#[derive(Debug)]
pub enum SaveError {
    /// Nobody wants it any longer.
    GivenUp,
    /// The replicas that it was for are gone.
    NobodyListens,
    /// A step failed.
    Io {
        /// What was being done, as in "failed to …".
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl fmt::Display for SaveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GivenUp => f.write_str("given up"),
            Self::NobodyListens => f.write_str("no replica is left to receive it"),
            Self::Io { step, path, error } => {
                write!(f, "failed to {step} {}: {}", path.display(), os_text(error))
            }
        }
    }
}

impl std::error::Error for SaveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            Self::GivenUp | Self::NobodyListens => None,
        }
    }
}

/// Whether a snapshot in the making is still wanted. The lock is held while its file takes the place of the last one,
/// so that one that was given up never does.
#[derive(Debug, Default)]
pub struct Order(Mutex<bool>);

impl Order {
    /// Gives the snapshot up.
    pub fn give_up(&self) {
        *self.0.lock().expect("nothing panics with an order locked") = true;
    }

    /// Whether it was given up.
    pub fn is_given_up(&self) -> bool {
        *self.0.lock().expect("nothing panics with an order locked")
    }

    fn unless_given_up<R>(&self, act: impl FnOnce() -> R) -> Option<R> {
        let given_up = self.0.lock().expect("nothing panics with an order locked");
        (!*given_up).then(act)
    }
}

/// Where a snapshot file goes: absolute, since `dir` may change meanwhile.
#[derive(Clone, Debug)]
pub struct Place {
    folder: PathBuf,
    temporary: PathBuf,
    path: PathBuf,
}

impl Place {
    /// The file `name` in the working directory; `number` tells several of this process apart.
    ///
    /// # Errors
    /// When the working directory is gone.
    pub fn new(name: &Path, number: u64) -> Result<Self, SaveError> {
        let folder = std::env::current_dir().map_err(|error| SaveError::Io {
            step: "find the folder of",
            path: name.to_owned(),
            error,
        })?;
        // The plain name is that of Redis's own foreground saves, which tools know to clean up after.
        let pid = std::process::id();
        let temporary = folder.join(match number {
            0 => format!("temp-{pid}.rdb"),
            number => format!("temp-{pid}-{number}.rdb"),
        });
        // No name is no file, and not the folder.
        let path = if name.as_os_str().is_empty() { PathBuf::new() } else { folder.join(name) };
        Ok(Self { path, temporary, folder })
    }

    /// Where the file is once it is complete.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that is being written.
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Opens the temporary file.
    ///
    /// # Errors
    /// The system's.
    pub fn create(&self) -> Result<File, SaveError> {
        File::create(&self.temporary).map_err(|error| self.error("open the temporary snapshot file", error))
    }

    /// Makes the written file durable and puts it in its place.
    ///
    /// # Errors
    /// The system's, or [`SaveError::GivenUp`].
    pub fn commit(&self, file: &File, order: &Order) -> Result<(), SaveError> {
        file.sync_all().map_err(|error| self.error("write", error))?;
        let renamed = order.unless_given_up(|| std::fs::rename(&self.temporary, &self.path));
        renamed.ok_or(SaveError::GivenUp)?.map_err(|error| self.error("move into place", error))?;
        // The rename itself must survive a crash.
        File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| self.error("make durable", error))
    }

    /// Removes what an unfinished save left.
    pub fn remove_temporary(&self) {
        // It may never have come into being.
        let _ = std::fs::remove_file(&self.temporary);
    }

    /// A failure of a step.
    pub fn error(&self, step: &'static str, error: io::Error) -> SaveError {
        SaveError::Io { step, path: self.temporary.clone(), error }
    }
}

/// Writes a whole snapshot before it returns. O(keys), and the disk's time.
///
/// # Errors
/// Those of the file. No snapshot may be running.
pub fn save(keyspace: &mut Keyspace, header: &Header, place: &Place, pause: Pause) -> Result<u64, SaveError> {
    while keyspace.needs_restamp() {
        keyspace.restamp_step(FOREGROUND_STEP);
    }
    keyspace.begin_snapshot().expect("the caller has made sure that none runs, and stamps are free");
    let result = write_all(keyspace, header, place, pause);
    keyspace.abort_snapshot(); // without effect when all was handed out
    if result.is_err() {
        place.remove_temporary();
    }
    result
}

fn write_all(
    keyspace: &mut Keyspace,
    header: &Header,
    place: &Place,
    pause: Pause,
) -> Result<u64, SaveError> {
    let written = |error| place.error("write", error);
    let encoder = Encoder::begin(place.create()?, header).map_err(written)?;
    let mut sink = Direct { encoder, result: Ok(()), pause };
    while sink.result.is_ok() && !keyspace.snapshot_step(FOREGROUND_STEP, &mut sink) {}
    sink.result.map_err(written)?;
    let (file, bytes) = sink.encoder.finish().map_err(written)?;
    place.commit(&file, &Order::default())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_save_that_was_given_up_takes_no_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place {
            folder: folder.path().to_owned(),
            temporary: folder.path().join("temp"),
            path: folder.path().join("dump"),
        };
        let order = Order::default();
        let file = place.create().expect("it can be made");
        place.commit(&file, &order).expect("it is wanted");
        assert!(place.path().exists());
        std::fs::remove_file(place.path()).expect("it exists");

        let file = place.create().expect("it can be made");
        order.give_up();
        assert!(matches!(place.commit(&file, &order), Err(SaveError::GivenUp)));
        assert!(!place.path().exists());
        place.remove_temporary();
        assert_eq!(std::fs::read_dir(folder.path()).expect("it exists").count(), 0);
    }
}
