//! On the streams of Products, Orders and Users: every committed change becomes an event on the bus, at least once.

use std::process::ExitCode;

use shared::{
    error::Error,
    events::Bus,
    store::{Change, events::Event},
    stream,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    stream::serve(env!("CARGO_PKG_NAME"), async |_| Bus::connect(), publish).await
}

async fn publish(bus: &Bus, change: Change) -> Result<(), Error> {
    bus.publish(&Event::of(change)?).await
}
