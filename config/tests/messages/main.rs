//! The messages as a user sees them.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen to be tests")]

mod logins;

use std::path::Path;

use popgate_config::{Error, parse};

/// Enough for everything else to be right.
const REST: &str = "[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"mail\"\n[[upstream]]\nname = \"mail\"\naddress = \"mail.internal:110\"\n";

fn message(text: &str) -> String {
    parse(text, Path::new("popgate.toml")).unwrap_err().to_string()
}

/// The messages' first lines and hints, without the lines of the file.
fn short(text: &str) -> Vec<(String, String)> {
    let Err(Error::Faults(faults)) = parse(text, Path::new("popgate.toml")) else { panic!("no fault in {text}") };
    faults.iter().map(|fault| (fault.message().to_owned(), fault.hint().to_owned())).collect()
}

fn one(text: &str, message: &str, hint: &str) {
    assert_eq!(short(text), [(message.to_owned(), hint.to_owned())], "{text}");
}

#[test]
fn an_unknown_key() {
    let text = "[[listener]]\nadress = \"127.0.0.1:1110\"\nupstream = \"mail\"\n\n[[upstream]]\nname = \"mail\"\naddress = \"mail.internal:110\"\n";
    let expected = "\
error: unknown key `adress` in `[[listener]]`
 --> popgate.toml:2:1
  |
2 | adress = \"127.0.0.1:1110\"
  | ^^^^^^
  |
  = hint: did you mean `address`?";
    assert_eq!(message(text), expected);
}

#[test]
fn a_wrong_type() {
    let expected = "\
error: `sessions` must be a whole number, not the string `\"many\"`
 --> popgate.toml:8:12
  |
8 | sessions = \"many\"
  |            ^^^^^^
  |
  = hint: for example `sessions = 100`";
    assert_eq!(message(&format!("{REST}[limits]\nsessions = \"many\"\n")), expected);
}

#[test]
fn a_bad_size() {
    let expected = "\
error: `max_message`: `64 megabytes` is not a size
 --> popgate.toml:8:15
  |
8 | max_message = \"64 megabytes\"
  |               ^^^^^^^^^^^^^^
  |
  = hint: write a whole number with `KiB`, `MiB`, `GiB`, `KB`, `MB` or `GB`, as in `64MiB`";
    assert_eq!(message(&format!("{REST}[limits]\nmax_message = \"64 megabytes\"\n")), expected);
}

#[test]
fn an_unknown_upstream() {
    let expected = "\
error: there is no upstream `mial`
 --> popgate.toml:9:12
  |
9 | upstream = \"mial\"
  |            ^^^^^^
  |
  = hint: did you mean `mail`?";
    assert_eq!(message(&format!("{REST}[[route]]\nuser = \"*\"\nupstream = \"mial\"\n")), expected);
}

#[test]
fn a_name_given_twice_shows_both_places() {
    let expected = "\
error: two upstreams are named `mail`
 --> popgate.toml:8:8
  |
5 | name = \"mail\"
  |        ------ the first one
...
8 | name = \"mail\"
  |        ^^^^^^
  |
  = hint: give each upstream a `name` of its own";
    assert_eq!(message(&format!("{REST}[[upstream]]\nname = \"mail\"\naddress = \"b:110\"\n")), expected);
}

#[test]
fn every_fault_is_reported_at_once_and_in_order() {
    let text = "state_dir = 5\n[[listener]]\nname = \"a\"\ntls = \"starttls\"\n[[upstream]]\naddress = \"mail\"\n[[filter]]\nplugin = \"x\"\nmemory = \"64mb\"\n[limits]\nidle = \"5m\"\n";
    let messages: Vec<String> = short(text).into_iter().map(|(message, _)| message).collect();
    assert_eq!(
        messages,
        [
            "`state_dir` must be a path, not the number `5`",
            "`[[listener]]` has no `address`",
            "listener `a` leads nowhere: it has no `upstream`, and there are no routes",
            "`tls`: unknown value `starttls`",
            "`[[upstream]]` has no `name`",
            "`address`: `mail` has no port",
            "`memory`: `64mb` is not a size",
            "`idle`: `5m` is shorter than RFC 1939 allows",
        ]
    );
}

#[test]
fn a_fault_of_toml_itself_comes_alone() {
    for (text, message, hint) in [
        ("x = yes\n", "`yes` is not a value", "write strings in double quotes, numbers, `true` and `false` without"),
        ("x = \n", "a value is missing", "write strings in double quotes, numbers, `true` and `false` without"),
        ("x = \"a\ny = 1\n", "the string does not end", "close it with the quotes that it begins with"),
        ("x = 1\nx = 2\n", "the key `x` is there twice", "keep one of the two"),
    ] {
        one(text, message, hint);
    }
    for cut in 0..REST.len() {
        let _ = parse(&REST[..cut], Path::new("popgate.toml")).map_err(|error| error.to_string());
    }
}

#[test]
fn values_in_a_section() {
    for (section, message, hint) in [
        ("[[filter]]\nplugin = \"x\"\ntimeout = 5", "`timeout`: `5` has no unit", "for seconds write `\"5s\"`"),
        (
            "[[filter]]\nplugin = \"x\"\ncpu = \"0s\"",
            "`cpu`: `\"0s\"` leaves no time at all",
            "for example `cpu = \"5s\"`",
        ),
        (
            "[[filter]]\nplugin = \"my filter.wasm\"",
            "`plugin`: `my filter` can't be the name of a filter",
            "add a `name` of 1 to 64 letters, digits, `-`, `_` or `.`",
        ),
        (
            "[[filter]]\nplugin = \"x\"\non_error = \"drop\"",
            "`on_error`: unknown value `drop`",
            "write one of `retry`, `deliver`, `hold`",
        ),
        (
            "[[filter]]\nplugin = \"x\"\nonly = { user = \"a\" }",
            "`user` must be a list, not the string `\"a\"`",
            "write square brackets, as in `user = [\"a\"]`",
        ),
        (
            "[[filter]]\nplugin = \"x\"\nonly = { listener = [\"a\"] }",
            "there is no listener `a`",
            "the only listener is `127.0.0.1:0`",
        ),
        (
            "[[filter]]\nplugin = \"x\"\nsha256 = \"abc\"",
            "`sha256`: `abc` is not a SHA-256",
            "write the 64 hexadecimal digits that `sha256sum` prints",
        ),
        (
            "[[filter]]\nplugin = \"x\"\n[filter.config]\na = inf",
            "`inf` is not a number that a filter can be given",
            "write a finite number of at most 64 bits",
        ),
        (
            "[[filter]]\nplugin = \"x\"\n[[filter]]\nplugin = \"x\"",
            "two filters are named `x`",
            "give each filter a `name` of its own",
        ),
        (
            "[[route]]\nuser = \"*\"\nupstream = \"mail\"\nrewrite_user = \"{name}\"",
            "`rewrite_user`: `{name}` is not a placeholder",
            "the placeholders are `{user}`, `{local}` and `{domain}`",
        ),
        (
            "[[tls]]\ncertificate = \"c\"",
            "`tls` must be a table, not a list",
            "write `[tls]`, with single brackets, and its keys in the lines below",
        ),
        (
            "[route]\nuser = \"*\"",
            "there can be several of `route`, so it must be a list of tables",
            "write `[[route]]`, with double brackets",
        ),
        (
            "[limits]\nstate_dir = \"x\"",
            "unknown key `state_dir` in `[limits]`",
            "move `state_dir` to the top of the file, before the first section",
        ),
        (
            "[limits]\nbad_commands = 0",
            "`bad_commands` must be at least 1, but is `0`",
            "for example `bad_commands = 100`",
        ),
        (
            "[limits]\nbad_commands = 99999999999",
            "`bad_commands`: `99999999999` is out of range",
            "write a number from 0 to 4294967295",
        ),
    ] {
        one(&format!("{REST}{section}\n"), message, hint);
    }
}

#[test]
fn what_belongs_together() {
    let listener = |keys: &str| format!("{REST}[[listener]]\n{keys}\n");
    let upstream = |keys: &str| format!("{REST}[[upstream]]\nname = \"b\"\n{keys}\n");
    for (text, message, hint) in [
        (
            upstream("address = \"b:1\"\nca = \"ca.pem\""),
            "`ca` checks nothing, since `tls` of `b` is `none`",
            "write `tls = \"stls\"` or `tls = \"implicit\"`, or remove `ca`",
        ),
        (
            upstream("address = \"b:1\"\nserver_name = \"b\""),
            "`server_name` checks nothing, since `tls` of `b` is `none`",
            "write `tls = \"stls\"` or `tls = \"implicit\"`, or remove `server_name`",
        ),
        (
            upstream("address = \"b:0\""),
            "`address`: `b:0` has port 0, to which nothing can connect",
            "POP3 has port 110, POP3 over TLS 995",
        ),
        (
            listener("address = \"[::1]:1\""),
            "listener `[::1]:1` leads nowhere: it has no `upstream`, and there are no routes",
            "add `upstream = \"mail\"`, or a `[[route]]`",
        ),
        (
            listener("address = \"a:1\"\nupstream = \"mail\"\n[[listener]]\naddress = \"a:1\"\nupstream = \"mail\""),
            "two listeners have the address `a:1`",
            "change the port of one",
        ),
        (
            listener("address = \"a:1\"\nupstream = \"mail\"\ntls = \"stls-required\"\nallow_cleartext = true"),
            "`allow_cleartext = true` contradicts `tls = \"stls-required\"`, which never takes cleartext",
            "remove it, or write `tls = \"stls\"`",
        ),
        (
            listener("address = \"a:1\"\nkpop = true"),
            "`kpop = true` needs a fixed upstream: the Kerberos exchange comes before the user's name, by which a route is chosen",
            "add `upstream` with the name of an `[[upstream]]`",
        ),
        (
            listener("address = \"a:1\"\nupstream = \"mail\"\nkpop = true\ntls = \"stls\""),
            "STLS makes both sides forget what was proved before it, and with `kpop = true` Kerberos comes before it",
            "write `tls = \"implicit\"`, or `tls = \"none\"`: a ticket may travel in clear",
        ),
        (
            format!("{REST}tls = \"stls\"\n").replace("[[listener]]", "[[listener]]\nkpop = true"),
            "`kpop = true` can't be had with upstream `mail`: its `tls = \"stls\"` comes behind the greeting, and the Kerberos exchange before it",
            "write `tls = \"implicit\"` or `tls = \"none\"` for `mail`",
        ),
        (
            format!("{REST}auth = \"apop\"\n").replace("[[listener]]", "[[listener]]\nkpop = true"),
            "`kpop = true` can't be had with upstream `mail`: its `auth` needs a password of the client's, and behind Kerberos there is none",
            "remove `auth` from `mail`",
        ),
        (REST.replace("[[listener]]", "[[listeners]]"), "unknown key `listeners`", "did you mean `listener`?"),
        (
            listener("address = \"a:1\"\nupstream = \"mail\"\ntls = \"STARTTLS\""),
            "`tls`: unknown value `STARTTLS`",
            "did you mean `stls`?",
        ),
        (
            "state_dir = \"x\"\n[[upstream]]\nname = \"mail\"\naddress = \"a:1\"".to_owned(),
            "there is no `[[listener]]`",
            "add `[[listener]]` with `address = \"127.0.0.1:1110\"`",
        ),
    ] {
        one(&text, message, hint);
    }
}

#[test]
fn a_file_that_is_not_there() {
    let error = popgate_config::load(Path::new("/nonexistent/popgate.toml")).unwrap_err();
    assert!(matches!(error, Error::Read { .. }));
    let expected = "error: can't read the configuration `/nonexistent/popgate.toml`: No such file or directory (os error 2)\nhint: name an existing file with `--config FILE`";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_file_that_is_not_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("popgate.toml");
    std::fs::write(&path, b"# a\n# \xff\n").unwrap();
    let error = popgate_config::load(&path).unwrap_err().to_string();
    assert!(error.ends_with("line 2 is not UTF-8\nhint: save the file as UTF-8"), "{error}");
}

#[test]
fn colour_is_for_those_who_ask() {
    let error = parse("x = 1", Path::new("popgate.toml")).unwrap_err();
    assert!(!error.to_string().contains('\u{1b}'));
    assert!(error.coloured().contains('\u{1b}'));
}

#[test]
fn what_contradicts_a_transparent_listener() {
    let with = |keys: &str| REST.replace("upstream = \"mail\"\n", &format!("{keys}\n"));
    for (keys, message, hint) in [
        (
            "transparent = true\nupstream = \"mail\"",
            "`upstream` contradicts `transparent = true`: the upstream is where the client was going",
            "remove one of the two",
        ),
        (
            "transparent = true\nproxy_protocol_from = [\"10.0.0.0/8\"]",
            "`proxy_protocol_from` contradicts `transparent = true`: a balancer's PROXY header hides where the client was going",
            "use a listener with `upstream` behind a balancer",
        ),
        (
            "transparent = true\nkpop = true",
            "`kpop` contradicts `transparent = true`: KPOP has ports of its own, and no TLS by which a server could be known",
            "use a listener with `upstream`",
        ),
        (
            "transparent = true\nsasl = [\"PLAIN\"]",
            "`sasl` contradicts `transparent = true`: the server's own mechanisms are offered",
            "remove `sasl`",
        ),
        (
            "transparent = true\ntls = \"implicit\"\nclient_ca = \"ca.pem\"",
            "`client_ca` contradicts `transparent = true`: the servers themselves know their clients",
            "use a listener with `upstream`",
        ),
        (
            "transparent = true\ntransparent_ports = []",
            "`transparent_ports` is empty, so the listener would serve nobody",
            "remove it for `[110, 995]`",
        ),
        (
            "transparent = true\ntransparent_ports = [0]",
            "`transparent_ports`: `0` is not a port",
            "a port is a number from 1 to 65535",
        ),
        (
            "transparent = true\nupstream_ca = \"ca.pem\"",
            "`upstream_ca` checks nothing, since the listener has no TLS and passes none on",
            "write `tls = \"stls\"` or `tls = \"implicit\"`, or remove it",
        ),
        (
            "upstream = \"mail\"\ntransparent_ports = [110]",
            "`transparent_ports` has no effect, since the listener is not transparent",
            "add `transparent = true`, or remove it",
        ),
    ] {
        one(&with(keys), message, hint);
    }
}

#[test]
fn a_grant_names_addresses() {
    let with = |grant: &str| format!("{REST}[[filter]]\nplugin = \"f.wasm\"\ngrant = {grant}\n");
    for address in ["clamd:3310", "127.0.0.1", "127.0.0.1:0", "*"] {
        one(
            &with(&format!("{{ connect = [\"{address}\"] }}")),
            &format!("`connect`: `{address}` is not an IP address and a port"),
            "write both, as in `127.0.0.1:3310` or `[::1]:3310`; filters can't look names up",
        );
    }
    let config = parse(&with("{ connect = [\"[::1]:3310\"] }"), Path::new("popgate.toml")).unwrap();
    assert_eq!(config.filters[0].grant.to_string(), "connect to [::1]:3310");
    let config = parse(&with("{ kv = true }"), Path::new("popgate.toml")).unwrap();
    assert_eq!(config.filters[0].grant.to_string(), "keep state");
}

#[test]
fn verdicts_of_services_are_not_kept() {
    let with = |keys: &str| format!("{REST}[[filter]]\nplugin = \"f.wasm\"\ncache = true\n{keys}\n");
    one(
        &with("grant = { connect = [\"127.0.0.1:3310\"] }"),
        "`cache` can't be true of a filter that asks a service: its verdicts depend on more than the message",
        "remove `cache`, or `connect` of the grant",
    );
    assert!(parse(&with("grant = { kv = true }"), Path::new("popgate.toml")).unwrap().filters[0].cache);
}
