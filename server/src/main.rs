//! `ochre-server`: arguments, configuration, logging, exit code.

use ochre_server::config::{self, Invocation};
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
        Invocation::Version => {
            print(&format!("Redis server v={} ochre={}\n", common::REDIS_VERSION, env!("CARGO_PKG_VERSION")))
        }
        Invocation::Help => print(HELP),
        Invocation::Sentinel => become_sentinel(&args),
        Invocation::Unsupported(option) => fail(&format!("{option} is not supported by this build")),
        Invocation::Run(invocation) => start(&invocation),
    };
    std::process::exit(code);
}

const HELP: &str = "\
Usage: ochre-server [/path/to/redis.conf] [options] [-]
       ochre-server - (read config from stdin)
       ochre-server -v or --version
       ochre-server -h or --help

Examples:
       ochre-server (run the server with default conf)
       echo 'maxclients 128' | ochre-server -
       ochre-server /etc/redis/6379.conf
       ochre-server --port 7777
       ochre-server /etc/myredis.conf --loglevel verbose -

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
    let rest = args.iter().filter(|arg| *arg != b"--sentinel").cloned().map(std::ffi::OsString::from_vec);
    let error = std::process::Command::new(&path).args(rest).exec();
    fail(&format!("failed to execute {}: {error}", path.display()))
}

fn start(invocation: &config::Run) -> i32 {
    let startup = match config::load(invocation, std::env::vars(), &mut std::io::stdin()) {
        Ok(startup) => startup,
        Err(error) => return fail(&error.to_string()),
    };
    let config = startup.config;
    let log_file = (!config.log_file.is_empty()).then(|| config.log_file.as_path().to_owned());
    let log =
        ochre_server::log::start(ochre_server::log::threshold(config.log_level), log_file.as_deref(), 'M');
    tracing::warn!("oO0OoO0OoO0Oo Ochre is starting oO0OoO0OoO0Oo");
    tracing::warn!(
        "Ochre version={}, Redis version={}, pid={}, just started",
        env!("CARGO_PKG_VERSION"),
        common::REDIS_VERSION,
        std::process::id()
    );
    for warning in &startup.warnings {
        tracing::warn!("{warning}");
    }
    if let Err(error) = std::env::set_current_dir(config.dir.as_path()) {
        tracing::error!(
            "Can't chdir to '{}': {}",
            config.dir.as_path().display(),
            ochre_server::log::os_text(&error)
        );
        return 1;
    }
    if let Err(clients) = ochre_server::process::raise_file_limit(config.max_clients) {
        tracing::warn!(
            "You requested maxclients of {}, but the limit of open files allows {clients}.",
            config.max_clients
        );
    }
    banner(&config);
    run(Start { config, file: startup.file, log })
}

/// Mode, port and process id in the words that scripts look for.
fn banner(config: &config::Config) {
    let port = if config.port != 0 { config.port } else { config.tls_port };
    let text = format!(
        "\n   Ochre {}\n\n   Running in standalone mode\n   Port: {port}\n   PID: {}\n\n",
        env!("CARGO_PKG_VERSION"),
        std::process::id()
    );
    if config.log_file.is_empty() {
        print(&text);
    } else {
        tracing::info!("Running mode=standalone, port={port}.");
    }
}
