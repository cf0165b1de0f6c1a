use std::fmt::Debug;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use shared::domain::{
    inventory::Adjustment,
    listing::Listing,
    product::{Availability, Editable, NewProduct},
    validation::{self, FieldError, Object},
};

use crate::any_json;

/// Values that may stand in each field of a new product, good ones and others.
fn any_product() -> impl Strategy<Value = Value> {
    let text =
        || prop_oneof![any::<String>(), "[a-zA-Z0-9 ._-]{0,70}", "[\\PC]{195,205}"].prop_map(Value::from);
    let number = prop_oneof![any::<i64>(), -2_i64..2, 999_999_i64..1_000_001].prop_map(Value::from);
    let price = (number.clone(), prop::sample::select(vec!["EUR", "USD", "JPY", "XXX", "eur"]))
        .prop_map(|(amount, currency)| json!({"amount": amount, "currency": currency}));
    let field = |good: BoxedStrategy<Value>| prop_oneof![8 => good.prop_map(Some), 1 => Just(None), 1 => any_json().prop_map(Some)];
    let fields = (
        field(text().boxed()),
        field(text().boxed()),
        field(text().boxed()),
        field("[a-z0-9-]{0,66}".prop_map(Value::from).boxed()),
        field(price.boxed()),
        field(prop::collection::vec(text(), 0..12).prop_map(Value::from).boxed()),
        field(
            prop::collection::btree_map(any::<String>(), text(), 0..22)
                .prop_map(|map| Value::Object(map.into_iter().collect()))
                .boxed(),
        ),
        field(number.clone().boxed()),
        field(number.boxed()),
    );
    fields.prop_map(|(sku, name, description, category, price, images, attributes, stock, threshold)| {
        let fields = [
            ("sku", sku),
            ("name", name),
            ("description", description),
            ("category", category),
            ("price", price),
            ("images", images),
            ("attributes", attributes),
            ("initial_stock", stock),
            ("low_stock_threshold", threshold),
        ];
        let present = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(present.collect())
    })
}

/// What was accepted is accepted again and means the same; what was refused names places of the document.
fn judge<T: PartialEq + Debug>(
    document: &Value,
    read: impl Fn(&mut Object) -> Option<T>,
    write: impl Fn(&T) -> Value,
) -> Result<(), TestCaseError> {
    match validation::read(document.clone(), &read) {
        Ok(value) => {
            let again = validation::read(write(&value), &read);
            prop_assert_eq!(again.as_ref(), Ok(&value), "{}", document);
        }
        Err(errors) => {
            prop_assert!(!errors.is_empty());
            for FieldError { pointer, violation } in errors.iter() {
                let there = document.pointer(pointer).is_some();
                prop_assert!(there || violation.code() == "required", "{} {:?}", document, errors);
                let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
                prop_assert!(document.pointer(parent).is_some(), "{} {:?}", document, errors);
            }
            // An attribute has one place for its name and its value, so two things may be wrong there.
            let mut places: Vec<_> = errors.iter().map(|violation| &violation.pointer).collect();
            places.retain(|place| !place.starts_with("/attributes/"));
            places.sort_unstable();
            prop_assert!(
                places.windows(2).all(|pair| pair[0] != pair[1]),
                "one thing told twice: {:?}",
                errors
            );
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn whatever_is_sent_is_read_or_refused_by_place(document in any_json()) {
        judge(&document, NewProduct::read, |read| json!(read))?;
        judge(&document, Editable::read, |read| json!(read))?;
        judge(&document, Adjustment::read, |read| json!(read))?;
    }

    #[test]
    fn whatever_a_product_holds_is_read_or_refused_by_place(document in any_product()) {
        judge(&document, NewProduct::read, |read| json!(read))?;
        judge(&document, Editable::read, |read| json!(read))?;
    }

    #[test]
    fn an_accepted_product_keeps_every_limit(document in any_product()) {
        if let Ok(new) = validation::read(document, NewProduct::read) {
            let (details, written) = (&new.details, json!(new));
            prop_assert!((1..=200).contains(&details.name.chars().count()) && !details.name.trim().is_empty());
            prop_assert!(!details.name.chars().any(char::is_control));
            prop_assert!((1..=99_999_999_999).contains(&details.price.amount()));
            prop_assert!(details.images.len() <= 10 && details.attributes.len() <= 20);
            prop_assert!((0..=1_000_000_000).contains(&new.initial_stock));
            let sku = written["sku"].as_str().unwrap();
            prop_assert!((1..=64).contains(&sku.len()) && !sku.contains('#'));
            let category = written["category"].as_str().unwrap();
            prop_assert!((1..=64).contains(&category.len()) && !category.contains('#'));
        }
    }

    #[test]
    fn the_order_of_fields_does_not_matter(document in any_product()) {
        let mut fields: Vec<_> = document.as_object().unwrap().clone().into_iter().collect();
        fields.reverse();
        let backwards = Value::Object(fields.into_iter().collect());
        let mut told = [document, backwards].map(|document| validation::read(document, NewProduct::read).map_err(|errors| errors.to_vec()));
        for errors in told.iter_mut().filter_map(|told| told.as_mut().err()) {
            errors.sort_by(|a, b| a.pointer.cmp(&b.pointer));
        }
        prop_assert_eq!(&told[0], &told[1]);
    }

    #[test]
    fn any_query_is_read_or_refused_by_name(query in prop::collection::btree_map("(category|status|min_price|max_price|in_stock|q|sort|\\PC{0,5})", "\\PC{0,6}|-?[0-9]{0,20}|true|price|newest|archived", 0..7)) {
        let parameters: Map<String, Value> = query.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        match validation::read_query(parameters.clone(), Listing::read) {
            Ok(listing) => prop_assert_eq!(validation::read_query(parameters, Listing::read), Ok(listing)),
            Err(errors) => {
                let document = Value::Object(parameters);
                prop_assert!(!errors.is_empty());
                prop_assert!(errors.iter().all(|violation| document.pointer(&violation.pointer).is_some()), "{:?}", errors);
            }
        }
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
