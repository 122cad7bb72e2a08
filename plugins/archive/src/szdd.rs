//! Files by COMPRESS.EXE of old, one in each.

use std::io::{self, Read};

use crate::Unscannable;
use crate::source::Source;
use crate::walk::Place;

const WINDOW: usize = 4096;

/// Shows the file inside.
pub(crate) fn open(source: &mut Source<'_, '_>, place: &Place) -> Result<(), Unscannable> {
    let walk = source.walk;
    let header = source.take_vec(14);
    let [_, _, _, _, _, _, _, _, b'A', _, a, b, c, d] = header[..] else { return Err(Unscannable::Damaged) };
    let mut content = Expanded {
        left: u32::from_le_bytes([a, b, c, d]),
        source,
        window: [b' '; WINDOW],
        at: WINDOW - 16,
        flags: 1,
        copy: (0, 0),
    };
    walk.object(place, "", &mut content);
    if content.left > 0 && !walk.is_stopped() { Err(Unscannable::Damaged) } else { Ok(()) }
}

/// Literals and copies out of a window, eight for each octet of flags.
struct Expanded<'l, 's, 'v> {
    source: &'l mut Source<'s, 'v>,
    /// Octets that are still to come.
    left: u32,
    window: [u8; WINDOW],
    at: usize,
    /// The flags that are left, and above them a 1.
    flags: u16,
    /// Where to copy from, and how many.
    copy: (usize, usize),
}

impl Expanded<'_, '_, '_> {
    fn octet(&mut self) -> Option<u8> {
        if self.copy.1 == 0 {
            if self.flags == 1 {
                self.flags = 0x100 | u16::from(self.input()?);
            }
            let literal = self.flags & 1 == 1;
            self.flags >>= 1;
            if literal {
                let octet = self.input()?;
                return Some(self.put(octet));
            }
            let (low, high) = (self.input()?, self.input()?);
            self.copy = (usize::from(high & 0xf0) << 4 | usize::from(low), usize::from(high & 0xf) + 3);
        }
        let (from, count) = self.copy;
        self.copy = ((from + 1) % WINDOW, count - 1);
        let octet = self.window[from % WINDOW];
        Some(self.put(octet))
    }

    fn put(&mut self, octet: u8) -> u8 {
        self.window[self.at] = octet;
        self.at = (self.at + 1) % WINDOW;
        octet
    }

    fn input(&mut self) -> Option<u8> {
        let octet = self.source.peek(1).first().copied();
        self.source.skip(1);
        octet
    }
}

impl Read for Expanded<'_, '_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for (at, place) in buffer.iter_mut().enumerate() {
            match if self.left == 0 { None } else { self.octet() } {
                Some(octet) => *place = octet,
                None => return Ok(at),
            }
            self.left -= 1;
        }
        Ok(buffer.len())
    }
}
