//! Thunderbird without a window: a profile with one account, its password sealed, the tests' authority trusted.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use super::graphical::{contained, folder, run_until};
use super::{Account, Mechanism, Tls};
use crate::PATIENCE;
use crate::process::{program, run, write};

/// Seals what is on its command line with the profile's own key, as Thunderbird does, and prints it in base64.
const SEAL: &str = r#"
import base64, ctypes, sys
nss = ctypes.CDLL("libnss3.so")
class Item(ctypes.Structure):
    _fields_ = [("type", ctypes.c_uint), ("data", ctypes.c_char_p), ("length", ctypes.c_uint)]
class Sealed(ctypes.Structure):
    _fields_ = [("type", ctypes.c_uint), ("data", ctypes.c_void_p), ("length", ctypes.c_uint)]
def check(status):
    if status:
        sys.exit("NSS error %d" % nss.PORT_GetError())
check(nss.NSS_InitReadWrite(sys.argv[1].encode()))
nss.PK11_GetInternalKeySlot.restype = ctypes.c_void_p
slot = ctypes.c_void_p(nss.PK11_GetInternalKeySlot())
if nss.PK11_NeedUserInit(slot):
    check(nss.PK11_InitPin(slot, None, b""))
check(nss.PK11_CheckUserPassword(slot, b""))
for text in sys.argv[2:]:
    key, plain, sealed = Item(), Item(0, text.encode(), len(text.encode())), Sealed()
    check(nss.PK11SDR_Encrypt(ctypes.byref(key), ctypes.byref(plain), ctypes.byref(sealed), None))
    print(base64.b64encode(ctypes.string_at(sealed.data, sealed.length)).decode())
nss.PK11_FreeSlot(slot)
check(nss.NSS_Shutdown())
"#;

/// Fetches all mail into a mailbox of one file.
pub(super) fn attempt(account: &Account<'_>, home: &Path) -> Result<Vec<Vec<u8>>, String> {
    let profile = folder(home.join("profile"));
    let mailbox = folder(profile.join("Mail/pop"));
    write(&profile.join("user.js"), settings(account));
    let database = format!("sql:{}", profile.display());
    trust(&database, account.ca);
    let [user, password] = seal(&database, [account.user, account.password]);
    let login = serde_json::json!({
        "id": 1, "hostname": "mailbox://localhost", "httpRealm": "mailbox://localhost", "formSubmitURL": null,
        "usernameField": "", "passwordField": "", "encryptedUsername": user, "encryptedPassword": password,
        "guid": "{00000000-0000-4000-8000-000000000001}", "encType": 1, "timesUsed": 1,
        "timeCreated": 1_780_000_000_000_u64, "timeLastUsed": 1_780_000_000_000_u64,
        "timePasswordChanged": 1_780_000_000_000_u64,
    });
    let logins = serde_json::json!({ "nextId": 2, "logins": [login], "version": 3 });
    write(&profile.join("logins.json"), logins.to_string());
    let mut command = contained("thunderbird", "thunderbird");
    command.args(["--headless", "--no-remote", "--profile"]).arg(&profile);
    command.env("HOME", home).env("TMPDIR", home).env("LC_ALL", "C.UTF-8").env_remove("DISPLAY");
    command.env_remove("DBUS_SESSION_BUS_ADDRESS");
    // Where it keeps what it has seen on the server, written when the session is over.
    run_until(&mut command, &mailbox.join("popstate.dat"), account.count, "k ")?;
    let file = std::fs::read(mailbox.join("Inbox")).map_err(|error| format!("no inbox: {error}"))?;
    Ok(messages(&file))
}

fn settings(account: &Account<'_>) -> String {
    let socket = match account.tls {
        Tls::None => 0,
        Tls::Stls => 2,
        Tls::Implicit => 3,
    };
    let method = if matches!(account.mechanism, Mechanism::Apop | Mechanism::CramMd5) { 4 } else { 3 };
    let server = "mail.server.server1";
    let preferences = [
        ("mail.accountmanager.accounts", "\"account1,account2\""),
        ("mail.accountmanager.defaultaccount", "\"account1\""),
        ("mail.accountmanager.localfoldersserver", "\"server2\""),
        ("mail.account.account1.identities", "\"id1\""),
        ("mail.account.account1.server", "\"server1\""),
        ("mail.account.account2.server", "\"server2\""),
        ("mail.identity.id1.fullName", "\"Reader\""),
        ("mail.identity.id1.useremail", "\"reader@localhost\""),
        ("mail.identity.id1.valid", "true"),
        (&format!("{server}.type"), "\"pop3\""),
        (&format!("{server}.hostname"), "\"localhost\""),
        (&format!("{server}.port"), &account.port.to_string()),
        (&format!("{server}.userName"), &format!("{:?}", account.user)),
        (&format!("{server}.name"), "\"test\""),
        (&format!("{server}.socketType"), &socket.to_string()),
        (&format!("{server}.authMethod"), &method.to_string()),
        (&format!("{server}.login_at_startup"), "true"),
        (&format!("{server}.check_new_mail"), "true"),
        (&format!("{server}.download_on_biff"), "true"),
        (&format!("{server}.leave_on_server"), "true"),
        (&format!("{server}.directory-rel"), "\"[ProfD]Mail/pop\""),
        (&format!("{server}.storeContractID"), "\"@mozilla.org/msgstore/berkeleystore;1\""),
        ("mail.server.server2.type", "\"none\""),
        ("mail.server.server2.hostname", "\"Local Folders\""),
        ("mail.server.server2.userName", "\"nobody\""),
        ("mail.server.server2.name", "\"Local Folders\""),
        ("mail.server.server2.directory-rel", "\"[ProfD]Mail/Local Folders\""),
        // Nothing that asks, and nothing that calls home.
        ("mail.provider.suppress_dialog_on_startup", "true"),
        ("mail.spotlight.firstRunDone", "true"),
        ("mail.rights.version", "1"),
        ("mail.shell.checkDefaultClient", "false"),
        ("mailnews.start_page.enabled", "false"),
        ("mailnews.start_page_override.mstone", "\"ignore\""),
        ("app.donation.eoy.version.viewed", "999"),
        ("app.update.enabled", "false"),
        ("browser.safebrowsing.downloads.remote.enabled", "false"),
        ("datareporting.policy.dataSubmissionEnabled", "false"),
        ("extensions.blocklist.enabled", "false"),
        ("network.captive-portal-service.enabled", "false"),
        ("network.connectivity-service.enabled", "false"),
        ("toolkit.telemetry.enabled", "false"),
    ];
    preferences.iter().fold(String::new(), |mut text, (name, value)| {
        let _infallible = writeln!(text, "user_pref(\"{name}\", {value});");
        text
    })
}

/// Makes the profile's database of certificates and keys, with this authority in it.
fn trust(database: &str, ca: &Path) {
    let certutil = || {
        let mut command = Command::new(program("certutil", "libnss3-tools"));
        command.args(["-d", database]);
        command
    };
    let mut make = certutil();
    make.args(["-N", "--empty-password"]);
    let mut add = certutil();
    add.args(["-A", "-n", "tests", "-t", "C,,", "-i"]).arg(ca);
    for mut command in [make, add] {
        let ended = run(&mut command, PATIENCE);
        assert_eq!(ended.code, Some(0), "{command:?}\n{}", ended.errors);
    }
}

fn seal(database: &str, texts: [&str; 2]) -> [String; 2] {
    let mut command = Command::new(program("python3", "python3"));
    command.args(["-I", "-c", SEAL, database]).args(texts);
    let ended = run(&mut command, PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    let mut lines = ended.output.lines().map(str::to_owned);
    texts.map(|_| lines.next().expect("a line for each text"))
}

/// The messages in a mailbox, without the fields that Thunderbird has put in front of them.
fn messages(mailbox: &[u8]) -> Vec<Vec<u8>> {
    const OWN: [&[u8]; 3] = [b"X-Account-Key:", b"X-UIDL:", b"X-Mozilla-"];
    let mut messages: Vec<Vec<u8>> = Vec::new();
    let mut in_front = false;
    for line in mailbox.split_inclusive(|&octet| octet == b'\n') {
        if line.starts_with(b"From - ") {
            messages.push(Vec::new());
            in_front = true;
            continue;
        }
        in_front = in_front && OWN.iter().any(|own| line.starts_with(own));
        if let (false, Some(message)) = (in_front, messages.last_mut()) {
            message.extend_from_slice(unquoted(line));
        }
    }
    // Between two messages there is an empty line.
    for message in &mut messages {
        let end =
            message.strip_suffix(b"\r\n").or_else(|| message.strip_suffix(b"\n")).map_or(message.len(), <[u8]>::len);
        message.truncate(end);
    }
    messages
}

/// A line without the quotation mark that keeps it from looking like a separator, or like one that is quoted already.
fn unquoted(line: &[u8]) -> &[u8] {
    let marks = line.iter().take_while(|&&octet| octet == b'>').count();
    if marks > 0 && line[marks..].starts_with(b"From ") { &line[1..] } else { line }
}

pub(super) fn lacks(mechanism: Mechanism, offered: &[Mechanism]) -> Option<&'static str> {
    match mechanism {
        Mechanism::User | Mechanism::Login if offered.contains(&Mechanism::Plain) => {
            Some("Thunderbird takes PLAIN where it may send the password")
        }
        Mechanism::Apop if offered.contains(&Mechanism::CramMd5) => {
            Some("Thunderbird takes CRAM-MD5 where it may not send the password")
        }
        Mechanism::User | Mechanism::Apop | Mechanism::Plain | Mechanism::Login | Mechanism::CramMd5 => None,
        _ => Some("Thunderbird has none of these mechanisms for a password"),
    }
}
