//! Items and conditional writes.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::update_item::{UpdateItemError, UpdateItemOutput, builders::UpdateItemFluentBuilder},
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    aws,
    domain::change::{ChangeContext, ChangeOrigin},
    error::Error,
};

pub(super) type Item = HashMap<String, AttributeValue>;

/// One page of a list.
pub struct Page<T, P> {
    pub items: Vec<T>,
    /// Position of the next page, if there is one.
    pub next: Option<P>,
}

impl<T, P: Copy> Page<T, P> {
    pub fn map<'a, U>(&'a self, see: impl Fn(&'a T) -> U) -> Page<U, P> {
        Page { items: self.items.iter().map(see).collect(), next: self.next }
    }
}

pub(super) fn text(value: impl ToString) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

/// Serializes the origin of a change, for an item's attribute `origin`.
pub(super) fn origin(context: &ChangeContext) -> Result<AttributeValue, Error> {
    serde_dynamo::to_attribute_value(ChangeOrigin::from(context)).map_err(Error::internal)
}

pub(super) fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn integer(item: &Item, name: &str) -> Option<i64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// A stored value with the version that optimistic locking compares: it counts the changes, from 1.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Versioned<T> {
    #[serde(flatten)]
    pub value: T,
    pub version: i64,
}

/// An item with the origin of its last change.
#[derive(Clone, Debug, Deserialize)]
pub struct Changed<T> {
    #[serde(flatten)]
    pub value: T,
    #[serde(default)]
    pub origin: Option<ChangeOrigin>,
}

/// Reads the item of a key, strongly consistent.
pub(super) async fn get<T: DeserializeOwned>(
    client: &Client,
    table: &str,
    key: Item,
) -> Result<Option<T>, Error> {
    let get = client.get_item().table_name(table).consistent_read(true).set_key(Some(key));
    let item = get.send().await.map_err(aws::classify)?.item;
    item.map(serde_dynamo::from_item).transpose().map_err(Error::internal)
}

/// Sends a conditional update. Returns the current item, if there is one, where the condition does not hold.
pub(super) async fn update_if(
    update: UpdateItemFluentBuilder,
) -> Result<Result<UpdateItemOutput, Option<Item>>, Error> {
    let update = update.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    match update.send().await {
        Ok(output) => Ok(Ok(output)),
        Err(failed) => match failed.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => Ok(Err(failed.item().cloned())),
            _ => Err(aws::classify(failed)),
        },
    }
}

/// Returns the output of a conditional write, or `None` where the condition does not hold.
pub(super) fn if_condition_holds<T, E>(result: Result<T, SdkError<E>>) -> Result<Option<T>, Error>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match result {
        Ok(output) => Ok(Some(output)),
        Err(failed) if failed.code() == Some("ConditionalCheckFailedException") => Ok(None),
        Err(failed) => Err(aws::classify(failed)),
    }
}

/// Retry budget of a use case whose item keeps changing concurrently.
pub(crate) const MAX_RETRIES: u32 = 5;

/// The error of a use case that has used up [`MAX_RETRIES`].
pub(crate) fn contended() -> Error {
    Error::Unavailable("the item kept changing concurrently".into())
}
