//! What a message is made of: words, pairs of words, header fields, links, markup and files as tokens.
//!
//! A token is a key of 64 bits and enough of its text to show it to people. The keys are what is stored, so the way in
//! which they are made is a format: whoever changes it makes all that was learned worthless.

mod facts;
mod headers;
mod html;
mod parts;
mod urls;
mod words;

#[cfg(test)]
mod tests;

use std::ops::Range;

use popgate_plugin::Message;

pub(crate) use self::words::WINDOW;

/// Tokens that are collected at most, before the sample of [`Tokens::finish`] is taken.
const COLLECTED_MAX: usize = 32_768;

/// Tokens of a message at most: the store takes 4,096 keys in a call, one of which is that of the totals.
pub(crate) const MOST: usize = 4_095;

/// Octets of one word in a key and in its text; longer ones are known by their length alone.
const WORD_MAX: usize = 40;

/// Characters of what is no word: a media type, a host.
const FACT_MAX: usize = 120;

/// How much of a message is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Octets of the decoded text of one part.
    pub(crate) part: usize,
    /// Octets of the decoded text of all parts.
    pub(crate) message: usize,
    /// Tokens.
    pub(crate) tokens: usize,
    /// Words before a word that make pairs with it.
    pub(crate) pairs: usize,
}

/// From which side a token shows the message.
///
/// What is on one side comes in bundles: a mailing list writes ten header fields, an advertisement uses the same twenty words.
/// What is on different sides was hardly written by the same hand. So a side speaks with one voice, however many tokens it has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    /// The subject.
    Subject,
    /// Words of the text.
    Words,
    /// Pairs of words in the text.
    Pairs,
    /// Links.
    Links,
    /// The servers that it came through.
    Route,
    /// Parts, files and markup.
    Structure,
    /// How the header is written, whatever is in it.
    Form,
    /// Words of other header fields.
    Fields,
}

impl Side {
    /// All of them, in their order.
    pub(crate) const ALL: [Self; Self::COUNT] =
        [Self::Subject, Self::Words, Self::Pairs, Self::Links, Self::Route, Self::Structure, Self::Form, Self::Fields];

    /// How many there are.
    pub(crate) const COUNT: usize = 8;
}

/// The tokens of a message, each once.
#[derive(Debug)]
pub(crate) struct Tokens {
    /// The texts of words, one behind the other.
    words: String,
    contexts: Vec<Context>,
    /// Of headers, structure and links: always among the tokens.
    firm: Vec<Token>,
    /// Of the text: a sample of them if they are too many.
    text: Vec<Token>,
}

/// Where a word stands: a word of the subject is another token than the same word in the text.
#[derive(Debug)]
struct Context {
    name: String,
    side: Side,
    hash: u64,
}

/// The number of a context.
#[derive(Clone, Copy, Debug)]
struct ContextId(u16);

/// A word in [`Tokens::words`].
#[derive(Clone, Copy, Debug)]
struct Word {
    start: u32,
    length: u32,
    hash: u64,
}

#[derive(Clone, Copy, Debug)]
struct Token {
    key: u64,
    context: ContextId,
    first: Word,
    /// The second word of a pair, and how many words stand between.
    second: Option<(Word, u8)>,
}

impl Tokens {
    /// Takes a message apart.
    pub(crate) fn of(message: &Message, bounds: &Bounds) -> Self {
        let mut tokens = Self::empty();
        headers::collect(message, &mut tokens);
        parts::collect(message, bounds, &mut tokens);
        facts::collect(message, &mut tokens);
        tokens.finish(bounds.tokens);
        tokens
    }

    fn empty() -> Self {
        Self { words: String::new(), contexts: Vec::new(), firm: Vec::new(), text: Vec::new() }
    }

    /// The keys, each once.
    pub(crate) fn keys(&self) -> impl Iterator<Item = u64> {
        self.firm.iter().chain(&self.text).map(|token| token.key)
    }

    /// The sides of the tokens, in the order of the keys.
    pub(crate) fn sides(&self) -> impl Iterator<Item = Side> {
        self.firm.iter().chain(&self.text).map(|token| {
            let side = self.contexts[usize::from(token.context.0)].side;
            if side == Side::Words && token.second.is_some() { Side::Pairs } else { side }
        })
    }

    /// The text of the token at a position in [`Tokens::keys`]: `subject:free`, `money back`. It comes from mail.
    pub(crate) fn text(&self, position: usize) -> String {
        let Some(token) = self.firm.iter().chain(&self.text).nth(position) else { return String::new() };
        let context = &self.contexts[usize::from(token.context.0)].name;
        let separator = if context.is_empty() { "" } else { ":" };
        let first = &self.words[range(token.first)];
        match token.second {
            None => format!("{context}{separator}{first}"),
            Some((second, gap)) => {
                let between = if gap == 0 { " " } else { " .. " };
                format!("{context}{separator}{first}{between}{}", &self.words[range(second)])
            }
        }
    }

    /// The number of a context by its name.
    fn context(&mut self, side: Side, name: &str) -> ContextId {
        let position = self.contexts.iter().position(|context| context.name == name).unwrap_or_else(|| {
            self.contexts.push(Context { name: name.to_owned(), side, hash: hash(name.as_bytes()) });
            self.contexts.len() - 1
        });
        // There are fewer fields in a header than contexts can be counted.
        ContextId(u16::try_from(position).unwrap_or(u16::MAX))
    }

    /// Stores a fact; `None` if it is empty.
    fn fact(&mut self, text: &str) -> Option<Word> {
        let start = self.words.len();
        self.words.extend(text.chars().take(FACT_MAX).flat_map(char::to_lowercase));
        self.last_from(start)
    }

    /// What was written behind `start` as a word; what is too long is known by its length and its first character.
    fn word_from(&mut self, start: usize) -> Option<Word> {
        let length = self.words.len() - start;
        if length > WORD_MAX {
            let first = self.words[start..].chars().next().unwrap_or(' ');
            self.words.truncate(start);
            self.words.push(first);
            self.words.push_str("... of ");
            self.words.push_str(&(length / 10 * 10).min(200).to_string());
        }
        self.last_from(start)
    }

    fn last_from(&self, start: usize) -> Option<Word> {
        let octets = &self.words.as_bytes()[start..];
        let length = u32::try_from(octets.len()).ok().filter(|&length| length > 0)?;
        Some(Word { start: u32::try_from(start).ok()?, length, hash: hash(octets) })
    }

    /// Adds a token that is always kept.
    fn add(&mut self, context: ContextId, text: &str) {
        if let Some(word) = self.fact(text) {
            self.add_word(context, word, true);
        }
    }

    /// Adds a token of the context with this name.
    fn add_to(&mut self, side: Side, context: &str, text: &str) {
        let context = self.context(side, context);
        self.add(context, text);
    }

    fn add_word(&mut self, context: ContextId, first: Word, firm: bool) {
        let key = mix(self.contexts[usize::from(context.0)].hash ^ first.hash.rotate_left(17));
        self.push(Token { key, context, first, second: None }, firm);
    }

    /// Adds a pair of words with `gap` words between them.
    fn add_pair(&mut self, context: ContextId, first: Word, second: Word, gap: u8, firm: bool) {
        let context_hash = self.contexts[usize::from(context.0)].hash;
        let both = mix(first.hash.wrapping_add(u64::from(gap))).rotate_left(29) ^ second.hash;
        let key = mix(context_hash ^ both);
        self.push(Token { key, context, first, second: Some((second, gap)) }, firm);
    }

    fn push(&mut self, token: Token, firm: bool) {
        let list = if firm { &mut self.firm } else { &mut self.text };
        if list.len() < COLLECTED_MAX {
            list.push(token);
        }
    }

    /// Leaves each token once, and not more than `most`.
    ///
    /// What is too much goes by its key, which is as good as drawing lots and the same whenever the message is seen:
    /// a sender can't push out what he has to say by words that he puts before it.
    fn finish(&mut self, most: usize) {
        for list in [&mut self.firm, &mut self.text] {
            list.sort_unstable_by_key(|token| token.key);
            list.dedup_by_key(|token| token.key);
        }
        self.firm.truncate(most / 2);
        self.text.truncate(most - self.firm.len());
    }
}

fn range(word: Word) -> Range<usize> {
    word.start as usize..(word.start + word.length) as usize
}

/// At most this many octets of a text, whole characters.
fn cut(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// FNV-1a, 64 bits.
fn hash(octets: &[u8]) -> u64 {
    octets
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &octet| (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Spreads what is in a few bits over all of them: the last step of SplitMix64.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
