//! The exchange however it is cut, and what is none.

use super::*;

const VERSIONS: &[u8] = b"\0\0\0\x13KRB5_SENDAUTH_V1.0\0\0\0\0\x09KPOPV1.0\0";
const GREETING: &[u8] = b"+OK ready\r\n";

/// Octets of one side, and how many of them belong to the exchange.
type Said = (Turn, Vec<u8>);

fn client(octets: impl Into<Vec<u8>>) -> Said {
    (Turn::Client, octets.into())
}

fn server(octets: impl Into<Vec<u8>>) -> Said {
    (Turn::Server, octets.into())
}

fn message(content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap();
    [&length.to_be_bytes(), content].concat()
}

/// Plays the conversation with every utterance given in two pieces; what is passed on, and where it ends.
fn play(said: &[Said], cut: usize) -> (Vec<Vec<u8>>, Turn) {
    let mut sendauth = Sendauth::default();
    let passed = said.iter().map(|(side, octets)| {
        let (mut buffer, mut passed) = (Vec::new(), Vec::new());
        let (head, tail) = octets.split_at(cut.min(octets.len()));
        for piece in [head, tail] {
            buffer.extend_from_slice(piece);
            let count = match side {
                Turn::Client => sendauth.client(&buffer),
                _ => sendauth.server(&buffer),
            };
            passed.extend(buffer.drain(..count.unwrap()));
        }
        passed
    });
    (passed.collect(), sendauth.turn())
}

#[test]
fn an_exchange_is_passed_on_as_it_is_however_it_is_cut() {
    let request = message(&[0x6e; 603]);
    let proof = [&message(b"")[..], &message(&[0x6f; 85])].concat();
    let said = [client(VERSIONS), server([0]), client(request.clone()), server([&proof[..], GREETING].concat())];
    let expected = vec![VERSIONS.to_vec(), vec![0], request, proof];
    for cut in 0..610 {
        assert_eq!(play(&said, cut), (expected.clone(), Turn::Greeting), "cut at {cut}");
    }
}

#[test]
fn a_server_that_need_not_prove_itself_greets_at_once() {
    let said = [client(VERSIONS), server([0]), client(message(b"ticket")), server([&[0; 4], GREETING].concat())];
    for cut in 0..20 {
        let (passed, turn) = play(&said, cut);
        assert_eq!((&passed[3][..], turn), (&[0; 4][..], Turn::Greeting), "cut at {cut}");
    }
}

#[test]
fn refusals_are_passed_on_and_end_it() {
    for (octet, refusal) in [(1, Refusal::Sendauth), (2, Refusal::Application), (255, Refusal::Status(255))] {
        let (passed, turn) = play(&[client(VERSIONS), server([octet, b'x'])], 1);
        assert_eq!((&passed[1], turn), (&vec![octet], Turn::Refused(refusal)));
    }
    let error = message(&[0x7e; 90]);
    let said = [client(VERSIONS), server([0]), client(message(b"ticket")), server([&error[..], GREETING].concat())];
    for cut in 0..100 {
        let (passed, turn) = play(&said, cut);
        assert_eq!((&passed[3], turn), (&error, Turn::Refused(Refusal::Ticket)), "cut at {cut}");
    }
}

#[test]
fn a_version_may_be_refused_before_the_next_is_there() {
    let (passed, turn) = play(&[client(&VERSIONS[..23]), server([1])], 0);
    assert_eq!((&passed[1], turn), (&vec![1], Turn::Refused(Refusal::Sendauth)));
}

#[test]
fn what_the_client_sends_too_early_waits() {
    let mut sendauth = Sendauth::default();
    let all = [VERSIONS, &message(b"ticket"), b"CAPA\r\n"].concat();
    assert_eq!(sendauth.client(&all), Ok(VERSIONS.len()));
    assert_eq!(sendauth.client(&all[VERSIONS.len()..]), Ok(0));
    assert_eq!(sendauth.server(&[0]), Ok(1));
    assert_eq!(sendauth.client(&all[VERSIONS.len()..]), Ok(10));
    assert_eq!(sendauth.server(&[&[0; 4], GREETING].concat()), Ok(4));
    assert_eq!((sendauth.client(b"CAPA\r\n"), sendauth.turn()), (Ok(0), Turn::Greeting));
}

#[test]
fn a_server_that_does_not_wait_for_its_turn_knows_no_kpop() {
    let mut begun = Sendauth::default();
    begun.client(&VERSIONS[..23]).unwrap();
    let mut answered = Sendauth::default();
    answered.client(VERSIONS).unwrap();
    for mut sendauth in [Sendauth::default(), begun, answered.clone()] {
        assert_eq!(sendauth.server(GREETING), Err(SendauthFault::OutOfTurn));
    }
    answered.server(&[0]).unwrap();
    assert_eq!(answered.server(&[0]), Err(SendauthFault::OutOfTurn));
}

#[test]
fn lengths_are_bounded_on_both_sides() {
    let mut sendauth = Sendauth::default();
    assert_eq!(sendauth.client(b"CAPA\r\n"), Err(SendauthFault::NotSendauth));
    for length in [MAX_MESSAGE, MAX_MESSAGE + 1, u32::MAX] {
        let announced = length.to_be_bytes();
        let fits = length <= MAX_MESSAGE;
        let mut sendauth = Sendauth::default();
        sendauth.client(VERSIONS).unwrap();
        sendauth.server(&[0]).unwrap();
        let expected = if fits { Ok(4) } else { Err(SendauthFault::ClientLength(length)) };
        assert_eq!(sendauth.client(&announced), expected);
        let mut sendauth = Sendauth::default();
        sendauth.client(VERSIONS).unwrap();
        sendauth.server(&[0]).unwrap();
        sendauth.client(&message(b"ticket")).unwrap();
        let expected = if fits { Ok(4) } else { Err(SendauthFault::ServerLength(length)) };
        assert_eq!(sendauth.server(&announced), expected);
    }
}

#[test]
fn messages_without_octets_are_the_servers_to_judge() {
    let said = [client([0; 8]), server([0]), client([0; 4]), server([&[0; 8], GREETING].concat())];
    let (passed, turn) = play(&said, 3);
    assert_eq!((passed.concat().len(), turn), (8 + 1 + 4 + 8, Turn::Greeting));
}
