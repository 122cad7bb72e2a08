//! popgate with a filter that holds, and its command for what is held.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use popgate_tests::connection::Connection;
use popgate_tests::mail::{crlf, eicar, with_attachment};
use popgate_tests::popgate::{Popgate, configuration, run};
use popgate_tests::process::{Ended, write};

/// The configuration of popgate before this server, with a filter that holds viruses.
pub(super) fn config(server: SocketAddr, more: &str) -> String {
    format!(
        "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\nupstream = \"server\"\n\
         [[upstream]]\nname = \"server\"\naddress = \"{server}\"\n\
         [[filter]]\nplugin = \"virus\"\n[filter.config]\nambiguous = \"pass\"\n{more}"
    )
}

/// A message that is held.
pub(super) fn infected(number: usize) -> Vec<u8> {
    crlf(&with_attachment(number, "invoice.com", "application/octet-stream", eicar().as_bytes()))
}

pub(super) fn log_in(popgate: &Popgate, user: &str) -> Connection {
    let mut client = popgate.connect("pop3");
    client.log_in(user, "secret");
    client
}

/// Fetches a message, in a session of its own that ends well; the reply or what came.
pub(super) fn session(popgate: &Popgate, user: &str, number: usize) -> Result<String, String> {
    let mut client = log_in(popgate, user);
    let reply = client.command(&format!("RETR {number}"));
    let came = match reply.starts_with("+OK") {
        true => Ok(String::from_utf8(client.body()).expect("what is sent is ASCII")),
        false => Err(reply),
    };
    client.succeed("QUIT");
    client.expect_end();
    came
}

/// The id in a notice.
pub(super) fn id_of(notice: &str) -> String {
    let id = notice.lines().find_map(|line| line.strip_prefix("X-Popgate-Held: "));
    id.unwrap_or_else(|| panic!("this is no notice: {notice}")).to_owned()
}

/// `popgate quarantine` with the configuration in this folder.
pub(super) fn command(folder: &Path, arguments: &[&str]) -> Ended {
    let file = folder.join("popgate.toml").to_string_lossy().into_owned();
    run(&[&["quarantine", "--config", &file], arguments].concat())
}

/// The same where it has to succeed: what it says.
pub(super) fn quarantine(popgate: &Popgate, arguments: &[&str]) -> String {
    let ended = command(popgate.folder(), arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.errors);
    ended.output
}

/// Writes another configuration for the command alone.
pub(super) fn configure(folder: &Path, config: &str) {
    let _path = configuration(folder, config);
}

/// Makes a message one that was held so many days ago.
pub(super) fn age(folder: &Path, id: &str, days: u64) {
    let path = folder.join("state/quarantine").join(id).join("entry.json");
    let text = fs::read_to_string(&path).expect("the entry is there");
    let (before, behind) = text.split_once("\"when\": \"").expect("it says when");
    let rest = behind.split_once('"').expect("a string ends").1;
    write(&path, format!("{before}\"when\": \"2020-01-02T03:04:05Z\"{rest}"));
    let file = fs::File::options().write(true).open(&path).expect("the entry is there");
    file.set_modified(SystemTime::now() - Duration::from_secs(days * 86_400)).expect("times can be set");
}
