//! On rotation of a secret by Secrets Manager: makes and publishes a new key, and retires the old one.

use shared::{
    key_rotation,
    prelude::*,
    secrets::{Rotation, RotationEvent, Secrets},
    store::keys::KeyTable,
    task, telemetry,
};

fn main() -> ExitCode {
    task::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Rotation, KeyTable), ConfigError> {
    Ok((Secrets::connect()?.rotation()?, store.audited()?.key_table()?))
}

async fn handle((secrets, keys): &(Rotation, KeyTable), event: RotationEvent) -> Result<(), Error> {
    let context = event.context(env!("CARGO_PKG_NAME"), telemetry::now());
    key_rotation::rotate(secrets, keys, &event, &context).await
}
