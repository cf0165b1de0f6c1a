use proptest::prelude::*;
use serde_json::Value;
use shared::http::{IfMatch, cursor};

use crate::any_json;

proptest! {
    #[test]
    fn i16_a_cursor_gives_its_position_to_its_query_alone(position in any_json(), query in any_json(), other in any_json()) {
        let cursor = cursor::encode(&position, &query).unwrap();
        prop_assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
        prop_assert_eq!(&cursor::decode::<Value>(&cursor, &query).unwrap(), &position);
        if other != query {
            prop_assert!(cursor::decode::<Value>(&cursor, &other).is_err());
        }
    }

    #[test]
    fn i16_a_damaged_cursor_is_refused(position in any_json(), at: prop::sample::Index, with in "[A-Za-z0-9_-]") {
        let cursor = cursor::encode(&position, &"query").unwrap();
        let at = at.index(cursor.len());
        let damaged = format!("{}{with}{}", &cursor[..at], &cursor[at + 1..]);
        if damaged != cursor {
            prop_assert!(cursor::decode::<Value>(&damaged, &"query").is_err());
        }
        prop_assert!(cursor::decode::<Value>(&cursor[..at], &"query").is_err());
        let longer = cursor + &with;
        prop_assert!(cursor::decode::<Value>(&longer, &"query").is_err());
    }

    #[test]
    fn i16_nonsense_is_no_cursor(text in "\\PC*|[A-Za-z0-9_-]*") {
        prop_assert!(cursor::decode::<Value>(&text, &"query").is_err());
    }

    #[test]
    fn i13_a_tag_matches_its_version_alone(version in 0..i64::MAX, other: i64, rest in "(-[a-z_]{0,12})?") {
        let tag = format!("\"{version}{rest}\"");
        for header in [tag.clone(), format!("\"x\", {tag}"), format!(" {tag} ,W/\"1\"")] {
            prop_assert!(IfMatch::parse(&header).check(version).is_ok(), "{}", header);
            prop_assert!(other == version || IfMatch::parse(&header).check(other).is_err());
        }
        let weak = format!("W/{tag}");
        prop_assert!(IfMatch::parse(&weak).check(version).is_err());
        prop_assert!(IfMatch::parse("*").check(version).is_ok());
    }

    #[test]
    fn i13_what_is_no_tag_matches_nothing(header in "\\PC*", version: i64) {
        let quoted = format!("\"{version}");
        if !header.contains(&quoted) && header.trim() != "*" {
            prop_assert!(IfMatch::parse(&header).check(version).is_err());
        }
    }
}
