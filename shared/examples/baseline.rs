//! The function that does nothing: what `cargo shop bench` compares the others with. It stands here, and is no binary,
//! so that it has the functions' own dependencies and features, yet is none of them.

use lambda_http::{Body, Error, Request, Response, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(nothing)).await
}

async fn nothing(_: Request) -> Result<Response<Body>, Error> {
    Ok(Response::builder().status(204).body(Body::Empty)?)
}
