//! The server's configuration.
//!
//! ```text
//! table/   every directive once: name, kind, default, range, field, what a change brings about, doc
//! directive.rs   what an entry is; text → checked value → field → text
//! special.rs     directives with a syntax of their own
//! command_line.rs  redis-server's rules for arguments
//! load.rs        defaults → file → environment → command line, merged by figment, once at the start
//! rewrite.rs     CONFIG REWRITE
//! sample.rs      config/ochre.conf from the table
//! ```
//!
//! [`Config`] holds what the server acts upon in plain typed fields, so that the hot path reads a field and looks
//! nothing up. `CONFIG GET` and `CONFIG SET` are pure functions over it: [`Config::set`] checks everything before it
//! changes anything and names what the server must do next; if that fails, [`Change::previous`] is the way back.

pub mod command_line;
pub mod directive;
pub mod load;
pub mod rewrite;
pub mod sample;
mod special;
pub mod table;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use common::command::CommandError;
use common::glob::glob_match;

pub use command_line::{Invocation, Run, parse};
pub use directive::Apply;
use directive::{Directive, Honoured, Kind, Setting};
pub use load::{Startup, load};
pub use special::{ClientClass, NotifyFlags, OutputLimit, SavePoint};

/// Bytes that an operator wrote: a path, a name. Not necessarily UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(Vec<u8>);

impl Text {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As a path.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        Text(bytes)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Text(text.as_bytes().to_vec())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// Bytes that no log may show: it cannot be displayed, and its `Debug` form hides it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// The bytes, for those who compare them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Self {
        Secret(bytes)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(redacted)")
    }
}

/// Declares an enumeration of directive values; expands to the enum, its `CHOICES` for the table, and the
/// conversions from and to the table's numbers.
macro_rules! choices {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// Names and values for the table.
            pub const CHOICES: common::config::value::Choices = &[$(($text, $name::$variant as u32),)+];

            /// The value for a number out of `CHOICES`.
            fn from_choice(value: u32) -> Self {
                let all = [$($name::$variant,)+];
                all[value as usize]
            }
        }
    };
}

choices! {
    /// How much is logged.
    LogLevel {
        /// Everything, for developers.
        Debug = "debug",
        /// Much that is rarely useful.
        Verbose = "verbose",
        /// What an operator wants to see.
        Notice = "notice",
        /// Only what needs attention.
        Warning = "warning",
        /// Nothing at all.
        Nothing = "nothing",
    }
}

choices! {
    /// Which init system to speak with.
    Supervised {
        /// Stop until it lets us go on.
        Upstart = "upstart",
        /// Send messages.
        Systemd = "systemd",
        /// Whichever shows itself in the environment.
        Auto = "auto",
        /// None.
        No = "no",
    }
}

choices! {
    /// What becomes of the kernel's score of the process.
    OomScore {
        /// It stays.
        No = "no",
        /// Another name of the next.
        Yes = "yes",
        /// Values are added to it.
        Relative = "relative",
        /// Values replace it.
        Absolute = "absolute",
    }
}

choices! {
    /// How a message of the log is written.
    LogFormat {
        /// As Redis does.
        Legacy = "legacy",
        /// `name=value` pairs.
        Logfmt = "logfmt",
        /// JSON objects.
        Json = "json",
    }
}

choices! {
    /// How its time is written.
    LogTimes {
        /// As Redis does.
        Legacy = "legacy",
        /// ISO 8601.
        Iso8601 = "iso8601",
        /// Unix time.
        Milliseconds = "milliseconds",
    }
}

choices! {
    /// Who may use a dangerous command or setting.
    Protection {
        /// Nobody.
        No = "no",
        /// Everyone.
        Yes = "yes",
        /// Connections from this machine.
        Local = "local",
    }
}

impl Protection {
    /// Whether a client may, given whether it is connected from this machine.
    pub fn allows(self, is_local: bool) -> bool {
        self == Protection::Yes || (self == Protection::Local && is_local)
    }
}

choices! {
    /// What is evicted at `maxmemory`: among keys with an expiry or all, by what.
    EvictionPolicy {
        /// Least recently used.
        VolatileLru = "volatile-lru",
        /// Least frequently used.
        VolatileLfu = "volatile-lfu",
        /// Any.
        VolatileRandom = "volatile-random",
        /// The next to expire.
        VolatileTtl = "volatile-ttl",
        /// Least recently used.
        AllkeysLru = "allkeys-lru",
        /// Least frequently used.
        AllkeysLfu = "allkeys-lfu",
        /// Any.
        AllkeysRandom = "allkeys-random",
        /// Nothing: commands that need memory fail.
        Noeviction = "noeviction",
        /// Least recently modified.
        VolatileLrm = "volatile-lrm",
        /// Least recently modified.
        AllkeysLrm = "allkeys-lrm",
    }
}

impl EvictionPolicy {
    /// Whether it goes by when or how often keys are used.
    pub fn uses_access(self) -> bool {
        !matches!(self, Self::Noeviction | Self::AllkeysRandom | Self::VolatileRandom | Self::VolatileTtl)
    }
}

choices! {
    /// Whether TLS clients must show a certificate.
    TlsAuthClients {
        /// They are not asked.
        No = "no",
        /// They must.
        Yes = "yes",
        /// One that is shown must be valid.
        Optional = "optional",
    }
}

/// What a termination signal does, as bits; none of them means: save if there are save points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShutdownFlags(pub u32);

impl ShutdownFlags {
    const CHOICES: common::config::value::Choices =
        &[("default", 0), ("save", 2), ("nosave", 1), ("now", 4), ("force", 8)];

    /// Save, also without save points.
    pub fn save(self) -> bool {
        self.0 & 2 != 0
    }

    /// Do not save.
    pub fn nosave(self) -> bool {
        self.0 & 1 != 0
    }

    /// Do not wait for lagging replicas.
    pub fn now(self) -> bool {
        self.0 & 4 != 0
    }

    /// Exit even when saving fails.
    pub fn force(self) -> bool {
        self.0 & 8 != 0
    }
}

/// Everything that can be configured. Fields are named after their directives; the table documents them.
#[derive(Clone)]
#[expect(missing_docs, reason = "the table documents every directive once")]
pub struct Config {
    // Network.
    pub bind: Vec<String>,
    pub port: u16,
    pub protected_mode: bool,
    pub tcp_backlog: u32,
    /// Seconds; 0 means off.
    pub tcp_keepalive: u32,
    /// Seconds; 0 means never.
    pub timeout: u32,
    pub max_clients: u32,
    pub io_threads: u16,
    pub unix_socket: Text,
    pub unix_socket_perm: u32,
    /// `rename-command`: from, to; to nothing means that the command can't be called.
    pub renamed_commands: Vec<(Vec<u8>, Vec<u8>)>,
    /// `unixsocketgroup`.
    pub unix_socket_group: Text,
    /// 0 means none.
    pub socket_mark_id: u32,
    pub accepts_per_cycle: u32,
    pub tls_accepts_per_cycle: u32,

    // TLS.
    pub tls_port: u16,
    pub tls_cert_file: Text,
    pub tls_key_file: Text,
    pub tls_ca_cert_file: Text,
    pub tls_ca_cert_dir: Text,
    pub tls_auth_clients: TlsAuthClients,
    pub tls_replication: bool,
    pub tls_cluster: bool,
    pub tls_protocols: Text,

    // General.
    pub databases: u32,
    pub daemonize: bool,
    pub pidfile: Text,
    pub supervised: Supervised,
    pub always_show_logo: bool,
    pub set_proc_title: bool,
    pub proc_title_template: Text,
    /// The file that it comes from, absolute; none if it was all arguments and environment. Not a directive.
    pub file: Option<std::path::PathBuf>,
    pub log_level: LogLevel,
    pub log_file: Text,
    pub log_format: LogFormat,
    pub log_times: LogTimes,
    pub syslog_enabled: bool,
    /// `hide-user-data-from-log`.
    pub hide_user_data: bool,
    pub syslog_ident: Text,
    /// As the system's logger numbers it.
    pub syslog_facility: u8,
    pub crash_log_enabled: bool,
    pub use_exit_on_panic: bool,
    /// Milliseconds; 0 means off.
    pub watchdog_period: u32,
    /// Times a second, within 1 and 500.
    pub hz: u16,
    pub requirepass: Secret,
    pub enable_protected_configs: Protection,
    pub enable_debug_command: Protection,
    pub enable_module_command: Protection,
    /// Seconds.
    pub shutdown_timeout: u32,
    pub shutdown_on_sigint: ShutdownFlags,
    pub shutdown_on_sigterm: ShutdownFlags,

    // Persistence.
    /// Absolute once loaded.
    pub dir: Text,
    pub db_filename: Text,
    pub save: Vec<SavePoint>,
    pub rdb_compression: bool,
    pub rdb_checksum: bool,
    pub stop_writes_on_bgsave_error: bool,
    /// Microseconds per key; negative: one microsecond per that many keys.
    pub rdb_key_save_delay: i32,
    /// Microseconds per key; negative: one microsecond per that many keys.
    pub key_load_delay: i32,
    pub loading_process_events_interval_bytes: u32,
    /// Bytes; 0 means no limit, negative is a percentage of the memory in use.
    pub snapshot_buffer_limit: i64,

    // Replication.
    /// Bytes.
    pub repl_backlog_size: u64,
    /// Seconds; 0 means never freed.
    pub repl_backlog_ttl: u64,
    /// Seconds.
    pub repl_timeout: u32,
    /// Seconds.
    pub repl_ping_replica_period: u32,
    pub repl_diskless_sync: bool,
    /// Seconds.
    pub repl_diskless_sync_delay: u32,
    pub min_replicas_to_write: u32,
    /// Seconds.
    pub min_replicas_max_lag: u32,
    pub replicaof: Option<(String, u16)>,

    // Clients and limits.
    /// Bytes.
    pub proto_max_bulk_len: u64,
    /// Bytes.
    pub client_query_buffer_limit: u64,
    /// By [`ClientClass`].
    pub output_limits: [OutputLimit; 3],
    /// Milliseconds; 0 means never.
    pub busy_reply_threshold: u64,
    /// Scripts see what Lua 5.1 has deprecated.
    pub lua_enable_deprecated_api: bool,

    // Data.
    pub list_max_listpack_size: i32,
    pub list_compress_depth: u32,
    pub set_max_intset_entries: u64,
    pub set_max_listpack_entries: u64,
    pub set_max_listpack_value: u64,
    pub zset_max_listpack_entries: u64,
    pub zset_max_listpack_value: u64,
    pub hash_max_listpack_entries: u64,
    pub hash_max_listpack_value: u64,
    /// Bytes.
    pub hll_sparse_max_bytes: u64,
    /// Bytes; 0 means no limit.
    pub stream_node_max_bytes: u64,
    /// Entries; 0 means no limit.
    pub stream_node_max_entries: u64,
    /// Seconds.
    pub stream_idmp_duration: u32,
    /// Entries of one producer.
    pub stream_idmp_maxsize: u32,
    pub active_expire_effort: u8,
    /// `import-mode`.
    pub import_mode: bool,
    /// Microseconds; -1 means none.
    pub slowlog_log_slower_than: i64,
    pub slowlog_max_len: u64,
    pub commandlog_request_larger_than: i64,
    pub commandlog_large_request_max_len: u64,
    pub commandlog_reply_larger_than: i64,
    pub commandlog_large_reply_max_len: u64,
    pub tracking_table_max_keys: u64,
    /// Milliseconds; 0 means off.
    pub latency_monitor_threshold: u64,
    /// Bytes; 0 means no limit.
    pub max_memory: u64,
    /// Bytes, or percent of `max_memory` when negative; 0 means no limit.
    pub max_memory_clients: i64,
    pub max_memory_policy: EvictionPolicy,
    pub max_memory_samples: u32,
    pub max_memory_eviction_tenacity: u8,
    pub lfu_log_factor: u32,
    /// Minutes.
    pub lfu_decay_time: u32,
    pub lazyfree_lazy_eviction: bool,
    pub lazyfree_lazy_expire: bool,
    pub lazyfree_lazy_server_del: bool,
    pub lazyfree_lazy_user_del: bool,
    pub lazyfree_lazy_user_flush: bool,
    pub latency_tracking: bool,
    pub latency_percentiles: Vec<f64>,
    pub notify_keyspace_events: NotifyFlags,
    pub oom_score_adj: OomScore,
    pub oom_score_adj_values: [i64; 3],
    pub disable_thp: bool,
    /// `jemalloc-bg-thread`
    pub jemalloc_bg_thread: bool,
    /// `activedefrag`.
    pub active_defrag: bool,
    /// `active-defrag-ignore-bytes`.
    pub active_defrag_ignore_bytes: u64,
    /// `active-defrag-threshold-lower`, percent.
    pub active_defrag_threshold_lower: u32,
    /// `active-defrag-threshold-upper`, percent.
    pub active_defrag_threshold_upper: u32,
    /// `active-defrag-cycle-min`, percent of a processor.
    pub active_defrag_cycle_min: u32,
    /// `active-defrag-cycle-max`, percent of a processor.
    pub active_defrag_cycle_max: u32,
    /// `active-defrag-max-scan-fields`.
    pub active_defrag_max_scan_fields: u64,
    pub server_cpulist: Text,
    pub bio_cpulist: Text,
    pub bgsave_cpulist: Text,

    /// Values of directives that are only known, where they differ from the default; by canonical name.
    kept: BTreeMap<&'static str, Setting>,
}

/// Never shows values: some are secrets.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Config { .. }")
    }
}

impl Default for Config {
    /// Everything as the table says. The fields are written down first and then set from the table, so that a
    /// default is stated in one place only; what follows is just a blank of the right shape.
    fn default() -> Self {
        static DEFAULT: std::sync::LazyLock<Config> = std::sync::LazyLock::new(|| {
            let mut config = Config::blank();
            for directive in table::all() {
                if let (false, setting) = (matches!(directive.kind, Kind::Special(_)), directive.default()) {
                    directive.store(&mut config, setting).expect("only special directives can fail");
                }
            }
            config
        });
        DEFAULT.clone()
    }
}

impl Config {
    /// Special directives at their defaults, everything else blank.
    fn blank() -> Self {
        Config {
            bind: special::default_bind(),
            port: 0,
            protected_mode: false,
            tcp_backlog: 0,
            tcp_keepalive: 0,
            timeout: 0,
            max_clients: 0,
            io_threads: 0,
            unix_socket: Text::default(),
            unix_socket_perm: 0,
            renamed_commands: Vec::new(),
            unix_socket_group: Text::default(),
            socket_mark_id: 0,
            accepts_per_cycle: 0,
            tls_accepts_per_cycle: 0,
            tls_port: 0,
            tls_cert_file: Text::default(),
            tls_key_file: Text::default(),
            tls_ca_cert_file: Text::default(),
            tls_ca_cert_dir: Text::default(),
            tls_auth_clients: TlsAuthClients::Yes,
            tls_replication: false,
            tls_cluster: false,
            tls_protocols: Text::default(),
            databases: 0,
            daemonize: false,
            pidfile: Text::default(),
            supervised: Supervised::No,
            always_show_logo: false,
            set_proc_title: false,
            proc_title_template: Text::default(),
            file: None,
            log_level: LogLevel::Notice,
            log_file: Text::default(),
            log_format: LogFormat::Legacy,
            log_times: LogTimes::Legacy,
            syslog_enabled: false,
            hide_user_data: true,
            syslog_ident: Text::default(),
            syslog_facility: 0,
            crash_log_enabled: false,
            use_exit_on_panic: false,
            watchdog_period: 0,
            hz: 0,
            requirepass: Secret::default(),
            enable_protected_configs: Protection::No,
            enable_debug_command: Protection::No,
            enable_module_command: Protection::No,
            shutdown_timeout: 0,
            shutdown_on_sigint: ShutdownFlags::default(),
            shutdown_on_sigterm: ShutdownFlags::default(),
            dir: Text::default(),
            db_filename: Text::default(),
            save: special::default_save(),
            rdb_compression: false,
            rdb_checksum: false,
            stop_writes_on_bgsave_error: false,
            rdb_key_save_delay: 0,
            key_load_delay: 0,
            loading_process_events_interval_bytes: 0,
            snapshot_buffer_limit: 0,
            repl_backlog_size: 0,
            repl_backlog_ttl: 0,
            repl_timeout: 0,
            repl_ping_replica_period: 0,
            repl_diskless_sync: false,
            repl_diskless_sync_delay: 0,
            min_replicas_to_write: 0,
            min_replicas_max_lag: 0,
            replicaof: None,
            proto_max_bulk_len: 0,
            client_query_buffer_limit: 0,
            output_limits: special::default_output_limits(),
            busy_reply_threshold: 0,
            lua_enable_deprecated_api: false,
            list_max_listpack_size: 0,
            list_compress_depth: 0,
            set_max_intset_entries: 0,
            set_max_listpack_entries: 0,
            set_max_listpack_value: 0,
            zset_max_listpack_entries: 0,
            zset_max_listpack_value: 0,
            hash_max_listpack_entries: 0,
            hash_max_listpack_value: 0,
            hll_sparse_max_bytes: 0,
            stream_node_max_bytes: 0,
            stream_node_max_entries: 0,
            stream_idmp_duration: 0,
            stream_idmp_maxsize: 0,
            active_expire_effort: 0,
            import_mode: false,
            slowlog_log_slower_than: 0,
            slowlog_max_len: 0,
            commandlog_request_larger_than: 0,
            commandlog_large_request_max_len: 0,
            commandlog_reply_larger_than: 0,
            commandlog_large_reply_max_len: 0,
            tracking_table_max_keys: 0,
            latency_monitor_threshold: 0,
            max_memory: 0,
            max_memory_clients: 0,
            max_memory_policy: EvictionPolicy::Noeviction,
            max_memory_samples: 0,
            max_memory_eviction_tenacity: 0,
            lfu_log_factor: 0,
            lfu_decay_time: 0,
            lazyfree_lazy_eviction: true,
            lazyfree_lazy_expire: true,
            lazyfree_lazy_server_del: true,
            lazyfree_lazy_user_del: true,
            lazyfree_lazy_user_flush: true,
            latency_tracking: false,
            latency_percentiles: vec![50.0, 99.0, 99.9],
            notify_keyspace_events: NotifyFlags::default(),
            oom_score_adj: OomScore::No,
            oom_score_adj_values: [0, 200, 800],
            disable_thp: false,
            jemalloc_bg_thread: false,
            active_defrag: false,
            active_defrag_ignore_bytes: 0,
            active_defrag_threshold_lower: 0,
            active_defrag_threshold_upper: 0,
            active_defrag_cycle_min: 0,
            active_defrag_cycle_max: 0,
            active_defrag_max_scan_fields: 0,
            server_cpulist: Text::default(),
            bio_cpulist: Text::default(),
            bgsave_cpulist: Text::default(),
            kept: BTreeMap::new(),
        }
    }

    /// The limit of waiting replies for a class of clients.
    pub fn output_limit(&self, class: ClientClass) -> OutputLimit {
        self.output_limits[class as usize]
    }

    /// Whether anything speaks TLS.
    pub fn needs_tls(&self) -> bool {
        self.tls_port != 0 || self.tls_replication || self.tls_cluster
    }

    /// `CONFIG GET`: names and values that any of the patterns matches, each once.
    ///
    /// A pattern without wildcards is looked up and answered under the name as the client wrote it, hidden directives
    /// included; patterns with wildcards match names and aliases alike. Cost: patterns × directives.
    pub fn get<'a>(&self, patterns: &[&'a [u8]]) -> Vec<(&'a str, Vec<u8>)> {
        let mut found: Vec<(&'a str, Vec<u8>)> = Vec::new();
        let mut add = |name: &'a str, directive: &Directive| {
            if !found.iter().any(|(seen, _)| seen.eq_ignore_ascii_case(name)) {
                found.push((name, directive.print(&directive.current(self))));
            }
        };
        for pattern in patterns {
            if !pattern.iter().any(|b| matches!(b, b'[' | b'*' | b'?')) {
                if let (Some((directive, _)), Ok(name)) = (table::find(pattern), str::from_utf8(pattern)) {
                    add(name, directive);
                }
                continue;
            }
            for directive in table::all().filter(|d| !d.hidden) {
                for name in [Some(directive.name), directive.alias].into_iter().flatten() {
                    if glob_match(pattern, name.as_bytes(), true) {
                        add(name, directive);
                    }
                }
            }
        }
        found
    }

    /// `CONFIG SET`: all pairs or none.
    pub fn set(&mut self, pairs: &[(&[u8], &[u8])], by: SetBy) -> Result<Change, SetError> {
        let entries = self.admit(pairs, by)?;
        let mut next = self.clone();
        let mut change = Change { apply: Vec::new(), warnings: Vec::new(), previous: Box::new(self.clone()) };
        for (&(directive, name), (_, value)) in entries.iter().zip(pairs) {
            let before = directive.current(&next);
            next.set_one(directive, value).map_err(|reason| SetError::Refused { name, reason })?;
            let after = directive.current(&next);
            if after != directive.default() {
                match directive.honoured {
                    Honoured::Yes => {}
                    Honoured::NotYet => change.warnings.push(name),
                    Honoured::Refused(reason) => {
                        return Err(SetError::Refused { name, reason: reason.to_owned() });
                    }
                }
            }
            let always = directive.volatile || matches!(directive.kind, Kind::Special(_));
            let known = change.apply.iter().any(|(apply, _)| *apply == directive.apply);
            if directive.apply != Apply::Nothing && !known && (always || after != before) {
                change.apply.push((directive.apply, name));
            }
        }
        *self = next;
        Ok(change)
    }

    /// Finds every entry and checks that it may be set now, before any value is looked at.
    fn admit(
        &self,
        pairs: &[(&[u8], &[u8])],
        by: SetBy,
    ) -> Result<Vec<(&'static Directive, &'static str)>, SetError> {
        let mut entries: Vec<(&'static Directive, &'static str)> = Vec::with_capacity(pairs.len());
        for (name, _) in pairs {
            let written = || String::from_utf8_lossy(name).into_owned();
            let Some(entry) = table::find(name) else {
                return Err(SetError::Unknown { name: name.to_vec() });
            };
            let directive = entry.0;
            if directive.immutable {
                return Err(SetError::Immutable { name: written() });
            }
            if directive.protected && !self.enable_protected_configs.allows(by.is_local) {
                return Err(SetError::Protected { name: written() });
            }
            if directive.deny_loading && by.is_loading {
                return Err(SetError::Loading);
            }
            if entries.iter().any(|(_, seen)| *seen == entry.1) {
                return Err(SetError::Duplicate { name: written() });
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    fn set_one(&mut self, directive: &Directive, value: &[u8]) -> Result<(), String> {
        // Unlike in a file, several arguments are separated by exactly one space, without quotes.
        let args: Vec<Vec<u8>> = match directive.takes_many() {
            true if value.is_empty() => Vec::new(),
            true => value.split(|&b| b == b' ').map(<[u8]>::to_vec).collect(),
            false => vec![value.to_vec()],
        };
        if let Kind::Special(special) = &directive.kind {
            (special.begin)(self);
            return (special.set)(self, &args);
        }
        let setting = directive.parse(&args)?;
        directive.store(self, setting)
    }

    /// What the log shows of bytes that came from users.
    pub fn shown_in_log<'t>(&self, text: &'t str) -> &'t str {
        if self.hide_user_data { "*redacted*" } else { text }
    }

    /// Notes for the log about values that this build keeps but does not act upon.
    pub fn warnings(&self) -> Vec<String> {
        let ignored = table::all().filter(|d| d.honoured == Honoured::NotYet);
        ignored
            .filter(|d| d.current(self) != d.default())
            .map(|d| format!("The directive '{}' is known but not honoured yet: it has no effect.", d.name))
            .collect()
    }
}

/// Whether the value of a directive must be kept out of logs, slow log and monitors.
pub fn is_sensitive(name: &[u8]) -> bool {
    table::find(name).is_some_and(|(directive, _)| directive.sensitive)
}

/// What `CONFIG SET` needs to know about the moment and the client.
#[derive(Debug, Clone, Copy, Default)]
pub struct SetBy {
    /// The client is connected from this machine.
    pub is_local: bool,
    /// A dataset is being loaded.
    pub is_loading: bool,
}

/// A change that [`Config::set`] made and that the server must now bring about.
#[derive(Debug)]
pub struct Change {
    /// What to do, in order, each once, with the directive to name if it fails (see [`SetError::Refused`]).
    pub apply: Vec<(Apply, &'static str)>,
    /// Directives that were set but are not honoured yet: worth a line in the log.
    pub warnings: Vec<&'static str>,
    /// The configuration before: put it back, and apply again, when something in `apply` fails.
    pub previous: Box<Config>,
}

/// Why `CONFIG SET` changed nothing; `Display` is the exact text for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetError {
    /// There is no such directive.
    Unknown {
        /// As the client wrote it.
        name: Vec<u8>,
    },
    /// It cannot change at run time.
    Immutable {
        /// As the client wrote it.
        name: String,
    },
    /// This client may not change it.
    Protected {
        /// As the client wrote it.
        name: String,
    },
    /// It was given twice.
    Duplicate {
        /// As the client wrote it.
        name: String,
    },
    /// Not while a dataset is being loaded.
    Loading,
    /// The value was refused, or could not be brought about.
    Refused {
        /// The directive.
        name: &'static str,
        /// In words that complete the sentence.
        reason: String,
    },
}

impl SetError {
    /// What the client reads: as `Display`, with the client's own bytes.
    pub fn to_reply(&self) -> CommandError {
        match self {
            SetError::Unknown { name } => CommandError::quoting(
                "ERR Unknown option or number of arguments for CONFIG SET - '",
                name,
                "'",
            ),
            other => CommandError::Message(other.to_string()),
        }
    }
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, reason) = match self {
            SetError::Loading => return f.write_str("LOADING Redis is loading the dataset in memory"),
            SetError::Unknown { name } => {
                let name = one_line(&String::from_utf8_lossy(name));
                return write!(f, "ERR Unknown option or number of arguments for CONFIG SET - '{name}'");
            }
            SetError::Immutable { name } => (name.as_str(), "can't set immutable config"),
            SetError::Protected { name } => (name.as_str(), "can't set protected config"),
            SetError::Duplicate { name } => (name.as_str(), "duplicate parameter"),
            SetError::Refused { name, reason } => (*name, reason.as_str()),
        };
        write!(f, "ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")
    }
}

impl std::error::Error for SetError {}

/// An error reply is one line, whatever a client wrote.
fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}

#[cfg(test)]
mod tests;
