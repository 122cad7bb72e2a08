//! Whether a filter that is configured once does what one does that is configured for each message: on two made-up messages.

use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::filter::{Decision, Facts, Failure, FetchCommand, Filter, Input, Verdict};
use crate::message::Message;

const PLAIN: &str = "From: Alice <alice@example.org>\r\nTo: bob@example.net\r\nSubject: lunch\r\n\
    Date: Mon, 5 Jan 2026 12:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\nAt noon?\r\n";

const PARTS: &str = "From: =?utf-8?q?Mall=C3=B3ry?= <m@example.com>\r\nTo: bob@example.net\r\n\
    Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nDate: Tue, 6 Jan 2026 12:00:00 +0000\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n\
    <p>See <a href=\"https://example.com/\">this</a>.</p>\r\n--b\r\nContent-Type: application/octet-stream\r\n\
    Content-Disposition: attachment; filename=data.bin\r\nContent-Transfer-Encoding: base64\r\n\r\nAAECAwQ=\r\n--b--\r\n";

/// Compares two filters.
///
/// # Errors
/// What the first one does, and the second one does not.
pub(super) async fn same(once: &dyn Filter, each_time: &dyn Filter) -> Result<(), String> {
    for mail in [PLAIN, PARTS] {
        let (once, each_time) = (once.examine(input(mail)).await, each_time.examine(input(mail)).await);
        if class(&once) != class(&each_time) {
            return Err(format!(
                "configured once, it {} where it {} when it is configured for the message",
                told(&once),
                told(&each_time)
            ));
        }
    }
    Ok(())
}

/// What can be expected to be the same: a filter may well write the time into its texts.
fn class(result: &Result<Decision, Failure>) -> (u8, usize, usize) {
    match result {
        Ok(decision) => (u8::from(decision.verdict == Verdict::Pass), decision.edits.len(), decision.findings.len()),
        Err(Failure::Service(_)) => (2, 0, 0),
        Err(Failure::Message(_)) => (3, 0, 0),
    }
}

fn told(result: &Result<Decision, Failure>) -> String {
    match result {
        Ok(Decision { verdict: Verdict::Pass, edits, findings, .. }) => {
            format!("passes a message with {} edits and {} findings", edits.len(), findings.len())
        }
        Ok(_) => "holds a message".into(),
        Err(failure) => format!("fails: {failure}"),
    }
}

/// A message to try a filter on.
pub(super) fn sample() -> Input {
    input(PARTS)
}

fn input(mail: &str) -> Input {
    let facts = Facts {
        user: Some("bob".into()),
        client: Ipv4Addr::LOCALHOST.into(),
        listener: "pop3".into(),
        upstream: "server".into(),
        tls: false,
        command: FetchCommand::Retr,
        uidl: Some("1".into()),
        sdps_sender: None,
        sdps_recipient: None,
        examined_before: false,
    };
    Input { message: Message::from_bytes(mail.as_bytes().to_vec()), facts: Arc::new(facts), findings: Arc::new([]) }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, ready};
    use std::pin::Pin;

    use super::*;

    struct Always(Result<Decision, Failure>);

    impl Filter for Always {
        fn examine(&self, _: Input) -> Pin<Box<dyn Future<Output = Result<Decision, Failure>> + Send + '_>> {
            Box::pin(ready(self.0.clone()))
        }

        fn fingerprint(&self) -> [u8; 32] {
            [0; 32]
        }
    }

    #[tokio::test]
    async fn filters_that_act_differently_are_told_apart() {
        let decision = |verdict| {
            Ok(Decision { verdict, edits: Vec::new(), findings: Vec::new(), learn_token: None, noted: false })
        };
        let results = [
            decision(Verdict::Pass),
            decision(Verdict::Hold("why".into())),
            Err(Failure::Message("trapped".into())),
            Err(Failure::Service("out of order".into())),
        ];
        for (at, one) in results.iter().enumerate() {
            for (other_at, other) in results.iter().enumerate() {
                let same = same(&Always(one.clone()), &Always(other.clone())).await;
                assert_eq!(same.is_ok(), at == other_at, "{one:?} {other:?} {same:?}");
            }
        }
    }
}
