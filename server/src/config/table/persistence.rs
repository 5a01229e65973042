//! Snapshots and the append-only file.

use common::config::value::{Choices, Range, Unit};

use super::{INT_MAX, LONG_MAX, field, memory, plain};
use crate::config::directive::{Apply, Directive, Rewrite, Special};
use crate::config::special;

fn is_base_name(name: &[u8]) -> bool {
    !name.contains(&b'/') && !name.contains(&b'\\')
}

fn dbfilename_is_plain(name: &[u8]) -> Result<(), &'static str> {
    if is_base_name(name) { Ok(()) } else { Err("dbfilename can't be a path, just a filename") }
}

fn appendfilename_is_plain(name: &[u8]) -> Result<(), &'static str> {
    match name {
        [] => Err("appendfilename can't be empty"),
        _ if is_base_name(name) => Ok(()),
        _ => Err("appendfilename can't be a path, just a filename"),
    }
}

fn appenddirname_is_plain(name: &[u8]) -> Result<(), &'static str> {
    match name {
        [] => Err("appenddirname can't be empty"),
        _ if is_base_name(name) => Ok(()),
        _ => Err("appenddirname can't be a path, just a dirname"),
    }
}

pub(super) const SNAPSHOTS: &[Directive] = &[
    Directive::special(
        "save",
        Special {
            default: "3600 1 300 100 60 10000",
            many: true,
            set: special::set_save,
            get: special::get_save,
            begin: special::begin_save,
            rewrite: Rewrite::Lines(special::save_lines),
        },
        "Save points, <seconds> <changes> each: take a snapshot when so many changes were made and so many seconds \
         have passed since the last. Lines add up; save \"\" drops those before it.",
    ),
    Directive::special(
        "dir",
        Special {
            default: "",
            many: false,
            set: special::set_dir,
            get: special::get_dir,
            begin: special::nothing,
            rewrite: Rewrite::Lines(special::dir_lines),
        },
        "Folder of the files; must exist. Relative paths further down start there.",
    )
    .protected()
    .deny_loading()
    .apply(Apply::Dir),
    Directive::text("dbfilename", "dump.rdb", field!(text db_filename), "Name of the snapshot file.")
        .checked(dbfilename_is_plain)
        .protected(),
    Directive::yes_no(
        "rdbcompression",
        true,
        field!(bool rdb_compression),
        "Compress strings in snapshots: smaller files for some processor time.",
    ),
    Directive::yes_no(
        "rdbchecksum",
        true,
        field!(bool rdb_checksum),
        "Write a checksum at the end of snapshots and check it when loading.",
    )
    .immutable(),
    Directive::yes_no(
        "stop-writes-on-bgsave-error",
        true,
        field!(bool stop_writes_on_bgsave_error),
        "Refuse writes while the last snapshot failed and there are save points.",
    ),
    Directive::number(
        "snapshot-buffer-limit",
        256 << 20,
        Range { min: -100, max: LONG_MAX, unit: Unit::MemoryOrPercent },
        field!(number snapshot_buffer_limit),
        "Bytes, or percent of the memory in use, for old values that writes push out ahead of a running snapshot. \
         Past it the snapshot is given up and tried again later; 0 means no limit. Not a directive of Redis.",
    ),
    Directive::yes_no(
        "rdb-save-incremental-fsync",
        true,
        None,
        "Hand snapshots to the disk every few megabytes instead of all at the end.",
    ),
    Directive::yes_no(
        "rdb-del-sync-files",
        false,
        None,
        "Remove files of a full synchronization once they are not needed.",
    ),
    Directive::number(
        "rdb-key-save-delay",
        0,
        plain(i32::MIN as i128, INT_MAX),
        field!(number rdb_key_save_delay),
        "For tests: microseconds to sleep after each key saved; negative: one microsecond per that many keys.",
    )
    .hidden(),
    Directive::number(
        "key-load-delay",
        0,
        plain(i32::MIN as i128, INT_MAX),
        field!(number key_load_delay),
        "For tests: microseconds to sleep after each key loaded; negative: one microsecond per that many keys.",
    )
    .hidden(),
    Directive::number(
        "loading-process-events-interval-bytes",
        2 << 20,
        plain(1024, INT_MAX),
        field!(number loading_process_events_interval_bytes),
        "For tests: bytes loaded between two looks at the clients.",
    )
    .hidden(),
];

const FSYNC: Choices = &[("everysec", 2), ("always", 1), ("no", 0)];

pub(super) const APPEND_ONLY: &[Directive] = &[
    Directive::yes_no("appendonly", false, None, "Keep a log of changes and replay it at the start.")
        .deny_loading()
        .refused("the append-only file is not supported yet, and ignoring it would lose data"),
    Directive::text("appendfilename", "appendonly.aof", None, "Base name of its files.")
        .checked(appendfilename_is_plain)
        .immutable(),
    Directive::text("appenddirname", "appendonlydir", None, "Folder of its files, within dir.")
        .checked(appenddirname_is_plain)
        .immutable(),
    Directive::choice(
        "appendfsync",
        2,
        FSYNC,
        None,
        "When changes must be on the disk: always, everysec or no.",
    ),
    Directive::yes_no(
        "no-appendfsync-on-rewrite",
        false,
        None,
        "Leave changes to the kernel while a snapshot or rewrite is being written.",
    ),
    Directive::number(
        "auto-aof-rewrite-percentage",
        100,
        plain(0, INT_MAX),
        None,
        "Rewrite when the log has grown by so many percent; 0 means never.",
    ),
    Directive::number(
        "auto-aof-rewrite-min-size",
        64 << 20,
        memory(0, LONG_MAX),
        None,
        "But not below this size, bytes.",
    ),
    Directive::yes_no("aof-load-truncated", true, None, "Accept a log that breaks off in its last command."),
    Directive::yes_no("aof-use-rdb-preamble", true, None, "Rewrite into the snapshot's format."),
    Directive::yes_no("aof-timestamp-enabled", false, None, "Note the time in the log now and then."),
    Directive::yes_no(
        "aof-rewrite-incremental-fsync",
        true,
        None,
        "Hand rewrites to the disk every few megabytes instead of all at the end.",
    ),
    Directive::yes_no("aof-disable-auto-gc", false, None, "Keep files that a rewrite has replaced."),
];
