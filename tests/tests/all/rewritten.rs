//! Mail that filters have changed, as others read it: Python's email package, Perl's MIME::Parser and the crate mail-parser.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mail_parser::{MessageParser, MimeHeaders as _, PartType};
use popgate_tests::mail::{crlf, eicar, encoded};
use popgate_tests::process::{program, run, write};
use popgate_tests::{PATIENCE, popgate};

/// Each leaf of a mail on a line: its type, whether that is a text, and the octets in hexadecimal digits; a text by its charset in
/// UTF-8, with LF as line ends and without white space at its end.
const PYTHON: &str = r#"
import email, sys
for name in sys.argv[1:]:
    for part in email.message_from_bytes(open(name, "rb").read()).walk():
        if part.is_multipart(): continue
        octets = part.get_payload(decode=True)
        if part.get_content_maintype() == "text":
            octets = octets.decode(part.get_content_charset("utf-8")).encode()
        octets = octets.replace(b"\r\n", b"\n").rstrip()
        print(name.split("/")[-1], part.get_content_type(), octets.hex())
"#;

/// The same.
const PERL: &str = r#"
use MIME::Parser; use Encode;
sub leaves {
    my ($name, $part) = @_;
    my @children = $part->parts;
    if (@children) { leaves($name, $_) for @children; return; }
    my $octets = $part->bodyhandle->as_string;
    if ($part->effective_type =~ m{^text/}) {
        my $charset = $part->head->mime_attr("content-type.charset") || "utf-8";
        $octets = encode("utf-8", decode($charset, $octets));
    }
    $octets =~ s/\r\n/\n/g; $octets =~ s/\s+$//;
    print "$name ", lc $part->effective_type, " ", unpack("H*", $octets), "\n";
}
for my $file (@ARGV) {
    my $parser = MIME::Parser->new; $parser->output_to_core(1);
    my ($name) = $file =~ m{([^/]+)$};
    leaves($name, $parser->parse_open($file));
}
"#;

const SERVER: &str = "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\ntls = \"none\"\nupstream = \"server\"\n\
    [[upstream]]\nname = \"server\"\naddress = \"127.0.0.1:9\"\ntls = \"none\"\n";

/// Filters that change texts.
const CHANGED: &str = "[[filter]]\nplugin = \"defang\"\n[[filter]]\nplugin = \"rewrite\"\n\
    [[filter.config.banner]]\ntext = \"Von au\u{df}en: {header:From}\"\n\
    [[filter.config.banner]]\ntext = \"Disclaimer\"\nplace = \"bottom\"\n";

/// Filters that take something out.
const STRIPPED: &str = "[[filter]]\nplugin = \"attachments\"\n\
    [[filter]]\nplugin = \"virus\"\nconfig = { action = \"strip\" }\n";

/// Mails by name: each charset in each transfer encoding, alone and among other parts.
fn mails() -> Vec<(String, Vec<u8>)> {
    let texts: [(&str, &[u8]); 8] = [
        ("us-ascii", b"plain text\r\n"),
        ("utf-8", "Gr\u{fc}\u{df}e \u{1f600}\r\n".as_bytes()),
        ("iso-8859-1", b"Gr\xfc\xdfe\r\n"),
        ("iso-8859-15", b"Gr\xfc\xdfe \xa4\r\n"),
        ("windows-1251", b"\xcf\xf0\xe8\xe2\xe5\xf2\r\n"),
        ("koi8-r", b"\xf0\xd2\xc9\xd7\xc5\xd4\r\n"),
        ("shift_jis", b"\x93\xfa\x96\x7b\r\n"),
        ("gb2312", b"\xc4\xe3\xba\xc3\r\n"),
    ];
    let mut mails = Vec::new();
    for (charset, text) in texts {
        for transfer in ["8bit", "quoted-printable", "base64"] {
            let body = match transfer {
                "8bit" => text.to_vec(),
                "base64" => crlf(encoded(text).as_bytes()),
                _ => quoted(text),
            };
            for subtype in ["plain", "html"] {
                let fields = format!(
                    "Content-Type: text/{subtype}; charset={charset}\r\nContent-Transfer-Encoding: {transfer}\r\n\r\n"
                );
                let leaf = [fields.as_bytes(), &body].concat();
                let head = "From: A <a@example.org>\r\nSubject: s\r\nMIME-Version: 1.0\r\n";
                let name = |form: &str| format!("{form}-{subtype}-{charset}-{transfer}.eml");
                mails.push((name("single"), [head.as_bytes(), &leaf].concat()));
                let mixed = "Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\n";
                let rest = "\r\n--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n\
                            JVBERi0xLjQ=\r\n--b--\r\n";
                mails.push((name("mixed"), [head.as_bytes(), mixed.as_bytes(), &leaf, rest.as_bytes()].concat()));
            }
        }
    }
    mails
}

fn quoted(text: &[u8]) -> Vec<u8> {
    let octet = |octet: &u8| match octet {
        b'\r' | b'\n' | b' '..=b'<' | b'>'..=b'~' => char::from(*octet).to_string(),
        _ => format!("={octet:02X}"),
    };
    text.iter().map(octet).collect::<String>().into_bytes()
}

/// The files of a folder, in the order of their names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("the folder is there").flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// What a program says of the mails in a folder.
fn leaves(program: &Path, arguments: [&str; 2], folder: &Path) -> Vec<String> {
    let output = Command::new(program).args(arguments).args(files(folder)).output().expect("the program runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}\nhint: apt-get install --no-install-recommends libmime-tools-perl");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// The same by mail-parser.
fn leaves_in_rust(folder: &Path) -> Vec<String> {
    let mut leaves = Vec::new();
    for file in files(folder) {
        let octets = fs::read(&file).expect("a mail can be read");
        let message = MessageParser::default().parse(&octets).expect("it is a mail");
        add_leaves(&file.file_name().expect("it has one").to_string_lossy(), &message, &mut leaves);
    }
    leaves
}

fn add_leaves(name: &str, message: &mail_parser::Message<'_>, leaves: &mut Vec<String>) {
    for part in &message.parts {
        let content: &[u8] = match &part.body {
            PartType::Multipart(_) => continue,
            PartType::Message(inner) => {
                add_leaves(name, inner, leaves);
                continue;
            }
            PartType::Text(text) | PartType::Html(text) => text.as_bytes(),
            PartType::Binary(octets) | PartType::InlineBinary(octets) => octets,
        };
        let text: Vec<u8> = content.iter().copied().filter(|&octet| octet != b'\r').collect();
        let media_type = part.content_type().map_or("text/plain".to_owned(), |value| {
            format!("{}/{}", value.ctype(), value.subtype().unwrap_or_default()).to_lowercase()
        });
        let digits: String = text.trim_ascii_end().iter().map(|octet| format!("{octet:02x}")).collect();
        leaves.push(format!("{name} {media_type} {digits}"));
    }
}

/// Has popgate filter mails into a folder, and returns what everybody reads of them before and after.
fn read_before_and_after(filters: &str, mails: &[(String, Vec<u8>)]) -> (Vec<String>, Vec<String>) {
    let (python, perl) = (program("python3", "python3"), program("perl", "perl"));
    let folder = tempfile::tempdir().expect("a folder");
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    fs::create_dir(&old).expect("a folder");
    let config = folder.path().join("popgate.toml");
    write(&config, format!("state_dir = \"{}\"\n{SERVER}{filters}", folder.path().join("state").display()).as_bytes());
    for (name, mail) in mails {
        write(&old.join(name), mail);
    }
    let [config, new_text, old_text] = [&config, &new, &old].map(|path| path.display().to_string());
    // The filters are compiled first.
    let mut command = popgate::command();
    let ended = run(command.args(["filter", "--config", &config, "--out", &new_text, &old_text]), 6 * PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.errors);

    let before = leaves(&python, ["-c", PYTHON], &old);
    let after = leaves(&python, ["-c", PYTHON], &new);
    assert_eq!(leaves(&perl, ["-e", PERL], &new), after, "two programs read the changed mail in two ways");
    assert_eq!(leaves_in_rust(&new), after, "two programs read the changed mail in two ways");
    (before, after)
}

#[test]
fn changed_mail_reads_the_same_in_other_programs() {
    let mails = mails();
    let (before, after) = read_before_and_after(CHANGED, &mails);
    assert_eq!(before.len(), mails.len() * 3 / 2);
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        let (name, content) = before.rsplit_once(' ').expect("three words");
        let (new_name, new_content) = after.rsplit_once(' ').expect("three words");
        assert_eq!(name, new_name);
        if name.ends_with("application/pdf") {
            assert_eq!(content, new_content, "{name}");
            continue;
        }
        let text = hex(new_content);
        assert!(new_content.contains(content), "the text of {name} is not in `{text}`");
        assert!(text.contains("Von au\u{df}en: A") && text.contains("Disclaimer"), "{name}: {text}");
    }
}

/// Mails with something in them that does not get through, wherever it may stand.
fn denied() -> Vec<(String, Vec<u8>)> {
    let head = "From: A <a@example.org>\nSubject: s\nMIME-Version: 1.0\n";
    let text =
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\nGr=C3=BC=C3=9Fe\n";
    let html = "Content-Type: text/html; charset=utf-8\n\n<p>page</p>\n";
    let pdf = "Content-Type: application/pdf\nContent-Transfer-Encoding: base64\n\nJVBERi0xLjQ=\n";
    let file = |name: &str, content: &[u8]| {
        format!(
            "Content-Type: application/octet-stream; name={name}\nContent-Disposition: attachment; filename={name}\n\
             Content-Transfer-Encoding: base64\n\n{}\n",
            encoded(content)
        )
    };
    let mixed = |kind: &str, boundary: &str, parts: &[&str]| {
        let parts: String = parts.iter().map(|part| format!("\n--{boundary}\n{part}")).collect();
        format!("Content-Type: multipart/{kind}; boundary=\"{boundary}\"\n\npreamble{parts}\n--{boundary}--\n")
    };
    let mut mails = Vec::new();
    for (denied, file) in [("program", file("a.exe", b"MZ, or nothing")), ("virus", file("a.txt", eicar().as_bytes()))]
    {
        let alternative = mixed("alternative", "inner", &[text, html]);
        let nested = format!("Content-Type: message/rfc822\n\nSubject: n\n{}", mixed("mixed", "inner", &[text, &file]));
        let outer = mixed("mixed", "b", &[text, &file, pdf]);
        for (form, mail) in [
            ("alone", file.clone()),
            ("between", outer.clone()),
            ("first", mixed("mixed", "b", &[&file, text])),
            ("behind-alternatives", mixed("mixed", "b", &[&alternative, &file])),
            ("related", mixed("related", "b", &[html, &file])),
            ("odd-boundary", mixed("mixed", "=_a b?:/+c", &[text, &file, pdf])),
            ("message", mixed("mixed", "b", &[text, &nested, pdf])),
            ("never-closed", mixed("mixed", "b", &[text, &file, html]).trim_end_matches("--b--\n").to_owned()),
            ("epilogue", format!("{outer}epilogue\n")),
            ("without-line-end", outer.trim_end().to_owned()),
        ] {
            mails.push((format!("{form}-{denied}.eml"), crlf(format!("{head}{mail}").as_bytes())));
        }
    }
    mails
}

#[test]
fn what_takes_the_place_of_an_attachment_reads_the_same_in_other_programs() {
    let (before, after) = read_before_and_after(STRIPPED, &denied());
    assert_eq!(before.len(), after.len());
    let mut replaced = 0;
    for (before, after) in before.iter().zip(&after) {
        let (name, media_type) =
            before.rsplit_once(' ').and_then(|(words, _)| words.split_once(' ')).expect("three words");
        if media_type != "application/octet-stream" {
            assert_eq!(before, after);
            continue;
        }
        replaced += 1;
        let (new_name, content) = after.rsplit_once(' ').expect("three words");
        assert_eq!(new_name, format!("{name} text/plain"));
        assert!(hex(content).contains("was removed: "), "{}", hex(content));
    }
    assert_eq!(replaced, 20);
}

fn hex(digits: &str) -> String {
    let octet = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
    String::from_utf8((0..digits.len()).step_by(2).map(octet).collect()).expect("UTF-8")
}
