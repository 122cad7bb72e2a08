//! Text into words, and words into pairs.
//!
//! A word is a run of letters and digits; `.`, `-`, `'`, `_` and `@` belong to it between two of them. Runs of `!`, `?` and
//! `$` are words, too. Scripts without spaces give pairs of characters. Letters are folded, invisible characters are
//! skipped: they only split what people read as one word.

use super::{ContextId, Side, Tokens, Word};

/// A pair is made with this many words before it, at most.
pub(crate) const WINDOW: usize = 4;

/// Splits text that comes in pieces.
pub(super) struct Words<'t> {
    /// Nobody else adds words while this is there: the word under way stands at the end of the store.
    pub(super) tokens: &'t mut Tokens,
    context: ContextId,
    /// Words before a word that make pairs with it, at most [`WINDOW`].
    pairs: usize,
    firm: bool,
    /// Where the word under way begins in the store of words.
    start: usize,
    /// A mark that belongs to the word if a letter follows.
    joint: Option<char>,
    last: Last,
    /// The words before, the nearest first.
    before: [Option<Word>; WINDOW],
    /// Letters that stand alone, one after the other: `F R E E`.
    spaced: String,
}

/// The kind of the character before.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Last {
    Space,
    Letter,
    Mark(char),
    Ideograph(char),
}

impl<'t> Words<'t> {
    /// For the text of the message: words and pairs.
    pub(super) fn of_text(tokens: &'t mut Tokens, pairs: usize) -> Self {
        let context = tokens.context(Side::Words, "");
        Self::new(tokens, context, pairs, false)
    }

    /// For something else, whose tokens are always kept.
    pub(super) fn of_field(tokens: &'t mut Tokens, context: ContextId, pairs: usize) -> Self {
        Self::new(tokens, context, pairs, true)
    }

    fn new(tokens: &'t mut Tokens, context: ContextId, pairs: usize, firm: bool) -> Self {
        let start = tokens.words.len();
        let spaced = String::new();
        Self { tokens, context, pairs, firm, start, joint: None, last: Last::Space, before: [None; WINDOW], spaced }
    }

    /// Goes on in another context.
    pub(super) fn turn_to(&mut self, context: ContextId, pairs: usize) {
        self.end_word();
        self.before = [None; WINDOW];
        (self.context, self.pairs) = (context, pairs);
    }

    /// True within a word.
    pub(super) fn in_word(&self) -> bool {
        self.last == Last::Letter
    }

    pub(super) fn push_str(&mut self, text: &str) {
        for character in text.chars() {
            self.push(character);
        }
    }

    pub(super) fn push(&mut self, character: char) {
        match character {
            'a'..='z' | '0'..='9' => self.letter(character),
            'A'..='Z' => self.letter(character.to_ascii_lowercase()),
            ' ' | '\n' | '\r' | '\t' => self.end_word(),
            '.' | '-' | '\'' | '_' | '@' => self.join(character),
            '!' | '?' | '$' => self.mark(character),
            '%' if self.last == Last::Letter && self.joint.is_none() => {
                self.tokens.words.push('%');
                self.end_word();
            }
            '\0'..='\x7f' => self.end_word(),
            _ => self.other(character),
        }
    }

    /// What is not ASCII.
    fn other(&mut self, character: char) {
        match character {
            '\u{2019}' => self.join('\''),
            // Full-width forms of ASCII.
            '\u{ff01}'..='\u{ff5e}' => self.push(char::from_u32(u32::from(character) - 0xfee0).unwrap_or(' ')),
            _ if is_invisible(character) => {}
            _ if is_ideograph(character) => self.ideograph(character),
            _ if character.is_alphanumeric() => {
                for lower in character.to_lowercase() {
                    self.letter(lower);
                }
            }
            '\u{964}' | '\u{965}' => self.end_word(),
            // Combining marks belong to their letters.
            '\u{300}'..='\u{36f}' | '\u{900}'..='\u{dff}' => {}
            _ => self.end_word(),
        }
    }

    fn letter(&mut self, character: char) {
        if self.last != Last::Letter {
            self.end_word();
        }
        if let Some(joint) = self.joint.take() {
            self.tokens.words.push(joint);
        }
        self.tokens.words.push(character);
        self.last = Last::Letter;
    }

    fn join(&mut self, mark: char) {
        if self.last == Last::Letter && self.joint.is_none() {
            self.joint = Some(mark);
        } else {
            self.end_word();
        }
    }

    /// Marks make words of up to three of the same.
    fn mark(&mut self, mark: char) {
        if self.last != Last::Mark(mark) {
            self.end_word();
        }
        if self.tokens.words.len() - self.start < 3 {
            self.tokens.words.push(mark);
        }
        self.last = Last::Mark(mark);
    }

    /// Every two characters that follow each other make a word.
    fn ideograph(&mut self, character: char) {
        let before = self.last;
        if !matches!(before, Last::Ideograph(_)) {
            self.end_word();
        }
        if let Last::Ideograph(before) = before {
            self.start = self.tokens.words.len();
            self.tokens.words.extend([before, character]);
            if let Some(word) = self.tokens.word_from(self.start) {
                self.tokens.add_word(self.context, word, self.firm);
            }
            self.start = self.tokens.words.len();
        }
        self.last = Last::Ideograph(character);
    }

    /// Ends the word under way, if there is one.
    pub(super) fn end_word(&mut self) {
        self.joint = None;
        let letter = self.last == Last::Letter && self.tokens.words.len() == self.start + 1;
        self.last = Last::Space;
        if self.tokens.words.len() == self.start {
            return;
        }
        if letter {
            self.spaced.push_str(&self.tokens.words[self.start..]);
        } else {
            self.end_spaced();
        }
        if let Some(word) = self.tokens.word_from(self.start) {
            self.add(word);
        }
        self.start = self.tokens.words.len();
    }

    fn add(&mut self, word: Word) {
        self.tokens.add_word(self.context, word, self.firm);
        for (gap, before) in (0..).zip(self.before).take(self.pairs) {
            if let Some(before) = before {
                self.tokens.add_pair(self.context, before, word, gap, self.firm);
            }
        }
        self.before.rotate_right(1);
        self.before[0] = Some(word);
    }

    /// Three and more letters that stood alone are read as one word.
    fn end_spaced(&mut self) {
        if self.spaced.len() < 3 {
            self.spaced.clear();
            return;
        }
        // The word under way stays the last one in the store.
        let current = self.tokens.words.split_off(self.start);
        let spaced = std::mem::take(&mut self.spaced);
        let context = self.tokens.context(Side::Words, "spaced");
        self.tokens.add(context, &spaced);
        self.start = self.tokens.words.len();
        self.tokens.words.push_str(&current);
    }
}

impl Drop for Words<'_> {
    fn drop(&mut self) {
        self.end_word();
        self.end_spaced();
    }
}

/// What takes no room on the screen: soft hyphens, zero-width characters, marks of direction, variation selectors.
pub(super) fn is_invisible(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

/// Scripts that are written without spaces between words.
fn is_ideograph(character: char) -> bool {
    matches!(character, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{2e80}'..='\u{2fdf}' | '\u{3040}'..='\u{30ff}' | '\u{3100}'..='\u{312f}' | '\u{31a0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{323af}')
}
