//! Rotation of signing and HMAC keys, by Secrets Manager's protocol:
//! <https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html>.
//!
//! A new key is published before it signs. The old key retires once its last token has expired.

use crate::{
    auth::SigningKey,
    domain::change::ChangeContext,
    error::Error,
    secrets::{Revocation, Rotation, RotationEvent, RotationStep, SecretVersion},
    store::keys::KeyTable,
};

/// Performs one step of a rotation. Secrets Manager may repeat each.
pub async fn rotate(
    secrets: &Rotation,
    keys: &KeyTable,
    event: &RotationEvent,
    context: &ChangeContext,
) -> Result<(), Error> {
    let now = context.at;
    let version = secrets.version(event)?;
    match event.step {
        RotationStep::CreateSecret => version.create(now).await,
        RotationStep::SetSecret if version.signs() => publish(keys, &version, context).await,
        RotationStep::TestSecret if version.signs() => {
            version.keys().await?.check_published(&keys.read(now).await?)
        }
        RotationStep::FinishSecret => {
            version.finish().await?;
            if version.signs() { retire(keys, &version, context).await } else { Ok(()) }
        }
        RotationStep::SetSecret | RotationStep::TestSecret => Ok(()),
    }
}

async fn publish(keys: &KeyTable, version: &SecretVersion<'_>, context: &ChangeContext) -> Result<(), Error> {
    for key in version.keys().await?.iter() {
        let key = SigningKey::of(key)?;
        keys.publish(key.kid(), key.public(), context).await?;
    }
    Ok(())
}

async fn retire(keys: &KeyTable, version: &SecretVersion<'_>, context: &ChangeContext) -> Result<(), Error> {
    for (kid, at) in version.keys().await?.retirements() {
        keys.retire(kid, at, context).await?;
    }
    Ok(())
}

/// Stops the use of a key that others may know: verifiers refuse its tokens within seconds, and a new key takes its place.
/// Until the functions that sign have read it, which takes up to a minute, log-ins get tokens that are refused.
pub async fn revoke(
    secrets: &Rotation,
    keys: &KeyTable,
    Revocation { revoke: id }: &Revocation,
    context: &ChangeContext,
) -> Result<(), Error> {
    let publish = async |key: SigningKey| {
        keys.publish(key.kid(), key.public(), context).await?;
        keys.revoke(id, context).await
    };
    secrets.replace(id, context.at, publish).await
}
