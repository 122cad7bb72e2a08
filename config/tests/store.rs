//! `[store]` and `[quarantine]`: what is said of them, and that no password is ever shown.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen to be tests")]

use std::path::Path;

use popgate_config::{Bucket, Config, Database, Error, QuarantinePlace, parse};

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

#[test]
fn held_mail_is_kept_for_a_while_or_for_ever() {
    for (lines, days) in [("", Some(30)), ("keep = \"7d\"", Some(7)), ("keep = \"0\"", None), ("keep = \"0s\"", None)] {
        let config = read(&format!("[quarantine]\n{lines}")).unwrap();
        assert_eq!(config.quarantine.keep, days.map(|days| std::time::Duration::from_secs(days * 86_400)), "{lines}");
    }
    for (lines, expected) in [
        ("keep = 30", "`30` has no unit"),
        ("keep = \"400d\"", "is longer than a year"),
        ("langauge = \"de\"", "did you mean `language`?"),
        ("language = \"fr\"", "unknown value `fr`"),
        ("language = \"de\"\nnotice = \"n.txt\"", "`language` has no effect beside `notice`"),
    ] {
        let error = read(&format!("[quarantine]\n{lines}")).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn held_mail_is_in_a_folder_or_in_a_bucket() {
    let bucket = |lines: &str| match read(lines).unwrap().store.quarantine {
        QuarantinePlace::Bucket(bucket) => bucket,
        QuarantinePlace::Folder => panic!("{lines} is a folder"),
    };
    let Bucket { name, prefix, endpoint, cleartext, .. } = bucket("quarantine = \"s3://mail/held/by_popgate/\"");
    assert_eq!((&*name, &*prefix, endpoint, cleartext), ("mail", "held/by_popgate", None, false));
    for (endpoint, cleartext) in [
        ("https://s3.internal:9000/", false),
        ("http://127.0.0.1:9000", true),
        ("http://[::1]:9000", true),
        ("http://localhost", true),
    ] {
        let bucket = bucket(&format!("quarantine = \"s3://mail\"\ns3_endpoint = \"{endpoint}\""));
        assert_eq!((bucket.endpoint.as_deref(), bucket.cleartext), (Some(endpoint.trim_end_matches('/')), cleartext));
    }
    assert!(bucket("quarantine = \"s3://mail\"\ns3_endpoint = \"http://10.0.0.1\"\ns3_cleartext = true").cleartext);
    assert_eq!(read("quarantine = \"folder\"").unwrap().store.quarantine, QuarantinePlace::Folder);
    for (lines, expected) in [
        ("quarantine = \"s3:/mail\"", "`s3:/mail` is no place for held mail"),
        ("quarantine = \"s3://UPPER\"", "is no place for held mail"),
        ("quarantine = \"s3://mail/a/../b\"", "is no place for held mail"),
        ("quarantine = \"/srv/held\"", "is no place for held mail"),
        ("s3_region = \"x\"", "`s3_region` has no effect: held mail is in a folder"),
        (
            "quarantine = \"s3://mail\"\ns3_endpoint = \"http://10.0.0.1:9000\"",
            "`http://10.0.0.1:9000` is not encrypted",
        ),
        ("quarantine = \"s3://mail\"\ns3_endpoint = \"http://127.0.0.1.evil.example\"", "is not encrypted"),
        ("quarantine = \"s3://mail\"\ns3_endpoint = \"https://u:sesame@h\"", "there are credentials in the URL"),
        ("quarantine = \"s3://mail\"\ns3_endpoint = \"ftp://h\"", "is not the URL of a server"),
    ] {
        let error = read(lines).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("sesame"), "{error}");
    }
}
