//! What is inside of archives and documents, found in mail on its way from a Dovecot to a client.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use popgate_tests::connection::Connection;
use popgate_tests::dovecot::{Dovecot, PASSWORD};
use popgate_tests::mail::{crlf, eicar, message, normalised, with_attachment};
use popgate_tests::popgate::Popgate;
use popgate_tests::process;

/// Writes a file by the name of `sys.argv[1]` into each of the archives that follow, one inside of the other.
const NEST: &str = "
import io, sys, tarfile, zipfile, gzip
content, name = sys.stdin.buffer.read(), sys.argv[1]
for archive in sys.argv[2:]:
    out = io.BytesIO()
    if archive.endswith('.zip'):
        with zipfile.ZipFile(out, 'w', zipfile.ZIP_DEFLATED) as file:
            file.writestr('readme.txt', 'something else')
            file.writestr(name, content)
    elif archive.endswith('.tar'):
        with tarfile.TarFile(fileobj=out, mode='w') as file:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))
    else:
        out.write(gzip.compress(content))
    content, name = out.getvalue(), archive
sys.stdout.buffer.write(content)
";

/// Prints what Python's own parser sees of a mail: types, names and defects.
const PARSE: &str = "
import email, email.policy, sys
mail = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
for part in mail.walk():
    print(part.get_content_type(), part.get_filename(), part.defects)
    if part.get_content_type() == 'text/plain':
        print(part.get_content())
";

fn python(script: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let program = process::program("python3", "python3");
    let mut command = Command::new(program);
    command.args(["-I", "-X", "utf8", "-c", script]).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("python3 starts");
    child.stdin.take().expect("it is piped").write_all(input).expect("python3 reads");
    let output = child.wait_with_output().expect("python3 ends");
    assert!(output.status.success(), "{script}");
    output.stdout
}

fn nested(name: &str, content: &[u8], archives: &[&str]) -> Vec<u8> {
    python(NEST, &[&[name], archives].concat(), content)
}

/// popgate with these filters before a Dovecot that has these messages, and a client that has logged in.
fn session(messages: &[Vec<u8>], filters: &str) -> (Popgate, Connection) {
    let dovecot = Dovecot::shared();
    let user = dovecot.user(messages);
    let popgate = Popgate::start(&format!(
        "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\ntls = \"none\"\nupstream = \"dovecot\"\n\
         [[upstream]]\nname = \"dovecot\"\naddress = \"localhost:{}\"\ntls = \"stls\"\nca = {:?}\n{filters}",
        dovecot.plain().port(),
        dovecot.ca().display().to_string()
    ));
    let mut client = popgate.connect("pop3");
    client.log_in(&user, PASSWORD);
    (popgate, client)
}

fn fetch(client: &mut Connection, number: usize) -> String {
    client.succeed(&format!("RETR {number}"));
    String::from_utf8_lossy(&client.body()).into_owned()
}

/// Whether the state folder holds exactly this message.
fn keeps(folder: &Path, message: &[u8]) -> bool {
    let entries = fs::read_dir(folder).expect("the folder is there");
    entries.flatten().map(|entry| entry.path()).any(|path| match path.is_dir() {
        true => keeps(&path, message),
        false => fs::read(&path).is_ok_and(|content| content == message),
    })
}

fn attached(number: usize, name: &str, content: &[u8]) -> Vec<u8> {
    with_attachment(number, name, "application/octet-stream", content)
}

#[test]
fn a_virus_in_archives_in_an_archive_is_held() {
    let archive = nested("folder/e.com", eicar().as_bytes(), &["a.zip", "b.tar", "b.tar.gz", "c.zip"]);
    let original = attached(1, "c.zip", &archive);
    let clean = attached(2, "d.zip", &nested("text.txt", b"nothing", &["a.zip", "d.zip"]));
    let forged = message(3, "forged", "X-Virus-Status: clean\n", "Nothing here.\n");
    let filters = "[[filter]]\nplugin = \"virus\"\n";
    let (popgate, mut client) = session(&[original.clone(), clean.clone(), forged], filters);
    let notice = fetch(&mut client, 1);
    assert!(notice.contains("c.zip/b.tar.gz/b.tar/a.zip/folder/e.com"), "{notice}");
    assert!(!notice.contains("See the file."), "{notice}");
    assert!(keeps(&popgate.folder().join("state"), &crlf(&original)), "the original is not in the state folder");
    assert_eq!(normalised(fetch(&mut client, 2).as_bytes()), clean);
    // What the filter alone may say is taken out of what comes in.
    assert!(!fetch(&mut client, 3).contains("X-Virus-Status"));
}

#[test]
fn what_is_hidden_in_a_picture_is_found() {
    let picture = |more: &[u8]| [b"\x89PNG\r\n\x1a\n\0".as_slice(), &[7; 90_000], more, &[0; 100]].concat();
    let test_file = nested("e.txt", eicar().as_bytes(), &["a.zip"]);
    let clean = attached(5, "clean.png", &picture(b"PK"));
    let mails = [
        attached(1, "octets.png", &picture(eicar().as_bytes())),
        attached(2, "archive.png", &picture(&test_file)),
        // Larger than what is kept decoded of a message.
        attached(3, "large.png", &picture(&[&[1; 1_200_000], eicar().as_bytes()].concat())),
        attached(4, "program.png", &picture(&nested("setup.exe", b"MZ\x90\0 a program", &["a.zip"]))),
        clean.clone(),
    ];
    let filters = "[[filter]]\nplugin = \"attachments\"\n[[filter]]\nplugin = \"virus\"\n";
    let (popgate, mut client) = session(&mails, filters);
    for number in 1..=3 {
        let notice = fetch(&mut client, number);
        assert!(!notice.contains("See the file.") && notice.contains("EICAR"), "{notice}");
        assert!(keeps(&popgate.folder().join("state"), &crlf(&mails[number - 1])), "mail {number} is not kept");
    }
    let stripped = fetch(&mut client, 4);
    assert!(stripped.contains("program.png") && stripped.contains("was removed"), "{stripped}");
    assert_eq!(normalised(fetch(&mut client, 5).as_bytes()), clean);
}

#[test]
fn signatures_of_a_data_file_are_found_in_archives() {
    let archive = nested("tool.exe", b"MZ\x90\0 a tool, number 4711, for a test", &["a.zip"]);
    let original = attached(1, "a.zip", &archive);
    let folder = process::folder();
    let file = folder.path().join("own.ndb");
    process::write(&file, "# own\nOwn.Tool:1:0:4d5a{-40}34373131*74657374\n");
    let filters =
        format!("[[filter]]\nplugin = \"virus\"\ndata = {{ signatures = {:?} }}\n", file.display().to_string());
    let (_popgate, mut client) = session(std::slice::from_ref(&original), &filters);
    let notice = fetch(&mut client, 1);
    assert!(notice.contains("a.zip/tool.exe") && notice.contains("Own.Tool"), "{notice}");
}

#[test]
fn an_archive_that_needs_a_password_is_tagged_and_otherwise_as_it_was() {
    let mut archive = nested("a.txt", b"ciphertext", &["a.zip"]);
    // The flag of encryption, in front of each file and in the directory.
    for (mark, at) in [(b"PK\x03\x04", 6), (b"PK\x01\x02", 8)] {
        let starts: Vec<_> = (0..archive.len() - 4).filter(|&start| archive[start..].starts_with(mark)).collect();
        starts.into_iter().for_each(|start| archive[start + at] |= 1);
    }
    let original = attached(1, "secret.zip", &archive);
    let filters = "[[filter]]\nplugin = \"virus\"\n[[filter]]\nplugin = \"attachments\"\n";
    let (_popgate, mut client) = session(std::slice::from_ref(&original), filters);
    let came = fetch(&mut client, 1);
    let (added, rest) = came.split_once("Received: ").expect("the mail begins with its own header");
    assert!(added.contains("X-Virus-Status: unscannable (secret.zip/readme.txt: encrypted"), "{added}");
    assert!(added.contains("X-Attachment-Policy: attachment `secret.zip`"), "{added}");
    assert_eq!(normalised(format!("Received: {rest}").as_bytes()), original);
    let seen = String::from_utf8(python(PARSE, &[], came.as_bytes())).expect("it prints UTF-8");
    assert!(seen.contains("application/octet-stream secret.zip []"), "{seen}");
}

#[test]
fn a_program_in_an_archive_is_stripped_and_the_original_kept() {
    let archive = nested("holiday.jpg", b"MZ\x90\0 pretends to be a picture", &["a.zip"]);
    let original = attached(1, "holiday.zip", &archive);
    let (popgate, mut client) = session(std::slice::from_ref(&original), "[[filter]]\nplugin = \"attachments\"\n");
    let came = fetch(&mut client, 1);
    let seen = String::from_utf8(python(PARSE, &[], came.as_bytes())).expect("it prints UTF-8");
    assert!(seen.contains("See the file.") && !seen.contains("application/octet-stream"), "{seen}");
    assert!(
        seen.contains("`holiday.zip` was removed: `holiday.zip/holiday.jpg`: it is a program for Windows"),
        "{seen}"
    );
    assert!(!seen.lines().any(|line| line.starts_with("text/plain") && !line.ends_with("[]")), "{seen}");
    assert!(keeps(&popgate.folder().join("state"), &crlf(&original)), "the original is not in the state folder");
}

#[test]
fn archives_with_nothing_against_them_are_delivered_octet_for_octet() {
    let messages = [
        attached(1, "a.zip", &nested("a.txt", b"text", &["b.zip", "a.zip"])),
        attached(2, "a.tar.gz", &nested("a.txt", b"text", &["a.tar", "a.tar.gz"])),
        attached(3, "a.pdf", b"%PDF-1.4\n1 0 obj\n<< >>\nendobj\n%%EOF\n"),
        attached(4, "a.bin", &(0..=255).cycle().take(200_000).collect::<Vec<u8>>()),
    ];
    let filters = "[[filter]]\nplugin = \"virus\"\n[[filter]]\nplugin = \"attachments\"\n";
    let (_popgate, mut client) = session(&messages, filters);
    for (at, message) in messages.iter().enumerate() {
        assert_eq!(normalised(fetch(&mut client, at + 1).as_bytes()), *message, "message {}", at + 1);
    }
}
