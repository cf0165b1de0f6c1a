//! Handles the provider's webhooks.

use super::{checkout::Checkout, process};
use crate::{
    domain::{change::ChangeContext, order::Order},
    error::Error,
    payments::{ProviderError, Webhook},
};

impl Checkout {
    /// Handles a webhook. It is only a hint to read the payment from the provider, so it may arrive twice, late or out of
    /// order.
    ///
    /// # Errors
    /// [`Error::InvalidSignature`], [`Error::MalformedJson`], [`Error::NotFound`] if it is about an unknown order.
    pub async fn handle_webhook(
        &self,
        body: &[u8],
        signature: &str,
        context: &ChangeContext,
    ) -> Result<(), Error> {
        let webhook = self.provider.webhook(body, signature, context.at).await?;
        let (Webhook::Payment(id) | Webhook::Refund(id) | Webhook::Dispute(id, _)) = &webhook else {
            return Ok(());
        };
        let (intent, order) = match self.provider.read(id).await {
            Err(ProviderError::Refused { code, .. }) if code == "resource_missing" => {
                return Err(Error::NotFound);
            }
            read => read?,
        };
        let order = order.ok_or(Error::NotFound)?;
        let (intent, webhook) = (&intent, &webhook);
        let apply = |mut order: Order| async move {
            let mut stocks = order.apply_payment_update(intent, context)?;
            let payment = order.payments.iter().find(|payment| payment.provider_id == intent.id).cloned();
            match (webhook, payment) {
                (Webhook::Refund(_), Some(payment)) => {
                    for update in self.provider.refunds(&payment).await? {
                        stocks.extend(order.apply_refund_update(&update, context)?);
                    }
                }
                (Webhook::Dispute(_, update), Some(_)) => order.apply_dispute_update(*update, context),
                _ => {}
            }
            Ok((order, stocks))
        };
        process::update(&self.orders, order, context, apply).await.map(drop)
    }
}
