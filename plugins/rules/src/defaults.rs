//! The rules that popgate brings along. They ask no network and no list; the points are small, since each of them is wrong at times.
//!
//! Patterns know ASCII alone (`(?i-u)`), which keeps them small.

use crate::anomaly::Anomaly;
use crate::rule::Written;

/// What a rule looks at.
enum Is {
    Odd(Anomaly),
    Subject(&'static str),
    Body(&'static str),
    Header(&'static str, &'static str),
    Without(&'static str),
    Url(&'static str),
    Attachment(&'static str),
    All(&'static [&'static str]),
    Any(&'static [&'static str]),
}

use Is::{All, Any, Attachment, Body, Header, Odd, Subject, Url, Without};

/// Name, points, what it means, what it looks at.
type Row = (&'static str, f64, &'static str, Is);

const ROWS: [Row; 54] = [
    // The header.
    ("NO_DATE", 1.0, "there is no Date", Without("Date")),
    ("NO_MESSAGE_ID", 0.6, "there is no Message-ID", Without("Message-ID")),
    ("NO_FROM", 1.5, "there is no From", Without("From")),
    ("NO_SUBJECT", 0.5, "there is no Subject", Without("Subject")),
    ("NO_RECIPIENT", 0.3, "To and Cc name nobody", Odd(Anomaly::NoRecipient)),
    ("MANY_RECIPIENTS", 0.6, "more than 20 addresses in To and Cc", Odd(Anomaly::ManyRecipients)),
    ("REPEATED_FIELD", 1.0, "a field that occurs once occurs again", Odd(Anomaly::RepeatedField)),
    ("FROM_NO_ADDRESS", 1.2, "From has no address", Odd(Anomaly::FromWithoutAddress)),
    (
        "FROM_SHOWS_OTHER",
        1.8,
        "the author's name shows an address of another domain",
        Odd(Anomaly::FromShowsOtherAddress),
    ),
    ("FROM_DIGITS", 0.6, "the author's address has many digits", Header("From", r"(?i-u)[a-z]*[0-9]{5,}[a-z]*@")),
    ("FROM_NAME_CAPITALS", 0.2, "the author's name has capitals alone", Header("From", r#"^"?[A-Z][A-Z .]{5,}"? *<"#)),
    ("RAW_OCTETS", 1.0, "From or Subject is neither ASCII nor UTF-8 nor encoded", Odd(Anomaly::RawOctets)),
    ("MESSAGE_ID_MALFORMED", 1.2, "Message-ID is not of the form <left@right>", Odd(Anomaly::MessageIdMalformed)),
    ("DATE_MALFORMED", 1.2, "Date has no time or no zone", Odd(Anomaly::DateMalformed)),
    ("REPLY_TO_FREE", 1.0, "answers go to a free address of another domain", Odd(Anomaly::ReplyToFree)),
    ("PRIORITY_HIGH", 0.3, "marked as urgent", Header("X-Priority", r"^ *[12]\b")),
    (
        "BULK_MAILER",
        1.2,
        "the program is one for mass mail",
        Header("X-Mailer", r"(?i-u)\b(?:bulk|mass|stealth|dispatch|blast|group *mail|mail *king)"),
    ),
    // The subject.
    ("SUBJECT_CAPITALS", 0.7, "the subject has capitals alone", Odd(Anomaly::SubjectCapitals)),
    ("SUBJECT_SPACED", 1.8, "letters of the subject stand apart", Odd(Anomaly::SubjectSpaced)),
    (
        "SUBJECT_GAP_NUMBER",
        1.5,
        "the subject ends in a gap and a number or word without sense",
        Subject(r"\S {6,}\S{3,}$"),
    ),
    ("SUBJECT_MARKS", 0.6, "several exclamation or currency marks in the subject", Subject(r"[!?]{3}|!.*!|\${2}")),
    (
        "SUBJECT_ADV",
        2.0,
        "the subject says that it is an advertisement",
        Subject(r"(?i-u)^ *[\[(<*]{0,2}adv\b *[:)\]>*.-]"),
    ),
    ("SUBJECT_MONEY", 0.7, "the subject names a sum of money", Subject(r"(?-u)\$ ?[0-9][0-9,.]{2,}")),
    ("SUBJECT_FREE", 0.5, "the subject begins with FREE or has it in capitals", Subject(r"(?-u)^[Ff]ree\b|\bFREE\b")),
    // Parts and markup.
    ("AMBIGUOUS", 0.8, "the message can be read in more than one way", Odd(Anomaly::Ambiguous)),
    ("HTML_ONLY", 0.4, "HTML without plain text beside it", Odd(Anomaly::HtmlOnly)),
    ("IMAGE_ONLY", 0.8, "a picture and hardly any text", Odd(Anomaly::ImageOnly)),
    ("EMPTY", 0.5, "there is neither text nor a file", Odd(Anomaly::Empty)),
    ("HTML_FORM", 0.8, "HTML with a form", Odd(Anomaly::Form)),
    ("HTML_SCRIPT", 0.3, "HTML with a script", Odd(Anomaly::Script)),
    ("HIDDEN_TEXT", 0.8, "HTML hides text", Odd(Anomaly::HiddenText)),
    // Links.
    ("LINK_ADDRESS", 1.5, "a link leads to a numeric address", Odd(Anomaly::LinkToAddress)),
    ("LINK_USER", 1.5, "a link has a user before its host", Odd(Anomaly::LinkWithUser)),
    ("LINK_INTERNATIONAL", 0.6, "the host of a link has letters beyond ASCII", Odd(Anomaly::LinkInternational)),
    ("LINK_OTHER_HOST", 0.5, "a link shows another host than that to which it leads", Odd(Anomaly::LinkShowsOtherHost)),
    ("LINK_ENCODED_HOST", 1.8, "the host of a link is written in codes", Url(r"^[^/?#]*%[0-9A-Fa-f]{2}")),
    ("LINK_ODD_PORT", 0.6, "a link leads to an unusual port", Odd(Anomaly::LinkToOddPort)),
    // Files.
    ("EXECUTABLE", 1.5, "an attachment is started at a double click", Odd(Anomaly::Executable)),
    ("DOUBLE_EXTENSION", 2.5, "an attachment hides its extension", Odd(Anomaly::DoubleExtension)),
    ("HTML_ATTACHMENT", 0.6, "an attachment is an HTML page", Odd(Anomaly::HtmlAttachment)),
    (
        "MACRO_DOCUMENT",
        0.8,
        "an attachment is a document with macros",
        Attachment(r"(?-u)\.(?:docm|dotm|xlsm|xltm|xlam|pptm|potm|ppam)$"),
    ),
    // The text.
    (
        "REMOVE_ME",
        0.8,
        "says how to be removed from a list that nobody joined",
        Body(
            r"(?i-u)\b(?:to be |be |been )?removed? (?:me |you |yourself )?from (?:our|this|future|my|any further) (?:mail|e-?mail|list|data ?base)",
        ),
    ),
    (
        "NOT_SPAM_CLAIM",
        2.0,
        "says that it is not spam, or names a law",
        Body(
            r"(?i-u)\bthis (?:is not|isn't|cannot be considered|can not be considered) (?:an? )?(?:spam|unsolicited)|\bbill s\. ?1618\b",
        ),
    ),
    (
        "OPT_IN_CLAIM",
        0.8,
        "says that the reader asked for it",
        Body(
            r"(?i-u)\byou (?:have )?(?:received|are receiving) this (?:e-?mail|message|mailing|offer)? ?(?:because|as) (?:you|a)|\bopted?[- ]in (?:list|e-?mail)",
        ),
    ),
    (
        "ADVANCE_FEE",
        1.0,
        "a fortune abroad that needs a partner",
        Body(
            r"(?i-u)\b(?:next of kin|foreign partner|transfer of (?:the|this) (?:sum|fund|money)|late (?:husband|father|president|head of state)|(?:million|thousand) (?:united states|us) dollars?|utmost (?:confidence|secrecy))\b",
        ),
    ),
    (
        "ADVANCE_FEE_TRUST",
        0.8,
        "asks for trust and for an account",
        Body(
            r"(?i-u)\b(?:strictly confidential|your bank account|god-?fearing|modalities|percent of the (?:total|sum)|risk[- ]free transaction)\b",
        ),
    ),
    (
        "WORK_AT_HOME",
        1.0,
        "money from home",
        Body(
            r"(?i-u)\bwork(?:ing)? (?:at|from) home\b|\bhome[- ]based business\b|\bfinancial(?:ly)? (?:freedom|independen)",
        ),
    ),
    (
        "EASY_MONEY",
        1.0,
        "money without effort",
        Body(
            r"(?i-u)\b(?:make|earn|making|earning) (?:up to |over |an extra )?\$ ?[0-9]|\bextra (?:income|cash)\b|\bget rich\b|\bmulti-?level marketing\b",
        ),
    ),
    (
        "GUARANTEE",
        0.6,
        "guarantees, without risk, for nothing",
        Body(
            r"(?i-u)\b(?:100%|fully|absolutely) (?:guaranteed?|free|risk[- ]free)|\bmoney[- ]back guarantee\b|\bno (?:obligation|credit check|strings attached)\b",
        ),
    ),
    (
        "PILLS",
        1.5,
        "medicine without prescription",
        Body(
            r"(?i-u)\b(?:viagra|cialis|phentermine|human growth hormone|no prescription|online pharmac(?:y|ies)|weight[- ]loss (?:pill|product|formula))\b",
        ),
    ),
    (
        "LOANS",
        0.8,
        "loans and debts",
        Body(
            r"(?i-u)\b(?:lowest|low) (?:mortgage|interest) rates?\b|\brefinanc(?:e|ing)\b|\b(?:eliminate|consolidate|reduce) (?:your )?(?:debts?|bills)\b|\bbad credit\b",
        ),
    ),
    (
        "ADULT",
        1.2,
        "pornography",
        Body(
            r"(?i-u)\b(?:xxx|hot (?:teens?|sluts?)|hard-?core (?:sex|porn|action)|live (?:sex|nude) |must be (?:over |at least )?(?:18|21) )",
        ),
    ),
    // Together.
    ("ADVANCE_FEE_WHOLE", 2.0, "both halves of an advance fee fraud", All(&["ADVANCE_FEE", "ADVANCE_FEE_TRUST"])),
    ("SELLING", 1.2, "a sales talk with a claim that it was asked for", All(&["TALK", "CLAIM"])),
];

/// Rules that others are made of; they have no points and report nothing.
const BLOCKS: [Row; 2] = [
    ("TALK", 0.0, "", Any(&["WORK_AT_HOME", "EASY_MONEY", "GUARANTEE", "PILLS", "LOANS", "ADULT"])),
    ("CLAIM", 0.0, "", Any(&["REMOVE_ME", "NOT_SPAM_CLAIM", "OPT_IN_CLAIM"])),
];

/// All of them, each behind those that it names.
pub(crate) fn all() -> Vec<Written> {
    let (together, simple): (Vec<&Row>, Vec<&Row>) = ROWS.iter().partition(|row| matches!(row.3, All(_) | Any(_)));
    simple.into_iter().chain(&BLOCKS).chain(together).map(written).collect()
}

fn written((name, points, text, is): &Row) -> Written {
    let rule = Written { name: (*name).to_owned(), points: *points, text: (*text).to_owned(), ..Written::default() };
    let owned = |text: &str| Some(text.to_owned());
    let names = |list: &[&str]| Some(list.iter().map(|&name| name.to_owned()).collect());
    match is {
        Odd(anomaly) => Written { anomaly: Some(*anomaly), ..rule },
        Subject(pattern) => Written { header: owned("Subject"), pattern: owned(pattern), ..rule },
        Header(name, pattern) => Written { header: owned(name), pattern: owned(pattern), ..rule },
        Without(name) => Written { header: owned(name), not: true, ..rule },
        Body(pattern) => Written { body: owned(pattern), ..rule },
        Url(pattern) => Written { url: owned(pattern), ..rule },
        Attachment(pattern) => Written { attachment: owned(pattern), ..rule },
        All(list) => Written { all: names(list), ..rule },
        Any(list) => Written { any: names(list), ..rule },
    }
}
