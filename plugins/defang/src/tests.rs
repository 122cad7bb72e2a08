//! The filter on messages in memory.

use popgate_plugin::testing::{Edit, configure};
use popgate_plugin::{Filter, Message, Verdict};
use serde_json::{Value, json};

use super::Defang;

/// The HTML as it is afterwards, and what was reported.
fn defanged(settings: Value, html: &str) -> (String, Vec<String>) {
    let filter: Defang = configure(settings).unwrap();
    let message = Message::from(format!("Content-Type: text/html; charset=utf-8\r\n\r\n{html}").into_bytes());
    assert_eq!(filter.filter(&message), Ok(Verdict::Pass));
    let reported = message.reported().into_iter().map(|finding| format!("{}: {}", finding.symbol, finding.text));
    let text = match &message.edits()[..] {
        [] => html.to_owned(),
        [Edit::EditText { index: 0, text }] => text.clone(),
        other => panic!("{other:?}"),
    };
    (text, reported.collect())
}

fn plain(html: &str) -> String {
    defanged(json!({}), html).0
}

#[test]
fn html_with_nothing_to_do_stays_as_it_is() {
    for html in [
        "",
        "text < & > text",
        "<!DOCTYPE html>\r\n<HTML><head><meta http-equiv=Content-Type content='text/html; charset=utf-8'><style>p{color:red}</style>\
         </head><BODY bgcolor=white><P class=\"a\" class=b>1<br/>2<img src=\"cid:x\" width=1 height=1><!-- <script> --></BODY></HTML>\r\n",
        "<a href='http://www.example.org/x'>www.example.org/y</a> <a href=http://example.org>click</a>",
        "<a href='https://news.example.org/'>Example.org</a> <a href=mailto:a@example.org>a@example.org</a> <a href='#x'>e.g. a.b</a>",
        "<img src=https://example.org/logo.png width=100 height=20><img src=data:image/png;base64,AAAA>",
        "<img/src=cid:x/onerror=alert(1)//>",
        "<img src=https://example.org/logo.png style='width:40px; opacity: 0.5'><textarea><script></textarea><title><script></title>",
    ] {
        assert_eq!(defanged(json!({}), html), (html.to_owned(), vec![]));
    }
}

#[test]
fn active_content_goes() {
    for (html, expected) in [
        ("a<script>alert('</b>')</script >b", "ab"),
        ("a<SCRIPT/x>alert(1)", "a"),
        ("a<script><!--<script></script>--></script>b", "ab"),
        ("<iframe src=x>y</iframe>z", "z"),
        ("<object data=x><p>instead</p></object>", "<p>instead</p>"),
        ("<form action=x><input name=a><p>t</form>", "<p>t"),
        ("<svg><style><img src=x onerror=y></style></svg>", "<style><img src=x onerror=y></style>"),
        ("<math><mtext></mtext>x</math>", "<mtext></mtext>x"),
        ("<select><style></select><img src=x onerror=y></style>", "<style></select><img src=x onerror=y></style>"),
        (
            "<noframes><style></noframes><img src=x onerror=y></style>",
            "<style></noframes><img src=x onerror=y></style>",
        ),
        ("<noscript><p title='</noscript><img src=x onerror=y>'>", "<img src=\"x\">'>"),
        ("<meta http-equiv=Refresh content='0;url=x'><base href=x><link rel=stylesheet href=x>t", "t"),
        ("<p onclick=x ONLOAD='y' id=1>t", "<p id=\"1\">t"),
        ("<a href=' java\tscript:x'>t</a>", "<a>t</a>"),
        ("<a href='&#106;avascript&colon;x'>t</a>", "<a>t</a>"),
        ("<a href=data:text/html,x>t</a>", "<a>t</a>"),
        ("<img src='\\\\host\\share'><img src=file://host/x>", "<img><img>"),
        ("<p style='width: e\\78 pression(x)'>t", "<p>t"),
        ("<p style='background:url(javascript:x)'>t", "<p>t"),
        ("<style>@import url(http://x/y);p{}</style>", "<style>p{}</style>"),
        ("<style>p{behavior : url(x)}</style>", "<style></style>"),
        ("t<img src=x onerror=y ", "t"),
        ("<plaintext><script>x", "<pre>&lt;script&gt;x"),
    ] {
        assert_eq!(plain(html), expected, "{html}");
        assert_eq!(defanged(json!({"active": "keep", "remote_images": "keep", "links": "keep"}), html).0, html);
    }
}

#[test]
fn what_is_left_needs_no_second_look() {
    for html in [
        "<noscript><noscript><noscript><script>x</script></noscript></noscript></noscript>",
        "<scr<script>ipt>x</script>",
        "<<script>script>alert(1)</script>",
        "<svg><svg/onload=x><p>",
        "<a href='http://a.example'>b.example.org</a>",
        "<style>@imp@import;ort url(x);</style>",
    ] {
        let once = plain(html);
        assert!(!once.contains("<script") && !once.contains("onload"), "{once}");
        assert_eq!(plain(&once).replace(" [a.example]", ""), once.replace(" [a.example]", ""), "{html}");
    }
}

#[test]
fn pictures_that_nobody_sees_are_not_fetched() {
    const REMOTE: &str = "http://track.example/p?id=1";
    for (attributes, pixel) in [
        ("width=1 height=1", true),
        ("width='0' height=0", true),
        ("style='width:1px;height:1px !important'", true),
        ("style='display:none' width=100 height=100", true),
        ("style='display:none !important'", true),
        ("height=1 width=600", true),
        ("width=1", true),
        ("width=3 height=2", true),
        ("hidden", true),
        ("width=20 height=20", false),
        ("width=100%", false),
        ("", false),
    ] {
        let html = format!("<img src={REMOTE} {attributes}>");
        let (text, reported) = defanged(json!({}), &html);
        assert_eq!(text.contains("track.example"), !pixel, "{html}: {text}");
        assert_eq!(reported, if pixel { vec!["TRACKING_PIXEL: track.example"] } else { vec![] }, "{html}");
    }
    let all = |html: &str| defanged(json!({"remote_images": "all"}), html).0;
    assert!(!all(&format!("<img src={REMOTE} srcset='//track.example/x 2x'>")).contains("track.example"));
    assert_eq!(all("<td background=http://x.example/y>t"), "<td>t");
    assert_eq!(all("<p style='background:url(//x.example/y)'>t"), "<p>t");
    assert_eq!(all("<img src=cid:1>"), "<img src=cid:1>");
}

#[test]
fn links_show_the_host_that_they_lead_to() {
    for (html, shown) in [
        ("<a href=http://evil.example/www.bank.com>www.bank.com</a>", Some("evil.example")),
        ("<a href=http://evil.example>http://bank.com/login</a>", Some("evil.example")),
        ("<a href='http://evil.example'>Log in at <b>bank.com</b> now</a>", Some("evil.example")),
        ("<a href='//evil.example/x'>bank.com</a>", Some("evil.example")),
        ("<a href='http:\\\\evil.example'>bank.com</a>", Some("evil.example")),
        ("<a href='http://www.bank.com@evil.example/'>your bank</a>", Some("evil.example")),
        ("<a href='http://xn--bnk-rla.example/'>your bank</a>", Some("xn--bnk-rla.example")),
        ("<a href=http://bank.co.uk.evil.co.uk/>bank.co.uk</a>", Some("evil.co.uk")),
        ("<a href=http://evil.example>bank.com", None),
        ("<a href=http://evil.example>your bank</a>", None),
        ("<a href=http://login.bank.com/>www.bank.com</a>", None),
        ("<a href=http://evil.example>version 1.2.3, see etc.</a>", None),
    ] {
        let (text, reported) = defanged(json!({}), html);
        match shown {
            Some(host) => {
                assert!(text.contains(&format!("{host}]</a>")), "{html}: {text}");
                assert!(reported[0].starts_with("LINK_MISMATCH: "), "{reported:?}");
            }
            None => assert_eq!((&*text, reported.len()), (html, 0)),
        }
    }
    let all = defanged(json!({"links": "all"}), "<a href=http://a.example>x</a><a href=#y>z</a>").0;
    assert_eq!(all, "<a href=http://a.example>x [a.example]</a><a href=#y>z</a>");
}

#[test]
fn signed_mail_and_attached_files_stay_unless_the_settings_say_otherwise() {
    let signed =
        "Content-Type: multipart/signed; boundary=b\n\n--b\nContent-Type: text/html\n\n<script>x</script>t\n--b--\n";
    let attached = "Content-Type: text/html\nContent-Disposition: attachment; filename=a.html\n\n<script>x</script>t\n";
    for (mail, setting, symbols) in
        [(signed, json!({"signed": "change"}), &["HTML_LEFT_ALONE"][..]), (attached, json!({"attached": true}), &[])]
    {
        let message = Message::from(mail);
        assert_eq!(configure::<Defang>(json!({})).unwrap().filter(&message), Ok(Verdict::Pass));
        assert_eq!(message.edits(), []);
        assert_eq!(message.reported().iter().map(|finding| &*finding.symbol).collect::<Vec<_>>(), symbols);
        let message = Message::from(mail);
        assert_eq!(configure::<Defang>(setting).unwrap().filter(&message), Ok(Verdict::Pass));
        assert_eq!(message.edits().len(), 1);
    }
}

#[test]
fn no_html_is_a_trap() {
    const PIECES: [&str; 24] = [
        "<",
        ">",
        "\"",
        "'",
        "=",
        "/",
        "!",
        "--",
        "<script",
        "</script>",
        "<a href=",
        "<style>",
        "</style>",
        "<noscript>",
        "</noscript>",
        "http://x.y",
        "@import",
        "\\",
        "\u{e9}",
        "\r\n",
        " on",
        "&#x6a;",
        "<plaintext>",
        "]]>",
    ];
    let mut seed = 1u64;
    for _ in 0..20_000 {
        let mut html = String::new();
        for _ in 0..12 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            html.push_str(PIECES[(seed >> 33) as usize % PIECES.len()]);
        }
        let _ = plain(&html);
    }
}
