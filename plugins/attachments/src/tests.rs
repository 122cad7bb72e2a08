//! The filter on messages in memory.

use popgate_plugin::testing::{Edit, configure};
use popgate_plugin::{Filter, Message, Verdict};
use serde_json::{Value, json};

use super::Attachments;

mod files;

/// A mail with a text and a part with these header fields.
fn mail(fields: &str) -> Message {
    let mail = format!(
        "Subject: s\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n\
         --b\n\ntext\n--b\n{fields}\n\nTVqQAAMAAAA=\n--b--\n"
    );
    Message::from(&*mail)
}

fn run(settings: Value, message: &Message) -> Verdict {
    configure::<Attachments>(settings).unwrap().filter(message).unwrap()
}

#[test]
fn names_and_types_are_denied_and_stripped() {
    let (extension, media_type) = (Some("FORBIDDEN_EXTENSION"), Some("FORBIDDEN_TYPE"));
    let own = json!({"deny_extensions": [".TAR.GZ"], "deny_media_types": ["Image/*", "application/x-a"]});
    for (settings, fields, symbol) in [
        (json!({}), "Content-Disposition: attachment; filename=\"invoice.pdf.EXE \"", extension),
        (
            json!({}),
            "Content-Type: application/pdf; name=a.js\nContent-Disposition: attachment; filename=a.pdf",
            extension,
        ),
        (json!({}), "Content-Type: application/pdf; name*=utf-8''a%2Ejs", extension),
        (json!({}), "Content-Type: APPLICATION/X-MSDownload", media_type),
        (json!({}), "Content-Disposition: attachment; filename=a.pdf", None),
        (json!({}), "Content-Disposition: attachment; filename=exe", None),
        (json!({}), "Content-Disposition: attachment; filename=a.notexe", None),
        (own.clone(), "Content-Disposition: attachment; filename=a.exe", None),
        (own.clone(), "Content-Disposition: attachment; filename=a.tar.gz", extension),
        (own.clone(), "Content-Disposition: attachment; filename=a.gz", None),
        (own.clone(), "Content-Type: image/png", media_type),
        (own.clone(), "Content-Type: application/x-abc", None),
        (json!({"deny_extensions": [], "deny_media_types": []}), "Content-Type: application/hta; name=a.exe", None),
    ] {
        let message = mail(fields);
        assert_eq!(run(settings, &message), Verdict::Pass);
        let reported: Vec<_> = message.reported().into_iter().map(|finding| finding.symbol).collect();
        assert_eq!(reported, symbol.into_iter().collect::<Vec<_>>(), "{fields}");
        let edits: Vec<_> = message.edits().iter().map(ToString::to_string).collect();
        assert_eq!(edits, symbol.map(|_| "replace part 2").into_iter().collect::<Vec<_>>(), "{fields}");
    }
}

#[test]
fn the_notice_says_what_was_taken() {
    let message = mail("Content-Disposition: attachment; filename=\"{reason}.exe\"");
    let settings = json!({"notice": "{name} {type} {other}: {reason}"});
    assert_eq!(run(settings, &message), Verdict::Pass);
    let text = "{reason}.exe text/plain {other}: files ending in `.exe` are not allowed".to_owned();
    assert_eq!(message.edits(), [Edit::ReplacePart { index: 2, text }]);
}

#[test]
fn names_are_cleaned_before_people_see_them() {
    let message = mail("Content-Disposition: attachment; filename*=utf-8''%E2%80%AEtxt%0D%0A.exe");
    let Verdict::Hold(reason) = run(json!({"action": "hold"}), &message) else { panic!("not held") };
    assert_eq!(reason, "attachment `txt.exe` (text/plain): files ending in `.exe` are not allowed");
    assert_eq!(message.reported()[0].text, reason);
    assert_eq!(message.edits(), []);

    let message = mail(&format!("Content-Disposition: attachment; filename=\"{}.exe\"", "é".repeat(5000)));
    assert_eq!(run(json!({}), &message), Verdict::Pass);
    assert!(message.reported()[0].text.starts_with(&format!("attachment `{}…`", "é".repeat(99))));
}

#[test]
fn pieces_of_messages_are_held_unless_allowed() {
    for media_type in ["message/partial; id=a; number=1; total=2", "Message/External-Body; access-type=URL"] {
        let message = mail(&format!("Content-Type: {media_type}"));
        assert!(matches!(run(json!({}), &message), Verdict::Hold(_)), "{media_type}");
        assert_eq!(message.reported()[0].symbol, "FORBIDDEN_TYPE");
        assert_eq!(run(json!({"allow_partial": true}), &message), Verdict::Pass);
    }
}

#[test]
fn what_is_inside_of_a_stripped_part_is_not_stripped_again() {
    let message = mail(
        "Content-Type: message/rfc822; name=a.exe\n\n\
         Content-Type: application/hta; name=b.exe",
    );
    assert_eq!(message.part_count(), 4);
    assert_eq!(run(json!({}), &message), Verdict::Pass);
    assert_eq!(message.edits().len(), 1);
    // Inside of a message that is allowed it is found.
    let message = mail("Content-Type: message/rfc822\n\nContent-Type: application/hta; name=b.exe");
    assert_eq!(run(json!({}), &message), Verdict::Pass);
    assert_eq!(message.edits()[0].to_string(), "replace part 3");
}

#[test]
fn ambiguous_messages_are_treated_as_configured() {
    let fields = "Content-Type: text/plain\nContent-Type: text/plain; name=a.exe";
    for (action, held, edits) in [("pass", false, 1), ("normalise", false, 1), ("hold", true, 0)] {
        let message = mail(fields);
        let verdict = run(json!({"ambiguous": action}), &message);
        assert_eq!(matches!(verdict, Verdict::Hold(_)), held, "{action}");
        assert_eq!(message.edits().len(), edits, "{action}");
    }
}

#[test]
fn faults_in_settings_name_their_key() {
    for (settings, expected) in [
        (json!({"deny_extensions": ["exe", ""]}), "`deny_extensions[1]`: `` is not an extension"),
        (json!({"deny_extensions": ["a b"]}), "`deny_extensions[0]`"),
        (json!({"deny_media_types": ["image"]}), "`deny_media_types[0]`: `image` is not a media type"),
        (json!({"deny_media_types": ["*/*"]}), "`deny_media_types[0]`"),
        (json!({"action": "drop"}), "`action`: unknown variant `drop`"),
        (json!({"denied": []}), "`denied`: unknown field"),
        (json!({"deny_kinds": ["pe", "com"]}), "`deny_kinds[1]`: `com` is not one of 7z, ace"),
        (json!({"macros": "no"}), "`macros`: unknown variant `no`"),
    ] {
        let fault = configure::<Attachments>(&settings).unwrap_err();
        assert!(fault.starts_with(expected), "{settings}: {fault}");
    }
}
