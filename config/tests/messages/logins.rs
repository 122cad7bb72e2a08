//! Faults in how users log in, and where they get to.

use super::*;

/// A route to servers that users name, with these further lines.
fn named(lines: &str) -> String {
    format!("{REST}[[route]]\nserver_in_user = true\n{lines}\n")
}

#[test]
fn an_open_proxy() {
    let expected = "\
error: `allowed_servers`: `*` would let everybody use popgate to reach any server
 --> popgate.toml:9:20
  |
9 | allowed_servers = [\"*\"]
  |                    ^^^
  |
  = hint: name the servers, or a domain of theirs as in `*.example.org`";
    assert_eq!(message(&named("allowed_servers = [\"*\"]")), expected);
    for lines in ["", "allowed_servers = []"] {
        one(
            &named(lines),
            "`[[route]]` has no `allowed_servers`, the servers that users may name",
            "list them, for example `allowed_servers = [\"*.example.org:995\"]`",
        );
    }
}

#[test]
fn a_route_of_two_kinds() {
    one(
        &named("allowed_servers = [\"pop.example.org\"]\nupstream = \"mail\""),
        "`upstream` contradicts `server_in_user`, where the user names the server",
        "remove it; a route for names without a server may follow this one",
    );
    one(
        &format!("{REST}[[route]]\nuser = \"*\"\nupstream = \"mail\"\nallowed_servers = [\"pop.example.org\"]\n"),
        "`allowed_servers` has no effect without `server_in_user = true`",
        "add that in the place of `upstream`; an upstream has its `ca` in its own section",
    );
    one(
        &named("allowed_servers = [\"pop.example.org:110 cleartext\"]\nca = \"ca.pem\""),
        "`ca` checks nothing, since all of `allowed_servers` are `cleartext`",
        "remove `ca`, or the word `cleartext`",
    );
    one(
        &named("allowed_servers = [\"pop.example.org:110 plain\"]"),
        "`allowed_servers`: unknown word `plain`",
        "behind the server may stand `stls`, `implicit` or `cleartext`, which encrypts nothing",
    );
}

#[test]
fn an_upstream_that_is_popgate_itself() {
    let text = "[[listener]]\nname = \"pop3\"\naddress = \"0.0.0.0:1110\"\nupstream = \"mail\"\n\
                [[upstream]]\nname = \"mail\"\naddress = \"127.0.0.1:1110\"\n";
    let expected = "\
error: `address`: `127.0.0.1:1110` is popgate's own listener `pop3`
 --> popgate.toml:7:11
  |
3 | address = \"0.0.0.0:1110\"
  |           -------------- the listener
...
7 | address = \"127.0.0.1:1110\"
  |           ^^^^^^^^^^^^^^^^
  |
  = hint: write the address of the mail server itself";
    assert_eq!(message(text), expected);
}

#[test]
fn a_master_login_needs_its_keys_and_somebody_who_vouches() {
    let with = |keys: &str| format!("{REST}{keys}");
    one(
        &with("auth = \"master\"\nmaster_user = \"gateway\"\nusers_file = \"users\"\n"),
        "`auth = \"master\"` needs `master_password_file`",
        "add it, for example `master_password_file = \"master.password\"`",
    );
    one(
        &with("auth = \"master\"\nmaster_user = \"gateway\"\nmaster_password_file = \"p\"\n"),
        "`auth = \"master\"`: nobody checks who the clients of listener `127.0.0.1:0` are before they are logged in as anyone",
        "add `users_file` with the clients' password hashes here, or `client_ca` to the listener",
    );
    for auth in ["", "auth = \"relay\"\n", "auth = \"apop\"\n"] {
        one(
            &with(&format!("{auth}users_file = \"users\"\n")),
            "`users_file` has no effect without `auth = \"master\"`",
            "add that, or remove `users_file`",
        );
    }
    one(
        &with("auth = \"digest\"\nusers_file = \"users\"\n"),
        "`auth`: unknown value `digest`",
        "write one of `relay`, `apop`, `master`",
    );
}

#[test]
fn a_routed_way_to_a_master_login_needs_somebody_who_vouches_too() {
    let text = |listener: &str, upstream: &str| {
        format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\n{listener}\n[[route]]\nuser = \"*\"\nupstream = \"mail\"\n\
             [[upstream]]\nname = \"mail\"\naddress = \"127.0.0.1:110\"\nauth = \"master\"\nmaster_user = \"gateway\"\n\
             master_password_file = \"p\"\n{upstream}"
        )
    };
    let open = short(&text("", ""));
    assert!(open.len() == 1 && open[0].0.contains("nobody checks who the clients of listener"), "{open:?}");
    for (listener, upstream) in [("", "users_file = \"u\"\n"), ("tls = \"implicit\"\nclient_ca = \"ca.pem\"", "")] {
        parse(&text(listener, upstream), Path::new("popgate.toml")).unwrap();
    }
}

#[test]
fn clients_with_certificates_have_tls_and_nobody_else_gets_in() {
    for tls in ["none", "stls"] {
        one(
            &REST.replacen('\n', &format!("\ntls = \"{tls}\"\nclient_ca = \"ca.pem\"\n"), 1),
            "`client_ca` lets nobody in without a certificate, so TLS must be required",
            "write `tls = \"implicit\"` or `tls = \"stls-required\"`",
        );
    }
}

#[test]
fn mechanisms_are_chosen_where_routes_decide() {
    let text = |keys: &str| {
        format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\n{keys}\n[[route]]\nuser = \"*\"\nupstream = \"mail\"\n\
             [[upstream]]\nname = \"mail\"\naddress = \"mail.internal:110\"\n"
        )
    };
    one(&text("sasl = [\"plain\"]"), "`sasl`: unknown value `plain`", "did you mean `PLAIN`?");
    one(
        &text("sasl = [\"LOGIN\"]\nupstream = \"mail\""),
        "`sasl` has no effect beside `upstream`: the mechanisms of `mail` itself are offered",
        "remove `sasl`; it is for listeners without `upstream`, and for upstreams with `greeting = \"own\"`",
    );
    let short = short(&text("sasl = [\"CRAM-MD5\"]"));
    assert!(short.len() == 1 && short[0].0 == "`sasl`: unknown value `CRAM-MD5`", "{short:?}");
}
