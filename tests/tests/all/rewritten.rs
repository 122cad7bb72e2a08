//! Mail that filters have changed, as other programs read it: Python's email package and Perl's MIME::Parser.

use std::fs;
use std::path::Path;
use std::process::Command;

use popgate_tests::mail::{crlf, encoded};
use popgate_tests::popgate::run;
use popgate_tests::process::{program, write};

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
    my $parser = MIME::Parser->new; $parser->output_to_core(1); $parser->extract_nested_messages(0);
    my ($name) = $file =~ m{([^/]+)$};
    leaves($name, $parser->parse_open($file));
}
"#;

const CONFIG: &str = "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\ntls = \"none\"\nupstream = \"server\"\n\
    [[upstream]]\nname = \"server\"\naddress = \"127.0.0.1:9\"\ntls = \"none\"\n[[filter]]\nplugin = \"defang\"\n[[filter]]\nplugin = \"rewrite\"\n\
    [[filter.config.banner]]\ntext = \"Von au\u{df}en: {header:From}\"\n\
    [[filter.config.banner]]\ntext = \"Disclaimer\"\nplace = \"bottom\"\n";

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

/// What a program says of the mails in a folder.
fn leaves(program: &Path, arguments: [&str; 2], folder: &Path) -> Vec<String> {
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("the folder is there").flatten().map(|entry| entry.path()).collect();
    files.sort();
    let output = Command::new(program).args(arguments).args(files).output().expect("the program runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}\nhint: apt-get install --no-install-recommends libmime-tools-perl");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn changed_mail_reads_the_same_in_other_programs() {
    let (python, perl) = (program("python3", "python3"), program("perl", "perl"));
    let folder = tempfile::tempdir().expect("a folder");
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    fs::create_dir(&old).expect("a folder");
    let mut arguments = vec!["filter".to_owned(), "--config".to_owned()];
    let config = folder.path().join("popgate.toml");
    write(&config, format!("state_dir = \"{}\"\n{CONFIG}", folder.path().join("state").display()).as_bytes());
    arguments.extend([config.display().to_string(), "--out".to_owned(), new.display().to_string()]);
    let mails = mails();
    for (name, mail) in &mails {
        write(&old.join(name), mail);
        arguments.push(old.join(name).display().to_string());
    }
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let ended = run(&arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.errors);

    let before = leaves(&python, ["-c", PYTHON], &old);
    let after = leaves(&python, ["-c", PYTHON], &new);
    assert_eq!(before.len(), mails.len() * 3 / 2);
    assert_eq!(leaves(&perl, ["-e", PERL], &new), after, "two programs read the changed mail in two ways");
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

fn hex(digits: &str) -> String {
    let octet = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
    String::from_utf8((0..digits.len()).step_by(2).map(octet).collect()).expect("UTF-8")
}
