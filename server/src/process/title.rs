//! What the process list shows: `ochre-server 127.0.0.1:6379`.

use crate::config::Config;
use crate::sys;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::sync::OnceLock;

/// The program's name as it was called.
static PROGRAM: OnceLock<String> = OnceLock::new();

/// Makes room for titles. Must be called before there are threads, and after the arguments were read.
pub fn prepare(program: &[u8]) {
    let _ = PROGRAM.set(OsString::from_vec(program.to_vec()).to_string_lossy().into_owned());
    super::restart::remember();
    sys::reserve_title();
}

/// Shows what the template asks for.
pub fn show(config: &Config) {
    if config.set_proc_title {
        let program = PROGRAM.get().map_or("ochre-server", String::as_str);
        sys::set_title(expand(config, program).as_bytes());
    }
}

/// The template with its variables replaced.
fn expand(config: &Config, program: &str) -> String {
    let template = config.proc_title_template.to_string();
    let mut title = String::new();
    let mut rest = template.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        title.push_str(before);
        let Some((name, behind)) = after.split_once('}') else { break };
        title.push_str(&variable(config, program, name));
        rest = behind;
    }
    title.push_str(rest);
    title.trim_matches(' ').to_owned()
}

fn variable(config: &Config, program: &str, name: &str) -> String {
    match name {
        "title" => program.to_owned(),
        "listen-addr" if config.port == 0 && config.tls_port == 0 => config.unix_socket.to_string(),
        "listen-addr" => {
            let port = if config.port != 0 { config.port } else { config.tls_port };
            format!("{}:{port}", config.bind.first().map_or("*", String::as_str))
        }
        "port" => config.port.to_string(),
        "tls-port" => config.tls_port.to_string(),
        "unixsocket" => config.unix_socket.to_string(),
        "config-file" => config.file.as_ref().map_or(String::new(), |file| file.display().to_string()),
        // `server-mode` is empty for a server that is neither sentinel nor cluster node.
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        let check = |template: &str, want: &str| {
            let mut config = Config::default();
            config.proc_title_template = template.into();
            config.unix_socket = "/s".into();
            config.file = Some("/etc/x.conf".into());
            assert_eq!(expand(&config, "ochre-server"), want, "{template}");
        };
        check("{title} {listen-addr} {server-mode}", "ochre-server *:6379");
        check("{title}{port}-{tls-port} ({unixsocket}) {config-file}", "ochre-server6379-0 (/s) /etc/x.conf");
        check("just text", "just text");
    }
}
