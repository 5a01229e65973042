//! Places: what the documentation shows, and searches that are newer than the redis-server that others are compared with.

use ochre_tests::{Client, Server};

const SICILY: &str = "GEOADD s 13.361389 38.115556 Palermo 15.087269 37.502669 Catania";

/// Runs lines one after the other; each is followed by its reply, without the lengths of its strings.
fn check(client: &mut Client, cases: &[(&str, &str)]) {
    for (line, expected) in cases {
        let reply = client.run(line).to_string();
        let is_shown = |word: &&str| !word.starts_with('$') || *word == "$-1";
        let shown: Vec<&str> = reply.split_whitespace().filter(is_shown).collect();
        assert_eq!(shown.join(" "), *expected, "{line}");
    }
}

#[test]
fn places_and_distances() {
    let server = Server::start();
    check(
        &mut server.client(),
        &[
            (SICILY, ":2"),
            ("GEODIST s Palermo Catania", "166274.1516"),
            ("GEODIST s Palermo Catania km", "166.2742"),
            ("GEODIST s Palermo Catania mi", "103.3182"),
            ("GEODIST s Palermo none", "$-1"),
            ("GEOHASH s Palermo none Catania", "*3 sqc8b49rny0 $-1 sqdtr74hyu0"),
            ("GEOPOS s Palermo none", "*2 *2 13.36138933897018433 38.11555639549629859 *-1"),
            ("GEOADD s CH 13.4 38.1 Palermo 15.087269 37.502669 Catania", ":1"),
            ("GEOADD s NX 0 0 Palermo", ":0"),
            ("GEOADD s XX 0 0 Roma", ":0"),
            ("GEOADD s 181 0 x", "-ERR invalid longitude,latitude pair 181.000000,0.000000"),
            ("GEOADD s 1 2 x 3", "-ERR syntax error"),
        ],
    );
}

#[test]
fn searches() {
    let server = Server::start();
    check(
        &mut server.client(),
        &[
            (SICILY, ":2"),
            ("GEOADD s 12.758489 38.788135 edge1 17.241510 38.788135 edge2", ":2"),
            ("GEOSEARCH s FROMLONLAT 15 37 BYRADIUS 200 km ASC", "*2 Catania Palermo"),
            (
                "GEOSEARCH s FROMLONLAT 15 37 BYBOX 400 400 km ASC WITHDIST",
                "*4 *2 Catania 56.4413 *2 Palermo 190.4424 *2 edge2 279.7403 *2 edge1 279.7405",
            ),
            ("GEOSEARCH s FROMMEMBER Palermo BYRADIUS 0 m", "*1 Palermo"),
            ("GEOSEARCH s FROMMEMBER none BYRADIUS 1 m x", "-ERR could not decode requested zset member"),
            ("GEOSEARCHSTORE t s FROMLONLAT 15 37 BYBOX 400 400 km COUNT 3 STOREDIST", ":3"),
            ("ZRANGE t 0 0", "*1 Catania"),
            ("GEOSEARCHSTORE t s FROMLONLAT 0 0 BYRADIUS 1 m", ":0"),
            ("EXISTS t", ":0"),
            (
                "GEORADIUS s 15 37 200 km WITHCOORD COUNT 1",
                "*1 *2 Catania *2 15.08726745843887329 37.50266842333162032",
            ),
            ("GEORADIUSBYMEMBER s Palermo 100 km STORE t", ":2"),
            ("ZRANGE t 0 -1", "*2 Palermo edge1"),
        ],
    );
}

#[test]
fn polygons() {
    let server = Server::start();
    check(
        &mut server.client(),
        &[
            (SICILY, ":2"),
            ("GEOSEARCH s BYPOLYGON 4 13 38 14 38 14 39 13 39", "*1 Palermo"),
            (
                "GEOSEARCH s BYPOLYGON 3 12 37 17 37 13 40 DESC WITHDIST",
                "*2 *2 Catania 110562.6802 *2 Palermo 58085.3738",
            ),
            ("GEOSEARCHSTORE t s BYPOLYGON 3 12 37 17 37 13 40 COUNT 1", ":1"),
            ("ZRANGE t 0 -1", "*1 Palermo"),
            ("GEOSEARCHSTORE t s BYPOLYGON 3 0 0 1 0 0 1", ":0"),
            ("EXISTS t", ":0"),
            ("GEOSEARCH none BYPOLYGON 3 0 0 1 0 0 1", "*0"),
            ("GEOSEARCH s BYPOLYGON 2 0 0 1 0 0 1", "-ERR GEOSEARCH BYPOLYGON must have at least 3 vertices"),
            ("GEOSEARCH s BYPOLYGON 4 0 0 1 0 0 1", "-ERR GEOSEARCH BYPOLYGON must have at least 3 vertices"),
            ("GEOSEARCH s BYPOLYGON x 0 0 1 0 0 1", "-ERR invalid number of vertices"),
            (
                "GEOSEARCH s BYPOLYGON 3 0 0 1 0 0 100",
                "-ERR invalid longitude,latitude pair 0.000000,100.000000",
            ),
            ("GEOSEARCH s BYPOLYGON 3 0 0 1 0 0 1 FROMLONLAT 0 0", "-ERR syntax error"),
            ("GEOSEARCH s FROMMEMBER Palermo BYPOLYGON 3 0 0 1 0 0 1", "-ERR syntax error"),
            ("GEOSEARCH s BYPOLYGON 3 0 0 1 0 0 1 BYRADIUS 1 km", "-ERR syntax error"),
            ("GEOSEARCH s BYBOX 1 1 km BYPOLYGON 3 0 0 1 0 0 1", "-ERR syntax error"),
        ],
    );
}

/// The documented example of a polygon: the distances are from the mean of its corners.
#[test]
fn distances_in_a_polygon() {
    let server = Server::start();
    let mut client = server.client();
    client.run("GEOADD s 151.20932132005692 -33.877723137822436 a 151.22852593660355 -33.88116782387797 b");
    client.run("GEOADD s 151.22953444719315 -33.874838625143106 c 151.2229523062706 -33.883973760201364 d");
    let corners = "151.21619137411474 -33.869643764947696 151.20408853981647 -33.87845382042545 \
                   151.2123775086366 -33.87864711938855 151.21046943124387 -33.87588862400425 \
                   151.21701035939626 -33.874286511854834 151.2239557405701 -33.8735722632175 \
                   151.22495056246407 -33.87893571656996 151.2274447496748 -33.882307713036354 \
                   151.23212935868654 -33.88136096120022 151.23097291274465 -33.87456240592362 \
                   151.22475424781445 -33.87099633192101";
    let line = format!("GEOSEARCH s BYPOLYGON 11 {corners} WITHDIST DESC");
    check(&mut client, &[(&line, "*3 *2 a 1035.7735 *2 b 929.4979 *2 c 858.3013")]);
}

#[test]
fn changes_are_announced() {
    let server = Server::start();
    let (mut client, mut listener) = (server.client(), server.client());
    client.run("CONFIG SET notify-keyspace-events Ez");
    client.run("CONFIG SET notify-keyspace-events EA");
    listener.run("PSUBSCRIBE __keyevent@0__:*");
    client.run(SICILY);
    client.run("GEOSEARCHSTORE t s FROMLONLAT 15 37 BYRADIUS 200 km");
    client.run("GEORADIUS s 15 37 200 km STORE u");
    client.run("GEORADIUS s 0 0 1 km STORE u");
    for (event, key) in [("zadd", "s"), ("geosearchstore", "t"), ("georadiusstore", "u"), ("del", "u")] {
        let text = listener.read().to_string();
        assert!(text.contains(&format!("__:{event}")) && text.contains(key), "{event}: {text}");
    }
}
