//! Kerberos through the proxy: KPOP and GSSAPI with real tickets, real servers and real clients.
//!
//! Directly first, so that a fault of a driver or of a client does not look like one of the proxy.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::OnceLock;

use popgate_tests::clients::kerberos::TicketClient;
use popgate_tests::connection::Connection;
use popgate_tests::dovecot::Dovecot;
use popgate_tests::kerberos::Kerberos;
use popgate_tests::kerberos::kpop::{KpopServer, Proof, VERSION};
use popgate_tests::mail::{self, eicar, expect_same, with_attachment};
use popgate_tests::popgate::Popgate;

/// A Dovecot that takes tickets, and KPOP before it.
struct Servers {
    kerberos: &'static Kerberos,
    dovecot: Dovecot,
    kpop: KpopServer,
}

fn servers() -> &'static Servers {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    SERVERS.get_or_init(|| {
        let kerberos = Kerberos::shared();
        let dovecot = Dovecot::with_gssapi(kerberos);
        let kpop = KpopServer::serve(kerberos, kerberos.keytab(), dovecot.plain());
        Servers { kerberos, dovecot, kpop }
    })
}

/// popgate with a KPOP listener before `kpop` and one for POP3 before Dovecot.
fn popgate(kpop: &KpopServer, rest: &str) -> Popgate {
    Popgate::start(&format!(
        "[[listener]]\nname = \"kpop\"\naddress = \"127.0.0.1:0\"\nkpop = true\nupstream = \"kpop\"\n\
         [[upstream]]\nname = \"kpop\"\naddress = \"{}\"\n\
         [[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\nupstream = \"dovecot\"\n\
         [[upstream]]\nname = \"dovecot\"\naddress = \"{}\"\n{rest}",
        kpop.address(),
        servers().dovecot.plain()
    ))
}

/// A user with this mail and a ticket.
fn user(messages: &[Vec<u8>]) -> (String, PathBuf) {
    let user = servers().dovecot.user(messages);
    let tickets = servers().kerberos.log_in(&user);
    (user, tickets)
}

/// A client with a ticket that has read the greeting of the server at this address.
fn greeted(address: SocketAddr, tickets: &std::path::Path, proof: Proof) -> Connection {
    let mut client = servers().kerberos.connect(address, tickets, VERSION, proof).expect("Kerberos is content");
    let greeting = client.text();
    assert!(greeting.starts_with("+OK"), "{greeting}");
    client
}

/// A whole mailbox, directly and through the proxy.
fn unchanged(client: TicketClient, listener: &str, direct: u16) {
    let messages = mail::mailbox(client.longest_line());
    let (user, tickets) = user(&messages);
    let _log = servers().dovecot.log_on_failure(&user);
    let came = client.download(direct, &user, servers().kerberos, &tickets);
    expect_same(&format!("{client:?}, directly"), &messages, &came);
    let popgate = popgate(&servers().kpop, "");
    let came = client.download(popgate.port(listener), &user, servers().kerberos, &tickets);
    expect_same(&format!("{client:?}"), &messages, &came);
    assert_eq!(servers().dovecot.mail(&user).len(), messages.len(), "the mail stays on the server");
}

#[test]
fn fetchmail_by_kpop() {
    unchanged(TicketClient::FetchmailKpop, "kpop", servers().kpop.address().port());
}

#[test]
fn fetchmail_by_gssapi() {
    unchanged(TicketClient::FetchmailGssapi, "pop3", servers().dovecot.plain().port());
}

#[test]
fn mpop_by_gssapi() {
    unchanged(TicketClient::MpopGssapi, "pop3", servers().dovecot.plain().port());
}

/// A mail that the virus filter holds.
fn infected() -> Vec<u8> {
    with_attachment(1, "invoice.com", "application/octet-stream", eicar().as_bytes())
}

#[test]
fn filters_see_what_comes_by_kpop_and_know_the_user() {
    let (user, tickets) = user(&[infected(), mail::message(2, "clean", "", "Nothing here.\n")]);
    let filters = format!(
        "[[filter]]\nplugin = \"virus\"\nonly = {{ user = [\"{user}\"] }}\n\
         [[filter]]\nplugin = \"rewrite\"\n[[filter.config.header]]\naction = \"add\"\nname = \"X-For\"\nvalue = \"{{user}}\"\n"
    );
    let popgate = popgate(&servers().kpop, &filters);
    let came = TicketClient::FetchmailKpop.download(popgate.port("kpop"), &user, servers().kerberos, &tickets);
    let came: Vec<_> = came.iter().map(|mail| String::from_utf8_lossy(mail)).collect();
    assert_eq!(came.len(), 2);
    assert!(came.iter().all(|mail| !mail.contains("WDVPIVAl")), "{came:?}");
    assert!(
        came.iter().any(|mail| mail.contains("Nothing here.") && mail.contains(&format!("X-For: {user}"))),
        "{came:?}"
    );
    popgate.wait_for_log("closed messages=2 held=1");
}

#[test]
fn filters_for_some_users_see_what_comes_by_gssapi() {
    // The name in the ticket is sealed: whom the filter is for can't be told, so it is for everyone.
    let (user, tickets) = user(&[infected()]);
    let popgate =
        popgate(&servers().kpop, "[[filter]]\nplugin = \"virus\"\nonly = { user = [\"nobody@example.org\"] }\n");
    let came = TicketClient::FetchmailGssapi.download(popgate.port("pop3"), &user, servers().kerberos, &tickets);
    assert!(came.len() == 1 && !String::from_utf8_lossy(&came[0]).contains("WDVPIVAl"));
    popgate.wait_for_log("closed messages=1 held=1");
    // By password the name is known, and the filter is not for it.
    let mut client = popgate.connect("pop3");
    client.log_in(&user, popgate_tests::dovecot::PASSWORD);
    client.succeed("RETR 1");
    assert!(String::from_utf8_lossy(&client.body()).contains("WDVPIVAl"));
}

#[test]
fn a_server_proves_itself_only_where_it_is_asked_to() {
    let (user, tickets) = user(&[mail::message(1, "one", "", "One.\n")]);
    let popgate = popgate(&servers().kpop, "");
    for proof in [Proof::Mutual, Proof::OneWay] {
        let mut client = greeted(popgate.listener("kpop").address, &tickets, proof);
        client.succeed(&format!("USER {user}"));
        client.succeed("PASS krb_ticket");
        assert!(client.succeed("STAT").starts_with("+OK 1 "), "{proof:?}");
        client.succeed("QUIT");
        client.expect_end();
    }
}

#[test]
fn a_ticket_is_for_its_owner_alone() {
    let (_, tickets) = user(&[]);
    let popgate = popgate(&servers().kpop, "");
    let mut client = greeted(popgate.listener("kpop").address, &tickets, Proof::Mutual);
    assert_eq!(client.command("USER somebody"), "-ERR [AUTH] this is not the ticket's name");
}

#[test]
fn what_the_server_refuses_is_what_the_client_hears() {
    let (_, tickets) = user(&[]);
    let kerberos = servers().kerberos;
    let stranger = KpopServer::serve(kerberos, Kerberos::wrong_keytab(), servers().dovecot.plain());
    for (server, version, text, reason) in [
        (&servers().kpop, "POPV0.9", "application version", "wants another version of KPOP"),
        (&stranger, VERSION, "rejected", "refuses the client's ticket"),
    ] {
        let direct = kerberos.connect(server.address(), &tickets, version, Proof::Mutual).err();
        let popgate = popgate(server, "");
        let heard = kerberos.connect(popgate.listener("kpop").address, &tickets, version, Proof::Mutual).err();
        assert_eq!(heard, direct, "{version}");
        assert!(heard.as_ref().is_some_and(|heard| heard.contains(text)), "{heard:?}");
        popgate.wait_for_log(reason);
    }
}
