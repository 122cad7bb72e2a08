//! What must stay between the client and its server.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use popgate_tests::connection::Connection;
use popgate_tests::popgate::Popgate;
use popgate_tests::upstream::Upstream;

/// What no log may hold. Every conversation below has this in it, in one form or another.
const PASSWORD: &str = "open-sesame-4711";
/// An answer of APOP or CRAM-MD5.
const DIGEST: &str = "c4c9334bac560ecc979e58001b3e22fb";

fn encoded(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

/// All forms in which it is said.
fn secrets() -> Vec<String> {
    let plain = [encoded(&format!("\0alice\0{PASSWORD}")), encoded(&format!("alice\0alice\0{PASSWORD}"))];
    let mut secrets = vec![PASSWORD.to_owned(), DIGEST.to_owned(), encoded(PASSWORD), token(), bearer()];
    secrets.push(encoded(&format!("alice {DIGEST}")));
    secrets.extend(plain);
    secrets
}

fn token() -> String {
    encoded(&format!("user=alice\x01auth=Bearer {PASSWORD}\x01\x01"))
}

fn bearer() -> String {
    encoded(&format!("n,a=alice,\x01host=localhost\x01auth=Bearer {PASSWORD}\x01\x01"))
}

/// What a client says to log in, and what else it says where the password does not belong.
fn conversations() -> Vec<Vec<String>> {
    let plain = encoded(&format!("\0alice\0{PASSWORD}"));
    let say = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    vec![
        say(&["USER alice", &format!("PASS {PASSWORD}")]),
        say(&[&format!("APOP alice {DIGEST}")]),
        say(&[&format!("AUTH PLAIN {plain}")]),
        say(&["AUTH PLAIN", &plain]),
        say(&["AUTH LOGIN", &encoded("alice"), &encoded(PASSWORD)]),
        say(&["AUTH CRAM-MD5", &encoded(&format!("alice {DIGEST}"))]),
        say(&[&format!("AUTH XOAUTH2 {}", token())]),
        say(&["AUTH OAUTHBEARER", &bearer()]),
        // In the wrong place, in the wrong form, and as something else.
        say(&[&format!("PASS {PASSWORD}")]),
        say(&["USER alice", &format!("PASS {PASSWORD}\0")]),
        say(&["USER alice", &format!("PASS {PASSWORD}\r{PASSWORD}")]),
        say(&["USER alice", &format!("PASS {PASSWORD}{}", "x".repeat(20_000))]),
        say(&[&format!("USER {PASSWORD}{}", "x".repeat(2_000))]),
        say(&[&format!("PAS {PASSWORD}")]),
        say(&[PASSWORD]),
        say(&["AUTH PLAIN", PASSWORD]),
        say(&[&format!("RETR {PASSWORD}")]),
        say(&[&format!("{PASSWORD} 1")]),
    ]
}

/// What the server makes of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Server {
    Accepts,
    Refuses,
    /// Repeats what it was given, as servers that are out of order do.
    Echoes,
    Dies,
}

/// Answers everything that comes, and challenges where a mechanism needs it.
fn answer(mut upstream: Connection, server: Server) {
    let _gone = upstream.try_send(b"+OK ready <1896.697170952@dbc.example>\r\n");
    let mut challenged = false;
    while let Some(line) = upstream.next_line() {
        let line = String::from_utf8_lossy(&line).into_owned();
        let words: Vec<_> = line.split(' ').collect();
        let reply = match (words[0], words.len()) {
            ("CAPA", _) => "+OK\r\nUSER\r\nSASL PLAIN LOGIN XOAUTH2\r\n.".to_owned(),
            ("AUTH", 2) => "+ ".to_owned(),
            ("USER" | "QUIT" | "RETR", _) => "+OK".to_owned(),
            // The name for LOGIN.
            _ if line == encoded("alice") && !challenged => {
                challenged = true;
                "+ ".to_owned()
            }
            _ => match server {
                Server::Accepts => "+OK in".to_owned(),
                Server::Refuses => "-ERR [AUTH] no".to_owned(),
                Server::Echoes => format!("-ERR [SYS/TEMP] what is {line}"),
                Server::Dies => return,
            },
        };
        let _gone = upstream.try_send(format!("{reply}\r\n").as_bytes());
    }
}

/// Says everything, one line at a time, whatever is answered.
fn say(popgate: &Popgate, listener: &str, lines: &[String]) {
    let mut client = popgate.connect(listener);
    let _greeting = client.next_line();
    for line in lines {
        if client.try_send(format!("{line}\r\n").as_bytes()).is_err() || client.next_line().is_none() {
            return;
        }
    }
    let _quit = client.try_send(b"QUIT\r\n");
    drop(client.rest());
}

/// Has everything said to servers of all kinds, with and without a route. Gives the log.
fn converse(log: &[&str]) -> String {
    let servers = [Server::Accepts, Server::Refuses, Server::Echoes, Server::Dies];
    let mut config = "[limits]\nlogin_failures_per_minute = 1000\nsessions_per_address = 1000\n".to_owned();
    let mut listeners = Vec::new();
    for (at, server) in servers.into_iter().enumerate() {
        let upstream = Upstream::listen();
        config += &format!(
            "[[listener]]\nname = \"fixed{at}\"\naddress = \"127.0.0.1:0\"\nupstream = \"server{at}\"\n\
             [[upstream]]\nname = \"server{at}\"\naddress = \"{}\"\n",
            upstream.address()
        );
        upstream.play_each(move |connection| answer(connection, server));
        listeners.push(format!("fixed{at}"));
    }
    // Only one of them can be the user's.
    config += "[[listener]]\nname = \"routed\"\naddress = \"127.0.0.1:0\"\n\
               [[route]]\nuser = \"*\"\nupstream = \"server2\"\n[[filter]]\nplugin = \"virus\"\n";
    listeners.push("routed".to_owned());
    let popgate = Popgate::start_with(&config, log);
    std::thread::scope(|scope| {
        for listener in &listeners {
            for lines in conversations() {
                let popgate = &popgate;
                scope.spawn(move || say(popgate, listener, &lines));
            }
        }
    });
    for secret in secrets() {
        assert!(files(popgate.folder()).iter().all(|text| !text.contains(&secret)), "{secret} is in a file");
    }
    popgate.log()
}

/// The content of all files that the proxy has written.
fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder is there").flatten();
    entries
        .flat_map(|entry| match entry.path() {
            path if path.is_dir() => files(&path),
            path => vec![String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()],
        })
        .collect()
}

fn expect_no_secret(form: &str) {
    // Everything that popgate and what it is built on have to say.
    let log = converse(&["--log", "trace,popgate=trace", "--log-format", form]);
    assert!(log.contains("opened") && log.contains("login refused"), "{log}");
    for secret in secrets() {
        let line = log.lines().find(|line| line.contains(&secret));
        assert!(line.is_none(), "{secret} is in the log\n{}", line.unwrap_or_default());
    }
}

#[test]
fn credentials_are_never_logged() {
    expect_no_secret("text");
}

#[test]
fn credentials_are_never_logged_as_json() {
    expect_no_secret("json");
}

#[test]
fn no_core_dump_holds_what_the_memory_holds() {
    let popgate = Popgate::start(
        "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\nupstream = \"server\"\n\
         [[upstream]]\nname = \"server\"\naddress = \"127.0.0.1:9\"\n",
    );
    let limits = fs::read_to_string(format!("/proc/{}/limits", popgate.process().id())).expect("the process is there");
    let core: Vec<_> = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .map_or_else(Vec::new, |line| line.split_whitespace().skip(4).take(2).collect());
    assert_eq!(core, ["0", "0"], "{limits}");
}
