//! `DELETE /users/me`: erases the caller's account and personal data.

use shared::{accounts::Accounts, password::Password, prelude::*, store::orders::Orders};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Accounts, Orders), ConfigError> {
    Ok((store.keys().await?, Accounts::open(&store).await?, store.orders()?))
}

async fn handle(
    (keys, accounts, orders): &(Keys, Accounts, Orders),
    request: Request,
) -> Result<Response, Error> {
    let customer = request.customer(keys, Scope::Account).await?;
    let password = request.json(|body| body.field("password").text(Password::parse))?;

    let context = request.context_of(customer.authority());
    accounts.erase(&customer, &password, orders, &request.address(), &context).await?;

    Ok(Response::no_content())
}
