//! What an idle connection costs the server's process, plain and over TLS.
//!
//! Each connection has said PING once, so that its buffers have been in use, and then waits long enough for the
//! server to give them back. The kernel's part (sockets, their buffers) is not in the process and not counted.

use crate::memory::launch;
use crate::process::{SPARE_FILES, Server, free_port, raise_file_limit};
use crate::table::{Table, thousands};
use crate::{Kind, Options, Result};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ClientConnection, RootCertStore, Stream};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// Bytes per plain connection; over TLS the figure is for information.
const MAX_BYTES: f64 = 2048.0;

/// Redis gives buffers back after two seconds without traffic, the allocator pages after ten.
const SETTLE: Duration = Duration::from_secs(13);

type Connect<'a> = Box<dyn Fn(&Server) -> Result<TcpStream> + 'a>;

/// Connections of one server; `connect` makes one that has been used.
struct Case<'a> {
    name: &'static str,
    args: Vec<&'a str>,
    max_bytes: Option<f64>,
    connect: Connect<'a>,
}

/// Runs the rows "idle" and "idle-tls". Returns whether the target was met.
pub fn run(options: &Options) -> Result<bool> {
    let mut table = Table::new(&["connections", "server", "count", "RSS bytes each", "target", "verdict"]);
    let mut good = true;
    let mut rows = 0;
    if options.wants("idle") {
        let connect = |server: &Server| ping(TcpStream::connect(("127.0.0.1", server.port))?);
        let case = || Case {
            name: "idle",
            args: Vec::new(),
            max_bytes: Some(MAX_BYTES),
            connect: Box::new(connect),
        };
        good &= row(case(), Kind::Ochre, options, &mut table)?;
        good &= row(case(), Kind::Redis, options, &mut table)?;
        rows += 1;
    }
    if options.wants("idle-tls") {
        let certificates = Certificates::make()?;
        for kind in [Kind::Ochre, Kind::Redis] {
            good &= row(certificates.case()?, kind, options, &mut table)?;
        }
        rows += 1;
    }
    if rows > 0 {
        println!("resident bytes per idle connection that has sent one PING");
        println!();
        table.print();
    }
    Ok(good)
}

fn row(case: Case<'_>, kind: Kind, options: &Options, table: &mut Table) -> Result<bool> {
    raise_file_limit(options.connections as u64)?;
    let most = (options.connections + SPARE_FILES as usize).to_string();
    let mut args = vec!["--maxclients", &most];
    args.extend(&case.args);
    let server = launch(kind, options, &args)?;
    // The first connection pays for whatever the server sets up once.
    let _first = (case.connect)(&server)?;
    let before = server.rss()?;
    let connections: Vec<TcpStream> =
        (0..options.connections).map(|_| (case.connect)(&server)).collect::<Result<_>>()?;
    std::thread::sleep(SETTLE);
    let each = server.rss()?.saturating_sub(before) as f64 / connections.len() as f64;
    let max = case.max_bytes.filter(|_| kind == Kind::Ochre);
    let missed = max.is_some_and(|max| each > max);
    table.row([
        if kind == Kind::Ochre { case.name.to_owned() } else { String::new() },
        kind.name().to_owned(),
        thousands(connections.len() as f64),
        thousands(each),
        max.map_or("-".to_owned(), |max| format!("<= {max:.0}")),
        max.map_or("-", |_| if missed { "FAIL" } else { "PASS" }).to_owned(),
    ]);
    Ok(!missed)
}

/// Says PING in the clear and waits for the answer.
fn ping(mut socket: TcpStream) -> Result<TcpStream> {
    socket.set_nodelay(true)?;
    socket.write_all(b"*1\r\n$4\r\nPING\r\n")?;
    expect_pong(&mut socket)?;
    Ok(socket)
}

fn expect_pong(stream: &mut impl Read) -> Result<()> {
    let mut reply = [0; 7];
    stream.read_exact(&mut reply)?;
    if &reply != b"+PONG\r\n" {
        return Err(format!("the server answered PING with {:?}", String::from_utf8_lossy(&reply)).into());
    }
    Ok(())
}

/// Certificates of the repository's own script, in a folder that goes with this value.
struct Certificates {
    folder: PathBuf,
    port: String,
    files: [String; 3],
}

impl Certificates {
    fn make() -> Result<Certificates> {
        let folder = crate::process::scratch_folder("certificates", 0)?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../certs/make-certs.sh");
        let made =
            Command::new(&script).arg(&folder).output().map_err(|e| format!("{}: {e}", script.display()))?;
        if !made.status.success() {
            return Err(format!("make-certs.sh failed: {}", String::from_utf8_lossy(&made.stderr)).into());
        }
        let files =
            ["server.crt", "server.key", "ca.crt"].map(|name| folder.join(name).display().to_string());
        Ok(Certificates { folder, port: free_port()?.to_string(), files })
    }

    fn case(&self) -> Result<Case<'_>> {
        let config = Arc::new(self.client_config()?);
        let port: u16 = self.port.parse()?;
        let [certificate, key, authority] = &self.files;
        let args = vec![
            "--tls-port",
            &self.port,
            "--tls-cert-file",
            certificate,
            "--tls-key-file",
            key,
            "--tls-ca-cert-file",
            authority,
        ];
        let connect =
            move |_: &Server| ping_tls(TcpStream::connect(("127.0.0.1", port))?, Arc::clone(&config));
        Ok(Case { name: "idle-tls", args, max_bytes: None, connect: Box::new(connect) })
    }

    fn client_config(&self) -> Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.folder.join("ca.crt"))?)?;
        let chain = vec![CertificateDer::from_pem_file(self.folder.join("client.crt"))?];
        let key = PrivateKeyDer::from_pem_file(self.folder.join("client.key"))?;
        Ok(ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)?)
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        // The next run removes what this one cannot.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Handshake and PING; afterwards only the socket is kept, since the client's own TLS state is not what is measured.
fn ping_tls(mut socket: TcpStream, config: Arc<ClientConfig>) -> Result<TcpStream> {
    socket.set_nodelay(true)?;
    let mut tls = ClientConnection::new(config, ServerName::try_from("localhost")?)?;
    let mut stream = Stream::new(&mut tls, &mut socket);
    stream.write_all(b"*1\r\n$4\r\nPING\r\n")?;
    expect_pong(&mut stream)?;
    Ok(socket)
}
