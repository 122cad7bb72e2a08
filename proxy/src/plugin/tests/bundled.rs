//! Real guests: the bundled filters.

use super::*;
use crate::message::Edit;
use crate::store::State;

#[tokio::test]
async fn every_bundled_filter_loads_and_passes_plain_mail() {
    let bench = Bench::new();
    bench.catalogue.keep_state_in(State::in_memory().unwrap());
    for bundled in popgate_plugins::BUNDLED {
        let address = if bundled.asks { "\nconfig = { address = \"127.0.0.1:9\" }" } else { "" };
        let section = format!("plugin = \"{}\"{address}", bundled.name);
        let filter = bench.load(&section).await.unwrap_or_else(|error| panic!("{error}"));
        if bundled.asks {
            // Nothing is granted, and what could not be asked is not clean.
            assert!(matches!(examine(&*filter, MAIL).await, Err(Failure::Service(_))), "{}", bundled.name);
            continue;
        }
        assert_eq!(examine(&*filter, MAIL).await.unwrap().verdict, Verdict::Pass, "{}", bundled.name);
    }
}

#[tokio::test]
async fn settings_are_refused_with_the_filters_own_words() {
    let error = Bench::new().load("plugin = \"virus\"\nconfig = { acton = \"hold\" }").await.err().unwrap();
    assert!(matches!(&error, LoadError::Settings { reason, .. } if reason.contains("acton")), "{error}");
}

#[tokio::test]
async fn no_part_of_many_is_overlooked() {
    let bench = Bench::new();
    let filter = bench.load("plugin = \"attachments\"").await.unwrap_or_else(|error| panic!("{error}"));
    // As many as the host tells of in one call are 256, the container among them.
    for bad in [0, 254, 255, 256, 510, 511, 512, 599] {
        let mut mail = String::from("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n");
        for number in 0..600 {
            let name = if number == bad { "setup.exe" } else { "notes.txt" };
            mail.push_str(&format!("--b\r\nContent-Disposition: attachment; filename={name}\r\n\r\n{number}\r\n"));
        }
        mail.push_str("--b--\r\n");
        let decision = examine(&*filter, mail).await.unwrap();
        let replaced: Vec<_> = decision.edits.iter().filter(|edit| edit.takes_content()).collect();
        assert!(
            matches!(replaced[..], [Edit::ReplacePart { index, .. }] if *index == bad + 1),
            "{bad}: {:?}",
            decision.edits
        );
    }
}

#[tokio::test]
async fn a_large_message_is_examined_in_slices() {
    let bench = Bench::new();
    // EICAR, in halves so that this file is harmless, behind 3 MiB of text in base64.
    let eicar = ["X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-", "ANTIVIRUS-TEST-FILE!$H+H*"].concat();
    let line = "VGhpcyBpcyBwbGFpbiB0ZXh0LCBhbmQgYSBsb3Qgb2YgaXQuIA==\r\n";
    let mut mail = String::from("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n");
    mail.push_str(&line.repeat(60_000));
    mail.push_str(&format!("--b\r\nContent-Type: application/octet-stream\r\n\r\n{eicar}\r\n--b--\r\n"));
    let filter = bench
        .load("plugin = \"virus\"\ncpu = \"10s\"\ntimeout = \"20s\"")
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let decision = examine(&*filter, mail).await.unwrap();
    assert!(matches!(decision.verdict, Verdict::Hold(_)), "{:?}", decision.verdict);
    assert!(decision.findings.iter().any(|finding| finding.symbol == "EICAR" && finding.filter == "virus"));
}
