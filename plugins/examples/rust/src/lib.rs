//! Keeps card numbers and bank accounts out of mailboxes: in plain text all but the last four characters become `*`.

mod number;

use popgate_plugin::{Failure, Filter, Finding, Message, Part, Verdict};
use serde::Deserialize;

use crate::number::{Kind, Number};

/// The longest text that can take the place of a part.
const TEXT_MAX: usize = 65_536;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    action: Action,
    /// Payment cards: 13 to 19 digits with the check digit of ISO/IEC 7812.
    cards: bool,
    /// Bank accounts: ISO 13616.
    ibans: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { action: Action::Redact, cards: true, ibans: false }
    }
}

#[derive(Clone, Copy, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Action {
    /// Put stars in the place of digits.
    Redact,
    /// Keep the mail from the client.
    Hold,
    /// Say so, and no more.
    Report,
}

pub struct Redact(Settings);

impl Filter for Redact {
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<Self, String> {
        if !settings.cards && !settings.ibans {
            return Err("`cards` and `ibans` are false: there is nothing to look for".into());
        }
        Ok(Self(settings))
    }

    fn filter(&self, message: &Message) -> Result<Verdict, Failure> {
        for part in message.parts().filter(is_plain_text) {
            // A longer text could not be replaced; who wants to can act on the finding.
            let Ok(content) = part.read_to_end(TEXT_MAX) else {
                message.report(&Finding::new("NUMBERS_UNKNOWN", format!("part {} is too large", part.index())))?;
                continue;
            };
            let numbers: Vec<Number> =
                number::find(&content).into_iter().filter(|number| self.looks_for(number.kind)).collect();
            if numbers.is_empty() {
                continue;
            }
            message.report(&Finding::new("NUMBERS", format!("{} in part {}", numbers.len(), part.index())))?;
            match self.0.action {
                Action::Hold => return Ok(Verdict::hold("it has card or account numbers in clear text")),
                Action::Redact => replace(&part, content, &numbers)?,
                Action::Report => {}
            }
        }
        Ok(Verdict::Pass)
    }
}

impl Redact {
    fn looks_for(&self, kind: Kind) -> bool {
        match kind {
            Kind::Card => self.0.cards,
            Kind::Iban => self.0.ibans,
        }
    }
}

fn is_plain_text(part: &Part) -> bool {
    part.media_type() == "text/plain" && part.disposition().as_deref() != Some("attachment")
}

/// The part without the numbers. A text in another charset would lose its letters, so only what is UTF-8 is replaced.
fn replace(part: &Part, mut content: Vec<u8>, numbers: &[Number]) -> Result<(), Failure> {
    for number in numbers {
        number.redact(&mut content);
    }
    match String::from_utf8(content) {
        Ok(text) => Ok(part.replace(&text)?),
        Err(_) => Err(Failure::Message(format!("part {} has numbers and is not UTF-8", part.index()))),
    }
}

popgate_plugin::export!(Redact);

#[cfg(test)]
mod tests {
    use popgate_plugin::testing::{Edit, configure};
    use popgate_plugin::{Failure, Filter, Message, Verdict};

    use super::Redact;

    const MAIL: &str = "Subject: pay\n\nCard 4111 1111 1111 1111, thanks.\n";

    fn filter(settings: &str, mail: &[u8]) -> (Result<Verdict, Failure>, Message) {
        let filter: Redact = configure(settings).expect("good settings");
        let message = Message::from(mail);
        (filter.filter(&message), message)
    }

    #[test]
    fn numbers_become_stars() {
        let (verdict, message) = filter("{}", MAIL.as_bytes());
        assert_eq!(verdict, Ok(Verdict::Pass));
        let text = "Card **** **** **** 1111, thanks.\n".into();
        assert_eq!(message.edits(), [Edit::ReplacePart { index: 0, text }]);
        assert_eq!(message.reported()[0].symbol, "NUMBERS");
    }

    #[test]
    fn mail_with_numbers_can_be_held() {
        let (verdict, message) = filter(r#"{"action": "hold"}"#, MAIL.as_bytes());
        assert_eq!(verdict, Ok(Verdict::hold("it has card or account numbers in clear text")));
        assert!(message.edits().is_empty());
    }

    #[test]
    fn a_text_of_another_charset_is_no_guess() {
        let (verdict, _) = filter("{}", b"Subject: x\n\nf\xfcr 4111111111111111\n");
        assert!(matches!(verdict, Err(Failure::Message(_))), "{verdict:?}");
    }

    #[test]
    fn faults_in_settings_name_their_key() {
        let fault = |settings| configure::<Redact>(settings).err().expect("a fault");
        assert!(fault(r#"{"action": "drop"}"#).starts_with("`action`: unknown variant `drop`"));
        assert!(fault(r#"{"cards": false}"#).contains("nothing to look for"));
    }
}
