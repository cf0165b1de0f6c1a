//! Why an order refuses a change.

use crate::domain::validation::{FieldError, ValidationErrors};

/// Reason for which an order refuses a change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The order is paid, final, past its deadline, or had too many payment attempts.
    #[error("The order can't be paid: it is already paid, closed or past its payment deadline.")]
    NotPayable,
    /// The provider has not yet answered an earlier request.
    #[error("Another payment operation on this order is in progress. Read the order again in a moment.")]
    PaymentInProgress,
    #[error("The order can't be cancelled: it is closed or already partly shipped.")]
    NotCancellable,
    #[error("There is nothing to capture: the order has no authorized payment.")]
    NotCapturable,
    #[error("There is nothing to refund.")]
    NotRefundable,
    #[error("The order can't be shipped: it is not paid, it is closed, or nothing is left to ship.")]
    NotFulfillable,
    #[error(
        "The customer disputes the charge. Ship anyway with `despite_dispute`, which needs `payments:write`."
    )]
    Disputed,
    /// The payment deadline has not passed, or the order is paid.
    #[error("the order has not expired")]
    NotExpired,
    /// The request does not fit the order.
    #[error("The request has invalid fields, listed in `errors`.")]
    Invalid(ValidationErrors),
    /// The change contradicts the transition tables or the order's own data.
    #[error("impossible change of an order: {0}")]
    Illegal(&'static str),
}

impl From<ValidationErrors> for OrderError {
    fn from(errors: ValidationErrors) -> Self {
        Self::Invalid(errors)
    }
}

impl From<FieldError> for OrderError {
    fn from(error: FieldError) -> Self {
        Self::Invalid(error.into())
    }
}
