use std::collections::HashSet;

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde_json::json;
use shared::{
    domain::validation::Violation,
    error::Error,
    password::{
        NewPassword, Password, PasswordCheck, PasswordHash,
        blocklist::{BUCKETS, Blocklist, Fingerprint, Use},
    },
};
use shop::blocklist;

const GOOD: &str = "violet tractor humming saucer";

fn good() -> Password {
    Password::parse(GOOD).unwrap()
}

/// Returns the code of a new password's violation.
fn violation(password: &str, about: &[&str]) -> Option<&'static str> {
    NewPassword::parse(password, about).err().map(Violation::code)
}

#[test]
fn lengths_are_counted_in_characters() {
    let alphabet: String = ('а'..='я').cycle().step_by(7).take(200).collect();
    let first = |count| alphabet.chars().take(count).collect::<String>();

    assert_eq!(NewPassword::parse(&first(14), &[]), Err(Violation::TooShort(15)));
    assert_eq!(violation(&first(15), &[]), None, "30 bytes, but 15 characters");
    assert_eq!(NewPassword::parse("🦀🐙🦑🦐🦞🐠🐟", &[]), Err(Violation::TooShort(15)));
    let good = |count| GOOD.chars().chain(alphabet.chars()).take(count).collect::<String>();
    assert_eq!(violation(&good(128), &[]), None);
    assert_eq!(NewPassword::parse(&good(129), &[]), Err(Violation::TooLong(128)));

    assert_eq!(Password::parse(""), Err(Violation::TooShort(1)));
    assert!(Password::parse("x").is_ok(), "whatever may be somebody's password can be checked");
    assert!(Password::parse(&good(128)).is_ok());
    assert_eq!(Password::parse(&good(129)), Err(Violation::TooLong(128)));
}

#[test]
fn two_spellings_are_one_password() {
    for (one, other) in [
        ("crème brûlée à la carte", "cre\u{300}me bru\u{302}le\u{301}e a\u{300} la carte"),
        ("ﬁve ﬂoating ﬁsh bowls", "five floating fish bowls"),
        ("ｖｉｏｌｅｔ tractor humming", "violet tractor humming"),
        ("\u{212b}ngström lantern pebble", "A\u{30a}ngstro\u{308}m lantern pebble"),
        ("한국어로 쓴 긴 비밀번호 예시입니다", "\u{1112}\u{1161}\u{11ab}국어로 쓴 긴 비밀번호 예시입니다"),
    ] {
        assert_ne!(one, other);
        assert_eq!(Password::parse(one), Password::parse(other));
        let hash = PasswordHash::of(&NewPassword::parse(one, &[]).unwrap()).unwrap();
        assert_eq!(hash.verify(&Password::parse(other).unwrap()).unwrap(), PasswordCheck::Right, "{one}");
    }
    // As short in one spelling as in the other.
    assert_eq!(violation("e\u{301}à è ù ê û é à", &[]), Some("too_short"));
}

#[test]
fn nothing_is_taken_away_from_a_password() {
    for (one, other) in
        [("Violet", "violet"), (" violet", "violet"), ("violet ", "violet"), ("vio\u{0}let", "vio")]
    {
        assert_ne!(Password::parse(one), Password::parse(other));
    }
}

#[test]
fn repetitions_and_runs_are_refused() {
    for password in [
        "aaaaaaaaaaaaaaa",
        "aaaaaaaaaaaaaab",
        "aaaaaaaabbbbbbbb",
        "AAAAAAAAAAAAAAAAAAAAAAAA",
        "111111111111111111",
        "0000000000000001",
        "               ",
        "...............",
        "!!!!!!!!!!!!!!!!",
        "-=-=-=-=-=-=-=-=",
        "éééééééééééééééé",
        "🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀",
        "abababababababab",
        "abcabcabcabcabcabc",
        "xkqxkqxkqxkqxkqxkq",
        "a1a1a1a1a1a1a1a1",
        "asdfasdfasdfasdf",
        "12341234123412341234",
        "1111aaaa2222bbbb",
        "123456789012345",
        "12345678901234567890",
        "987654321098765",
        "abcdefghijklmno",
        "ABCdefGHIjklMNOpqr",
        "zyxwvutsrqponmlk",
        "112233445566778899",
        "111222333444555",
        "aabbccddeeffgghh",
        "1a2b3c4d5e6f7g8h",
        "qwertyuiopasdfgh",
        "QwErTyUiOpAsDfGh",
        "1q2w3e4r5t6y7u8i",
        "1qaz2wsx3edc4rfv",
        "qazwsxedcrfvtgb",
        "!QAZ@WSX#EDC$RFV",
        "!@#$%^&*()_+!@#",
        "zxcvbnmzxcvbnm1",
        "qwertzuiopasdfgh",
        "azertyuiopqsdfgh",
        "147258369147258",
        "q.w.e.r.t.y.u.i.o.p",
    ] {
        assert_eq!(violation(password, &[]), Some("repetitive_password"), "{password}");
    }
}

#[test]
fn what_attackers_try_first_is_refused() {
    for password in [
        // As it is listed, and with a little about it.
        "manchesterunited",
        "ManchesterUnited99",
        "mychemicalromance",
        "panicatthedisco!",
        "zaq12wsxcde34rfv",
        "correct horse battery staple",
        "correcthorsebatterystaple",
        "Correct-Horse-Battery-Staple!",
        "c0rr3ct h0rs3 b4tt3ry st4pl3",
        "the quick brown fox jumps over the lazy dog",
        "To be or not to be, that is the question",
        "supercalifragilisticexpialidocious",
        "Lorem ipsum dolor sit amet",
        "this is my password",
        // Something common, repeated.
        "passwordpassword",
        "PASSWORDPASSWORD",
        "Password1Password1!",
        "p@ssw0rdP@ssw0rd",
        "pa$$word-pa$$word-pa$$word",
        "iloveyou1iloveyou1",
        "iloveyou1iloveyou2",
        "letmeinletmein123",
        "princess princess princess",
        "trustno1trustno1",
        "drowssapdrowssap",
        "we1comewe1come!!",
        // Something common and a run, a year, something else that is common.
        "password123456789",
        "password12345678!",
        "p.a.s.s.w.o.r.d.1",
        "Welcome123456789!",
        "Summer2026Summer2026",
        "administrator2026!",
        "christopher123456",
        "superman1batman2",
        "footballbaseball",
        "dragonmonkeyshadow",
        "monkeydragon123456",
    ] {
        assert_eq!(violation(password, &[]), Some("common_password"), "{password}");
    }
}

#[test]
fn what_everybody_knows_of_somebody_is_refused() {
    let about = ["zorbina.quillfeather@mail.example.com", "Zorbina Quillfeather"];
    for password in [
        "zorbina.quillfeather",
        "ZorbinaQuillfeather",
        "quillfeather-zorbina",
        "quillfeatherquillfeather",
        "Zorbina Quillfeather 85",
        "zorbina.quillfeather@mail.example.com",
        "mail.example.com!",
        "Z0rb1na Qu1llf34th3r",
        "z-o-r-b-i-n-a-quillfeather",
        "lambdashop-zorbina",
        "zorbina@lambda.shop",
        "Lambda Shop 12345",
    ] {
        assert_eq!(violation(password, &about), Some("personal_password"), "{password}");
    }
    assert_eq!(
        violation("my-Lambda-Shop-1", &[]),
        Some("personal_password"),
        "the shop's name is nobody's secret"
    );
    let somebody_elses = NewPassword::parse("zorbina.quillfeather", &[]).unwrap();
    // Of a short name, too, the address as a whole is known.
    for password in ["jo@example.org Jo Jo", "jo@example.org!", "joexampleorg 12345"] {
        assert_eq!(violation(password, &["jo@example.org", "Jo"]), Some("personal_password"), "{password}");
    }
    assert_eq!(somebody_elses.clone().unlike(&about), Err(Violation::PersonalPassword));
    assert!(somebody_elses.unlike(&["somebody@example.org", "Some Body", ""]).is_ok());
    assert_eq!(violation("zorbina hums while violet tractors rust", &about), None, "a name in a long phrase");
}

#[test]
fn good_passwords_may_be_set() {
    for password in [
        GOOD,
        "violettractorhummingsaucer",
        "the cat sat on my keyboard again",
        "my dog ate the blue couch",
        "I bought 3 green apples today",
        "purple-monkey-dishwasher",
        "mango.teapot.gravel.",
        "mein Hund frisst gerne Kekse",
        "le chat gris dort sous la table",
        "собака ест синий диван",
        "猫は毎朝青い魚を静かに食べています",
        "Kj8#mQ2!vLp9$xR",
        "x7f3k9q2m5w8z1b",
        "550e8400-e29b-41d4-a716-446655440000",
        "\u{7}tab\tand\nnew\u{0}lines too",
    ] {
        assert_eq!(violation(password, &["anna@example.com", "Anna Lind"]), None, "{password}");
    }
}

/// Generates passwords of each kind that password managers make, the same in each run.
fn generated(count: usize) -> Vec<String> {
    const WORDS: [&str; 48] = [
        "acorn", "badge", "cactus", "dagger", "easel", "fabric", "gadget", "hamlet", "icing", "jigsaw",
        "kelp", "ladder", "mammal", "napkin", "oblong", "paddle", "quartz", "rafter", "saddle", "tablet",
        "umbrella", "vacuum", "wafer", "yarn", "zipper", "amber", "bonsai", "cobalt", "dimple", "ember",
        "fiddle", "glacier", "harvest", "igloo", "jasmine", "kettle", "lantern", "meadow", "nutmeg",
        "orchid", "pebble", "quiver", "ribbon", "saffron", "thimble", "upbeat", "velvet", "willow",
    ];
    let words = || prop::sample::subsequence(WORDS.to_vec(), 4).prop_shuffle();
    let kinds = [
        "[ -~]{15,24}".boxed(),
        "[a-zA-Z0-9]{15,24}".boxed(),
        "[a-z]{15,24}".boxed(),
        "[0-9a-f]{16,32}".boxed(),
        "[0-9]{18,24}".boxed(),
        "[a-z0-9]{5}(-[a-z0-9]{5}){2}".boxed(),
        words().prop_map(|words| words.join(" ")).boxed(),
        words().prop_map(|words| words.concat()).boxed(),
    ];
    let mut runner = TestRunner::deterministic();
    let passwords = kinds.iter().flat_map(|kind| {
        (0..count).map(|_| kind.new_tree(&mut runner).unwrap().current()).collect::<Vec<_>>()
    });
    passwords.filter(|password| password.chars().count() >= 15).collect()
}

#[test]
fn one_random_password_in_ten_thousand_is_refused_at_most() {
    let passwords = generated(1_250);
    let refused: Vec<&String> =
        passwords.iter().filter(|password| violation(password, &[]).is_some()).collect();
    assert!(refused.len() * 10_000 <= passwords.len(), "{refused:?} of {}", passwords.len());
}

#[test]
fn a_password_is_verified_by_its_hash() {
    let hash = PasswordHash::of(&good()).unwrap();
    let text = json!(hash).as_str().unwrap().to_owned();

    assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
    assert_eq!(serde_json::from_value::<PasswordHash>(json!(text)).unwrap(), hash);
    assert_eq!(hash.verify(&good()).unwrap(), PasswordCheck::Right);
    for wrong in ["violet tractor humming sauceR", "violet tractor humming", &format!("{GOOD} ")] {
        assert_eq!(hash.verify(&Password::parse(wrong).unwrap()).unwrap(), PasswordCheck::Wrong);
    }
    assert_ne!(PasswordHash::of(&good()).unwrap(), hash, "each has a salt of its own");
}

#[test]
fn a_log_in_without_an_account_is_as_much_work() {
    let form = |hash: &PasswordHash| {
        let text = json!(hash).as_str().unwrap().to_owned();
        let parts: Vec<&str> = text.split('$').collect();
        (parts[..4].join("$"), parts[4].len(), parts[5].len(), parts.len())
    };
    let nobody = PasswordHash::of_nobody();

    assert_eq!(form(&nobody), form(&PasswordHash::of(&good()).unwrap()));
    assert_eq!(nobody.verify(&good()).unwrap(), PasswordCheck::Wrong);
}

fn stored(hash: &str) -> PasswordHash {
    serde_json::from_value(json!(hash)).unwrap()
}

/// Hashes of [`GOOD`] by the reference implementation (argon2-cffi 25.1), with older parameters.
const OUTDATED: [&str; 9] = [
    "$argon2id$v=19$m=64,t=1,p=1$c2l4dGVlbiBzYWx0eSBieQ$5HzzClrPSaUjqVWxc1qMkHsH1mkFMm9GP+arAwVW5QQ",
    "$argon2id$v=19$m=256,t=2,p=2$c2l4dGVlbiBzYWx0eSBieQ$dSsdpEpyNfQ3cg23kcfoGLDUtIt2huJNbt8rtd0OwRI",
    "$argon2i$v=19$m=64,t=1,p=1$c2l4dGVlbiBzYWx0eSBieQ$QfjteoKa4saMsUyGnXRAZQhLZDa4lMBdtggKWix8i9w",
    "$argon2d$v=19$m=64,t=1,p=1$c2l4dGVlbiBzYWx0eSBieQ$9guyNSeSDDECLThLUIM/DrJOdHnnbhIyRPTSsCNzhAI",
    "$argon2id$v=16$m=64,t=1,p=1$c2l4dGVlbiBzYWx0eSBieQ$V54qQhz/bYLaav0S3Hys1Wjao6kKM0f8DQfrcUyLl7M",
    "$argon2id$v=19$m=19456,t=2,p=1$c2l4dGVlbiBzYWx0eSBieQ$2GKcn7tQK5Qpl7Xqqfa1zXFynWJV73f9",
    "$argon2id$v=19$m=19456,t=2,p=1$c2l4dGVlbiA$JwrUh38USwTkyKD7eHs13+ZaO8ZDXwuC8+TL7YAsPHw",
    "$argon2i$v=19$m=19456,t=2,p=1$c2l4dGVlbiBzYWx0eSBieQ$dzT3CmKaTBMAvLH19PKMQyhleEEDD8JMelCr/Z8/ITQ",
    "$argon2id$v=19$m=19456,t=3,p=1$c2l4dGVlbiBzYWx0eSBieQ$9kOmLIri8P2XoptGtnWhT8MIkbSXStrdauo2SwXw2os",
];

#[test]
fn hashes_of_other_days_are_verified_and_known_as_such() {
    for hash in OUTDATED {
        assert_eq!(stored(hash).verify(&good()).unwrap(), PasswordCheck::RightButOutdated, "{hash}");
        let wrong = Password::parse("another password").unwrap();
        assert_eq!(stored(hash).verify(&wrong).unwrap(), PasswordCheck::Wrong, "{hash}");
    }
    let today =
        "$argon2id$v=19$m=19456,t=2,p=1$c2l4dGVlbiBzYWx0eSBieQ$miWB1vCkNZ+S/5Iio6c+zWDOwGcPZpp7t/XgCpqcw38";
    assert_eq!(
        stored(today).verify(&good()).unwrap(),
        PasswordCheck::Right,
        "the reference implementation's, too"
    );
}

#[test]
fn a_damaged_hash_is_a_fault_of_the_shop() {
    let rest = "$c2l4dGVlbiBzYWx0eSBieQ$5HzzClrPSaUjqVWxc1qMkHsH1mkFMm9GP+arAwVW5QQ";
    for hash in [
        "",
        "$",
        "$$$$$",
        GOOD,
        "$argon2id",
        "$argon2id$v=19$m=64,t=1,p=1",
        "$argon2id$v=19$m=64,t=1,p=1$c2l4dGVlbiBzYWx0eSBieQ",
        "$argon2id$v=19$m=64,t=1,p=1$c2l4dGVlbiBzYWx0eSBieQ$",
        "$argon2id$v=19$m=64,t=1,p=1$$5HzzClrPSaUjqVWxc1qMkHsH1mkFMm9GP+arAwVW5QQ",
        "$argon2id$v=19$m=64,t=1,p=1$c2l4dGVlbiBzYWx0eSBieQ$not base64 at all, is it",
        "$2b$12$KIXQ4uQv3Y5z2q1k0mB8xu5b6w7e8r9t0y1u2i3o4p5a6s7d8f9g0",
        "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
        &format!("$argon2id$m=64,t=1,p=1{rest}"),
        &format!("$argon2id$v=18$m=64,t=1,p=1{rest}"),
        &format!("$argon2x$v=19$m=64,t=1,p=1{rest}"),
        &format!("$argon2id$v=19$m=64,t=1,q=1{rest}"),
        &format!("$argon2id$v=19$m=64,t=0,p=1{rest}"),
        &format!("$argon2id$v=19$m=64,t=1,p=0{rest}"),
        &format!("$argon2id$v=19$m=7,t=1,p=1{rest}"),
        &format!("$argon2id$v=19$m=64,t=1,p=1{rest}$more"),
        // More than a function has, in memory, time or threads.
        &format!("$argon2id$v=19$m=65537,t=1,p=1{rest}"),
        &format!("$argon2id$v=19$m=4294967295,t=1,p=1{rest}"),
        &format!("$argon2id$v=19$m=99999999999,t=1,p=1{rest}"),
        &format!("$argon2id$v=19$m=64,t=9,p=1{rest}"),
        &format!("$argon2id$v=19$m=64,t=4294967295,p=1{rest}"),
        &format!("$argon2id$v=19$m=64,t=1,p=5{rest}"),
        &format!("$argon2id$v=19$m=4294967295,t=4294967295,p=16777215{rest}"),
    ] {
        let verdict = stored(hash).verify(&good());
        assert!(matches!(verdict, Err(Error::Internal(_))), "{hash}: {verdict:?}");
    }
}

#[test]
fn neither_passwords_nor_hashes_are_shown() {
    let hash = PasswordHash::of(&good()).unwrap();
    let shown = format!("{:?} {:?} {hash:?}", good(), NewPassword::parse(GOOD, &[]));
    assert_eq!(shown, "Password Ok(NewPassword(Password)) PasswordHash");

    let error = stored(&OUTDATED[0].replace("m=64", "m=65537")).verify(&good()).unwrap_err();
    assert!(!shared::error::chain(&error).contains("c2l4"), "{error:?}");
}

proptest! {
    #[test]
    fn any_text_is_judged(text in "\\PC{0,40}|.{100,140}|[a-c1-3 .]{15,40}|\\s{0,20}", about: [String; 3]) {
        let about = about.each_ref().map(String::as_str);
        match (NewPassword::parse(&text, &about), Password::parse(&text)) {
            (Ok(new), checked) => prop_assert_eq!(Ok(&*new), checked.as_ref()),
            (Err(Violation::TooLong(_)), checked) => prop_assert_eq!(checked, Err(Violation::TooLong(128))),
            (Err(Violation::TooShort(_)), _) => prop_assert!(text.chars().count() < 100),
            (Err(_), checked) => prop_assert!(checked.is_ok()),
        }
    }

    #[test]
    fn no_damage_to_a_hash_is_a_way_in(
        hash in prop::sample::select(OUTDATED[..5].to_vec()),
        at: prop::sample::Index,
        cut in 0..3_usize,
        put in "[$,=a-z0-9+/\u{e9}]{0,2}",
    ) {
        let at = at.index(hash.len());
        let damaged = format!("{}{put}{}", &hash[..at], &hash[hash.len().min(at + cut)..]);
        let salt_and_hash = hash.splitn(5, '$').last().unwrap();
        // Parameters may be left out where they are the usual ones.
        let whole = damaged.ends_with(salt_and_hash);
        match stored(&damaged).verify(&good()) {
            Ok(PasswordCheck::Wrong) | Err(Error::Internal(_)) => {}
            verdict => prop_assert!(whole, "{damaged}: {verdict:?}"),
        }
    }

    #[test]
    fn a_filter_finds_what_it_was_made_of(words in prop::collection::hash_set("[a-zé0-9!]{4,20}", 1..200)) {
        let words: Vec<String> = words.into_iter().collect();
        let (filter, count) = blocklist::filter([words.join("\n")], usize::MAX);
        prop_assert_eq!(count, words.len());
        for word in words {
            prop_assert_eq!(Blocklist::new(&filter).find(Fingerprint::of(&word)), Some(Use::Most));
        }
    }
}

#[test]
fn a_filter_has_the_words_that_are_used_most() {
    let number = |n: usize| format!("number{}", n * 7919 % 30_011);
    let list = (0..30_000).map(number).collect::<Vec<_>>().join("\n");
    let (file, words) = blocklist::filter([&list], 100_000);
    let found = |word: &str| Blocklist::new(&file).find(Fingerprint::of(word));

    assert_eq!((file.len(), words), (99_999, 33_333 - BUCKETS));
    assert_eq!((found(&number(999)), found(&number(1_000))), (Some(Use::Most), Some(Use::Much)));
    assert_eq!((found(&number(10_000)), found(&number(words - 1))), (Some(Use::Some), Some(Use::Some)));
    assert_eq!(found(&number(words)), None);

    let (file, _) = blocklist::filter([&number(29_999), &format!("{list}\nA Whole Long Phrase")], 100_000);
    let found = |word: &str| Blocklist::new(&file).find(Fingerprint::of(word));
    assert_eq!(found(&number(29_999)), Some(Use::Most), "in one of the lists");
    assert_eq!(found("AWholeLongPhrase"), Some(Use::Some), "long ones are never left out");
}

#[test]
fn a_filter_is_the_same_whenever_it_is_made() {
    // All of them are used as much, and a third of them has no place.
    let make = || blocklist::filter((0..30_000).map(|n| format!("number{n}")), 100_000);
    assert!(make() == make());
}

#[test]
fn the_built_in_filter_is_whole() {
    let list = shared::password::blocklist::BUILT_IN;
    for word in
        ["123456", "password", "iloveyou", "Qwertyuiop", "polniypizdec0211", "correcthorsebatterystaple"]
    {
        assert!(list.find(Fingerprint::of(word)).is_some(), "{word}");
    }
    assert_eq!(list.find(Fingerprint::of("password")), Some(Use::Most));

    let words: HashSet<String> = generated(5_000).into_iter().collect();
    let found = words.iter().filter(|word| list.find(Fingerprint::of(word)).is_some()).count();
    assert!(found <= 1, "{found} of {} words that nobody lists", words.len());
}
