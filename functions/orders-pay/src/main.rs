//! `POST /orders/{order_id}/payments`: charges the customer, once.

use shared::{
    domain::{
        payment::{AttemptStatus, NewPayment, Payment},
        validation::{FieldError, Violation},
    },
    orders::{Checkout, UNKNOWN_PAYMENT_METHOD},
    prelude::*,
    store::idempotency::Idempotent,
};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Checkout), ConfigError> {
    Ok((store.keys().await?, Checkout::open(store.orders()?).await?))
}

async fn handle((keys, checkout): &(Keys, Checkout), request: Request) -> Result<Response, Error> {
    let customer = request.customer(keys, Scope::Account).await?;
    let (id, key) = (request.path_id("order_id")?, request.idempotency_key()?);
    let new = request.json(NewPayment::read)?;

    let once = key.bind(customer.authority(), &(id, &new))?;
    let payment = checkout.pay(customer, id, &new, request.new_id()?, &once).await?;

    Ok(respond(&payment)?.replayed_if(payment.replayed))
}

fn respond(payment: &Idempotent<Payment>) -> Result<Response, Error> {
    let problem = |error| Ok(Response::problem(&error, &payment.request_id));
    match payment.value.status {
        AttemptStatus::Captured | AttemptStatus::Authorized => Response::created(&payment.value),
        AttemptStatus::Processing | AttemptStatus::RequiresAction => Response::in_progress(&payment.value),
        AttemptStatus::Failed if payment.value.decline_code.as_deref() == Some(UNKNOWN_PAYMENT_METHOD) => {
            let violation = Violation::UnknownValue(&["the payment provider's payment methods"]);
            problem(FieldError::new("/payment_method", violation).into())
        }
        AttemptStatus::Failed => problem(Error::CardDeclined(Box::new(payment.value.clone()))),
        AttemptStatus::Voided => problem(Error::PaymentVoided),
    }
}
