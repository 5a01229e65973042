//! The second daemon: the shared commands over the shared connection layer.

use ochre_tests::{Client, binary, free_port, wait_until};
use std::process::{Child, Command, Stdio};

struct Sentinel(Child, u16);

impl Sentinel {
    fn start(args: &[&str]) -> Self {
        let port = free_port();
        let child = Command::new(binary("ochre-sentinel"))
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(args)
            .stdout(Stdio::null())
            .spawn()
            .expect("the sentinel's binary can be executed; build it first");
        wait_until("it listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self(child, port)
    }

    fn client(&self) -> Client {
        Client::connect(self.1)
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_shared_commands_answer() {
    let sentinel = Sentinel::start(&[]);
    let (mut a, mut b) = (sentinel.client(), sentinel.client());
    assert_eq!(a.run("PING"), "+PONG\r\n");
    assert!(a.run("HELLO 3").to_string().contains("$4\r\nmode\r\n$8\r\nsentinel\r\n"));
    assert!(a.run("CLIENT LIST").text().contains("cmd=client|list"));
    assert!(a.run("COMMAND COUNT").integer() > 10);
    assert!(a.run("INFO").text().contains("redis_mode:sentinel"));
    assert_eq!(a.run("SUBSCRIBE c"), ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    assert_eq!(b.run("PUBLISH c m"), ":1\r\n");
    assert_eq!(a.read(), ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n");
    assert!(b.run("GET x").is_error("ERR unknown command 'GET'"));
    let id = a.run("CLIENT ID").text();
    assert_eq!(b.run(&format!("CLIENT KILL ID {id}")), ":1\r\n");
    assert!(a.is_closed());
}

#[test]
fn a_password_is_asked_for() {
    let sentinel = Sentinel::start(&["--requirepass", "secret"]);
    let mut client = sentinel.client();
    assert_eq!(client.run("INFO"), "-NOAUTH Authentication required.\r\n");
    assert!(client.run("AUTH wrong").is_error("WRONGPASS"));
    assert_eq!(client.run("AUTH default secret"), "+OK\r\n");
    assert_eq!(client.run("PING"), "+PONG\r\n");
}

#[test]
fn it_ends_when_told_to() {
    let mut sentinel = Sentinel::start(&[]);
    sentinel.client().send_raw(b"SHUTDOWN\r\n");
    assert_eq!(sentinel.0.wait().unwrap().code(), Some(0));
}
