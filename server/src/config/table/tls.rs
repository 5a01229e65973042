//! Encrypted connections.

use super::{INT_MAX, field, plain};
use crate::config::TlsAuthClients;
use crate::config::directive::{Apply, Directive};

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive::number(
        "tls-port",
        0,
        plain(0, 65535),
        field!(number tls_port),
        "TCP port for encrypted connections; 0 means none. Set 'port 0' to serve nothing else.",
    )
    .apply(Apply::TlsPort),
    Directive::text("tls-cert-file", "", field!(text tls_cert_file), "The server's certificate chain, PEM.")
        .volatile()
        .apply(Apply::Tls),
    Directive::text(
        "tls-key-file",
        "",
        field!(text tls_key_file),
        "The private key of the server's certificate, PEM.",
    )
    .volatile()
    .apply(Apply::Tls),
    Directive::text("tls-key-file-pass", "", None, "The passphrase of the private key, if it is encrypted.")
        .sensitive()
        .apply(Apply::Tls),
    Directive::text(
        "tls-client-cert-file",
        "",
        None,
        "Certificate to show when this server is the client (replication); without it the server's own is shown.",
    )
    .volatile()
    .apply(Apply::Tls),
    Directive::text("tls-client-key-file", "", None, "The private key of that certificate.")
        .volatile()
        .apply(Apply::Tls),
    Directive::text("tls-client-key-file-pass", "", None, "The passphrase of that private key.")
        .sensitive()
        .apply(Apply::Tls),
    Directive::text(
        "tls-dh-params-file",
        "",
        None,
        "Accepted for older configurations: key exchange uses elliptic curves only.",
    )
    .volatile()
    .apply(Apply::Tls)
    .accepted(),
    Directive::text(
        "tls-ca-cert-file",
        "",
        field!(text tls_ca_cert_file),
        "Certificates of the authorities that peers' certificates are checked against, PEM.",
    )
    .volatile()
    .apply(Apply::Tls),
    Directive::text(
        "tls-ca-cert-dir",
        "",
        field!(text tls_ca_cert_dir),
        "A folder of such certificates, one per file.",
    )
    .volatile()
    .apply(Apply::Tls),
    Directive::choice(
        "tls-auth-clients",
        TlsAuthClients::Yes as u32,
        TlsAuthClients::CHOICES,
        field!(choice tls_auth_clients: TlsAuthClients),
        "Whether clients must show a certificate: yes, no, or optional (one that is shown must be valid).",
    )
    .apply(Apply::Tls),
    Directive::yes_no("tls-replication", false, field!(bool tls_replication), "Encrypt the link to a master.")
        .apply(Apply::Tls),
    Directive::yes_no("tls-cluster", false, field!(bool tls_cluster), "Encrypt the cluster bus.")
        .not_yet()
        .apply(Apply::Tls),
    Directive::text(
        "tls-protocols",
        "",
        field!(text tls_protocols),
        "Versions to accept, out of \"TLSv1.2 TLSv1.3\"; both if empty.",
    )
    .apply(Apply::Tls),
    Directive::text("tls-ciphers", "", None, "Ciphers for TLS 1.2, by OpenSSL's names.")
        .apply(Apply::Tls),
    Directive::text("tls-ciphersuites", "", None, "Cipher suites for TLS 1.3, by their standard names.")
        .apply(Apply::Tls),
    Directive::yes_no(
        "tls-prefer-server-ciphers",
        false,
        None,
        "Let the server's order of ciphers decide instead of the client's.",
    )
    .apply(Apply::Tls),
    Directive::yes_no(
        "tls-session-caching",
        true,
        None,
        "Let clients resume a session with a shorter handshake.",
    )
    .apply(Apply::Tls),
    Directive::number(
        "tls-session-cache-size",
        20 * 1024,
        plain(0, INT_MAX),
        None,
        "Sessions to remember; 0 means no limit.",
    )
    .apply(Apply::Tls),
    Directive::number(
        "tls-session-cache-timeout",
        300,
        plain(0, INT_MAX),
        None,
        "Seconds for which a session can be resumed.",
    )
    .apply(Apply::Tls),
];
