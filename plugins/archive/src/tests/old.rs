//! Makes archives of old: ARJ, LHA, and what PKZIP 1 imploded.

/// Writes bits.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    /// The highest first.
    fn high(&mut self, value: u32, count: u32) -> &mut Self {
        self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    /// The lowest first.
    fn low(&mut self, value: u32, count: u32) -> &mut Self {
        self.0.extend((0..count).map(|bit| value >> bit & 1 == 1));
        self
    }

    /// Octets of which the highest bit comes first.
    fn high_first(&self) -> Vec<u8> {
        let octet = |bits: &[bool]| (0..8).zip(bits).fold(0, |octet, (at, &bit)| octet | u8::from(bit) << (7 - at));
        self.0.chunks(8).map(octet).collect()
    }

    /// Octets of which the lowest bit comes first.
    fn low_first(&self) -> Vec<u8> {
        let octet = |bits: &[bool]| (0..8).zip(bits).fold(0, |octet, (at, &bit)| octet | u8::from(bit) << at);
        self.0.chunks(8).map(octet).collect()
    }
}

/// One block of literals with codes of eight bits each; `places` is in how many bits a distance's code has its number.
fn lzh(content: &[u8], places: u32) -> Vec<u8> {
    let mut bits = Bits::default();
    // The lengths of the literals' codes: all are 8, which needs no bit. No distance is used.
    bits.high(content.len() as u32, 16).high(0, 5).high(8 + 2, 5).high(256, 9).high(0, places).high(0, places);
    for &octet in content {
        bits.high(octet.into(), 8);
    }
    [bits.high_first(), vec![0; 4]].concat()
}

/// Literals alone, written as they are.
pub(super) fn imploded(content: &[u8]) -> Vec<u8> {
    let mut bits = Bits::default();
    // Two trees of 64 codes of six bits each.
    for _ in 0..2 {
        bits.low(3, 8).low(0xf5f5_f5f5, 32);
    }
    for &octet in content {
        bits.low(1, 1).low(octet.into(), 8);
    }
    bits.low_first()
}

/// An ARJ archive of a file, compressed by this method.
pub(super) fn arj(name: &str, content: &[u8], method: u8, flags: u8) -> Vec<u8> {
    let packed = if method == 0 { content.to_vec() } else { lzh(content, 5) };
    let header = |name: &str, method: u8, kind: u8, flags: u8, sizes: [usize; 2]| {
        let mut header = vec![30, 11, 1, 0, flags, method, kind, 0, 0, 0, 0, 0];
        header.extend(sizes.iter().flat_map(|&size| (size as u32).to_le_bytes()));
        header.resize(30, 0);
        header.extend(name.as_bytes());
        header.extend([0, 0]);
        // No checksum is looked at; one further header stands behind it.
        let further = [2, 0, 7, 7, 0, 0, 0, 0, 0, 0];
        [b"\x60\xea", &(header.len() as u16).to_le_bytes()[..], &header, &[0; 4], &further].concat()
    };
    let archive = header("a.arj", 0, 2, 0, [0, 0]);
    let file = header(name, method, 0, flags, [packed.len(), content.len()]);
    [archive, file, packed, b"\x60\xea\0\0".to_vec()].concat()
}

/// An LHA archive of a file, with a header of this level.
pub(super) fn lha(name: &str, content: &[u8], method: &[u8; 5], level: u8) -> Vec<u8> {
    let packed = match method {
        b"-lh0-" => content.to_vec(),
        b"-lh5-" => lzh(content, 4),
        _ => lzh(content, 5),
    };
    let further = match level {
        0 => Vec::new(),
        // The name, the folder, and no more.
        _ => {
            let name = [&[1], name.as_bytes()].concat();
            let folder = b"\x02folder\xff";
            let length = |content: &[u8]| ((content.len() + 2) as u16).to_le_bytes();
            [&length(&name)[..], &name, &length(folder), folder, &[0, 0]].concat()
        }
    };
    let mut fields = method.to_vec();
    let in_front = if level == 1 { further.len() - 2 } else { 0 };
    fields.extend(((packed.len() + in_front) as u32).to_le_bytes());
    fields.extend((content.len() as u32).to_le_bytes());
    fields.extend([0, 0, 0, 0, 0x20, level]);
    let header = match level {
        0 => [&fields[..], &[name.len() as u8], name.as_bytes(), &[0, 0]].concat(),
        1 => [&fields[..], &[0, 0, 0, b'U'], &further[..2]].concat(),
        _ => [&fields[..], &[0, 0, b'U'], &further].concat(),
    };
    let front = match level {
        2 => ((header.len() + 2) as u16).to_le_bytes(),
        _ => [header.len() as u8, 0],
    };
    let behind = if level == 1 { &further[2..] } else { &[] };
    [&front[..], &header, behind, &packed, &[0]].concat()
}
