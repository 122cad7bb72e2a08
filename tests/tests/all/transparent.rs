//! Transparent listeners, in networks of the tests' own: on to where the client was going, and nowhere else.

use std::net::SocketAddr;

use popgate_tests::certificates::{Certificates, trust};
use popgate_tests::connection::Connection;
use popgate_tests::network::{CLIENT, CLIENT_V6, Network, ROUTER, SERVER, SERVER_V6};
use popgate_tests::popgate::Popgate;
use popgate_tests::process;
use popgate_tests::upstream::Upstream;

/// The name of the server, that its certificate is for.
const NAME: &str = "pop.example.org";

fn address(host: &str, port: u16) -> SocketAddr {
    SocketAddr::new(host.parse().expect("an IP address"), port)
}

/// popgate on the router, with one transparent listener; `{ca}` is the authority of the server's certificate.
fn popgate(network: &Network, host: &str, listener: &str, rest: &str) -> (Popgate, Certificates) {
    let folder = process::folder();
    let certificates = Certificates::with(folder.path(), "server", |params| {
        let names = rcgen::CertificateParams::new([NAME.to_owned(), SERVER.to_owned()]).expect("valid names");
        params.subject_alt_names = names.subject_alt_names;
    });
    let listener = listener.replace("{ca}", &certificates.ca.to_string_lossy());
    let config = format!(
        "{rest}\n[[listener]]\nname = \"pop3\"\naddress = \"{host}:0\"\ntransparent = true\n{listener}\n\
         [limits]\nconnect = \"5s\"\n"
    );
    (network.router.within(|| Popgate::start_in(folder, &config)), certificates)
}

/// Leads connections from the client to these ports to popgate.
fn redirect(network: &Network, popgate: &Popgate, ports: &str) {
    network.router.firewall(&format!(
        "table inet popgate {{ chain in {{ type nat hook prerouting priority dstnat; \
         iifname client tcp dport {{ {ports} }} redirect to :{}; }}; }}",
        popgate.port("pop3")
    ));
}

fn server(network: &Network, host: &str, port: u16) -> Upstream {
    network.server.within(|| Upstream::listen_at(address(host, port)))
}

fn client(network: &Network, host: &str, port: u16) -> Connection {
    network.client.within(|| Connection::to("client", address(host, port)))
}

/// A session in clear between a client and the server of this address.
fn talk(network: &Network, host: &str) {
    let server = server(network, host, 110);
    let mut client = client(network, host, 110);
    let mut upstream = server.accept();
    upstream.send_line("+OK ready <1.2@there>");
    assert_eq!(client.text(), "+OK ready <1.2@there>");
    for (command, reply) in [("USER alice", "+OK go on"), ("PASS sesame", "+OK"), ("STAT", "+OK 2 320")] {
        client.send_line(command);
        assert_eq!(upstream.text(), command);
        upstream.send_line(reply);
        assert_eq!(client.text(), reply);
    }
}

#[test]
fn redirect_leads_to_where_the_client_was_going() {
    let network = Network::create();
    let (popgate, _) = popgate(&network, "[::]", "allow_cleartext = true", "");
    redirect(&network, &popgate, "110");
    for (client, server) in [(CLIENT, SERVER), (CLIENT_V6, SERVER_V6)] {
        talk(&network, server);
        let server = address(server, 110);
        popgate.wait_for_log(&format!("client={client} user=\"alice\" upstream=\"{server}\""));
    }
}

#[test]
fn redirect_reaches_a_listener_for_ipv4_alone() {
    let network = Network::create();
    let (popgate, _) = popgate(&network, "0.0.0.0", "allow_cleartext = true", "");
    redirect(&network, &popgate, "110");
    talk(&network, SERVER);
}

#[test]
fn tproxy_leads_to_where_the_client_was_going() {
    let network = Network::create();
    // What needs rights is done before they are given up.
    let (popgate, _) = popgate(&network, "[::]", "allow_cleartext = true", "user = \"nobody\"");
    let port = popgate.port("pop3");
    network.router.firewall(&format!(
        "table inet popgate {{ chain in {{ type filter hook prerouting priority mangle; \
         iifname client meta nfproto ipv4 tcp dport {{ 25, 110 }} tproxy ip to :{port} meta mark set 1 accept; \
         iifname client meta nfproto ipv6 tcp dport {{ 25, 110 }} tproxy ip6 to :{port} meta mark set 1 accept; }}; }}"
    ));
    for family in ["-4", "-6"] {
        network.router.ip(&format!("{family} rule add fwmark 1 lookup 100"));
        network.router.ip(&format!("{family} route add local default dev lo table 100"));
    }
    talk(&network, SERVER);
    talk(&network, SERVER_V6);
    let mut client = client(&network, SERVER, 25);
    assert_eq!(client.text(), "-ERR [SYS/PERM] port 25 is not served here");
    client.expect_end();
    assert!(!popgate.log().contains("CAP_NET_ADMIN"), "{}", popgate.log());
}

#[test]
fn ports_that_are_not_listed_are_refused() {
    let network = Network::create();
    let (popgate, _) = popgate(&network, "0.0.0.0", "transparent_ports = [110]", "");
    redirect(&network, &popgate, "25, 995");
    for port in [25, 995] {
        let server = server(&network, SERVER, port);
        let mut client = client(&network, SERVER, port);
        assert_eq!(client.text(), format!("-ERR [SYS/PERM] port {port} is not served here"));
        client.expect_end();
        server.expect_nobody();
    }
    popgate.wait_for_log("port 25 is not served here");
}

#[test]
fn what_leads_back_is_refused() {
    const LOOP: &str = "-ERR [SYS/PERM] this leads back to the proxy";
    let network = Network::create();
    let (popgate, _) = popgate(&network, "0.0.0.0", "", "");
    let port = popgate.port("pop3");
    let refused = |mut client: Connection| {
        assert_eq!(client.text(), LOOP);
        client.expect_end();
        popgate.wait_for_log("leads back");
    };
    // Without any rule, from everywhere.
    refused(client(&network, ROUTER, port));
    refused(network.router.within(|| Connection::to("client", address("127.0.0.1", port))));
    // A rule that leads what comes for the listener's own port to it.
    redirect(&network, &popgate, &format!("110, {port}"));
    refused(client(&network, ROUTER, port));

    // A rule that leads popgate's own connections back to it.
    network.router.firewall(&format!(
        "table inet own {{ chain out {{ type nat hook output priority -100; tcp dport 110 redirect to :{port}; }}; }}"
    ));
    let server = server(&network, SERVER, 110);
    refused(client(&network, SERVER, 110));
    server.expect_nobody();
}

#[test]
fn a_loop_needs_no_rule_of_the_firewall() {
    let popgate = Popgate::start(
        "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\ntransparent = true\n\
         [[listener]]\nname = \"pop3s\"\naddress = \"127.0.0.1:0\"\ntls = \"implicit\"\ntransparent = true\n",
    );
    let mut client = popgate.connect("pop3");
    assert_eq!(client.text(), "-ERR [SYS/PERM] this leads back to the proxy");
    client.expect_end();
    popgate.wait_for_log("leads back");
    popgate.connect("pop3s").expect_end();
    popgate.wait_for_log("leads back");
}

/// A client whose connection is encrypted from its first octet, and the server's side where that handshake succeeds.
fn encrypted(network: &Network, popgate: &Popgate, certificates: &Certificates, name: &str) -> (Connection, String) {
    let server = server(network, SERVER, 995);
    let client = client(network, SERVER, 995);
    let mut client = client.with_client_tls_as(trust(popgate.ca()), name);
    if let Ok(mut upstream) = server.accept().with_server_tls(certificates.server()) {
        // In TLS 1.3 the server is done before its certificate has been judged.
        let _gone = upstream.try_send(b"+OK ready\r\n");
        let reply = client.text();
        if reply.starts_with("+OK") {
            client.send_line("CAPA");
            assert_eq!(upstream.text(), "CAPA");
        }
        return (client, reply);
    }
    let reply = client.text();
    (client, reply)
}

#[test]
fn the_name_that_the_client_asks_for_is_the_one_that_the_server_proves() {
    let network = Network::create();
    for (mode, port) in [("implicit", 995), ("stls", 995)] {
        // The listener's mode is for other ports: 995 is encrypted everywhere.
        let (popgate, certificates) =
            popgate(&network, "0.0.0.0", &format!("tls = \"{mode}\"\nupstream_ca = \"{{ca}}\""), "");
        network.router.firewall("flush ruleset");
        redirect(&network, &popgate, &port.to_string());
        // The client takes popgate's certificates for both names; the server has one for the first.
        let (_client, reply) = encrypted(&network, &popgate, &certificates, NAME);
        assert_eq!(reply, "+OK ready", "{mode}");
        let (mut client, reply) = encrypted(&network, &popgate, &certificates, "other.example.org");
        assert!(reply.starts_with("-ERR [SYS/TEMP]"), "{mode}: {reply}");
        client.expect_end();
        popgate.wait_for_log("name mismatch");
        // Without a name the address counts, on both sides.
        let (_client, reply) = encrypted(&network, &popgate, &certificates, SERVER);
        assert_eq!(reply, "+OK ready", "{mode}");
    }
}

#[test]
fn servers_that_are_not_trusted_are_not_spoken_to() {
    let network = Network::create();
    let (popgate, _) = popgate(&network, "0.0.0.0", "tls = \"implicit\"\nupstream_ca = \"{ca}\"", "");
    redirect(&network, &popgate, "995");
    let folder = process::folder();
    let other = Certificates::with(folder.path(), "other", |params| {
        let names = rcgen::CertificateParams::new([NAME.to_owned()]).expect("valid names");
        params.subject_alt_names = names.subject_alt_names;
    });
    let (mut client, reply) = encrypted(&network, &popgate, &other, NAME);
    assert!(reply.starts_with("-ERR [SYS/TEMP]"), "{reply}");
    client.expect_end();
    popgate.wait_for_log("unknown issuer");
}

#[test]
fn a_pinned_key_replaces_the_name() {
    let network = Network::create();
    let folder = process::folder();
    let pinned = Certificates::create(folder.path(), "pinned");
    let keys = format!("tls = \"implicit\"\nupstream_pin_sha256 = [{:?}]", pinned.pin);
    let (popgate, other) = popgate(&network, "0.0.0.0", &keys, "");
    redirect(&network, &popgate, "995");
    let (_client, reply) = encrypted(&network, &popgate, &pinned, NAME);
    assert_eq!(reply, "+OK ready");
    let (_client, reply) = encrypted(&network, &popgate, &other, NAME);
    assert!(reply.starts_with("-ERR [SYS/TEMP]"), "{reply}");
}

/// A client and a server behind a listener with STLS, greeted.
fn greeted(network: &Network, server: &Upstream) -> (Connection, Connection) {
    let mut client = client(network, SERVER, 110);
    let mut upstream = server.accept();
    upstream.send_line("+OK ready");
    assert_eq!(client.text(), "+OK ready");
    (client, upstream)
}

fn capabilities(client: &mut Connection, upstream: &mut Connection, offered: &[&str]) -> Vec<String> {
    client.send_line("CAPA");
    assert_eq!(upstream.text(), "CAPA");
    upstream.send(format!("+OK\r\n{}\r\n.\r\n", offered.join("\r\n")));
    assert!(client.text().starts_with("+OK"));
    String::from_utf8_lossy(&client.body()).lines().map(str::to_owned).collect()
}

#[test]
fn stls_secures_both_sides() {
    let network = Network::create();
    let (popgate, certificates) = popgate(&network, "0.0.0.0", "tls = \"stls\"\nupstream_ca = \"{ca}\"", "");
    redirect(&network, &popgate, "110");
    let server = server(&network, SERVER, 110);

    let (mut client, mut upstream) = greeted(&network, &server);
    let offered = capabilities(&mut client, &mut upstream, &["USER", "STLS"]);
    assert!(offered.contains(&"STLS".to_owned()) && !offered.contains(&"USER".to_owned()), "{offered:?}");
    client.send_line("STLS");
    assert_eq!(upstream.text(), "STLS");
    upstream.send_line("+OK begin");
    assert!(client.text().starts_with("+OK"));
    let mut client = client.with_client_tls_as(trust(popgate.ca()), NAME);
    let mut upstream = upstream.with_server_tls(certificates.server()).expect("popgate trusts the server");
    let offered = capabilities(&mut client, &mut upstream, &["USER", "STLS"]);
    assert!(!offered.contains(&"STLS".to_owned()) && offered.contains(&"USER".to_owned()), "{offered:?}");

    // The name is another: nothing that the client sends reaches the server.
    let (mut client, mut upstream) = greeted(&network, &server);
    client.send_line("STLS");
    assert_eq!(upstream.text(), "STLS");
    upstream.send_line("+OK begin");
    assert!(client.text().starts_with("+OK"));
    let mut client = client.with_client_tls_as(trust(popgate.ca()), "other.example.org");
    client.send_line("USER alice");
    if let Ok(mut upstream) = upstream.with_server_tls(certificates.server()) {
        upstream.expect_end();
    }
    assert!(client.text().starts_with("-ERR [SYS/TEMP]"));
    client.expect_end();
    popgate.wait_for_log("name mismatch");
}

#[test]
fn stls_is_the_server_s_to_grant() {
    let network = Network::create();
    let (popgate, _) = popgate(&network, "0.0.0.0", "tls = \"stls\"\nupstream_ca = \"{ca}\"", "");
    redirect(&network, &popgate, "110");
    let server = server(&network, SERVER, 110);
    let (mut client, mut upstream) = greeted(&network, &server);
    let offered = capabilities(&mut client, &mut upstream, &["USER"]);
    assert!(!offered.contains(&"STLS".to_owned()), "{offered:?}");
    client.send_line("STLS");
    assert_eq!(upstream.text(), "STLS");
    upstream.send_line("-ERR no such command");
    assert_eq!(client.text(), "-ERR no such command");
    // And the session goes on as it was.
    client.send_line("QUIT");
    assert_eq!(upstream.text(), "QUIT");

    // What the server has said in clear behind its `+OK` does not outlive the handshake.
    let (mut client, mut upstream) = greeted(&network, &server);
    client.send_line("STLS");
    assert_eq!(upstream.text(), "STLS");
    upstream.send("+OK begin\r\n+OK injected\r\n");
    assert!(client.text().starts_with("+OK"));
    let mut client = client.with_client_tls_as(trust(popgate.ca()), NAME);
    assert!(client.text().starts_with("-ERR [SYS/TEMP]"));
    client.expect_end();
}
