//! `GET` and `POST /oauth/authorize`: asks a user to let a client in (RFC 6749, section 3.1).

use shared::{
    accounts::Accounts,
    http::ErrorFormat,
    oauth::{AuthorizationError, Authorizer, ConsentAnswer},
    prelude::*,
    store::sessions::Sessions,
};

fn main() -> ExitCode {
    http::serve_with(ErrorFormat::Page, env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Authorizer, Accounts, Sessions), ConfigError> {
    Ok((Authorizer::new(store.clients()?)?, Accounts::open(&store).await?, store.sessions()?))
}

async fn handle(
    (authorizer, accounts, sessions): &(Authorizer, Accounts, Sessions),
    request: Request,
) -> Result<Response, Error> {
    let parameters = if request.is_post() { request.own_form()? } else { request.parameters()? };
    let authorization = match authorizer.read(&parameters).await {
        Ok(authorization) => authorization,
        Err(AuthorizationError::Page(error)) => return Err(error),
        Err(AuthorizationError::Redirect(location)) => return Response::see_other(&location),
    };
    if !request.is_post() {
        return Response::html(authorization.page(None, ""));
    }

    let (address, now) = (request.address(), request.now());
    match authorization.decide(&parameters, accounts, sessions, &address, now).await? {
        ConsentAnswer::Redirect(location) => Response::see_other(&location),
        ConsentAnswer::Page(page) => Response::html(page),
        ConsentAnswer::TooManyAttempts(page, wait) => Response::html(page)?.too_many_requests(wait),
    }
}
