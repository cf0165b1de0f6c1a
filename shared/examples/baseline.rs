//! The baseline of `cargo shop bench`: a function that does nothing. An example of this package, so that it has the
//! functions' dependencies and features without being deployed.

use lambda_http::{Body, Error, Request, Response, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(nothing)).await
}

async fn nothing(_: Request) -> Result<Response<Body>, Error> {
    Ok(Response::builder().status(204).body(Body::Empty)?)
}
