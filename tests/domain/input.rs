//! Request bodies and queries: valid ones are accepted unchanged, and each damage is reported by its place and its code.

use std::collections::BTreeMap;

use proptest::{prelude::*, sample};
use serde_json::{Map, Value, json};
use shared::domain::{
    inventory::Adjustment,
    listing::{Listing, Sort},
    product::{Availability, Editable, NewProduct},
    validation::{self, Object},
};

use crate::any_json;

/// Text of one non-blank line: some characters of any kind, or the maximum length.
fn line(max: usize) -> impl Strategy<Value = String> {
    // Invisible characters are refused, in ranges of Unicode's.
    let invisible = |c: char| matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    let printable = move |c: char| if c.is_control() || invisible(c) { 'x' } else { c };
    let short = prop::collection::vec(prop::char::any().prop_map(printable), 1..=9);
    let short =
        short.prop_map(String::from_iter).prop_filter("blank", |text: &String| !text.trim().is_empty());
    prop_oneof![8 => short, 1 => Just("é".repeat(max))]
}

/// A number within bounds, often a bound itself.
fn within(min: i64, max: i64) -> impl Strategy<Value = i64> {
    prop_oneof![1 => Just(min), 1 => Just(max), 4 => min..=max]
}

/// A valid product with all fields.
fn valid_product() -> impl Strategy<Value = Value> {
    let prose = prop_oneof![8 => line(200), 1 => Just(String::new()), 1 => Just("é\n".repeat(5_000))];
    let currency = sample::select(vec!["EUR", "USD", "JPY", "KWD"]);
    let longest = format!("/{}", "a".repeat(499));
    let images = ["https://images.shop.test/mug.jpg", "https://i", "/images/mug.svg", "/", &longest];
    let image = sample::select(images.map(str::to_owned).to_vec());
    let fields = (
        "[A-Za-z0-9._-]{1,64}",
        line(200),
        prose,
        "[a-z0-9-]{1,64}",
        (within(1, 99_999_999_999), currency),
        prop::collection::vec(image, 0..=10),
        prop::collection::btree_map(line(50), line(200), 0..=20),
        within(0, 1_000_000_000),
        within(0, 1_000_000),
    );
    fields.prop_map(
        |(sku, name, description, category, (amount, currency), images, attributes, stock, threshold)| {
            json!({
                "sku": sku,
                "name": name,
                "description": description,
                "category": category,
                "price": {"amount": amount, "currency": currency},
                "images": images,
                "attributes": attributes,
                "initial_stock": stock,
                "low_stock_threshold": threshold,
            })
        },
    )
}

/// A defect of one field: its new value or `None` to remove it, and the pointer and code to report.
type Damage = (&'static str, Option<Value>, &'static str, &'static str);

fn damages() -> Vec<Damage> {
    let of_other_types = |field: &'static str, type_of: fn(&Value) -> bool| {
        let values = [json!(null), json!(true), json!(7), json!(1.5), json!("text"), json!([]), json!({})];
        values
            .into_iter()
            .filter(move |value| !type_of(value))
            .map(move |value| (field, Some(value), "", "invalid_type"))
    };
    type IsOfType = fn(&Value) -> bool;
    let types: [(&str, IsOfType); 9] = [
        ("sku", Value::is_string),
        ("name", Value::is_string),
        ("description", Value::is_string),
        ("category", Value::is_string),
        ("price", Value::is_object),
        ("images", Value::is_array),
        ("attributes", Value::is_object),
        ("initial_stock", Value::is_i64),
        ("low_stock_threshold", Value::is_i64),
    ];
    let mut damages: Vec<Damage> =
        types.into_iter().flat_map(|(field, type_of)| of_other_types(field, type_of)).collect();
    let mut add = |field, value: Value, below, code| damages.push((field, Some(value), below, code));
    for (field, max) in [("sku", 64), ("name", 200), ("category", 64)] {
        add(field, json!("a".repeat(max + 1)), "", "too_long");
        add(field, json!(""), "", "too_short");
        add(field, json!(" "), "", "too_short");
        add(field, json!("two\nlines"), "", "invalid_format");
    }
    for sku in ["MUG 1", "MUG#1", "MÜG"] {
        add("sku", json!(sku), "", "invalid_format");
    }
    for category in ["Mugs", "mugs_1", "mugs#1"] {
        add("category", json!(category), "", "invalid_format");
    }
    add("name", json!("\u{7}"), "", "invalid_format");
    add("description", json!("a".repeat(10_001)), "", "too_long");
    add("description", json!("a\u{0}b"), "", "invalid_format");
    let price = |amount: Value, currency: Value| json!({"amount": amount, "currency": currency});
    for (amount, code) in [
        (json!(0), "too_small"),
        (json!(i64::MIN), "too_small"),
        (json!(100_000_000_000_i64), "too_large"),
        (json!(u64::MAX), "too_large"),
        (json!(18.5), "invalid_type"),
        (json!("1850"), "invalid_type"),
    ] {
        add("price", price(amount, json!("EUR")), "/amount", code);
    }
    add("price", json!({"currency": "EUR"}), "/amount", "required");
    add("price", json!({"amount": 1850}), "/currency", "required");
    add("price", price(json!(1850), json!(978)), "/currency", "invalid_type");
    for currency in ["eur", "EURO", ""] {
        add("price", price(json!(1850), json!(currency)), "/currency", "unknown_value");
    }
    add("price", json!({"amount": 1850, "currency": "EUR", "tax": 19}), "/tax", "unknown_field");
    add("images", json!(vec!["/mug.svg"; 11]), "", "too_many");
    for (image, code) in [
        (json!(7), "invalid_type"),
        (json!(""), "too_short"),
        (json!("a".repeat(501)), "too_long"),
        (json!("mug.svg"), "invalid_format"),
        (json!("//images.shop.test/mug.svg"), "invalid_format"),
        (json!("https://"), "invalid_format"),
        (json!("ftp://images.shop.test/mug.svg"), "invalid_format"),
        (json!("/a mug.svg"), "invalid_format"),
        (json!("/\"mug\".svg"), "invalid_format"),
    ] {
        add("images", json!(["/mug.svg", image]), "/1", code);
    }
    let many: BTreeMap<String, &str> = (0..21).map(|number| (number.to_string(), "x")).collect();
    add("attributes", json!(many), "", "too_many");
    add("attributes", json!({"colour": 7}), "/colour", "invalid_type");
    add("attributes", json!({"a/b~c": "a".repeat(201)}), "/a~1b~0c", "too_long");
    add("attributes", json!({"colour": " "}), "/colour", "too_short");
    add("attributes", json!({"": "sand"}), "/", "too_short");
    add("attributes", json!({"two\nlines": "sand"}), "/two\nlines", "invalid_format");
    for (field, max) in [("initial_stock", 1_000_000_000_i64), ("low_stock_threshold", 1_000_000)] {
        add(field, json!(-1), "", "too_small");
        add(field, json!(max + 1), "", "too_large");
        add(field, json!(f64::MAX), "", "too_large");
    }
    add("colour", json!("sand"), "", "unknown_field");
    add("a/b~c", json!(null), "", "unknown_field");
    for field in ["sku", "name", "category", "price"] {
        damages.push((field, None, "", "required"));
    }
    damages
}

/// Several defects of different fields.
fn some_damages() -> impl Strategy<Value = Vec<Damage>> {
    let fields = |mut damages: Vec<Damage>| {
        damages.sort_by_key(|(field, ..)| *field);
        damages.dedup_by_key(|(field, ..)| *field);
        damages
    };
    prop::collection::vec(sample::select(damages()), 1..8).prop_map(fields)
}

/// Returns the document with defects, and the sorted pointers and codes to report.
fn damaged(mut document: Value, damages: &[Damage]) -> (Value, Vec<(String, &'static str)>) {
    let fields = document.as_object_mut().unwrap();
    for (field, value, ..) in damages {
        match value {
            Some(value) => fields.insert((*field).to_owned(), value.clone()),
            None => fields.remove(*field),
        };
    }
    let pointer =
        |field: &str, below: &str| format!("/{}{below}", field.replace('~', "~0").replace('/', "~1"));
    let mut expected: Vec<_> =
        damages.iter().map(|(field, _, below, code)| (pointer(field, below), *code)).collect();
    expected.sort();
    (document, expected)
}

/// Returns the sorted pointers and codes that a reader reports.
fn reported<T>(document: Value, read: impl FnOnce(&mut Object) -> Option<T>) -> Vec<(String, &'static str)> {
    let errors = validation::read(document, read).err().into_iter().flatten();
    let mut reported: Vec<_> = errors.map(|error| (error.pointer, error.violation.code())).collect();
    reported.sort();
    reported
}

/// Returns the part of a product that a patch can change.
fn editable(mut document: Value) -> Value {
    document.as_object_mut().unwrap().retain(|name, _| !["sku", "initial_stock"].contains(&name.as_str()));
    document
}

proptest! {
    #[test]
    fn a_valid_product_is_accepted_unchanged(document in valid_product()) {
        let new = validation::read(document.clone(), NewProduct::read);
        prop_assert_eq!(new.map(|new| json!(new)), Ok(document.clone()));
        let document = editable(document);
        let edited = validation::read(document.clone(), Editable::read);
        prop_assert_eq!(edited.map(|edited| json!(edited)), Ok(document));
    }

    #[test]
    fn an_absent_optional_field_has_its_default(
        document in valid_product(),
        absent in sample::subsequence(
            vec!["description", "images", "attributes", "initial_stock", "low_stock_threshold"], 0..=5,
        ),
    ) {
        let defaults = json!({
            "description": "", "images": [], "attributes": {}, "initial_stock": 0, "low_stock_threshold": 5,
        });
        let (mut sent, mut expected) = (document.clone(), document);
        for field in absent {
            sent.as_object_mut().unwrap().remove(field);
            expected[field] = defaults[field].clone();
        }
        prop_assert_eq!(validation::read(sent, NewProduct::read).map(|new| json!(new)), Ok(expected));
    }

    #[test]
    fn every_damage_is_reported_once_by_its_place_and_code(
        document in valid_product(), damages in some_damages(),
    ) {
        let (sent, expected) = damaged(document.clone(), &damages);
        prop_assert_eq!(reported(sent, NewProduct::read), expected);
        let mut damages = damages;
        damages.retain(|(field, ..)| !["sku", "initial_stock"].contains(field));
        let (sent, expected) = damaged(editable(document), &damages);
        prop_assert_eq!(reported(sent, Editable::read), expected);
    }

    #[test]
    fn any_other_document_is_refused_by_places_that_it_has(document in any_json()) {
        type Reader = fn(Value) -> Vec<(String, &'static str)>;
        let readers: [Reader; 3] = [
            |document| reported(document, NewProduct::read),
            |document| reported(document, Editable::read),
            |document| reported(document, Adjustment::read),
        ];
        for read in readers {
            let errors = read(document.clone());
            prop_assert!(!errors.is_empty());
            for (pointer, code) in &errors {
                let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
                let missing = *code == "required" && document.pointer(parent).is_some();
                prop_assert!(missing || document.pointer(pointer).is_some(), "{} {:?}", document, errors);
            }
        }
    }

    #[test]
    fn a_valid_adjustment_is_accepted_unchanged(
        delta in within(-1_000_000_000, 1_000_000_000).prop_filter("zero", |delta| *delta != 0),
        reason in sample::select(vec!["received", "correction", "damaged", "returned"]),
        note in prop::option::of(line(500)),
    ) {
        let mut document = json!({"delta": delta, "reason": reason, "note": note});
        let expected = document.clone();
        if note.is_none() {
            document.as_object_mut().unwrap().remove("note");
        }
        prop_assert_eq!(validation::read(document, Adjustment::read).map(|read| json!(read)), Ok(expected));
    }

    #[test]
    fn a_valid_query_is_read_parameter_by_parameter(
        category in prop::option::of("[a-z0-9-]{1,64}"),
        status in prop::option::of(sample::select(vec!["active", "archived"])),
        prices in (prop::option::of(0..=1_000_i64), prop::option::of(1_000..=i64::MAX)),
        in_stock in prop::option::of(any::<bool>()),
        words in prop::option::of(prop::collection::vec("[a-z0-9]{1,9}", 1..9)),
        sort in prop::option::of(sample::select(vec![
            ("newest", Sort::Newest), ("price", Sort::PriceAscending), ("-price", Sort::PriceDescending), ("name", Sort::Name),
        ])),
    ) {
        let (min_price, max_price) = prices;
        let written = [
            ("category", category.clone()),
            ("status", status.map(str::to_owned)),
            ("min_price", min_price.map(|price| price.to_string())),
            ("max_price", max_price.map(|price| price.to_string())),
            ("in_stock", in_stock.map(|in_stock| in_stock.to_string())),
            ("q", words.as_ref().map(|words| words.join(" ").to_uppercase())),
            ("sort", sort.map(|(name, _)| name.to_owned())),
        ];
        let present = written.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?))));
        let listing = validation::read_query(present.collect(), Listing::read).unwrap();
        prop_assert_eq!(listing.category.map(|category| category.as_str().to_owned()), category);
        prop_assert_eq!(listing.status.into_str(), status.unwrap_or("active"));
        prop_assert_eq!((listing.min_price, listing.max_price), (min_price, max_price));
        prop_assert_eq!(listing.in_stock, in_stock);
        prop_assert_eq!(listing.words, words.unwrap_or_default());
        prop_assert_eq!(listing.sort, sort.map_or(Sort::Newest, |(_, sort)| sort));
    }

    #[test]
    fn a_number_of_a_query_is_what_was_written(number: i64) {
        prop_assert_eq!(validation::number(&number.to_string()), Ok(number));
    }

    #[test]
    fn the_band_of_a_stock_is_one_of_three(available in 0..=i64::MAX, threshold in 0..=1_000_000_i64) {
        let expected = match available {
            0 => Availability::OutOfStock,
            _ if available <= threshold => Availability::LowStock,
            _ => Availability::InStock,
        };
        prop_assert_eq!(Availability::of(available, threshold), expected);
    }
}

#[test]
fn each_damage_alone_is_reported_by_its_place_and_code() {
    let valid = json!({
        "sku": "MUG-1", "name": "Mug", "category": "mugs", "price": {"amount": 1850, "currency": "EUR"},
    });
    assert_eq!(reported(valid.clone(), NewProduct::read), []);
    for damage in damages() {
        let (sent, expected) = damaged(valid.clone(), std::slice::from_ref(&damage));
        assert_eq!(reported(sent, NewProduct::read), expected, "{damage:?}");
    }
}

#[test]
fn an_invalid_parameter_is_reported_by_its_name_and_code() {
    let valid = json!({
        "category": "mugs", "status": "archived", "min_price": "10", "max_price": "10", "in_stock": "true",
        "q": "mug", "sort": "name",
    });
    let valid: Map<String, Value> = valid.as_object().unwrap().clone();
    assert!(validation::read_query(valid.clone(), Listing::read).is_ok());
    for (name, pointer, value, code) in [
        ("category", "/category", "Mugs", "invalid_format"),
        ("category", "/category", "", "too_short"),
        ("status", "/status", "sold", "unknown_value"),
        ("min_price", "/min_price", "-1", "too_small"),
        ("min_price", "/min_price", "1.5", "invalid_type"),
        ("max_price", "/max_price", "9", "too_small"),
        ("in_stock", "/in_stock", "yes", "invalid_type"),
        ("q", "/q", "", "too_short"),
        ("q", "/q", "-", "invalid_format"),
        ("sort", "/sort", "age", "unknown_value"),
        ("colour", "/colour", "sand", "unknown_parameter"),
        ("a/b~c", "/a~1b~0c", "", "unknown_parameter"),
    ] {
        let mut parameters = valid.clone();
        parameters.insert(name.to_owned(), json!(value));
        let errors = validation::read_query(parameters, Listing::read).unwrap_err();
        let reported: Vec<_> = errors.iter().map(|error| (&*error.pointer, error.violation.code())).collect();
        assert_eq!(reported, [(pointer, code)]);
    }
}

#[test]
fn an_invalid_adjustment_is_reported_by_its_field_and_code() {
    for (name, value, code) in [
        ("delta", json!(0), "invalid_format"),
        ("delta", json!(-1_000_000_001), "too_small"),
        ("delta", json!(1_000_000_001), "too_large"),
        ("delta", json!(1.5), "invalid_type"),
        ("reason", json!("opening"), "unknown_value"),
        ("reason", json!("shipped"), "unknown_value"),
        ("reason", json!(null), "invalid_type"),
        ("note", json!(" "), "too_short"),
        ("note", json!("a".repeat(501)), "too_long"),
        ("on_hand", json!(1), "unknown_field"),
    ] {
        let mut document = json!({"delta": 1, "reason": "received", "note": "Two boxes"});
        document[name] = value;
        assert_eq!(reported(document, Adjustment::read), [(format!("/{name}"), code)]);
    }
}
