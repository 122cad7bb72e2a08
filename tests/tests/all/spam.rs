//! Spam before a real server: rules, the classifier once people have taught it, and the verdict on both.

use std::path::Path;
use std::time::Instant;

use popgate_tests::PATIENCE;
use popgate_tests::dovecot::{Dovecot, PASSWORD};
use popgate_tests::mail::normalised;
use popgate_tests::popgate::{self, Popgate};
use popgate_tests::process::{self, write};

/// Words of two kinds of mail. Each mail has some of one kind, and of what everybody writes.
const SPAM: [&str; 12] = [
    "lottery",
    "winner",
    "pills",
    "casino",
    "guaranteed",
    "refinance",
    "viagra",
    "unsubscribe",
    "miracle",
    "jackpot",
    "millions",
    "enlarge",
];
const HAM: [&str; 12] = [
    "meeting", "invoice", "kernel", "patch", "weekend", "report", "compiler", "library", "agenda", "branch", "review",
    "schedule",
];
const COMMON: [&str; 8] = ["please", "today", "with", "about", "there", "please", "would", "people"];

/// A mail of one kind, unlike all others.
fn mail(words: &[&str], number: usize) -> Vec<u8> {
    let word = |at: usize| words[(number * 7 + at * at * 5 + at) % words.len()];
    let text: Vec<_> =
        (0..24).map(|at| if at % 3 == 0 { COMMON[(number + at) % COMMON.len()] } else { word(at) }).collect();
    format!(
        "From: Person {number} <person{number}@host{}.example>\nTo: alice@example.org\nSubject: {} {}\n\
         Date: Mon, 2 Nov 2026 10:{:02}:00 +0000\nMessage-ID: <{number}@host.example>\n\n{}\n",
        number % 5,
        word(1),
        word(2),
        number % 60,
        text.join(" ")
    )
    .into_bytes()
}

fn config(dovecot: &Dovecot, verdict: &str) -> String {
    format!(
        "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\ntls = \"none\"\nupstream = \"dovecot\"\n\
         [[upstream]]\nname = \"dovecot\"\naddress = \"localhost:{}\"\ntls = \"none\"\n\
         [[filter]]\nplugin = \"rules\"\n[[filter]]\nplugin = \"spam\"\ngrant = {{ kv = true }}\n\
         [[filter]]\nplugin = \"verdict\"\n[filter.config]\nsubject_tag = \"[spam] \"\n{verdict}",
        dovecot.plain().port(),
    )
}

/// `popgate learn` of a folder of mails.
fn learn(config: &Path, label: &str, mails: &Path) {
    let mut command = popgate::command();
    command.args(["learn", label, "--config"]).arg(config).arg(mails);
    let ended = process::run(&mut command, PATIENCE);
    assert_eq!(ended.code, Some(0), "{}{}", ended.output, ended.errors);
    assert!(ended.output.contains("120 learned, 0 known already, 0 failed"), "{}", ended.output);
}

/// All mail of a user.
fn fetch(popgate: &Popgate, user: &str, count: usize) -> Vec<String> {
    let mut client = popgate.connect("pop3");
    client.log_in(user, PASSWORD);
    let mut came = Vec::new();
    for number in 1..=count {
        client.succeed(&format!("RETR {number}"));
        came.push(String::from_utf8(normalised(&client.body())).expect("the mail is ASCII"));
    }
    client.succeed("QUIT");
    came
}

#[test]
fn what_people_call_spam_is_tagged_and_held_and_ham_is_left_alone() {
    let dovecot = Dovecot::shared();
    let folder = process::folder();
    for (name, words) in [("spam", &SPAM), ("ham", &HAM)] {
        std::fs::create_dir(folder.path().join(name)).expect("a folder can be made");
        for number in 0..120 {
            write(&folder.path().join(name).join(format!("{number}.eml")), mail(words, number));
        }
    }
    let (spam, ham) = (mail(&SPAM, 1000), mail(&HAM, 1001));
    let forged = [b"X-Spam-Flag: NO\nX-Spam-Score: -99\n", &*mail(&SPAM, 1002)].concat();
    let user = dovecot.user(&[spam, ham, forged]);

    let popgate = Popgate::start(&config(dovecot, "hold_above = 5.0\npoints = { SPAM_UNTRAINED = 9.0 }\n"));
    let came = fetch(&popgate, &user, 3);
    for mail in &came {
        assert!(mail.contains("X-Spam-Status: Yes, score="), "held without training: {mail}");
    }
    let file = popgate.folder().join("popgate.toml");
    learn(&file, "--spam", &folder.path().join("spam"));
    learn(&file, "--ham", &folder.path().join("ham"));

    popgate.reload(&config(dovecot, ""));
    // What another process has written is seen within a second.
    let taught = || Some(fetch(&popgate, &user, 3)).filter(|came| !came[0].contains("not trained yet"));
    let came = process::poll(Instant::now() + PATIENCE, taught).expect("what was learned is known");
    for (at, is_spam) in [(0, true), (1, false), (2, true)] {
        let mail = &came[at];
        let flag = if is_spam { "X-Spam-Flag: YES" } else { "X-Spam-Flag: NO" };
        assert!(mail.contains(flag) && mail.matches("X-Spam-Flag").count() == 1, "{mail}");
        assert_eq!(mail.contains("Subject: [spam] "), is_spam, "{mail}");
        assert!(!mail.contains("X-Spam-Score: -99"), "{mail}");
    }

    popgate.reload(&config(dovecot, "hold_above = 5.0\n"));
    let came = fetch(&popgate, &user, 3);
    for (at, is_held) in [(0, true), (1, false), (2, true)] {
        assert_eq!(came[at].contains("X-Spam-Flag"), !is_held, "{}", came[at]);
    }
    assert_eq!(dovecot.mail(&user).len(), 3);
}
