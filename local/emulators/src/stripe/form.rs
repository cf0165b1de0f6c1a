//! Stripe's form-encoded parameters: `amount=100&metadata[order_id]=ord_1&payment_method_types[]=card`.

use std::collections::BTreeMap;

use super::api_error::ApiError;

/// Maximum amount: eight digits.
const MAX_AMOUNT: i64 = 99_999_999;

/// Parameters of a request that are not taken yet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Form(BTreeMap<String, String>);

impl Form {
    pub fn read(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).into_owned().collect())
    }

    /// Returns all parameters as one text, to compare requests.
    pub fn canonical(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }

    /// Takes a parameter. An empty one counts as missing.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).filter(|value| !value.is_empty())
    }

    /// Takes a required parameter.
    pub fn required(&mut self, name: &str) -> Result<String, ApiError> {
        self.text(name).ok_or_else(|| ApiError::missing_parameter(name))
    }

    /// Takes an amount.
    pub fn amount(&mut self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let invalid = || {
            let message = format!("Invalid positive integer: {text}");
            ApiError::parameter("parameter_invalid_integer", name, message)
        };
        let amount = text.parse().ok().filter(|amount| *amount > 0).ok_or_else(invalid)?;
        if amount > MAX_AMOUNT {
            let message = format!("Amount must be no more than {MAX_AMOUNT}");
            return Err(ApiError::parameter("amount_too_large", name, message));
        }
        Ok(Some(amount))
    }

    /// Takes all parameters `name[key]`.
    pub fn map(&mut self, name: &str) -> BTreeMap<String, String> {
        let key = |parameter: &str| {
            let key = parameter.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?;
            Some(key.to_owned())
        };
        let map: BTreeMap<_, _> =
            self.0.iter().filter_map(|(parameter, value)| Some((key(parameter)?, value.clone()))).collect();
        self.0.retain(|parameter, _| key(parameter).is_none());
        map
    }

    /// Refuses parameters that were not taken.
    pub fn end(self) -> Result<(), ApiError> {
        match self.0.into_keys().next() {
            None => Ok(()),
            Some(unknown) => {
                let message = format!("Received unknown parameter: {unknown}");
                Err(ApiError::parameter("parameter_unknown", &unknown, message))
            }
        }
    }
}
