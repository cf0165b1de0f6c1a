//! Stripe: the part of its API that the shop uses, with a ledger, webhooks and the page of 3-D Secure.
//!
//! Requests, responses, errors, idempotency and signatures follow <https://docs.stripe.com/api>. A parameter that is unknown
//! here is refused, like one that Stripe does not know. `card.rs` lists the payment methods. Tests compare the [`Ledger`]
//! with the shop's own data.

mod settings;

mod api_error;
mod card;
mod form;
mod ledger;
mod objects;
mod page;

mod webhook;

mod state;

mod handler;

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tokio::task::JoinSet;

use api_error::ApiError;
use form::Form;
use handler::Handler;
pub use ledger::{Entry, Kind, Ledger, Sums};
use objects::Refund;
pub use settings::Settings;
use state::State;
pub use webhook::{API_VERSION, SIGNATURE_HEADER, Webhook, sign};

use crate::{error::EmulatorError, files, mutex::lock, server::Server};

/// A Stripe that runs until it is dropped.
pub struct Stripe {
    pub url: String,
    handler: Arc<Handler>,
    _server: Server,
    _background: JoinSet<Infallible>,
}

impl Stripe {
    /// Starts one that keeps its state in memory.
    ///
    /// # Errors
    /// [`EmulatorError::Listen`].
    pub async fn in_memory(settings: Settings) -> Result<Self, EmulatorError> {
        Self::start(None, State::default(), settings).await
    }

    /// Starts one that keeps its state in a file.
    ///
    /// # Errors
    /// [`EmulatorError`].
    pub async fn on_file(path: &Path, settings: Settings) -> Result<Self, EmulatorError> {
        Self::start(Some(path.to_owned()), load(path)?, settings).await
    }

    async fn start(file: Option<PathBuf>, state: State, settings: Settings) -> Result<Self, EmulatorError> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let (port, state) = (settings.port, State { delay: settings.delay, ..state });
        let (state, webhooks_url) = (Mutex::new(state), Mutex::default());
        let handler = Arc::new(Handler { settings, file, http, state, webhooks_url });
        let answering = Arc::clone(&handler);
        let server = Server::start(port, move |parts, body| {
            let handler = Arc::clone(&answering);
            async move { handler.answer(&parts, &body).await }
        });
        let server = server.await.map_err(|error| EmulatorError::Listen("Stripe", error))?;
        let url = server.url.clone();
        handler.state().url.clone_from(&url);
        let mut background = JoinSet::new();
        background.spawn(Arc::clone(&handler).send_webhooks());
        Ok(Self { url, handler, _server: server, _background: background })
    }

    /// Returns all movements of money.
    pub fn ledger(&self) -> Ledger {
        self.handler.state().ledger.clone()
    }

    /// Returns an intent, like `GET /v1/payment_intents/{id}`.
    pub fn intent(&self, id: &str) -> Option<Value> {
        self.handler.state().shown_intent(id)
    }

    /// Returns all intents, oldest first.
    pub fn intents(&self) -> Vec<Value> {
        let state = self.handler.state();
        let mut intents: Vec<_> = state.intents.values().collect();
        intents.sort_by_key(|intent| intent.created);
        intents.into_iter().filter_map(|intent| state.shown_intent(&intent.id)).collect()
    }

    /// Returns the ids of an order's intents, oldest first.
    pub fn intents_of(&self, order_id: &str) -> Vec<String> {
        let state = self.handler.state();
        let mut intents: Vec<_> =
            state.intents.values().filter(|intent| intent.order_id() == order_id).collect();
        intents.sort_by_key(|intent| intent.created);
        intents.into_iter().map(|intent| intent.id.clone()).collect()
    }

    /// Returns all refunds, oldest first.
    pub fn refunds(&self) -> Vec<Value> {
        self.handler.state().refunds.iter().map(Refund::json).collect()
    }

    /// Sets the address of webhooks, also of those still waiting. `None` stops them.
    pub fn send_webhooks_to(&self, url: Option<&str>) {
        *lock(&self.handler.webhooks_url) = url.map(str::to_owned);
    }

    /// Holds the webhooks about an order back until [`release`](Self::release), so that a test can send them itself.
    pub fn hold(&self, order_id: &str) {
        self.handler.state().held.insert(order_id.to_owned());
    }

    /// Sends the webhooks about an order again, also those held back.
    pub fn release(&self, order_id: &str) {
        self.handler.state().held.remove(order_id);
    }

    /// Returns the webhooks not delivered yet, oldest first.
    pub fn webhooks(&self) -> Vec<Webhook> {
        self.handler.state().webhooks.iter().filter(|webhook| !webhook.is_delivered).cloned().collect()
    }

    /// Returns all webhooks about an order, oldest first.
    pub fn webhooks_of(&self, order_id: &str) -> Vec<Webhook> {
        self.handler.state().webhooks.iter().filter(|webhook| webhook.order_id == order_id).cloned().collect()
    }

    /// Returns the value of the signature header for a body sent now.
    pub fn sign(&self, body: &str) -> String {
        self.handler.sign(body)
    }

    /// Completes 3-D Secure as the customer would, a `processing` payment, or what `pm_never_answers` has left open.
    ///
    /// # Errors
    /// [`EmulatorError::Refused`] if the intent is not waiting.
    pub fn settle(&self, intent: &str, succeeds: bool) -> Result<(), EmulatorError> {
        self.handler.change(|state| state.settle(intent, succeeds)).map_err(refused)
    }

    /// Pays an order, or authorizes the payment if `capture` is `manual`, without a request. Returns the intent's id.
    ///
    /// # Errors
    /// [`EmulatorError::Refused`] if the card is declined.
    pub fn pay(
        &self,
        order_id: &str,
        cents: i64,
        capture: &str,
        payment_method: &str,
    ) -> Result<String, EmulatorError> {
        let new =
            format!("amount={cents}&currency=eur&capture_method={capture}&metadata[order_id]={order_id}");
        let confirm = format!("payment_method={payment_method}");
        let paid = self.handler.change(|state| {
            let (intent, _) = state.create(Form::read(new.as_bytes()))?;
            let id = intent["id"].as_str().unwrap_or_default();
            state.confirm(id, Form::read(confirm.as_bytes()))?;
            Ok(id.to_owned())
        });
        paid.map_err(refused)
    }

    /// Expires an authorization, as Stripe does after a week.
    ///
    /// # Errors
    /// [`EmulatorError::Refused`] if the intent is not authorized.
    pub fn lapse(&self, intent: &str) -> Result<(), EmulatorError> {
        self.handler.change(|state| state.lapse(intent)).map_err(refused)
    }

    /// Closes a dispute.
    ///
    /// # Errors
    /// [`EmulatorError::Refused`] if there is no open dispute.
    pub fn close_dispute(&self, intent: &str, is_won: bool) -> Result<(), EmulatorError> {
        self.handler.change(|state| state.close_dispute(intent, is_won)).map_err(refused)
    }
}

fn refused(refusal: ApiError) -> EmulatorError {
    EmulatorError::Refused("Stripe", refusal.message().to_owned())
}

/// Reads the ledger from the file of a Stripe.
///
/// # Errors
/// [`EmulatorError::File`].
pub fn read_ledger(path: &Path) -> Result<Ledger, EmulatorError> {
    Ok(load(path)?.ledger)
}

fn load(path: &Path) -> Result<State, EmulatorError> {
    Ok(files::load(path)?.unwrap_or_default())
}

#[cfg(test)]
mod tests;
