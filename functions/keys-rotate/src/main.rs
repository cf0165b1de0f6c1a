//! On rotation of a secret by Secrets Manager: makes and publishes a new key, and retires the old one. On an operator's
//! order: replaces a key at once.

use shared::{
    key_rotation,
    prelude::*,
    secrets::{KeyEvent, Rotation, Secrets},
    store::keys::KeyTable,
    task, telemetry,
};

fn main() -> ExitCode {
    task::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Rotation, KeyTable), ConfigError> {
    Ok((Secrets::connect()?.rotation()?, store.audited()?.key_table()?))
}

async fn handle((secrets, keys): &(Rotation, KeyTable), event: KeyEvent) -> Result<(), Error> {
    let context = event.context(env!("CARGO_PKG_NAME"), telemetry::now());
    match event {
        KeyEvent::Rotation(event) => key_rotation::rotate(secrets, keys, &event, &context).await,
        KeyEvent::Revocation(order) => key_rotation::revoke(secrets, keys, &order, &context).await,
    }
}
