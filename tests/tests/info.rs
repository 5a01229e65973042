//! INFO: Redis's fields, and figures that are true.

use ochre_tests::{Server, Settings};
use std::collections::BTreeSet;

/// Fields that say something of how Redis is built, which means nothing here.
const NOT_OURS: &[&str] = &["server atomicvar_api", "server gcc_version"];

fn fields(server: &Server) -> BTreeSet<String> {
    let mut client = server.client();
    client.run("SET k v");
    client.run("GET missing");
    let text = client.run("INFO everything").text();
    let mut section = String::new();
    let mut fields = BTreeSet::new();
    for line in text.lines() {
        match line.strip_prefix("# ") {
            Some(title) => section = title.to_lowercase(),
            None => fields.extend(line.split_once(':').map(|(name, _)| format!("{section} {name}"))),
        }
    }
    fields
}

#[test]
fn every_field_of_redis_is_there() {
    let (ours, redis) = (fields(&Server::start()), fields(&Settings::new().redis().start()));
    let missing: Vec<&String> =
        redis.difference(&ours).filter(|field| !NOT_OURS.contains(&field.as_str())).collect();
    assert!(missing.is_empty(), "missing: {missing:?}");
}

#[test]
fn traffic_and_memory_are_counted() {
    for threads in ["1", "2"] {
        let server = Settings::new().set("io-threads", threads).start();
        let number = |field: &str| -> i64 { server.info(field).parse().expect("a number") };
        let mut client = server.client();
        let before =
            (number("total_net_input_bytes"), number("total_net_output_bytes"), number("used_memory"));
        let value = "v".repeat(1_000_000);
        assert_eq!(client.call(&["SET", "big", &value]), "+OK\r\n");
        assert_eq!(client.run("GET big").len(), 1_000_000);
        assert!(number("total_net_input_bytes") > before.0 + 1_000_000);
        assert!(number("total_net_output_bytes") > before.1 + 1_000_000);
        assert!(number("used_memory") > before.2 + 900_000);
        assert!(number("used_memory_dataset") > 900_000);
        assert!(number("used_memory_peak") >= number("used_memory_dataset"));
        client.run("CONFIG RESETSTAT");
        assert!(number("total_net_input_bytes") < 1_000);
    }
}
