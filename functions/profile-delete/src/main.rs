//! `POST /users/me/delete`: the account is closed, and what is personal about its owner erased.

use std::process::ExitCode;

use shared::{
    auth::Scope,
    domain::user::Actor,
    error::Error,
    http::{self, Answer, Request},
    password::Password,
    secrets::Secrets,
    sign_in::SignIn,
    store::{keys::Keys, orders::Orders, users::Users},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve(
        env!("CARGO_PKG_NAME"),
        async |store| {
            let attempts = store.attempts(Secrets::connect()?.hmac_keys().await?)?;
            Ok((store.keys().await?, store.users()?, store.orders()?, SignIn::new(store.users()?, attempts)))
        },
        delete,
    )
    .await
}

async fn delete(
    (keys, users, orders, sign_in): &(Keys, Users, Orders, SignIn),
    request: Request,
) -> Result<Answer, Error> {
    let customer = request.customer(keys, Scope::Account).await?;
    let password = request.json(|body| body.field("password").text(Password::parse))?;

    let now = request.now();
    let account = users.own(&customer).await?;
    let (checked, _) = sign_in.check_own(&account, password, &request.address(), now).await?;
    orders.erase(&customer, &request.cause(Actor::User(customer.id()))).await?;
    let traces = sign_in.traces(&account.user.email, now).await?;
    users.erase(&customer, &checked, traces).await?;

    Ok(Answer::no_content())
}
