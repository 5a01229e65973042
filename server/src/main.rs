//! `ochre-server`: arguments, configuration, logging, exit code.

use common::config::FatalError;
use ochre_server::config::{self, Invocation};
use ochre_server::crash::{self, Manners};
use ochre_server::dispatch::command_table;
use ochre_server::log;
use ochre_server::process::supervise::{self, Supervisor};
use ochre_server::process::{self, check, daemon, kernel, title};
use ochre_server::run::{Start, run};
use std::io::Write;
use std::os::unix::ffi::OsStringExt;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let mut words = std::env::args_os().map(OsStringExt::into_vec);
    let program = words.next().unwrap_or_default();
    let args: Vec<Vec<u8>> = words.collect();
    let code = match config::parse(&program, &args) {
        Invocation::Version => print(&format!(
            "Redis server v={} sha=00000000:0 malloc=jemalloc bits={} build={} ochre={}\n",
            common::REDIS_VERSION,
            usize::BITS,
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_VERSION")
        )),
        Invocation::Help => {
            // As Redis: asking how to start it is no success.
            fail(HELP.trim_end());
            1
        }
        Invocation::Sentinel => become_sentinel(&args),
        Invocation::TestMemory(megabytes) => check::memory(megabytes),
        Invocation::TestMemoryUsage => fail(
            "Please specify the amount of memory to test in megabytes.\n\
             Example: ./ochre-server --test-memory 4096\n",
        ),
        Invocation::CheckSystem => check::system(),
        Invocation::Run(invocation) => start(&invocation, &program),
    };
    std::process::exit(code);
}

const HELP: &str = "\
Usage: ochre-server [/path/to/redis.conf] [options] [-]
       ochre-server - (read config from stdin)
       ochre-server -v or --version
       ochre-server -h or --help
       ochre-server --test-memory <megabytes>
       ochre-server --check-system

Examples:
       ochre-server (run the server with default conf)
       echo 'maxclients 128' | ochre-server -
       ochre-server /etc/redis/6379.conf
       ochre-server --port 7777
       ochre-server --port 7777 --replicaof 127.0.0.1 8888
       ochre-server /etc/myredis.conf --loglevel verbose -
       ochre-server /etc/myredis.conf --loglevel verbose

Sentinel mode:
       ochre-server /etc/sentinel.conf --sentinel
";

fn print(text: &str) -> i32 {
    i32::from(std::io::stdout().write_all(text.as_bytes()).is_err())
}

fn fail(text: &str) -> i32 {
    let _ = writeln!(std::io::stderr(), "{text}");
    1
}

/// Hands everything to the sentinel's binary beside this one.
fn become_sentinel(args: &[Vec<u8>]) -> i32 {
    use std::os::unix::process::CommandExt;
    let path = std::env::current_exe().unwrap_or_default().with_file_name("ochre-sentinel");
    let args = args.iter().cloned().map(std::ffi::OsString::from_vec);
    let error = std::process::Command::new(&path).args(args).exec();
    fail(&format!("failed to execute {}: {error}", path.display()))
}

fn start(invocation: &config::Run, program: &[u8]) -> i32 {
    let env = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let table = command_table();
    let is_command = |name: &[u8]| table.find(name).is_some();
    let startup = match config::load(invocation, &is_command, env, &mut std::io::stdin()) {
        Ok(startup) => startup,
        Err(error @ FatalError::Open { .. }) => {
            log::start(&config::Config::default());
            tracing::warn!("{error}");
            return 1;
        }
        Err(error) => return fail(&error.to_string()),
    };
    let mut config = startup.config;
    title::prepare(program);
    let mut notes = Vec::new();
    let supervisor = supervise::detect(config.supervised, &mut notes);
    let in_background = config.daemonize && supervisor == Supervisor::None;
    if in_background {
        if let Err(error) = daemon::detach() {
            return fail(&format!("Can't go into the background: {error}"));
        }
        daemon::default_pidfile(&mut config);
    }
    let log = log::start(&config);
    crash::install(Manners::of(&config));
    process::ignore_hangups();
    greet(&config, &notes, &startup.warnings);
    if let Err(error) = std::env::set_current_dir(config.dir.as_path()) {
        tracing::error!("Can't chdir to '{}': {}", config.dir.as_path().display(), log::os_text(&error));
        return 1;
    }
    log.set_role(log::Role::Master);
    match process::raise_file_limit(config.max_clients) {
        Ok(clients) => config.max_clients = clients,
        Err(reason) => {
            tracing::warn!("{reason}");
            return 1;
        }
    }
    kernel::set_background_lists(&config);
    kernel::pin(config.server_cpulist.as_bytes());
    if config.disable_thp {
        kernel::disable_huge_pages();
    }
    if config.jemalloc_bg_thread {
        ochre_server::memory::purge_in_background(true);
    }
    // Worth a line in the log, which is written by now; no reason not to start.
    let _ = kernel::set_oom_score(&config, false);
    daemon::write_pidfile(&config);
    title::show(&config);
    banner(&config);
    kernel::check_backlog(config.tcp_backlog);
    run(Start { config, log, supervisor })
}

fn greet(config: &config::Config, notes: &[String], warnings: &[String]) {
    notes.iter().for_each(|note| tracing::warn!("{note}"));
    tracing::warn!("oO0OoO0OoO0Oo Ochre is starting oO0OoO0OoO0Oo");
    tracing::warn!(
        "Ochre version={}, Redis version={}, bits={}, pid={}, just started",
        env!("CARGO_PKG_VERSION"),
        common::REDIS_VERSION,
        usize::BITS,
        std::process::id()
    );
    if config.file.is_some() || std::env::args_os().len() > 1 {
        tracing::warn!("Configuration loaded");
    } else {
        tracing::warn!(
            "Warning: no config file specified, using the default config. In order to specify a config file use \
             ochre-server /path/to/redis.conf"
        );
    }
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
}

/// Mode, port and process id in the words that scripts look for: a few lines of their own where somebody looks, one in
/// the log otherwise.
fn banner(config: &config::Config) {
    use std::io::IsTerminal;
    let port = if config.port != 0 { config.port } else { config.tls_port };
    let is_watched = !config.syslog_enabled && config.log_file.is_empty() && std::io::stdout().is_terminal();
    if config.always_show_logo || is_watched {
        log::raw(&format!(
            "\n   Ochre {}\n\n   Running in standalone mode\n   Port: {port}\n   PID: {}\n\n",
            env!("CARGO_PKG_VERSION"),
            std::process::id()
        ));
    } else {
        tracing::info!("Running mode=standalone, port={port}.");
    }
}
