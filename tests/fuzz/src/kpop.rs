//! The Kerberos exchange in front of KPOP.

use popgate::pop3::kpop::{MAX_MESSAGE, Sendauth, SendauthFault, Turn};

use crate::cuts::pieces;

/// How an exchange came out: its end, and how many octets of the client and of the server were passed on.
type Outcome = (Result<Turn, SendauthFault>, [usize; 2]);

/// What is passed on of an exchange does not depend on how it arrives, and nothing is taken from behind it.
///
/// Input: two octets for the cuts, one for the length of what the client says, then that, then what the server says.
pub fn kpop(input: &[u8]) {
    let Some((&[high, low, length], rest)) = input.split_first_chunk() else { return };
    let (client, server) = rest.split_at(rest.len().min(usize::from(length)));
    let whole = exchange([client, server], 0);
    assert_eq!(exchange([client, server], u16::from_be_bytes([high, low])), whole, "cut");
    match whole.0 {
        Ok(Turn::Greeting) => assert!(whole.1[1] >= 5, "the server has agreed to nothing"),
        Err(SendauthFault::ClientLength(length) | SendauthFault::ServerLength(length)) => assert!(length > MAX_MESSAGE),
        _ => {}
    }
}

/// Plays an exchange in which each side speaks when it is its turn.
fn exchange(wires: [&[u8]; 2], seed: u16) -> Outcome {
    let mut exchange = Sendauth::default();
    let mut sides = wires.map(|wire| pieces(seed, wire).into_iter());
    let mut waiting: [&[u8]; 2] = [&[], &[]];
    let mut used = [0, 0];
    loop {
        let side = match exchange.turn() {
            Turn::Client => 0,
            Turn::Server => 1,
            turn => return (Ok(turn), used),
        };
        if waiting[side].is_empty() {
            match sides[side].next() {
                Some(piece) if !piece.is_empty() => waiting[side] = piece,
                _ => return (Ok(exchange.turn()), used),
            }
        }
        let taken = if side == 0 { exchange.client(waiting[0]) } else { exchange.server(waiting[1]) };
        match taken {
            Ok(taken) => {
                assert!(taken > 0 || !matches!(exchange.turn(), Turn::Client | Turn::Server), "it stands still");
                waiting[side] = &waiting[side][taken..];
                used[side] += taken;
            }
            // How much was passed on before a fault depends on how much came with it.
            Err(fault) => return (Err(fault), [0, 0]),
        }
    }
}
