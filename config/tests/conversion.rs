//! What a text becomes.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use popgate_config::{Config, ListenerTls, Mode, OnError, Plugin, RouteTo, UpstreamTls, load, parse, server_address};

const REST: &str = "[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"mail\"\n[[upstream]]\nname = \"mail\"\naddress = \"mail.internal:110\"\n";

fn read(text: &str) -> Config {
    match parse(text, Path::new("/etc/popgate/popgate.toml")) {
        Ok(config) => config,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn reads_listeners_and_upstreams() {
    let config = read(
        "state_dir = \"state\"\nuser = \"popgate\"\n\
         [[listener]]\nname = \"pop3s\"\naddress = \"[::]:995\"\ntls = \"implicit\"\nproxy_protocol_from = [\"10.0.0.0/8\", \"::1\"]\n\
         [[upstream]]\nname = \"a\"\naddress = \"a:995\"\ntls = \"implicit\"\nca = \"ca.pem\"\nserver_name = \"b\"\napop = false\n\
         [[route]]\nuser = \"*+dept.example\"\nupstream = \"a\"\nrewrite_user = \"{local}\"\n\
         [tls]\ncertificate = \"/tls/cert.pem\"\nprivate_key = \"../key.pem\"\n",
    );
    assert_eq!(config.state_dir, Path::new("/etc/popgate/state"));
    assert_eq!(config.user.as_deref(), Some("popgate"));
    let listener = &config.listeners[0];
    assert_eq!((listener.name.as_str(), listener.tls), ("pop3s", ListenerTls::Implicit));
    assert_eq!(listener.proxy_protocol_from, ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
    assert_eq!(listener.address_place.to_string(), "/etc/popgate/popgate.toml:5:11");
    let upstream = config.upstream("a").unwrap();
    assert_eq!((upstream.tls, upstream.apop), (UpstreamTls::Implicit, false));
    assert_eq!(upstream.ca, Some(PathBuf::from("/etc/popgate/ca.pem")));
    assert_eq!(config.routes[0].rewrite("alice+x+dept.example"), "alice+x");
    let tls = config.tls.unwrap();
    assert_eq!((tls.certificate, tls.private_key), ("/tls/cert.pem".into(), "/etc/popgate/../key.pem".into()));
}

#[test]
fn a_transparent_listener_needs_neither_upstream_nor_route() {
    let listener = "[[listener]]\naddress = \"0.0.0.0:1110\"\ntls = \"stls\"\ntransparent = true\n";
    let config = read(listener);
    assert!(config.upstreams.is_empty() && config.warnings.is_empty(), "{:?}", config.warnings);
    let transparent = config.listeners[0].transparent.as_ref().unwrap();
    assert_eq!((&transparent.ports[..], transparent.ca.is_none()), (&[110, 995][..], true));
    let config = read(&format!("{listener}transparent_ports = [1100]\nupstream_ca = \"ca.pem\"\n"));
    let transparent = config.listeners[0].transparent.as_ref().unwrap();
    assert_eq!(transparent.ports, [1100]);
    assert_eq!(transparent.ca.as_deref(), Some(Path::new("/etc/popgate/ca.pem")));
    assert_eq!(read(&REST.replace("upstream =", "transparent = false\nupstream =")).listeners[0].transparent, None);
}

#[test]
fn reads_a_filter() {
    let config = read(&format!(
        "{REST}[[filter]]\nplugin = \"filters/mine.wasm\"\non_error = \"deliver\"\ntimeout = \"500ms\"\nmode = \"observe\"\n\
         only = {{ user = [\"*@a\"], listener = [\"127.0.0.1:0\"], max_size = \"20MB\" }}\ndata = {{ list = \"list.txt\" }}\n\
         [filter.config]\nwords = [\"a\", 0x10, 1.5, true, 2026-01-02]\n[[filter.config.rules]]\nheader = \"Subject\"\n\
         [[filter]]\nplugin = \"virus\"\n"
    ));
    let filter = &config.filters[0];
    assert_eq!(filter.name, "mine");
    assert_eq!(filter.plugin, Plugin::File("/etc/popgate/filters/mine.wasm".into()));
    assert_eq!((filter.on_error, filter.on_poison, filter.mode), (OnError::Deliver, OnError::Hold, Mode::Observe));
    assert_eq!((filter.timeout, filter.memory), (Duration::from_millis(500), 64 << 20));
    assert!(filter.only.user[0].matches("x@A"));
    assert_eq!((filter.only.listener[0].as_str(), filter.only.max_size), ("127.0.0.1:0", Some(20_000_000)));
    assert_eq!(filter.data["list"], Path::new("/etc/popgate/list.txt"));
    assert_eq!(filter.data_places["list"].line(), 13);
    let settings =
        serde_json::json!({ "words": ["a", 16, 1.5, true, "2026-01-02"], "rules": [{ "header": "Subject" }] });
    assert_eq!(filter.settings, settings);
    for (path, line) in [("words[1]", 15), ("rules[0].header", 17), ("rules[0].value", 16), ("nothing", 14), (".", 14)]
    {
        assert_eq!(filter.setting_place(path).line(), line, "{path}");
    }
    assert_eq!(config.filters[1].plugin, Plugin::Bundled("virus".to_owned()));
    assert_eq!(config.filters[1].settings, serde_json::json!({}));
}

#[test]
fn settings_may_stand_in_a_file_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("popgate.toml");
    let text = format!("{REST}[[filter]]\nplugin = \"virus\"\nconfig_file = \"virus.toml\"\n");
    std::fs::write(&path, &text).unwrap();

    let error = load(&path).unwrap_err().to_string();
    assert!(error.contains("virus.toml`: No such file or directory"), "{error}");

    std::fs::write(folder.path().join("virus.toml"), "# mine\naction = hold\n").unwrap();
    let error = load(&path).unwrap_err().to_string();
    assert!(error.contains("virus.toml:2:10"), "{error}");

    std::fs::write(folder.path().join("virus.toml"), "# mine\naction = \"hold\"\n").unwrap();
    let config = load(&path).unwrap();
    let filter = &config.filters[0];
    assert_eq!(filter.settings, serde_json::json!({ "action": "hold" }));
    let error = config.fault_at(filter.setting_place("action"), "`hold` is not known", "write `strip`").to_string();
    assert!(error.contains("virus.toml:2:10"), "{error}");
    assert_eq!(filter.settings_place.line(), 9);
    assert!(load(&path).is_ok_and(|again| again == config));

    std::fs::write(&path, format!("{text}config = {{}}\n")).unwrap();
    let error = load(&path).unwrap_err().to_string();
    assert!(error.contains("a filter has `config` or `config_file`, not both"), "{error}");
}

#[test]
fn later_checks_point_into_the_file_too() {
    let config = read(&format!("{REST}[[filter]]\nplugin = \"gone.wasm\"\n"));
    let error = config.fault_at(&config.filters[0].plugin_place, "there is no file `gone.wasm`", "");
    let expected = "\
error: there is no file `gone.wasm`
 --> /etc/popgate/popgate.toml:8:10
  |
8 | plugin = \"gone.wasm\"
  |          ^^^^^^^^^^^";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn places_do_not_count_when_configurations_are_compared() {
    assert_eq!(read(REST), read(&format!("\u{feff}# a comment\r\n{}", REST.replace('\n', "\r\n"))));
    assert_ne!(read(REST), read(&REST.replace("110", "995")));
}

#[test]
fn listeners_without_a_name_have_different_ones() {
    let listener = "[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"mail\"\n";
    let names: Vec<String> =
        read(&format!("{REST}{listener}{listener}")).listeners.into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["127.0.0.1:0", "127.0.0.1:0#2", "127.0.0.1:0#3"]);
}

#[test]
fn users_may_name_their_servers_without_any_upstream() {
    let config = read(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\nserver_in_user = true\nca = \"ca.pem\"\nrewrite_user = \"{local}\"\n\
         allowed_servers = [\"*.example.org:110\", \"POP.example.org.:110 cleartext\"]\n\
         [[route]]\nuser = \"*\"\nserver_in_user = true\nallowed_servers = [\"a\"]\n",
    );
    let RouteTo::ServerInUser(servers) = &config.routes[0].to else { panic!("another kind of route") };
    assert_eq!(servers.common.ca, Some(PathBuf::from("/etc/popgate/ca.pem")));
    let tls = |server: &str| servers.entry(&server_address(server).unwrap()).map(|entry| entry.tls);
    // The entry that names the server comes before the wildcard.
    assert_eq!(tls("pop.example.org:110"), Some(UpstreamTls::None));
    assert_eq!(tls("mx.example.org:110"), Some(UpstreamTls::Stls));
    assert_eq!(tls("mx.example.org"), None);
    assert_eq!(config.routes[0].rewrite("alice@example.org"), "alice");
    assert!(config.warnings.iter().any(|warning| warning.contains("never reached")), "{:?}", config.warnings);
}

#[test]
fn warns_of_what_is_probably_not_meant() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    std::fs::write(&key, "").unwrap();
    let tls = format!("[tls]\ncertificate = \"c\"\nprivate_key = {:?}\n", key.to_str().unwrap());
    let mode = |mode| std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
    let with = |keys: &str| REST.replace("127.0.0.1:0\"\n", &format!("0.0.0.0:1\"\n{keys}\n"));
    mode(0o644);
    for (text, part) in [
        (with("allow_cleartext = true"), ":2: listener `0.0.0.0:1` takes passwords in cleartext"),
        (with(""), ":2: listener `0.0.0.0:1` has no TLS"),
        (
            with("allow_cleartext = true\ntls = \"implicit\""),
            ":2: `allow_cleartext` of listener `0.0.0.0:1` has no effect",
        ),
        (
            format!("{REST}[[upstream]]\nname = \"b\"\naddress = \"b:1\""),
            ":7: no listener and no route leads to upstream `b`",
        ),
        (format!("{REST}[[route]]\nuser = \"*\"\nupstream = \"mail\""), ":7: routes have no effect"),
        (format!("{REST}[[filter]]\nplugin = \"x\"\nmemory = \"64KiB\""), ":7: filter `x` has 65536 octets of memory"),
        (format!("{REST}[[filter]]\nplugin = \"x\"\ncpu = \"6s\""), ":7: `cpu` of filter `x` is never used up"),
        (
            format!("{REST}[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"mail\"\nkpop = true"),
            ":10: upstream `mail` is reached with and without KPOP",
        ),
        (format!("{REST}{tls}"), ":7: the certificate is never shown"),
        (format!("{}{tls}", with("tls = \"stls\"")), ":10: every user of this machine can read the private key"),
        (
            format!("{REST}[[route]]\nserver_in_user = true\nallowed_servers = [\"*.com\"]"),
            ":7: `*.com` lets users name any server",
        ),
        (
            format!("{REST}[[route]]\nserver_in_user = true\nallowed_servers = [\"mail\"]"),
            ":4: upstream `mail` bears the name of a server that users may name",
        ),
        (
            format!(
                "{REST}[[route]]\nuser = \"*\"\nupstream = \"mail\"\n[[route]]\nserver_in_user = true\nallowed_servers = [\"a\"]"
            ),
            ":10: this route is never reached",
        ),
    ] {
        let warnings = read(&text).warnings;
        assert!(warnings.iter().any(|warning| warning.contains(part)), "{part}: {warnings:?}");
    }
    mode(0o600);
    assert_eq!(read(&format!("{}{tls}", with("tls = \"stls\""))).warnings, [""; 0]);
    assert_eq!(read(REST).warnings, [""; 0]);
    assert_eq!(read(&with("kpop = true")).warnings, [""; 0]);
}
