//! On the streams of Users and Orders: sends the mails that are due, each at least once.

use shared::{
    mail::{Mailer, Ses},
    prelude::*,
    secrets::Secrets,
    store::StreamRecord,
    stream,
};

fn main() -> ExitCode {
    stream::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<Mailer, ConfigError> {
    Ok(Mailer::new(store.mails()?, Ses::connect()?, Secrets::connect()?.hmac_keys().await?))
}

async fn handle(mailer: &Mailer, record: StreamRecord) -> Result<(), Error> {
    mailer.deliver(record).await
}
