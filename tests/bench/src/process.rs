//! The servers under measurement: started side by side, watched through /proc, gone when dropped.
//!
//! Each runs behind `setpriv --pdeathsig KILL`, so that the kernel ends it even when this program is killed; each has
//! a folder of its own below target/, which the next run removes if this one could not.

use crate::Result;
use crate::client::Client;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take from exec to its first PONG; generous, because it may load five million keys.
const START_LIMIT: Duration = Duration::from_secs(120);

/// Files that a server and this program need besides the connections.
pub const SPARE_FILES: u64 = 200;

/// Which program, from the report's point of view.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Our release build.
    Ochre,
    /// Debian's redis-server.
    Redis,
    /// This program's own epoll loop.
    Floor,
}

impl Kind {
    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Ochre => "ochre",
            Kind::Redis => "redis",
            Kind::Floor => "floor",
        }
    }
}

/// How to start a server.
pub struct Launch<'a> {
    /// Which one; decides the fixed arguments.
    pub kind: Kind,
    /// The executable.
    pub program: &'a Path,
    /// Arguments behind the fixed ones, in redis-server's syntax.
    pub args: Vec<String>,
    /// Pin it to this core.
    pub core: Option<usize>,
    /// Run it under this command line, such as valgrind's.
    pub wrapper: Vec<String>,
}

impl<'a> Launch<'a> {
    /// A plain start of `program`.
    pub fn new(kind: Kind, program: &'a Path) -> Launch<'a> {
        Launch { kind, program, args: Vec::new(), core: None, wrapper: Vec::new() }
    }

    /// With these arguments in addition.
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Launch<'a> {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Pinned to one core.
    pub fn core(mut self, core: Option<usize>) -> Launch<'a> {
        self.core = core;
        self
    }

    /// Below another program.
    pub fn wrapper<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Launch<'a> {
        self.wrapper.extend(words.into_iter().map(Into::into));
        self
    }
}

/// A running server; dropping it kills it and removes its folder.
pub struct Server {
    /// Which one.
    pub kind: Kind,
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// Its working folder: dump.rdb, log.
    pub folder: PathBuf,
    child: Child,
}

impl Server {
    /// Starts it and waits until it answers PING. Errors carry the end of its log.
    pub fn start(launch: Launch<'_>) -> Result<Server> {
        let port = free_port()?;
        let folder = scratch_folder(launch.kind.name(), port)?;
        Server::start_in(launch, port, folder)
    }

    /// The same in a folder that exists already, for example with a dump.rdb to load.
    pub fn start_in(launch: Launch<'_>, port: u16, folder: PathBuf) -> Result<Server> {
        let mut words: Vec<String> = vec!["setpriv".into(), "--pdeathsig".into(), "KILL".into()];
        if let Some(core) = launch.core {
            words.extend(["taskset".into(), "-c".into(), core.to_string()]);
        }
        words.extend(launch.wrapper);
        // Not the target of a symbolic link: Debian's redis-server is one, and looks at the name it is called by.
        fs::metadata(launch.program).map_err(|e| missing(launch.program, &e))?;
        words.push(std::path::absolute(launch.program)?.display().to_string());
        match launch.kind {
            Kind::Floor => words.extend(["floor".into(), "--port".into(), port.to_string()]),
            Kind::Ochre | Kind::Redis => {
                let port = port.to_string();
                let fixed = [
                    "--port",
                    &port,
                    "--bind",
                    "127.0.0.1",
                    "--save",
                    "",
                    "--appendonly",
                    "no",
                    "--daemonize",
                    "no",
                ];
                words.extend(fixed.iter().map(ToString::to_string));
            }
        }
        words.extend(launch.args);
        let log = File::create(folder.join("log"))?;
        let child = Command::new(&words[0])
            .args(&words[1..])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|e| format!("cannot start {}: {e} (util-linux is needed)", words[0]))?;
        let mut server = Server { kind: launch.kind, port, folder, child };
        server.wait_until_up()?;
        Ok(server)
    }

    fn wait_until_up(&mut self) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < START_LIMIT {
            if let Some(status) = self.child.try_wait()? {
                return Err(
                    format!("{} ended at once ({status}):\n{}", self.kind.name(), self.log_tail()).into()
                );
            }
            // While it loads a file it answers -LOADING, which is an error here and means: not yet.
            if Client::connect(self.port).and_then(|mut c| c.call(&[b"PING"])).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("{} does not answer after {START_LIMIT:?}:\n{}", self.kind.name(), self.log_tail())
            .into())
    }

    fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    /// A new connection to it.
    pub fn client(&self) -> Result<Client> {
        Client::connect(self.port)
    }

    /// One field of INFO, None when the server has no such field.
    pub fn info(&self, field: &str) -> Result<Option<String>> {
        let text = self.client()?.call(&[b"INFO", b"everything"])?.text();
        Ok(text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).map(str::to_owned))
    }

    /// Time that all its threads have spent on a processor, user and system, from the scheduler's own account
    /// (nanoseconds where utime and stime have ticks of ten milliseconds).
    pub fn cpu(&self) -> Result<Duration> {
        let mut nanoseconds = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let schedstat = fs::read_to_string(task?.path().join("schedstat"))?;
            nanoseconds += schedstat.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Resident memory in bytes, exact (walks the page tables: milliseconds per gigabyte).
    pub fn rss(&self) -> Result<u64> {
        self.memory_field("smaps_rollup", "Rss:")
    }

    /// Resident memory in bytes from the kernel's running counter: cheap, off by up to a few hundred pages.
    pub fn rss_quick(&self) -> Result<u64> {
        self.memory_field("status", "VmRSS:")
    }

    fn memory_field(&self, file: &str, field: &str) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/{file}", self.child.id()))?;
        let line = text
            .lines()
            .find_map(|l| l.strip_prefix(field))
            .ok_or_else(|| format!("{file} without {field}"))?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }

    /// Asks it to end by SIGTERM and waits; for runs under valgrind, which report at the end.
    pub fn terminate(mut self) -> Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn missing(program: &Path, error: &std::io::Error) -> String {
    format!("{}: {error} (make release builds ours; redis-server is Debian's package)", program.display())
}

/// A port of 127.0.0.1 that nothing listens on. Another program may take it in between; the start fails loudly then.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Makes room for so many connections: raises this program's limit, which servers and clients inherit.
pub fn raise_file_limit(connections: u64) -> Result<()> {
    let files = connections + SPARE_FILES;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= files) {
        return Ok(());
    }
    let maximum = limit.maximum.map(|maximum| maximum.max(files));
    setrlimit(Resource::Nofile, Rlimit { current: Some(files), maximum })
        .map_err(|e| format!("cannot raise the limit of open files to {files}: {e}").into())
}

/// A new empty folder for one server, below the build folder of this program: a real disk, ignored by git.
pub fn scratch_folder(name: &str, port: u16) -> Result<PathBuf> {
    let folder = scratch_root()?.join(format!("{}-{name}-{port}", std::process::id()));
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Removes folders of runs that were killed; their names start with a process id that is gone.
pub fn remove_leftovers() -> Result<()> {
    for entry in fs::read_dir(scratch_root()?)? {
        let entry = entry?;
        let name = entry.file_name();
        let owner = name.to_str().and_then(|n| n.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn scratch_root() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let root = program.parent().ok_or("this program has no folder")?.join("bench-scratch");
    fs::create_dir_all(&root)?;
    Ok(root)
}
