//! Mail that is hard to read, through all bundled filters at once: none fails, and what nobody has anything against stays as it is,
//! octet for octet.

use std::collections::BTreeMap;
use std::fs;

use popgate_tests::mail::{crlf, encoded};
use popgate_tests::process::{self, folder, write};
use popgate_tests::{PATIENCE, popgate};
use serde_json::Value;

/// Every filter that asks no daemon, in a form in which it writes nothing where it finds nothing.
const FILTERS: &str = "[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"none\"\n\
    [[upstream]]\nname = \"none\"\naddress = \"127.0.0.1:110\"\n\
    [[filter]]\nplugin = \"attachments\"\n[[filter]]\nplugin = \"virus\"\n[[filter]]\nplugin = \"rules\"\n\
    [[filter]]\nplugin = \"spam\"\nconfig = { report = false }\n[[filter]]\nplugin = \"verdict\"\nconfig = { headers = false }\n\
    [[filter]]\nplugin = \"defang\"\n[[filter]]\nplugin = \"rewrite\"\n";

/// What becomes of a mail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Becomes {
    /// It stays as it is.
    Same,
    /// It is written anew, since it can be read in more than one way, or something is taken out.
    Changed,
    Held,
}

use Becomes::{Changed, Held, Same};

/// A multipart of these parts, each with its own header.
fn multipart(head: &str, parts: &[&str]) -> String {
    let parts: String = parts.iter().map(|part| format!("--b\n{part}\n")).collect();
    format!("{head}\n\npreamble\n{parts}--b--\nepilogue\n")
}

/// Mails by name, and what becomes of them.
fn mails() -> Vec<(&'static str, Vec<u8>, Becomes)> {
    let mixed = "From: a@example.org\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b";
    let nested = |depth: usize| {
        let open: String =
            (0..depth).map(|at| format!("Content-Type: multipart/mixed; boundary=x{at}y\n\n--x{at}y\n")).collect();
        let close: String = (0..depth).rev().map(|at| format!("--x{at}y--\n")).collect();
        format!("{open}\ntext\n{close}")
    };
    let text = |name, mail: String, becomes| (name, crlf(mail.as_bytes()), becomes);
    let mut mails = vec![
        ("empty", Vec::new(), Same),
        ("blank-line", b"\r\n".to_vec(), Same),
        ("without-header", b"\r\nJust a text.\r\n".to_vec(), Same),
        ("without-blank-line", b"From: a@example.org\r\nSubject: s\r\n".to_vec(), Same),
        ("without-end", b"From: a@example.org\r\n\r\nno line end".to_vec(), Same),
        ("lone-cr", b"From: a@example.org\r\n\r\none\rtwo\r\r\nthree\r\n".to_vec(), Same),
        ("nul", b"From: a\0b@example.org\r\nSubject: n\0l\r\n\r\none\0two\r\n".to_vec(), Changed),
        ("eight-bit-header", b"From: J\xf6rg <j@example.org>\r\nSubject: gr\xfc\xdfe \xf0\x9f\x98\x80\r\n\r\nx\r\n".to_vec(), Same),
        ("every-octet", [b"From: a@example.org\r\n\r\n".to_vec(), (0..=255).filter(|octet| *octet != b'\n').collect()].concat(), Same),
        ("utf-16", [b"Content-Type: text/plain; charset=utf-16\r\n\r\n\xff\xfe".to_vec(), b"h\0i\0".repeat(50)].concat(), Same),
        text("mbox-from", "From a@example.org Sat Jan  3 01:05:34 1996 x\nSubject: s\n\ntext\n".replacen("From ", "X: ", 1), Same),
        text("utf-7", "Content-Type: text/plain; charset=utf-7\n\n+AGg-ello +//8-\n".to_owned(), Same),
        text("unknown-charset", "Subject: =?x-none?q?a=20b?=\nContent-Type: text/html; charset=x-none\n\n<p>text\n".to_owned(), Same),
        text("encoded-words", format!("Subject: {}\n\ntext\n", "=?utf-8?b?4pyT?= =?utf-8?q?=E2=9C?=\n ".repeat(500)), Same),
        text("broken-words", "Subject: =?utf-8?b?4pyT= =?= =??q??= =?utf-8?x?a?= =?utf-8?b?****?=\n\ntext\n".to_owned(), Same),
        text("long-line", format!("Subject: s\n\n{}\n", "x".repeat(300_000)), Same),
        text("long-header", format!("X-Long: {}\n\ntext\n", "y".repeat(200_000)), Same),
        text("many-fields", format!("{}\ntext\n", "X-Field: value\n".repeat(9_000)), Same),
        text("many-folds", format!("X-Folded: a\n{}\ntext\n", " b\n".repeat(20_000)), Same),
        text("many-addresses", format!("To: {}z@example.org\n\ntext\n", "a@example.org,\n ".repeat(5_000)), Same),
        text("two-subjects", "From: a@example.org\nFrom: b@example.org\nSubject: one\nSubject: two\n\ntext\n".to_owned(), Same),
        text("odd-names", "x y: 1\n: 2\n\tcontinued\nNo colon here\n\ntext\n".to_owned(), Same),
        text("odd-date", "Date: Mon, 99 Foo 99999 77:88:99 +99999999\nMessage-ID: <<>>\n\ntext\n".to_owned(), Same),
        text("nested-80", nested(80), Same),
        text("many-parts", multipart(mixed, &vec!["Content-Type: text/plain\n\ntext"; 3_000]), Same),
        text("never-closed", multipart(mixed, &["\ntext"]).replace("--b--\nepilogue\n", ""), Same),
        text("no-parts", format!("{mixed}\n\nThere is no part.\n"), Changed),
        text("empty-parts", multipart(mixed, &["\n", "", "Content-Type: text/html\n"]), Same),
        text("lengths-of-boundaries", multipart(mixed, &["Content-Type: multipart/mixed; boundary=bb\n\n--bb\n\ntext\n--bb--"]), Same),
        text("rfc2231", multipart(mixed, &["Content-Type: text/plain; name*0*=utf-8''%e2%82; name*1*=%ac; name*2=\".txt\"\n\ntext"]), Same),
        text("paths", multipart(mixed, &["Content-Type: text/plain; name=\"../../etc/passwd\"\n\ntext"]), Same),
        text("long-name", multipart(mixed, &[&format!("Content-Type: text/plain; name=\"{}.txt\"\n\ntext", "n".repeat(20_000))]), Same),
        text("uuencode", format!("Subject: s\n\nbegin 644 a.txt\n{}`\nend\n", "#86)C\n".repeat(50)), Changed),
        text("broken-uuencode", "Subject: s\n\nbegin 644 a.txt\nM~~~~\nno end\n".to_owned(), Same),
        text("quoted", "Content-Transfer-Encoding: quoted-printable\n\nsoft=20=\nbreak =3D=\n".to_owned(), Same),
        text("html", format!("Content-Type: text/html\n\n{}<table><td>x</b></i><!-- <p> --><p a=b>\n", "<div>".repeat(3_000)), Same),
        text("delivery-status", "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nfailed\n--b\n\
              Content-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\nAction: failed\n--b\nContent-Type: message/rfc822\n\n\
              Subject: inner\n\ntext\n--b--\n".to_owned(), Same),
        text("calendar", "Content-Type: text/calendar; method=REQUEST\n\nBEGIN:VCALENDAR\nEND:VCALENDAR\n".to_owned(), Same),
        text("signed", multipart(&mixed.replace("mixed;", "signed; protocol=\"application/pgp-signature\";"),
              &["Content-Type: text/html\n\n<p onclick=x>text</p>", "Content-Type: application/pgp-signature\n\nx"]), Same),
        text("encrypted", "Content-Type: application/pkcs7-mime; name=smime.p7m\nContent-Transfer-Encoding: base64\n\nMIAGCSqGSIb3\n".to_owned(), Same),
        // Readers differ on these.
        text("broken-quoted", "Content-Transfer-Encoding: quoted-printable\n\nsoft=20=\nbreak = =zz =3D=\n".to_owned(), Changed),
        text("two-types", "Content-Type: text/plain\nContent-Type: text/html\n\n<p>text\n".to_owned(), Changed),
        text("two-encodings", "Content-Transfer-Encoding: base64\nContent-Transfer-Encoding: 7bit\n\ndGV4dA==\n".to_owned(), Changed),
        text("illegal-base64", multipart(mixed, &["Content-Transfer-Encoding: base64\n\ndG*V4dA=="]), Changed),
        text("padding-inside", multipart(mixed, &["Content-Transfer-Encoding: base64\n\ndGV4dA==dGV4dA=="]), Changed),
        // Somebody has something against these.
        text("script", "Content-Type: text/html\n\n<p onclick=x>text</p><script>x</script>\n".to_owned(), Changed),
        text("program", multipart(mixed, &["\ntext", &format!("Content-Type: image/png; name=a.png\nContent-Transfer-Encoding: base64\n\n{}", encoded(b"MZ\x90\0\x03\0\0\0 a program"))]), Changed),
        text("turned-name", multipart(mixed, &["\ntext", "Content-Type: image/png; name*=utf-8''a%E2%80%AEgnp.exe\n\nx"]), Changed),
        text("partial", "Content-Type: message/partial; id=x; number=1; total=2\n\ntext\n".to_owned(), Held),
        text("external", "Content-Type: message/external-body; access-type=URL; URL=\"http://example.org/\"\n\nContent-Type: text/html\n\n".to_owned(), Held),
    ];
    // The same with lines of LF alone, as files have them.
    let bare: Vec<_> = mails
        .iter()
        .filter(|(.., becomes)| *becomes == Same)
        .filter(|(name, ..)| !matches!(*name, "lone-cr" | "every-octet" | "utf-16"))
        .map(|(name, mail, becomes)| (*name, mail.clone(), *becomes))
        .collect();
    for (name, mail, becomes) in bare {
        let name: &'static str = format!("{name}-lf").leak();
        mails.push((name, popgate_tests::mail::normalised(&mail), becomes));
    }
    mails
}

#[test]
fn tricky_mail_passes_all_filters_and_stays_as_it_is_where_nothing_is_wrong() {
    let folder = folder();
    let [mails_folder, out] = ["mails", "out"].map(|name| folder.path().join(name));
    fs::create_dir(&mails_folder).expect("the folder is new");
    let mails = mails();
    for (name, mail, _) in &mails {
        write(&mails_folder.join(name), mail);
    }
    let config = popgate::configuration(folder.path(), FILTERS);
    let mut command = popgate::command();
    command.args(["filter", "--json", "--config"]).arg(config).arg("--out").arg(&out).arg(&mails_folder);
    let ended = process::run(&mut command, 15 * PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    let reports: BTreeMap<String, Value> = ended
        .output
        .lines()
        .map(|line| {
            let report: Value = serde_json::from_str(line).expect("a report is a line of JSON");
            let name = report["mail"].as_str().and_then(|path| path.rsplit('/').next()).expect("it names its mail");
            (name.to_owned(), report)
        })
        .collect();
    for (name, mail, becomes) in &mails {
        let report = &reports[*name];
        let failed = report["filters"].as_array().into_iter().flatten().any(|filter| !filter["error"].is_null());
        assert!(!failed, "{name}: {report}");
        let became = match (report["verdict"].as_str(), report["changed"].as_bool()) {
            (Some("pass"), Some(false)) => Same,
            (Some("pass"), Some(true)) => Changed,
            (Some("hold"), _) => Held,
            _ => panic!("{name}: {report}"),
        };
        assert_eq!(became, *becomes, "{name}: {report}");
        let result = fs::read(out.join(name)).expect("there is a result");
        assert_eq!(result == *mail, *becomes == Same, "{name}: {}", String::from_utf8_lossy(&result));
    }
}
