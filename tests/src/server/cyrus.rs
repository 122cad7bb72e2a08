//! Cyrus: users in a SASL database, mail delivered over its LMTP socket.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use super::{Plan, accounts, namespace};
use crate::PATIENCE;
use crate::connection::stuff;
use crate::dovecot::PASSWORD;
use crate::mail::crlf;
use crate::process::{Process, program, write};

/// Whom Cyrus runs as. The name is built in.
const ID: usize = 53_120;

pub(super) fn start(plan: &Plan<'_>) -> Process {
    // It makes the users' secrets, inside of the namespaces.
    let _there = program("saslpasswd2", "sasl2-bin");
    let folder = plan.folder.display();
    write(&plan.folder.join("imapd.conf"), settings(plan));
    let imapd = format!("-C {folder}/imapd.conf");
    write(
        &plan.folder.join("cyrus.conf"),
        format!(
            "START {{ recover cmd=\"ctl_cyrusdb -r {imapd}\" }}
SERVICES {{
  pop3 cmd=\"pop3d {imapd} -U 30\" listen=\"127.0.0.1:{plain}\" prefork=0
  pop3s cmd=\"pop3d -s {imapd} -U 30\" listen=\"127.0.0.1:{tls}\" prefork=0
  lmtp cmd=\"lmtpd -a {imapd}\" listen=\"{lmtp}\" prefork=0
}}
EVENTS {{ }}
",
            plain = plan.plain,
            tls = plan.tls,
            lmtp = socket(plan).display(),
        ),
    );
    let mut script = accounts::account("cyrus", ID, "/var/spool/");
    for (user, _) in plan.users {
        let _infallible =
            writeln!(script, "echo {PASSWORD} | saslpasswd2 -p -c -f {folder}/sasldb2 -u localhost {user}");
    }
    let _infallible = write!(
        script,
        "mkdir -p {folder}/conf {folder}/spool /run/cyrus /var/lib/cyrus /var/spool/cyrus
chown -R cyrus:mail {folder}/conf {folder}/spool {folder}/sasldb2 {folder}/server.key /run/cyrus
exec /usr/lib/cyrus/bin/master -D {imapd} -M {folder}/cyrus.conf -L {folder}/master.log -p {folder}/master.pid
"
    );
    namespace::start(plan.folder, Some("cyrus"), &script)
}

/// Without a security layer of SASL: what is in there no proxy can read, and some clients ask for it unasked.
fn settings(plan: &Plan<'_>) -> String {
    let folder = plan.folder.display();
    format!(
        "configdirectory: {folder}/conf
defaultpartition: default
partition-default: {folder}/spool
servername: localhost
admins: cyrus
unixhierarchysep: yes
virtdomains: userid
defaultdomain: localhost
allowplaintext: yes
allowapop: yes
autocreate_quota: 0
autocreate_post: yes
popminpoll: 0
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {folder}/sasldb2
sasl_maximum_layer: 0
sasl_mech_list: PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256
tls_server_cert: {certificate}
tls_server_key: {key}
tls_client_ca_file: {ca}
lmtpsocket: {lmtp}
",
        certificate = plan.certificates.certificate.display(),
        key = plan.certificates.private_key.display(),
        ca = plan.certificates.ca.display(),
        lmtp = socket(plan).display(),
    )
}

fn socket(plan: &Plan<'_>) -> PathBuf {
    plan.folder.join("lmtp")
}

/// Gives every user the mail over LMTP (RFC 2033). Returns when all of it is stored.
pub(super) fn deliver(plan: &Plan<'_>) {
    let stream = UnixStream::connect(socket(plan)).expect("Cyrus takes mail");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes options");
    let mut replies = BufReader::new(stream.try_clone().expect("a socket can be shared"));
    let mut say = |octets: &[u8], expected: &str| {
        (&stream).write_all(octets).expect("Cyrus listens");
        loop {
            let mut line = String::new();
            replies.read_line(&mut line).expect("Cyrus answers");
            assert!(line.starts_with(expected), "Cyrus answers {line:?} to {}", octets.escape_ascii());
            if line.as_bytes().get(3) == Some(&b' ') {
                return;
            }
        }
    };
    say(b"", "220");
    say(b"LHLO localhost\r\n", "250");
    for (user, messages) in plan.users {
        for message in *messages {
            say(b"MAIL FROM:<sender@example.org>\r\n", "250");
            say(format!("RCPT TO:<{user}>\r\n").as_bytes(), "250");
            say(b"DATA\r\n", "354");
            say(&stuff(&crlf(message)), "250");
        }
    }
    say(b"QUIT\r\n", "221");
}
