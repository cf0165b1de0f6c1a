use proptest::prelude::*;
use serde_json::json;
use shared::domain::{id::Id, inventory::Movement, product::Product, time::Timestamp, user::User};

/// Moments from 1970 to the year 10889, which is where the ids end.
const MILLIS: std::ops::Range<i64> = 0..1 << 47;

fn id(millis: i64, entropy: u128) -> Id<Product> {
    Id::new(Timestamp::from_millis(millis), entropy)
}

proptest! {
    #[test]
    fn an_id_is_read_as_it_was_written(millis in MILLIS, entropy: u128) {
        let id = id(millis, entropy);
        let text = id.to_string();
        prop_assert!(text.starts_with("prod_") && text.len() == 31, "{}", text);
        prop_assert_eq!(text.parse(), Ok(id));
        prop_assert_eq!(serde_json::from_value::<Id<Product>>(json!(id)).unwrap(), id);
        prop_assert!(text.parse::<Id<User>>().is_err());
        prop_assert!(text.replacen("prod", "mov", 1).parse::<Id<Movement>>().is_ok());
    }

    #[test]
    fn ids_sort_by_the_time_they_were_made(a in MILLIS, b in MILLIS, one: u128, other: u128) {
        prop_assume!(a < b);
        prop_assert!(id(a, one).to_string() < id(b, other).to_string());
    }

    #[test]
    fn ids_of_one_moment_differ_by_their_entropy(millis in MILLIS, one in 0..1_u128 << 80, other in 0..1_u128 << 80) {
        prop_assert_eq!(id(millis, one) == id(millis, other), one == other);
    }

    #[test]
    fn a_thing_has_one_spelling(text in "(prod_)?[0-9a-zA-Z]{24,28}|\\PC*") {
        if let Ok(id) = text.parse::<Id<Product>>() {
            prop_assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn a_time_is_written_with_milliseconds(millis in MILLIS) {
        let text = Timestamp::from_millis(millis).to_string();
        prop_assert!(text.ends_with('Z') && text.as_bytes()[text.len() - 5] == b'.', "{}", text);
        let read: Timestamp = serde_json::from_value(json!(text)).unwrap();
        prop_assert_eq!(read.as_millis(), millis);
    }
}
