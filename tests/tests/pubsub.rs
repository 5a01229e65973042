//! Messages: to idle subscribers, to oneself, in both protocol versions.

use ochre_tests::{Server, Settings, check, wait_until};

fn each(test: impl Fn(&Server)) {
    for threads in ["1", "2"] {
        test(&Settings::new().set("io-threads", threads).start());
    }
}

#[test]
fn an_idle_subscriber_gets_messages() {
    each(|server| {
        let (mut subscriber, mut publisher) = (server.client(), server.client());
        assert_eq!(subscriber.run("SUBSCRIBE news"), "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
        assert_eq!(subscriber.run("PSUBSCRIBE n*"), "*3\r\n$10\r\npsubscribe\r\n$2\r\nn*\r\n:2\r\n");
        assert_eq!(publisher.run("PUBLISH news hello"), ":2\r\n");
        assert_eq!(subscriber.read(), "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n");
        assert_eq!(subscriber.read(), "*4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$5\r\nhello\r\n");
        assert!(subscriber.run("GET x").is_error("ERR Can't execute 'get': only (P|S)SUBSCRIBE"));
        assert_eq!(subscriber.run("PING"), "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
        drop(subscriber);
        wait_until("the subscription ends", || publisher.run("PUBLISH news x") == ":0\r\n");
    });
}

#[test]
fn resp3_pushes_mix_with_replies_but_never_land_inside_them() {
    each(|server| {
        let mut client = server.client();
        client.run("HELLO 3");
        assert_eq!(client.run("SUBSCRIBE c"), ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
        client.send_raw(b"MULTI\r\nPING a\r\nPUBLISH c m\r\nPING b\r\nEXEC\r\n");
        for _ in 0..4 {
            client.read();
        }
        assert_eq!(client.read(), "*3\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n");
        assert_eq!(client.read(), ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n");
        assert_eq!(client.run("GET x"), "_\r\n");
    });
}

#[test]
fn one_message_for_many_and_large_ones() {
    each(|server| {
        let mut subscribers: Vec<_> = (0..200).map(|_| server.client()).collect();
        for subscriber in &mut subscribers {
            subscriber.run("SUBSCRIBE all");
        }
        let message = "m".repeat(100_000);
        assert_eq!(server.client().call(&["PUBLISH", "all", &message]), ":200\r\n");
        for subscriber in &mut subscribers {
            assert!(subscriber.read().to_string().ends_with(&format!("$100000\r\n{message}\r\n")));
        }
    });
}

#[test]
fn replies_are_switched_off_but_pushes_flow() {
    each(|server| {
        let mut client = server.client();
        client.run("HELLO 3");
        client.send_raw(b"CLIENT REPLY OFF\r\nPING\r\nSUBSCRIBE c\r\nPUBLISH c m\r\nCLIENT REPLY ON\r\n");
        assert_eq!(client.read(), ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
        assert_eq!(client.read(), ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n");
        assert_eq!(client.read(), "+OK\r\n");
        client.send_raw(b"CLIENT REPLY SKIP\r\nPING skipped\r\nPING\r\n");
        assert_eq!(client.read(), "+PONG\r\n");
    });
}

#[test]
fn a_transaction_may_subscribe() {
    each(|server| {
        let mut client = server.client();
        client.send_raw(b"MULTI\r\nSUBSCRIBE a\r\nPING\r\nEXEC\r\n");
        for _ in 0..3 {
            client.read();
        }
        assert_eq!(
            client.read(),
            "*2\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n"
        );
        assert_eq!(server.client().run("PUBLISH a x"), ":1\r\n");
        assert_eq!(client.read(), "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n");
    });
}

#[test]
fn shard_channels_are_apart() {
    each(|server| {
        let (mut subscriber, mut publisher) = (server.client(), server.client());
        check(
            &mut subscriber,
            &[
                ("SSUBSCRIBE c", "*3 $10 ssubscribe $1 c :1"),
                ("SSUBSCRIBE c", "*3 $10 ssubscribe $1 c :1"),
                ("SUBSCRIBE c", "*3 $9 subscribe $1 c :1"), // counted for itself
                ("SUNSUBSCRIBE other", "*3 $12 sunsubscribe $5 other :1"),
            ],
        );
        assert!(subscriber.run("GET x").is_error("ERR Can't execute 'get': only (P|S)SUBSCRIBE"));
        check(
            &mut publisher,
            &[
                ("SPUBLISH c hello", ":1"),
                ("PUBLISH c world", ":1"),
                ("PUBSUB SHARDCHANNELS", "*1 $1 c"),
                ("PUBSUB SHARDCHANNELS d*", "*0"),
                ("PUBSUB SHARDNUMSUB c d", "*4 $1 c :1 $1 d :0"),
                ("PUBSUB SHARDNUMSUB", "*0"),
                (
                    "PUBSUB shardchannels a b",
                    "-ERR unknown subcommand or wrong number of arguments for 'shardchannels'. Try PUBSUB HELP.",
                ),
                ("SPUBLISH c", "-ERR wrong number of arguments for 'spublish' command"),
            ],
        );
        assert_eq!(publisher.call(&["EVAL", "return redis.call('spublish','c','s')", "0"]), ":1\r\n");
        assert_eq!(subscriber.read(), "*3\r\n$8\r\nsmessage\r\n$1\r\nc\r\n$5\r\nhello\r\n");
        assert_eq!(subscriber.read(), "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$5\r\nworld\r\n");
        assert_eq!(subscriber.read(), "*3\r\n$8\r\nsmessage\r\n$1\r\nc\r\n$1\r\ns\r\n");
        assert!(publisher.run("CLIENT LIST TYPE pubsub").text().contains(" sub=1 psub=0 ssub=1 "));
        assert_eq!(server.info("pubsubshard_channels"), "1");
        check(
            &mut subscriber,
            &[
                ("SUNSUBSCRIBE", "*3 $12 sunsubscribe $1 c :0"),
                ("SUNSUBSCRIBE", "*3 $12 sunsubscribe $-1 :0"),
                ("SSUBSCRIBE c", "*3 $10 ssubscribe $1 c :1"),
                ("RESET", "+RESET"),
            ],
        );
        assert_eq!(publisher.run("SPUBLISH c x"), ":0\r\n");
        assert_eq!(server.info("pubsubshard_channels"), "0");
    });
}

#[test]
fn a_transaction_may_not_subscribe_to_a_shard() {
    each(|server| {
        let mut client = server.client();
        client.send_raw(b"MULTI\r\nSSUBSCRIBE a\r\nSUNSUBSCRIBE a\r\nEXEC\r\n");
        for _ in 0..3 {
            client.read();
        }
        assert_eq!(
            client.read(),
            "*2\r\n-ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client\r\n*3\r\n$12\r\nsunsubscribe\r\n$1\r\na\r\n:0\r\n"
        );
    });
}
