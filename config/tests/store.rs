//! `[store]`: what is said of it, and that no password is ever shown.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen to be tests")]

use std::path::Path;

use popgate_config::{Config, Database, Error, parse};

const REST: &str = "[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"mail\"\n[[upstream]]\nname = \"mail\"\naddress = \"mail.internal:110\"\n";

fn read(lines: &str) -> Result<Config, Error> {
    parse(&format!("{REST}[store]\n{lines}\n"), Path::new("/etc/popgate.toml"))
}

#[test]
fn a_database_has_its_password_elsewhere() {
    for (lines, expected) in [
        ("database = \"postgres://u:sesame@h/d\"", "there is a password in the URL"),
        ("database = \"postgres://h/d?user=u&password=sesame\"", "there is a password in the URL"),
        ("database = \"mysql://h/d\"", "`mysql://h/d` is no database"),
        ("password_file = \"p\"", "`password_file` has no effect: SQLite has no passwords"),
    ] {
        let error = read(lines).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("sesame"), "{error}");
    }
}

#[test]
fn reads_a_server_and_quotas() {
    let config = read("database = \"postgres://u@h/d\"\npassword_file = \"p\"\nkv_per_user = \"1MiB\"").unwrap();
    assert_eq!(config.store.kv_per_user, 1 << 20);
    let Database::Postgres { url, password_file, .. } = &config.store.database else { panic!("no server") };
    assert_eq!((url.as_str(), password_file.as_deref()), ("postgres://u@h/d", Some(Path::new("/etc/p"))));
}
