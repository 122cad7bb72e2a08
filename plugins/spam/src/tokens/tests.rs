//! Tokens of messages, by their texts.

use popgate_plugin::Message;

use super::{Bounds, Tokens};

const BOUNDS: Bounds = Bounds { part: 65_536, message: 131_072, tokens: 3_000, pairs: 1 };

fn tokens(mail: &str) -> Vec<String> {
    let tokens = Tokens::of(&Message::from(mail), &BOUNDS);
    (0..tokens.keys().count()).map(|position| tokens.text(position)).collect()
}

/// Asserts that a mail has these tokens, and not those.
fn check(mail: &str, present: &[&str], absent: &[&str]) {
    let tokens = tokens(mail);
    for wanted in present {
        assert!(tokens.iter().any(|token| token == wanted), "{wanted:?} is missing in {tokens:?}");
    }
    for unwanted in absent {
        assert!(!tokens.iter().any(|token| token == unwanted), "{unwanted:?} is in {tokens:?}");
    }
}

fn html(body: &str) -> String {
    format!("Subject: s\nContent-Type: text/html; charset=utf-8\n\n{body}\n")
}

#[test]
fn text_gives_words_and_pairs() {
    check(
        "Subject: Free Money\n\nDon't miss E-MAIL: 100% $99.50!!!! see you. a_b --- Straße\n",
        &["don't", "miss", "don't miss", "e-mail", "100%", "$", "99.50", "!!!", "a_b", "straße", "subject:free money"],
        &["money", "!!!!", "you.", "don't e-mail", "---"],
    );
}

#[test]
fn letters_that_stand_alone_are_a_word_and_long_words_are_lengths() {
    let long = "x".repeat(123);
    check(&format!("A: b\n\nv I a-g r a now {long}\n"), &["x... of 120"], &[&long]);
    check("A: b\n\nF R E E now\n", &["spaced:free", "now"], &[]);
}

#[test]
fn scripts_without_spaces_give_pairs_of_characters() {
    check("Content-Type: text/plain; charset=utf-8\n\n無料です abc\n", &["無料", "料で", "です", "abc"], &["無料です"]);
}

#[test]
fn what_only_splits_a_word_is_not_seen() {
    let mail = "Content-Type: text/plain; charset=utf-8\n\nvi\u{200b}ag\u{ad}ra ＦＲＥＥ\n";
    check(mail, &["viagra", "free"], &["vi"]);
    let mail = html("via<!-- x -->gra fr<b></b>ee one<br>two <p>hid<span>den</span> &#86;iagra&nbsp;pill");
    check(
        &mail,
        &["viagra", "free", "one", "two", "hidden", "pill", "html:comment in a word"],
        &["gra", "ee", "onetwo", "x"],
    );
}

#[test]
fn what_nobody_sees_does_not_speak_for_the_text() {
    for hidden in [
        "<div style=\"display: none\">secret <div>more</div> secret</div>",
        "<font color='#fefefe'>secret</font>",
        "<td bgcolor=black><font color=#000001>secret</font></td>",
        "<span style='font-size:0'>secret</span>",
    ] {
        check(
            &html(&format!("seen {hidden} again")),
            &["seen", "again", "hidden:secret", "html:hidden text"],
            &["secret", "hidden:again"],
        );
    }
    check(&html("a <script>if (a < b) { secret() }</script> <style>secret</style> b"), &["a", "b"], &["secret"]);
    check(&html("<td bgcolor=navy><td bgcolor=#000080><font color=white>seen</font>"), &["seen"], &["hidden:seen"]);
}

#[test]
fn broken_html_is_read_to_its_end() {
    for body in [
        "<",
        "<a href=\"x",
        "<!-- never closed",
        "a<b",
        "<font color=",
        "</",
        "&#",
        "< b > c",
        "<é>",
        "<a\u{301} é='ü>",
    ] {
        let _ = tokens(&html(body));
    }
    check(&html("5 < 6 <a href=\"x>seen"), &["5", "6"], &[]);
}

#[test]
fn links_give_domains_and_tricks() {
    let links =
        html("<a href=\"http://a@www.Example.ORG:8080/Buy/now?id=3&amp;x=y\">x</a> <img src='http://10.1.2.3/p.gif'>");
    check(
        &links,
        &[
            "url host:org",
            "url host:example.org",
            "url host:www.example.org",
            "url:user before host",
            "url port:8080",
            "url path:buy",
            "url:address for host",
            "url host:10.1.2",
            "url scheme:http",
        ],
        &[],
    );
    check("A: b\n\nsee <https://shop.example.org/a> now\n", &["url host:shop.example.org", "url path:a"], &[]);
    for odd in
        ["://", "http://", "http:///", "javascript:x", "é://é", "http://[::1]/", "http://..../", "data:text/html,x"]
    {
        let _ = tokens(&html(&format!("<a href='{odd}'>{odd}</a>")));
    }
}

#[test]
fn headers_are_told_apart_and_own_ones_are_ignored() {
    check(
        "Received: from mx.example.org ([192.0.2.7]) by b.example.net id Ab12; Mon, 1 Jan 2024 10:00:00 +0000\n\
         From: Alice <alice@mail.example.org>\nX-Spam-Status: Yes\nX-Popgate-Error: x\nX-Spam: kept\n\
         Date: Mon, 1 Jan 2024 10:00:00 +0100\nMessage-ID: <20240101.AbC@host.example.org>\nX-MAILER: Tool 1.0\n\nt\n",
        &[
            "received:mx.example.org",
            "received:example.org",
            "received address:192.0.2.7",
            "received address:192.0",
            "received id:Aa9".to_lowercase().as_str(),
            "from:alice",
            "from domain:example.org",
            "message-id form:9.aaa",
            "message-id host:host.example.org",
            "x-mailer is:tool 1.0",
            "field in capitals:x-mailer",
            "x-spam:kept",
            "zone:+0100",
            "order:received from",
        ],
        &["x-spam-status:yes", "x-popgate-error:x", "2024", "date:jan"],
    );
}

#[test]
fn parts_and_files_are_told() {
    check(
        "Content-Type: multipart/mixed; boundary=\"=_9x\"\n\n--=_9x\n\nhello\n--=_9x\nContent-Type: application/octet-stream; \
         name=\"Invoice 7.PDF.exe\"\nContent-Transfer-Encoding: base64\n\nTVqQ\n--=_9x--\n",
        &[
            "part:application/octet-stream in multipart/mixed",
            "extension:exe",
            "file:invoice",
            "encoding:base64 of application/octet-stream",
            "hello",
        ],
        &["tvqq"],
    );
}

#[test]
fn a_message_has_each_token_once_and_not_too_many() {
    let mail = format!("Subject: s\n\n{}\n", (0..50_000).map(|n| format!("w{n} w1 ")).collect::<String>());
    let message = Message::from(&*mail);
    let bounds = Bounds { tokens: 500, ..BOUNDS };
    let tokens = Tokens::of(&message, &bounds);
    let mut keys: Vec<u64> = tokens.keys().collect();
    assert_eq!(keys.len(), 500);
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 500, "keys occur twice");
    let few = self::tokens("Subject: s\n\none two one two one two\n");
    assert_eq!(few.iter().filter(|token| *token == "one" || *token == "one two").count(), 2, "{few:?}");
    // The sample is the same whenever it is drawn.
    assert_eq!(Tokens::of(&message, &bounds).keys().collect::<Vec<_>>(), tokens.keys().collect::<Vec<_>>());
    // The header is in it whatever the text has.
    assert!((0..tokens.keys().count()).any(|position| tokens.text(position) == "subject:s"));
}

#[test]
fn keys_are_a_format() {
    // What was learned is found by these numbers: if they change, all is forgotten.
    let tokens = Tokens::of(&Message::from("Subject: s\n\nfree money\n"), &BOUNDS);
    let key = |wanted: &str| {
        let position = (0..tokens.keys().count()).find(|&position| tokens.text(position) == wanted).unwrap();
        tokens.keys().nth(position).unwrap()
    };
    assert_eq!(
        [key("free"), key("free money"), key("subject:s")],
        [1_284_043_707_201_999_372, 5_087_555_180_850_453_125, 13_769_347_002_437_994_085]
    );
}
