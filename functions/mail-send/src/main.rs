//! On the streams of Users and Orders: the mails, each at least once. One that the post office refuses for good is given up.

use std::process::ExitCode;

use shared::{
    error::Error,
    mail::{Post, Sender},
    secrets::Secrets,
    store::Change,
    stream,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    stream::serve(
        env!("CARGO_PKG_NAME"),
        async |store| {
            Ok(Post::new(store.mails()?, Sender::connect()?, Secrets::connect()?.hmac_keys().await?))
        },
        send,
    )
    .await
}

async fn send(post: &Post, change: Change) -> Result<(), Error> {
    post.deliver(change).await
}
