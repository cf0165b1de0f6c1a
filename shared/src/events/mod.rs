//! Events for other systems, and EventBridge, which delivers them.

mod event;

mod bus;

pub use bus::EventBus;
pub use event::Event;
