//! How soon an attacker guesses a password who tries what is common first.
//!
//! The password is put together of pieces in the way that is cheapest for the attacker: listed words, words about its
//! owner, runs over the alphabet or a keyboard, repetitions, and single characters. Each piece has its price in bits:
//! the logarithm of how many such pieces there are to try.

use super::blocklist::{Blocklist, Fingerprint};

/// Prices in bits.
const DIGIT: u32 = 4;
const LETTER: u32 = 5;
const SIGN: u32 = 4;
const SIGN_AGAIN: u32 = 1;
const ABOUT: u32 = 3;
const REPETITION: u32 = 4;
const RUN: u32 = 8;

/// Where the characters stand in the orders that people run along: the alphabet, the keyboards' upper and lower cases,
/// the number pad.
const ORDERS: [&[&str]; 6] = [
    &["abcdefghijklmnopqrstuvwxyz", "0123456789"],
    &["`1234567890-=", " qwertyuiop[]\\", " asdfghjkl;'", " zxcvbnm,./"],
    &["~!@#$%^&*()_+", " qwertyuiop{}|", " asdfghjkl:\"", " zxcvbnm<>?"],
    &["^1234567890ß´", " qwertzuiopü+", " asdfghjklöä#", " yxcvbnm,.-"],
    &["²&é\"'(-è_çà)=", " azertyuiop^$", " qsdfghjklmù*", " wxcvbn,;:!"],
    &["789", "456", "123", "0"],
];

/// The longest pattern that a run repeats, as in `1qaz2wsx3edc`.
const STRIDE: usize = 4;

/// The bits of the cheapest way to a password, for an attacker with this list who knows this much about its owner.
pub(super) fn bits(password: &str, about: &[&str], list: Option<Blocklist>) -> u32 {
    let lower = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<Vec<_>>();
    let sign = |c: char| !c.is_alphanumeric();
    // Each text as it is, without its signs, and word by word.
    let about = about.iter().flat_map(|text| {
        let whole = [lower(text), lower(&text.replace(sign, ""))];
        whole.into_iter().chain(text.split(sign).map(lower))
    });
    let about: Vec<Vec<char>> = about.filter(|piece| piece.len() > 2).collect();
    let text = lower(password);

    // Signs may stand between the characters of a word, or between the words of a phrase that is listed without.
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
    // What it takes to get to each character.
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

/// The price of the character that stands there, by itself.
fn price(text: &[char], at: usize) -> u32 {
    match text[at] {
        '0'..='9' => DIGIT,
        c if c.is_alphanumeric() => LETTER,
        c if text[..at].contains(&c) => SIGN_AGAIN,
        _ => SIGN,
    }
}

/// Where what begins there ends to be a repetition of something before it.
fn repetition(text: &[char], from: usize) -> usize {
    let repeated =
        |distance: usize| (from..text.len()).take_while(|at| text[*at] == text[at - distance]).count();
    from + (1..=from).map(repeated).max().unwrap_or(0)
}

/// Where a run that begins there ends: in one of the orders, each character is as far from the one `stride` before it as
/// that one is from its own, and no farther than a neighbour.
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

/// The text, and what it reads as where digits and signs stand for letters.
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
