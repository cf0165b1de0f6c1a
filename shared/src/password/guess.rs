//! Strength of a password against an attacker who tries common ones first.
//!
//! The password is split into pieces in the cheapest way: listed words, words about its owner, runs over the alphabet or a
//! keyboard, repetitions, and single characters. Each piece costs bits: the binary logarithm of the number of such pieces.

use super::blocklist::{Blocklist, Fingerprint};

/// Costs in bits.
const DIGIT: u32 = 4;
const LETTER: u32 = 5;
const SIGN: u32 = 4;
const SIGN_AGAIN: u32 = 1;
const ABOUT: u32 = 3;
const REPETITION: u32 = 4;
const RUN: u32 = 8;

/// Positions of characters in the alphabet, on keyboards with and without shift, and on the number pad.
const ORDERS: [&[&str]; 6] = [
    &["abcdefghijklmnopqrstuvwxyz", "0123456789"],
    &["`1234567890-=", " qwertyuiop[]\\", " asdfghjkl;'", " zxcvbnm,./"],
    &["~!@#$%^&*()_+", " qwertyuiop{}|", " asdfghjkl:\"", " zxcvbnm<>?"],
    &["^1234567890ß´", " qwertzuiopü+", " asdfghjklöä#", " yxcvbnm,.-"],
    &["²&é\"'(-è_çà)=", " azertyuiop^$", " qsdfghjklmù*", " wxcvbn,;:!"],
    &["789", "456", "123", "0"],
];

/// Maximum pattern that a run repeats, as in `1qaz2wsx3edc`.
const STRIDE: usize = 4;

/// Returns the strength in bits, given the blocklist and what attackers know about the owner.
pub(super) fn bits(password: &str, about: &[&str], list: Option<Blocklist>) -> u32 {
    let lower = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<Vec<_>>();
    let sign = |c: char| !c.is_alphanumeric();
    // Each text as it is, without punctuation, and word by word.
    let about = about.iter().flat_map(|text| {
        let whole = [lower(text), lower(&text.replace(sign, ""))];
        whole.into_iter().chain(text.split(sign).map(lower))
    });
    let about: Vec<Vec<char>> = about.filter(|piece| piece.len() > 2).collect();
    let text = lower(password);

    // Punctuation may separate the characters of a word, or the words of a listed phrase.
    let (bare, signs): (Vec<char>, Vec<char>) = text.iter().partition(|c| c.is_alphanumeric());
    let as_it_is = cheapest(&text, &about, list);
    if signs.is_empty() {
        return as_it_is;
    }
    let put_back = (0..signs.len()).map(|at| price(&signs, at)).sum::<u32>();
    as_it_is.min(cheapest(&bare, &about, list) + put_back)
}

fn cheapest(text: &[char], about: &[Vec<char>], list: Option<Blocklist>) -> u32 {
    let spellings = spellings(text);
    let orders = ORDERS.map(|order| text.iter().map(|c| place(order, *c)).collect::<Vec<_>>());
    // The cost of reaching each character.
    let mut bits = vec![u32::MAX; text.len() + 1];
    bits[0] = 0;
    for from in 0..text.len() {
        let so_far = bits[from];
        let mut reach = |to: usize, price: u32| bits[to] = bits[to].min(so_far + price);

        reach(from + 1, price(text, from));
        (from + 3..=repetition(text, from)).for_each(|to| reach(to, REPETITION));
        for stride in 1..=STRIDE.min(text.len() - from) {
            let start: u32 = (from..from + stride).map(|at| price(text, at)).sum();
            (from + 2 * stride + 1..=run(&orders, from, stride)).for_each(|to| reach(to, start + RUN));
        }
        for spelling in &spellings {
            let rest = &spelling[from..];
            for word in about.iter().filter(|word| rest.starts_with(word)) {
                reach(from + word.len(), ABOUT);
            }
            let Some(list) = list else { continue };
            let mut word = Fingerprint::EMPTY;
            for (at, c) in rest.iter().enumerate() {
                word = word.and(*c);
                if let Some(usage) = list.find(word) {
                    reach(from + at + 1, usage.bits());
                }
            }
        }
    }
    bits[text.len()]
}

/// Returns the cost of a single character.
fn price(text: &[char], at: usize) -> u32 {
    match text[at] {
        '0'..='9' => DIGIT,
        c if c.is_alphanumeric() => LETTER,
        c if text[..at].contains(&c) => SIGN_AGAIN,
        _ => SIGN,
    }
}

/// Returns the end of a repetition that starts here.
fn repetition(text: &[char], from: usize) -> usize {
    let repeated =
        |distance: usize| (from..text.len()).take_while(|at| text[*at] == text[at - distance]).count();
    from + (1..=from).map(repeated).max().unwrap_or(0)
}

/// Returns the end of a run that starts here: each character is as far from the one `stride` before it as that one from its
/// own predecessor, and no farther than a neighbour.
fn run(orders: &[Vec<Option<Place>>], from: usize, stride: usize) -> usize {
    let first = from + stride;
    let ends = orders.iter().map(|places| {
        let step = |at: usize| {
            let ((x, y), (next_x, next_y)) = (places[at - stride]?, places[at]?);
            Some((next_x - x, next_y - y)).filter(|(right, down)| right.abs() <= 1 && down.abs() <= 1)
        };
        let goes_on =
            |at: usize| step(at).is_some_and(|now| at < first + stride || step(at - stride) == Some(now));
        first + (first..places.len()).take_while(|at| goes_on(*at)).count()
    });
    ends.max().unwrap_or(first)
}

/// Column and row.
type Place = (i32, i32);

fn place(order: &[&str], c: char) -> Option<Place> {
    let mut rows = order.iter().zip(0..);
    rows.find_map(|(row, y)| row.chars().zip(0..).find(|(key, _)| *key == c).map(|(_, x)| (x, y)))
}

/// Returns the text, and the same with digits and punctuation read as letters.
fn spellings(text: &[char]) -> Vec<Vec<char>> {
    let read = |one: char| {
        let letter = |c: &char| match c {
            '0' => 'o',
            '1' | '!' => one,
            '3' => 'e',
            '4' | '@' => 'a',
            '5' | '$' => 's',
            '7' | '+' => 't',
            c => *c,
        };
        text.iter().map(letter).collect::<Vec<_>>()
    };
    let mut spellings = vec![text.to_vec()];
    if text.iter().any(|c| c.is_alphabetic()) {
        spellings.extend([read('i'), read('l')]);
        spellings.dedup();
    }
    spellings
}
