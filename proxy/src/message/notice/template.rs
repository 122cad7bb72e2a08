//! The text of a notice with places for what is different each time.
//!
//! ```text
//! From: popgate <postmaster@mail.example>
//! Subject: [held] {subject|(no subject)}
//!
//! A message from {sender} was held: {reason}
//! ```
//!
//! What stands behind `|` is written where there is no value. `{{` and `}}` are braces.

use std::fmt;

/// Octets of a template, at most.
pub const TEMPLATE_MAX: usize = 64 * 1024;

/// The header fields that a template may have; the second has to be there.
const FIELDS: [&str; 3] = ["From", "Subject", "Reply-To"];

/// What a template can name.
const VARIABLES: [(&str, Variable); 8] = [
    ("subject", Variable::Subject),
    ("sender", Variable::Sender),
    ("date", Variable::Date),
    ("reason", Variable::Reason),
    ("id", Variable::Id),
    ("filter", Variable::Filter),
    ("upstream", Variable::Upstream),
    ("user", Variable::User),
];

/// Something that is known of a held message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Variable {
    /// Its subject.
    Subject,
    /// Its From field.
    Sender,
    /// Its Date field.
    Date,
    /// Why it is held.
    Reason,
    /// Its id in quarantine.
    Id,
    /// Who says so.
    Filter,
    /// The server that has it.
    Upstream,
    /// The login name there.
    User,
}

/// What is wrong with a template.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct TemplateError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
    /// What to do about it.
    pub hint: &'static str,
}

/// A notice before anything is known of the message that it stands for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Template {
    /// Names and values, none of them twice.
    fields: Vec<(&'static str, Text)>,
    body: Text,
}

/// Text in pieces.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Text(Vec<Piece>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Piece {
    Fixed(String),
    Variable { variable: Variable, otherwise: String },
}

impl Template {
    /// The bundled one in English.
    #[must_use]
    pub fn english() -> Self {
        Self::bundled(include_str!("en.txt"))
    }

    /// The bundled one in German.
    #[must_use]
    pub fn german() -> Self {
        Self::bundled(include_str!("de.txt"))
    }

    /// A test reads both of them.
    fn bundled(text: &str) -> Self {
        Self::parse(text).unwrap_or_else(|_| Self { fields: Vec::new(), body: Text::default() })
    }

    /// Reads a template: header fields, a blank line, the body.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
        let fault = |line, what: String, hint| Err(TemplateError { line, what, hint });
        if let Some(at) = text.find(|c: char| c.is_control() && !matches!(c, '\n' | '\t')) {
            let line = text[..at].matches('\n').count() + 1;
            return fault(line, "there is a control character".into(), "save the file as plain text in UTF-8");
        }
        let Some((head, body)) = text.split_once("\n\n") else {
            let hint = "write `Subject: ...`, a blank line, and the text below it";
            return fault(1, "there is no blank line that ends the header".into(), hint);
        };
        let mut fields: Vec<(&'static str, Text)> = Vec::new();
        for (line, text) in (1..).zip(head.lines()) {
            let (name, value) = field(line, text)?;
            if fields.iter().any(|(there, _)| *there == name) {
                return fault(line, format!("`{name}` is there twice"), "keep one of the two");
            }
            let value = Text::parse(value.trim(), line)?;
            if name != "Subject" && value.0.iter().any(|piece| matches!(piece, Piece::Variable { .. })) {
                let hint = "write a mailbox as in `From: popgate <postmaster@mail.example>`";
                return fault(line, format!("`{name}` can't be of what a message brings along"), hint);
            }
            if value.0.is_empty() || (name != "Subject" && !value.fixed().contains('@')) {
                let hint = "write a mailbox as in `From: popgate <postmaster@mail.example>`, and a text for `Subject`";
                return fault(line, format!("`{name}` has no value that it could have"), hint);
            }
            fields.push((name, value));
        }
        for name in ["From", "Subject"] {
            if fields.iter().all(|(there, _)| *there != name) {
                return fault(1, format!("there is no `{name}`"), "add it as a line at the beginning of the file");
            }
        }
        let body = Text::parse(body, head.lines().count() + 2)?;
        Ok(Self { fields, body })
    }

    /// The fields with their values. `value` is what is known; it may be any text.
    pub(super) fn fields(&self, value: impl Fn(Variable) -> Option<String>) -> Vec<(&'static str, String)> {
        self.fields.iter().map(|(name, text)| (*name, text.fill(&value))).collect()
    }

    /// The body, its lines ended by LF.
    pub(super) fn body(&self, value: impl Fn(Variable) -> Option<String>) -> String {
        self.body.fill(&value)
    }
}

/// A line of the header.
fn field(line: usize, text: &str) -> Result<(&'static str, &str), TemplateError> {
    let known = text
        .split_once(':')
        .and_then(|(typed, value)| Some((FIELDS.into_iter().find(|name| name.eq_ignore_ascii_case(typed))?, value)));
    known.ok_or_else(|| TemplateError {
        line,
        what: format!("`{}` is not a field of a notice", text.split(':').next().unwrap_or_default().trim()),
        hint: "the header has `From`, `Subject` and `Reply-To`, each in one line; popgate adds the others",
    })
}

impl Text {
    fn parse(text: &str, first: usize) -> Result<Self, TemplateError> {
        let (mut pieces, mut fixed, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            let line = first + text[..text.len() - rest.len() + at].matches('\n').count();
            let fault = |what: String, hint| Err(TemplateError { line, what, hint });
            let braces = "write `{{` or `}}` for a brace, and a name of a variable between single ones";
            fixed.push_str(&rest[..at]);
            let behind = &rest[at..];
            if behind.starts_with("{{") || behind.starts_with("}}") {
                fixed.push_str(&behind[..1]);
                rest = &behind[2..];
                continue;
            }
            let end = behind.find(['}', '\n']).filter(|end| behind[*end..].starts_with('}'));
            let Some(end) = end.filter(|_| behind.starts_with('{')) else {
                return fault("a brace stands alone".into(), braces);
            };
            let typed = &behind[1..end];
            let (name, otherwise) = typed.split_once('|').unwrap_or((typed, ""));
            let Some((_, variable)) = VARIABLES.iter().find(|(known, _)| *known == name.trim()) else {
                let hint =
                    "the variables are `subject`, `sender`, `date`, `reason`, `id`, `filter`, `upstream` and `user`";
                return fault(format!("`{{{typed}}}` is not a variable"), hint);
            };
            if !fixed.is_empty() {
                pieces.push(Piece::Fixed(std::mem::take(&mut fixed)));
            }
            pieces.push(Piece::Variable { variable: *variable, otherwise: otherwise.to_owned() });
            rest = &behind[end + 1..];
        }
        fixed.push_str(rest);
        if !fixed.is_empty() {
            pieces.push(Piece::Fixed(fixed));
        }
        Ok(Self(pieces))
    }

    fn fill(&self, value: &impl Fn(Variable) -> Option<String>) -> String {
        let fill = |piece: &Piece| match piece {
            Piece::Fixed(text) => text.clone(),
            Piece::Variable { variable, otherwise } => value(*variable).unwrap_or_else(|| otherwise.clone()),
        };
        self.0.iter().map(fill).collect()
    }

    /// The text without what is different each time.
    fn fixed(&self) -> String {
        self.fill(&|_| None)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, text) in &self.fields {
            writeln!(f, "{name}: {}", text.fixed())?;
        }
        write!(f, "\n{}", self.body.fixed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> String {
        let template = Template::parse(&format!("From: p <p@x>\nSubject: s\n\n{text}")).unwrap();
        template.body(|variable| (variable != Variable::Sender).then(|| format!("<{variable:?}>")))
    }

    #[test]
    fn variables_braces_and_what_stands_in_their_place() {
        for (text, expected) in [
            ("", ""),
            ("a\nb\n", "a\nb\n"),
            ("{subject}", "<Subject>"),
            ("{subject}{reason}.", "<Subject><Reason>."),
            ("{sender}", ""),
            ("{sender|nobody {{}", "nobody {{"),
            ("{ id | - }", "<Id>"),
            ("{{subject}}", "{subject}"),
            ("}}{{", "}{"),
        ] {
            assert_eq!(filled(text), expected, "{text}");
        }
    }

    #[test]
    fn the_bundled_ones_are_sound_and_name_all_that_a_user_has_to_know() {
        for template in [Template::english(), Template::german()] {
            let body = template.body(|variable| Some(format!("<{variable:?}>")));
            for named in ["<Subject>", "<Sender>", "<Date>", "<Reason>", "<Filter>", "<Id>"] {
                assert!(body.contains(named), "{named}: {body}");
            }
            assert_eq!(template.fields(|_| None).len(), 2, "{template}");
        }
    }

    #[test]
    fn faults_have_a_line_and_a_hint() {
        let head = "From: p <p@x>\nSubject: s\n\n";
        for (text, line, what) in [
            ("Subject: s\nText", 1, "no blank line"),
            ("Subject: s\n\nText", 1, "there is no `From`"),
            ("From: p <p@x>\n\nText", 1, "there is no `Subject`"),
            ("From: p <p@x>\nSubject: s\nBcc: all@x\n\n", 3, "`Bcc` is not a field"),
            ("From: p <p@x>\nSubject: s\n more\n\n", 3, "`more` is not a field"),
            ("From: p <p@x>\nfrom: q <q@x>\nSubject: s\n\n", 2, "`From` is there twice"),
            ("From: {sender}@x\nSubject: s\n\n", 1, "can't be of what a message brings"),
            ("From: nobody\nSubject: s\n\n", 1, "`From` has no value"),
            ("From: p <p@x>\nSubject:\n\n", 2, "`Subject` has no value"),
            (&format!("{head}one\n{{sunject}}"), 5, "`{sunject}` is not a variable"),
            (&format!("{head}{{subject\n}}"), 4, "a brace stands alone"),
            (&format!("{head}\n\n}}"), 6, "a brace stands alone"),
            (&format!("{head}a{{"), 4, "a brace stands alone"),
            (&format!("{head}\u{1b}[2J"), 4, "a control character"),
        ] {
            let error = Template::parse(text).unwrap_err();
            assert!(error.what.contains(what) && error.line == line && !error.hint.is_empty(), "{text:?}: {error}");
        }
    }

    #[test]
    fn line_ends_and_a_mark_of_windows_are_no_matter() {
        let text = "From: p <p@x>\nSubject: {id}\n\none\ntwo\n";
        let same = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        assert_eq!(Template::parse(&same), Template::parse(text));
    }
}
