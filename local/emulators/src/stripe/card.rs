//! Test payment methods: Stripe's own (<https://docs.stripe.com/testing>), and more for faults that Stripe cannot be asked
//! for.

/// Outcome of a charge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Card {
    Good,
    /// Declined with this code.
    Declined(&'static str),
    /// Requires 3-D Secure.
    AuthenticationRequired,
    /// Succeeds; a refund succeeds first and fails later.
    RefundFails,
    /// Succeeds; a refund is pending and succeeds later.
    RefundPends,
    /// Succeeds, and is disputed later.
    Disputed,
    /// Stays `processing` until a test settles it.
    Processing,
    /// Charges nothing and never responds.
    NeverAnswers,
    /// Succeeds and closes the connection.
    AnswerLost,
    /// Succeeds slowly.
    Slow,
    /// Charges nothing: 500.
    Error,
    /// Meets the rate limit once per intent.
    RateLimited,
}

impl Card {
    /// Returns the card of a payment method.
    pub fn of(payment_method: &str) -> Option<Self> {
        Some(match payment_method {
            "pm_card_visa" => Self::Good,
            "pm_card_visa_chargeDeclined" | "pm_card_chargeCustomerFail" => Self::Declined("generic_decline"),
            "pm_card_visa_chargeDeclinedInsufficientFunds" => Self::Declined("insufficient_funds"),
            "pm_card_authenticationRequired" => Self::AuthenticationRequired,
            "pm_card_refundFail" => Self::RefundFails,
            "pm_card_pendingRefund" => Self::RefundPends,
            "pm_card_createDispute" => Self::Disputed,
            "pm_processing" => Self::Processing,
            "pm_never_answers" => Self::NeverAnswers,
            "pm_charged_answer_lost" => Self::AnswerLost,
            "pm_slow" => Self::Slow,
            "pm_error_500" => Self::Error,
            "pm_rate_limited" => Self::RateLimited,
            _ => return None,
        })
    }
}
