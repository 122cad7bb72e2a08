//! Makes archives.

use std::io::{Cursor, Write as _};

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::old;

const INSIDE: &[u8] = b"hello inside";

/// A file of each kind, with a text in it.
pub(super) fn all() -> Vec<(&'static str, Vec<u8>)> {
    let zip = zip(&[("a.txt", INSIDE)]);
    vec![
        ("stored.zip", Zip::default().stored().file("a.txt", INSIDE).end()),
        ("deflated.zip", zip.clone()),
        ("descriptor.zip", Zip::default().described().file("a.txt", INSIDE).end()),
        ("stored-descriptor.zip", Zip::default().stored().described().file("a.txt", INSIDE).end()),
        ("bzip2.zip", Zip { method: 12, ..Zip::default() }.file("a.txt", INSIDE).end()),
        ("imploded.zip", Zip { method: 6, ..Zip::default() }.file("a.txt", INSIDE).end()),
        ("stored.arj", old::arj("a.txt", INSIDE, 0, 0)),
        ("a.arj", old::arj("a.txt", INSIDE, 1, 0)),
        ("stored.lzh", old::lha("a.txt", INSIDE, b"-lh0-", 0)),
        ("a.lzh", old::lha("a.txt", INSIDE, b"-lh5-", 1)),
        ("large.lzh", old::lha("a.txt", INSIDE, b"-lh7-", 2)),
        ("nested.zip", self::zip(&[("a.zip", &zip)])),
        ("program.exe", [b"MZ\x90\0".as_slice(), &[0; 100_000], &zip].concat()),
        ("prefix.txt", [b"a text\n".repeat(20_000).as_slice(), &zip].concat()),
        ("picture.png", [b"\x89PNG\r\n\x1a\n".as_slice(), &[7; 500], &zip].concat()),
        ("a.gz", gzip("a.txt", INSIDE)),
        ("members.gz", [gzip("", b"hello "), gzip("", b"inside")].concat()),
        ("behind.gz", [gzip("", b"another"), zip].concat()),
        ("a.bz2", bzip2(INSIDE)),
        ("a.xz", xz(INSIDE)),
        ("a.lzma", lzma(INSIDE)),
        ("a.szdd", szdd(INSIDE)),
        ("a.tar", tar("folder/a.txt", INSIDE)),
        ("a.cpio", cpio("a.txt", INSIDE)),
        ("winmail.dat", tnef("a.txt", INSIDE)),
        ("stored.cab", cabinet("a.txt", INSIDE, false)),
        ("mszip.cab", cabinet("a.txt", INSIDE, true)),
        ("a.7z", seven("a.txt", INSIDE)),
        ("a.doc", ole("stream", INSIDE)),
        ("a.rtf", rtf(INSIDE)),
        ("a.pdf", pdf(INSIDE)),
        ("a.html", html(&tar("a", INSIDE))),
        ("mail.txt", mail(&tar("a", INSIDE))),
        ("a.uu", uuencode(INSIDE)),
    ]
}

/// Deflated files, and a directory.
pub(super) fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    files.iter().fold(Zip::default(), |zip, (name, content)| zip.file(name, content)).end()
}

/// A zip archive in the making.
pub(super) struct Zip {
    pub(super) octets: Vec<u8>,
    pub(super) directory: Vec<u8>,
    pub(super) count: u16,
    pub(super) method: u16,
    pub(super) flags: u16,
}

impl Default for Zip {
    fn default() -> Self {
        Self { octets: Vec::new(), directory: Vec::new(), count: 0, method: 8, flags: 0 }
    }
}

impl Zip {
    pub(super) fn stored(self) -> Self {
        Self { method: 0, ..self }
    }

    /// With the sizes behind the file.
    pub(super) fn described(self) -> Self {
        Self { flags: 8, ..self }
    }

    pub(super) fn file(self, name: &str, content: &[u8]) -> Self {
        self.file_listed_as(name, name, content)
    }

    /// With another name in the directory.
    pub(super) fn file_listed_as(mut self, name: &str, listed: &str, content: &[u8]) -> Self {
        let packed = match self.method {
            8 => {
                let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(content).unwrap();
                encoder.finish().unwrap()
            }
            6 => old::imploded(content),
            12 => bzip2(content),
            _ => content.to_vec(),
        };
        let offset = self.octets.len() as u32;
        let sizes = [0, packed.len() as u32, content.len() as u32];
        let described = self.flags & 8 != 0;
        let header = |sizes: [u32; 3], name: &str| {
            let mut header = Vec::new();
            header.extend([20u16, self.flags, self.method, 0, 0].iter().flat_map(|field| field.to_le_bytes()));
            header.extend(sizes.iter().flat_map(|field| field.to_le_bytes()));
            header.extend((name.len() as u16).to_le_bytes());
            header.extend([0, 0]);
            header
        };
        self.octets.extend(b"PK\x03\x04");
        self.octets.extend(header(if described { [0; 3] } else { sizes }, name));
        self.octets.extend(name.as_bytes());
        self.octets.extend(&packed);
        if described {
            self.octets.extend(b"PK\x07\x08");
            self.octets.extend(sizes.iter().flat_map(|field| field.to_le_bytes()));
        }
        self.directory.extend(b"PK\x01\x02\x14\0");
        self.directory.extend(header(sizes, listed));
        self.directory.extend([0; 10]);
        self.directory.extend(offset.to_le_bytes());
        self.directory.extend(listed.as_bytes());
        self.count += 1;
        self
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        let start = self.octets.len() as u32;
        self.octets.extend(&self.directory);
        self.octets.extend(b"PK\x05\x06\0\0\0\0");
        self.octets.extend([self.count, self.count].iter().flat_map(|field| field.to_le_bytes()));
        self.octets.extend((self.directory.len() as u32).to_le_bytes());
        self.octets.extend(start.to_le_bytes());
        self.octets.extend([0, 0]);
        self.octets
    }
}

pub(super) fn gzip(name: &str, content: &[u8]) -> Vec<u8> {
    let mut builder = flate2::GzBuilder::new();
    if !name.is_empty() {
        builder = builder.filename(name);
    }
    let mut encoder: GzEncoder<_> = builder.write(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn bzip2(content: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn xz(content: &[u8]) -> Vec<u8> {
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn lzma(content: &[u8]) -> Vec<u8> {
    let options = lzma_rust2::LzmaOptions::with_preset(1);
    let mut encoder = lzma_rust2::LzmaWriter::new_use_header(Vec::new(), &options, None).unwrap();
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Literals only.
fn szdd(content: &[u8]) -> Vec<u8> {
    let mut octets = b"SZDD\x88\xf0\x27\x33A\0".to_vec();
    octets.extend((content.len() as u32).to_le_bytes());
    for group in content.chunks(8) {
        octets.push(0xff);
        octets.extend(group);
    }
    octets
}

pub(super) fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    header[148..156].fill(b' ');
    header[156] = b'0';
    header[257..263].copy_from_slice(b"ustar\0");
    let sum: u32 = header.iter().map(|&octet| u32::from(octet)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut octets = [&header, content].concat();
    octets.resize(octets.len().next_multiple_of(512) + 1024, 0);
    octets
}

fn cpio(name: &str, content: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    for (name, content) in [(name, content), ("TRAILER!!!", b"")] {
        octets.extend(format!("070701{:048}{:08X}{:032}{:08X}{:08}", 0, content.len(), 0, name.len() + 1, 0).bytes());
        octets.extend(name.bytes());
        octets.push(0);
        octets.resize(octets.len().next_multiple_of(4), 0);
        octets.extend(content);
        octets.resize(octets.len().next_multiple_of(4), 0);
    }
    octets
}

pub(super) fn tnef(name: &str, content: &[u8]) -> Vec<u8> {
    let mut octets = b"\x78\x9f\x3e\x22\x01\0".to_vec();
    let mut attribute = |level: u8, id: u32, content: &[u8]| {
        octets.push(level);
        octets.extend(id.to_le_bytes());
        octets.extend((content.len() as u32).to_le_bytes());
        octets.extend(content);
        octets.extend(content.iter().fold(0u16, |sum, &octet| sum.wrapping_add(u16::from(octet))).to_le_bytes());
    };
    attribute(1, 0x0008_9006, &[0, 0, 1, 0]);
    attribute(2, 0x0006_9002, &[0; 14]);
    attribute(2, 0x0001_8010, b"SHORT~1.TXT\0");
    attribute(2, 0x0006_800f, content);
    // One property: the long name, in UTF-16.
    let wide: Vec<u8> = name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    let mut properties = [1u32.to_le_bytes(), [0x1f, 0, 0x07, 0x37], 1u32.to_le_bytes()].concat();
    properties.extend((wide.len() as u32).to_le_bytes());
    properties.extend(&wide);
    properties.resize(properties.len().next_multiple_of(4), 0);
    attribute(2, 0x0006_9005, &properties);
    octets
}

fn cabinet(name: &str, content: &[u8], mszip: bool) -> Vec<u8> {
    let mut block = content.to_vec();
    if mszip {
        let mut encoder = DeflateEncoder::new(b"CK".to_vec(), Compression::default());
        encoder.write_all(content).unwrap();
        block = encoder.finish().unwrap();
    }
    let data = 36 + 8 + 16 + name.len() + 1;
    let mut octets = b"MSCF\0\0\0\0".to_vec();
    let long = |number: usize| (number as u32).to_le_bytes();
    octets.extend([long(data + 8 + block.len()), long(0), long(44), long(0)].concat());
    octets.extend([3, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    octets.extend(long(data));
    octets.extend([1, 0, u8::from(mszip), 0]);
    octets.extend([long(content.len()), long(0), [0; 4], [0; 4]].concat());
    octets.extend(name.bytes());
    octets.push(0);
    octets.extend(long(0));
    octets.extend((block.len() as u16).to_le_bytes());
    octets.extend((content.len() as u16).to_le_bytes());
    octets.extend(block);
    octets
}

fn seven(name: &str, content: &[u8]) -> Vec<u8> {
    let mut writer = sevenz_rust2::ArchiveWriter::new(Cursor::new(Vec::new())).unwrap();
    writer.push_archive_entry(sevenz_rust2::ArchiveEntry::new_file(name), Some(content)).unwrap();
    writer.finish().unwrap().into_inner()
}

pub(super) fn ole(name: &str, content: &[u8]) -> Vec<u8> {
    let mut file = cfb::CompoundFile::create(Cursor::new(Vec::new())).unwrap();
    file.create_storage("/Storage").unwrap();
    file.create_stream(format!("/Storage/{name}")).unwrap().write_all(content).unwrap();
    file.flush().unwrap();
    file.into_inner().into_inner()
}

/// A package in an object.
fn rtf(content: &[u8]) -> Vec<u8> {
    let mut package =
        [2u16.to_le_bytes().as_slice(), b"a.txt\0c:\\a.txt\0", &[0, 0, 3, 0], &2u32.to_le_bytes(), b"x\0"].concat();
    package.extend((content.len() as u32).to_le_bytes());
    package.extend(content);
    let mut object = [&[1, 5, 0, 0, 2, 0, 0, 0, 8, 0, 0, 0][..], b"Package\0", &[0; 8]].concat();
    object.extend((package.len() as u32).to_le_bytes());
    object.extend(package);
    let digits: Vec<String> = object.iter().map(|octet| format!("{octet:02x}")).collect();
    format!("{{\\rtf1 text {{\\object{{\\*\\objclass Package}}{{\\*\\objdata {}}}}} more}}", digits.join("\r\n"))
        .into_bytes()
}

fn pdf(content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    let packed = encoder.finish().unwrap();
    let dictionary =
        format!("%PDF-1.4\n1 0 obj\n<< /Type /EmbeddedFile /Filter /FlateDecode /Length {} >>\n", packed.len());
    [dictionary.as_bytes(), b"stream\r\n", &packed, b"\nendstream\nendobj\n%%EOF\n"].concat()
}

fn base64(content: &[u8], line: usize) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for (index, group) in content.chunks(3).enumerate() {
        let bits = group.iter().fold(0, |bits, &octet| bits << 8 | u32::from(octet)) << (8 * (3 - group.len()));
        text.extend((0..=group.len()).map(|digit| char::from(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize])));
        text.push_str(&"=".repeat(3 - group.len()));
        if (index + 1) % (line / 4) == 0 {
            text.push('\n');
        }
    }
    text
}

fn html(content: &[u8]) -> Vec<u8> {
    format!("<html><a href=\"data:application/x;base64,{}\">x</a></html>", base64(content, 1 << 20)).into_bytes()
}

fn mail(content: &[u8]) -> Vec<u8> {
    format!("From: a@example.org\n\n--b\nContent-Transfer-Encoding: base64\n\n{}\n--b--\n", base64(content, 76))
        .into_bytes()
}

fn uuencode(content: &[u8]) -> Vec<u8> {
    let mut text = "text\nbegin 644 a.txt\n".to_owned();
    for line in content.chunks(45) {
        text.push(char::from(32 + line.len() as u8));
        for group in line.chunks(3) {
            let bits = group.iter().fold(0, |bits, &octet| bits << 8 | u32::from(octet)) << (8 * (3 - group.len()));
            text.extend((0..4).map(|digit| char::from(32 + (bits >> (18 - 6 * digit) & 63) as u8)));
        }
        text.push('\n');
    }
    (text + "`\nend\n").into_bytes()
}

/// The headers of a program that begins at this address, with sections of 4 KiB by address and flags.
pub(super) fn program(entry: u32, sections: &[(u32, u32)]) -> Vec<u8> {
    let mut file = b"MZ\x90\0".to_vec();
    file.resize(0x3c, 0);
    file.extend(0x80_u32.to_le_bytes());
    file.resize(0x80, 0);
    file.extend(b"PE\0\0\x4c\x01");
    file.extend((sections.len() as u16).to_le_bytes());
    file.extend([0; 12]);
    file.extend(0xe0_u16.to_le_bytes());
    file.extend(0x0103_u16.to_le_bytes());
    let mut optional = [0; 0xe0];
    optional[16..20].copy_from_slice(&entry.to_le_bytes());
    file.extend(optional);
    for (address, flags) in sections {
        file.extend(b".section");
        for number in [0x1000, *address, 0x200, 0x400, 0, 0, 0, *flags] {
            file.extend(number.to_le_bytes());
        }
    }
    file
}
