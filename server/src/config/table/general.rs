//! The process, its log, its passwords, and how it ends.

use common::config::value::Choices;

use super::{INT_MAX, LONG_MAX, field, plain};
use crate::config::directive::{Apply, ChoiceField, Directive, NumberField, Rewrite, Special};
use crate::config::{
    LogFormat, LogLevel, LogTimes, OomScore, Protection, ShutdownFlags, Supervised, special,
};

/// What `hz` is capped to, times a second, both ends included.
const HZ: std::ops::RangeInclusive<i128> = 1..=500;

const SYSLOG_FACILITIES: Choices = &[
    ("user", 1),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

fn title_template_is_known(template: &[u8]) -> Result<(), &'static str> {
    const VARIABLES: [&[u8]; 7] =
        [b"title", b"listen-addr", b"server-mode", b"port", b"tls-port", b"unixsocket", b"config-file"];
    let problem = Err("template format is invalid or contains unknown variables");
    // What it gives must not be empty even if these are.
    const MAYBE_EMPTY: [&[u8]; 2] = [b"title", b"server-mode"];
    let mut shows_something = false;
    let mut rest = template;
    while let Some(open) = rest.iter().position(|&b| b == b'{') {
        let inside = &rest[open + 1..];
        let Some(close) = inside.iter().position(|&b| b == b'}') else { return problem };
        let name = &inside[..close];
        if !VARIABLES.contains(&name) {
            return problem;
        }
        shows_something |= !MAYBE_EMPTY.contains(&name) || rest[..open].iter().any(|&b| b != b' ');
        rest = &inside[close + 1..];
    }
    if shows_something || rest.iter().any(|&b| b != b' ') { Ok(()) } else { problem }
}

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive::yes_no("daemonize", false, field!(bool daemonize), "Detach from the terminal at the start.")
        .immutable(),
    Directive::choice(
        "supervised",
        Supervised::No as u32,
        Supervised::CHOICES,
        field!(choice supervised: Supervised),
        "Which init system to tell that the server is ready.",
    )
    .immutable(),
    Directive::text(
        "pidfile",
        "",
        field!(text pidfile),
        "File for the process id; written when daemonized or when given.",
    )
    .immutable(),
    Directive::choice(
        "loglevel",
        LogLevel::Notice as u32,
        LogLevel::CHOICES,
        field!(choice log_level: LogLevel),
        "How much to log: debug, verbose, notice, warning or nothing.",
    )
    .apply(Apply::LogLevel),
    Directive::text("logfile", "", field!(text log_file), "File to log to; empty means standard output.")
        .immutable(),
    Directive::choice(
        "log-format",
        LogFormat::Legacy as u32,
        LogFormat::CHOICES,
        field!(choice log_format: LogFormat),
        "How a message is written: legacy (Redis's line), logfmt or json.",
    )
    .apply(Apply::LogLevel),
    Directive::choice(
        "log-timestamp-format",
        LogTimes::Legacy as u32,
        LogTimes::CHOICES,
        field!(choice log_times: LogTimes),
        "How its time is written: legacy (Redis's), iso8601 or milliseconds since 1970.",
    )
    .apply(Apply::LogLevel),
    Directive::yes_no(
        "hide-user-data-from-log",
        true,
        field!(bool hide_user_data),
        "Keep names of keys and clients and bytes of broken requests out of the log. Reports of crashes never show any.",
    ),
    Directive::yes_no("syslog-enabled", false, field!(bool syslog_enabled), "Log to the system's logger as well.").immutable(),
    Directive::text("syslog-ident", "redis", field!(text syslog_ident), "Name to log under there.").immutable(),
    Directive::choice("syslog-facility", 16, SYSLOG_FACILITIES, Some(ChoiceField { get: |c| u32::from(c.syslog_facility), set: |c, value| c.syslog_facility = value as u8 }), "Facility to log to there.")
        .immutable(),
    Directive::yes_no("always-show-logo", false, field!(bool always_show_logo), "Print a logo at the start even if nobody looks.")
        .immutable(),
    Directive::yes_no("set-proc-title", true, field!(bool set_proc_title), "Show the port and mode in the process list.")
        .immutable(),
    Directive::text(
        "proc-title-template",
        "{title} {listen-addr} {server-mode}",
        field!(text proc_title_template),
        "What the process list shows: {title}, {listen-addr}, {server-mode}, {port}, {tls-port}, {unixsocket} and \
         {config-file} stand for what they say.",
    )
    .checked(title_template_is_known)
    .apply(Apply::ProcTitle),
    Directive::number(
        "databases",
        16,
        plain(1, INT_MAX),
        field!(number databases),
        "Numbered databases; clients start in 0.",
    )
    .immutable(),
    Directive::number(
        "hz",
        10,
        plain(0, INT_MAX),
        Some(NumberField {
            get: |c| i128::from(c.hz),
            set: |c, value| c.hz = value.clamp(*HZ.start(), *HZ.end()) as u16,
        }),
        "Rounds of background work a second, within 1 and 500.",
    )
    .apply(Apply::Hz),
    Directive::yes_no(
        "dynamic-hz",
        true,
        None,
        "Accepted for older configurations: each round looks at all clients, so more of them need no more rounds.",
    )
    .accepted(),
    Directive::number(
        "shutdown-timeout",
        10,
        plain(0, INT_MAX),
        field!(number shutdown_timeout),
        "Seconds to wait at a shutdown for replicas that lag behind.",
    ),
    Directive::flags(
        "shutdown-on-sigint",
        0,
        ShutdownFlags::CHOICES,
        ChoiceField { get: |c| c.shutdown_on_sigint.0, set: |c, v| c.shutdown_on_sigint = ShutdownFlags(v) },
        "What an interrupt does: default (save if there are save points), or any of save, nosave, now, force.",
    ),
    Directive::flags(
        "shutdown-on-sigterm",
        0,
        ShutdownFlags::CHOICES,
        ChoiceField {
            get: |c| c.shutdown_on_sigterm.0,
            set: |c, v| c.shutdown_on_sigterm = ShutdownFlags(v),
        },
        "What a termination signal does, likewise.",
    ),
    Directive::yes_no("crash-log-enabled", true, field!(bool crash_log_enabled), "Report crashes in the log.")
        .apply(Apply::Crash),
    Directive::yes_no("crash-memcheck-enabled", true, None, "Accepted for older configurations.").accepted(),
    Directive::yes_no("use-exit-on-panic", false, field!(bool use_exit_on_panic), "Exit instead of aborting after a crash report.")
        .hidden().apply(Apply::Crash),
    Directive::number(
        "watchdog-period",
        0,
        plain(0, INT_MAX),
        field!(number watchdog_period),
        "Report stalls this long, milliseconds, with a stack trace; 0 means never.",
    )
    .apply(Apply::Crash)
    .hidden(),
    Directive::choice(
        "oom-score-adj",
        OomScore::No as u32,
        OomScore::CHOICES,
        Some(ChoiceField {
            get: |c| c.oom_score_adj as u32,
            // `relative` is shown under its older name, as Redis does.
            set: |c, value| {
                c.oom_score_adj = match OomScore::from_choice(value) {
                    OomScore::Relative => OomScore::Yes,
                    other => other,
                }
            },
        }),
        "Tell the kernel whom to kill first when memory runs out: no, relative or absolute.",
    )
    .apply(Apply::OomScore),
    Directive::special(
        "oom-score-adj-values",
        Special {
            default: "0 200 800",
            many: true,
            set: special::set_oom_values,
            get: special::get_oom_values,
            begin: special::nothing,
            rewrite: Rewrite::Plain,
        },
        "Scores for a master, a replica and a background child; there are no such children here.",
    )
    .apply(Apply::OomScore),
    Directive::yes_no("disable-thp", true, field!(bool disable_thp), "Keep the kernel's huge pages away.").immutable(),
    Directive::text("ignore-warnings", "", None, "Warnings of the system check to pass over."),
    Directive::text("server_cpulist", "", field!(text server_cpulist), "Processors for the main threads, such as 0-3,8 or 0-7:2.").also("server-cpulist").immutable(),
    Directive::text("bio_cpulist", "", field!(text bio_cpulist), "Processors for background threads.").also("bio-cpulist").immutable(),
    Directive::text("aof_rewrite_cpulist", "", None, "Processors for rewriting the append-only file.")
        .also("aof-rewrite-cpulist").immutable(),
    Directive::text("bgsave_cpulist", "", field!(text bgsave_cpulist), "Processors for snapshots.").also("bgsave-cpulist").immutable(),
];

const ACL_CHANNELS: Choices = &[("allchannels", 1), ("resetchannels", 0)];

pub(super) const SECURITY: &[Directive] = &[
    Directive::text(
        "requirepass",
        "",
        field!(text requirepass),
        "Password of the default user; empty means that none is asked for.",
    )
    .sensitive()
    .apply(Apply::RequirePass),
    Directive::text("aclfile", "", None, "File with the users and what they may do.")
        .immutable()
        .refused("access control lists are not supported yet, and ignoring the file would open the server"),
    Directive::choice(
        "acl-pubsub-default",
        0,
        ACL_CHANNELS,
        None,
        "Channels that new users may use: allchannels or resetchannels.",
    ),
    Directive::number(
        "acllog-max-len",
        128,
        plain(0, LONG_MAX),
        None,
        "Entries that the log of denied commands keeps.",
    ),
    Directive::choice(
        "enable-protected-configs",
        Protection::No as u32,
        Protection::CHOICES,
        field!(choice enable_protected_configs: Protection),
        "Who may change dangerous directives (dir, dbfilename) at run time: no, yes, or local.",
    )
    .immutable(),
    Directive::choice(
        "enable-debug-command",
        Protection::No as u32,
        Protection::CHOICES,
        field!(choice enable_debug_command: Protection),
        "Who may use DEBUG, likewise.",
    )
    .immutable(),
    Directive::choice(
        "enable-module-command",
        Protection::No as u32,
        Protection::CHOICES,
        field!(choice enable_module_command: Protection),
        "Who may use MODULE, likewise.",
    )
    .immutable(),
    Directive::choice(
        "sanitize-dump-payload",
        0,
        &[("no", 0), ("yes", 1), ("clients", 2)],
        None,
        "Accepted for older configurations: bytes from outside are always checked in depth.",
    )
    .accepted(),
];
