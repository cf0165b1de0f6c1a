//! Pays an order.

use std::sync::OnceLock;

use super::{
    checkout::Checkout,
    process::{Decision, damaged},
    provider_step::{ProviderUpdate, log_in_doubt},
};
use crate::{
    auth::{Customer, OrderAccess},
    domain::{
        id::Id,
        inventory::StockChanges,
        order::{Order, OrderError},
        order_id::OrderId,
        payment::{AttemptStatus, Intent, IntentState, NewPayment, Payment},
    },
    error::Error,
    payments::ProviderError,
    store::{
        contended,
        idempotency::{Idempotent, IdempotentRequest},
    },
};

/// Decline code of a payment method that the provider does not know.
pub const UNKNOWN_PAYMENT_METHOD: &str = "unknown_payment_method";

impl Checkout {
    /// Charges the customer. The provider's PaymentIntent is stored before it is confirmed, so that its outcome can always
    /// be read by its id.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Order`], [`Error::IdempotencyKeyReused`].
    pub async fn pay(
        &self,
        customer: Customer,
        order: OrderId,
        new: &NewPayment,
        id: Id<Payment>,
        request: &IdempotentRequest,
    ) -> Result<Idempotent<Payment>, Error> {
        let decide = |mut order: Order| async move {
            order.check_payable(request.context().at)?;
            let intent = self.create_intent(&order, new).await?;
            order.begin_payment(id, intent.id, new, request.context())?;
            Ok(Decision { order, subject: id, stocks: StockChanges::default() })
        };
        // Survives a retry after a concurrent change: the provider is asked to confirm only once.
        let confirmed = &OnceLock::new();
        let confirm = |order: Order, id: Id<Payment>| async move {
            let payment = order.payment(id).ok_or_else(damaged)?;
            if order.cancelling && payment.status.is_live() {
                return Err(contended());
            }
            if payment.status != AttemptStatus::Processing {
                return Ok(ProviderUpdate::None);
            }
            if let Some(intent) = confirmed.get() {
                return Ok(ProviderUpdate::Payment(Intent::clone(intent)));
            }
            let Some(intent) = self.confirm(payment, new).await? else { return Ok(ProviderUpdate::None) };
            Ok(ProviderUpdate::Payment(confirmed.get_or_init(|| intent).clone()))
        };
        let result = |order: &Order, id| order.payment(id).cloned().ok_or_else(damaged);
        self.run(&OrderAccess::Own(customer), order, request, decide, confirm, result).await
    }

    async fn create_intent(&self, order: &Order, new: &NewPayment) -> Result<Intent, Error> {
        let intent = self.provider.create(order.id, order.next_attempt(), order.total, new.capture).await;
        match intent {
            // The provider has limits of its own on amounts.
            Err(ProviderError::Refused { param: Some(param), .. }) if param == "amount" => {
                Err(OrderError::NotPayable.into())
            }
            intent => Ok(intent?),
        }
    }

    /// Asks the provider to charge. Returns `None` if its answer is lost.
    async fn confirm(&self, payment: &Payment, new: &NewPayment) -> Result<Option<Intent>, Error> {
        match self.provider.confirm(payment, new).await {
            Ok(intent) => Ok(Some(intent)),
            Err(error @ ProviderError::InDoubt(_)) => {
                log_in_doubt(&error);
                Ok(None)
            }
            Err(ProviderError::Refused { param: Some(param), .. }) if param == "payment_method" => {
                let state = IntentState::Declined(UNKNOWN_PAYMENT_METHOD.to_owned());
                Ok(Some(Intent { id: payment.provider_id.clone(), state }))
            }
            // The intent was cancelled or confirmed in the meantime: its current state counts.
            Err(ProviderError::Refused { .. }) => Ok(Some(self.provider.read(&payment.provider_id).await?.0)),
            Err(error) => Err(error.into()),
        }
    }
}
