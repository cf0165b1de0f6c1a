//! On the rotation of a secret by Secrets Manager: a new key, published before it signs; the old one retires once its
//! last token has expired.

use std::process::ExitCode;

use shared::{
    auth::SigningKey,
    error::Error,
    secrets::{Rotation, RotationEvent, Secrets, Step},
    store::keys::KeyTable,
    task, telemetry,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    task::serve(
        env!("CARGO_PKG_NAME"),
        async |store| Ok((Secrets::connect()?.rotation()?, store.key_table()?)),
        rotate,
    )
    .await
}

/// The four steps come one after the other, and each may come again.
async fn rotate((secrets, table): &(Rotation, KeyTable), event: RotationEvent) -> Result<(), Error> {
    let version = secrets.version(&event)?;
    let now = telemetry::now();
    match event.step {
        Step::CreateSecret => version.create(now).await,
        Step::SetSecret if version.signs() => {
            for key in version.keys().await?.iter() {
                let key = SigningKey::of(key)?;
                table.publish(key.kid(), key.public(), now).await?;
            }
            Ok(())
        }
        Step::TestSecret if version.signs() => version.keys().await?.check_published(&table.read(now).await?),
        Step::FinishSecret => {
            version.finish().await?;
            if version.signs() {
                for (kid, at) in version.keys().await?.retirements() {
                    table.retire(kid, at).await?;
                }
            }
            Ok(())
        }
        Step::SetSecret | Step::TestSecret => Ok(()),
    }
}
