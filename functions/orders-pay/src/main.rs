//! `POST /orders/{order_id}/payments`: charges the customer's card, once.

use std::process::ExitCode;

use shared::{
    auth::Scope,
    checkout::{Checkout, UNKNOWN_PAYMENT_METHOD},
    domain::{
        input::{Fault, Invalid},
        payment::{NewPayment, Payment, Status},
        user::Actor,
    },
    error::Error,
    http::{self, Answer, Request},
    store::{Store, keys::Keys},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let open = async |store: Store| Ok((store.keys().await?, Checkout::open(store.orders()?).await?));
    http::serve(env!("CARGO_PKG_NAME"), open, pay).await
}

async fn pay((keys, checkout): &(Keys, Checkout), request: Request) -> Result<Answer, Error> {
    let customer = request.customer(keys, Scope::Account).await?;
    let (id, key) = (request.path_id("order_id")?, request.idempotency_key()?);
    let new = request.json(NewPayment::read)?;

    let actor = Actor::User(customer.id());
    let attempt = key.attempt(actor, &(id, &new))?;
    let answered = checkout
        .pay(customer, id, &new, request.new_id()?, &attempt, |payment| {
            Ok(answer(&request, payment)?.recorded())
        })
        .await?;

    Answer::of_attempt(answered)
}

/// What the customer hears of a payment.
fn answer(request: &Request, payment: &Payment) -> Result<Answer, Error> {
    let problem = |error| Ok(Answer::problem(&error, request));
    match payment.status {
        Status::Captured | Status::Authorized => Answer::created(payment),
        Status::Processing | Status::RequiresAction => Answer::under_way(payment),
        Status::Failed if payment.decline_code.as_deref() == Some(UNKNOWN_PAYMENT_METHOD) => {
            let fault = Fault::UnknownValue("the payment provider's payment methods");
            problem(Error::Invalid(vec![Invalid { pointer: "/payment_method".to_owned(), fault }]))
        }
        Status::Failed => problem(Error::CardDeclined(Box::new(payment.clone()))),
        Status::Voided => problem(Error::PaymentVoided),
    }
}
