//! On the streams of Products, Orders and Users: publishes each change to EventBridge, at least once.

use shared::{
    events::{Event, EventBus},
    prelude::*,
    store::StreamRecord,
    stream,
};

fn main() -> ExitCode {
    stream::serve(env!("CARGO_PKG_NAME"), async |_| EventBus::connect(), handle)
}

async fn handle(bus: &EventBus, record: StreamRecord) -> Result<(), Error> {
    bus.publish(&Event::of(record)).await
}
