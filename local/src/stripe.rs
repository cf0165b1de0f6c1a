//! Stripe on one machine: the part of its API that the shop relies on, with a ledger of its own, webhooks, and the page
//! on which a card's owner proves to be that. Money is never more than a number here; who wants to know what the shop
//! did to it asks the [`Ledger`].
//!
//! Requests are as Stripe's reference says, <https://docs.stripe.com/api>, and so are answers, errors, the meaning of an
//! `Idempotency-Key`, and signatures. A parameter that is unknown here is refused, as Stripe refuses one that it does not
//! know. What the payment methods do stands in `card.rs`.

mod api_error;
mod card;
mod form;
mod handler;
mod ledger;
mod objects;
mod page;
mod state;
mod webhook;

use std::{
    convert::Infallible,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::{net::TcpListener, task::JoinSet};

use crate::server;
use api_error::ApiError;
use form::Form;
use handler::Handler;
pub use ledger::{Entry, Kind, Ledger, Sums};
use objects::Refund;
use state::State;
pub use webhook::{API_VERSION, SIGNATURE_HEADER, Webhook, sign};

/// What a shop's account at Stripe is like.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The secret key that requests are made with.
    pub api_key: String,
    /// The secret that webhooks are signed with.
    pub webhook_secret: String,
    /// How long after a change its webhook is sent, and until a late refusal or a dispute comes.
    pub delay: Duration,
    /// The port of its address; 0 for any that is free.
    pub port: u16,
}

impl Settings {
    /// Those with Stripe's usual haste.
    pub fn new(api_key: &str, webhook_secret: &str) -> Self {
        let (api_key, webhook_secret) = (api_key.to_owned(), webhook_secret.to_owned());
        Self { api_key, webhook_secret, delay: Duration::from_millis(300), port: 0 }
    }
}

/// A Stripe that runs until this is dropped.
pub struct Stripe {
    /// Where it answers.
    pub url: String,
    handler: Arc<Handler>,
    _tasks: JoinSet<Infallible>,
}

/// Why there is no Stripe, or why it did not do something. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StripeError {
    /// There is no port to listen on.
    #[error("the pretend Stripe finds no port to listen on: {0}")]
    Listen(#[from] io::Error),
    /// Webhooks can't be called from here.
    #[error("webhooks can't be called: {0}")]
    Call(#[from] reqwest::Error),
    /// The file can't be read.
    #[error("what the pretend Stripe knows, in {0}, can't be read: {1}")]
    File(PathBuf, #[source] io::Error),
    /// The file holds something else.
    #[error("{0} holds nothing of the pretend Stripe's ({1}): remove it")]
    Damaged(PathBuf, #[source] serde_json::Error),
    /// It is not possible as things are.
    #[error("the pretend Stripe refuses: {0}")]
    Refused(String),
}

impl Stripe {
    /// Starts one that forgets.
    ///
    /// # Errors
    /// Where there is no port to listen on.
    pub async fn in_memory(settings: Settings) -> Result<Self, StripeError> {
        Self::start(None, State::default(), settings).await
    }

    /// Starts one that keeps what it knows in a file, which is made where there is none, and which nobody else may read.
    ///
    /// # Errors
    /// Where the file can't be read, or there is no port to listen on.
    pub async fn on_file(path: &Path, settings: Settings) -> Result<Self, StripeError> {
        Self::start(Some(path.to_owned()), load(path)?, settings).await
    }

    async fn start(file: Option<PathBuf>, state: State, settings: Settings) -> Result<Self, StripeError> {
        let listener = TcpListener::bind(("127.0.0.1", settings.port)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let http = reqwest::Client::builder().no_proxy().build()?;
        let state = Mutex::new(State { delay: settings.delay, url: url.clone(), ..state });
        let handler = Arc::new(Handler { settings, file, http, state, webhooks_url: Mutex::default() });
        let mut tasks = JoinSet::new();
        let answering = Arc::clone(&handler);
        let answer = move |_, request| {
            let handler = Arc::clone(&answering);
            async move { handler.answer(request).await }
        };
        tasks.spawn(server::serve(listener, answer));
        tasks.spawn(Arc::clone(&handler).go_on());
        Ok(Self { url, handler, _tasks: tasks })
    }

    /// Every movement of money so far.
    pub fn ledger(&self) -> Ledger {
        self.handler.state().ledger.clone()
    }

    /// An intent, as `GET /v1/payment_intents/{id}` shows it.
    pub fn intent(&self, id: &str) -> Option<Value> {
        self.handler.state().shown_intent(id)
    }

    /// All intents, as Stripe shows them, the oldest first.
    pub fn intents(&self) -> Vec<Value> {
        let state = self.handler.state();
        let mut intents: Vec<_> = state.intents.values().collect();
        intents.sort_by_key(|intent| intent.created);
        intents.into_iter().filter_map(|intent| state.shown_intent(&intent.id)).collect()
    }

    /// The ids of an order's intents, the oldest first.
    pub fn intents_of(&self, order_id: &str) -> Vec<String> {
        let state = self.handler.state();
        let mut intents: Vec<_> =
            state.intents.values().filter(|intent| intent.order_id() == order_id).collect();
        intents.sort_by_key(|intent| intent.created);
        intents.into_iter().map(|intent| intent.id.clone()).collect()
    }

    /// All refunds, as Stripe shows them, the oldest first.
    pub fn refunds(&self) -> Vec<Value> {
        self.handler.state().refunds.iter().map(Refund::json).collect()
    }

    /// Has webhooks sent to this address from now on, those that have waited for one too; without, none is sent.
    pub fn send_webhooks_to(&self, url: Option<&str>) {
        *lock(&self.handler.webhooks_url) = url.map(str::to_owned);
    }

    /// Sends no webhooks about this order until it is released, so that a test can send them: in any order, twice, late.
    pub fn hold(&self, order_id: &str) {
        self.handler.state().held.insert(order_id.to_owned());
    }

    /// Sends the webhooks about this order again, those that were held too.
    pub fn release(&self, order_id: &str) {
        self.handler.state().held.remove(order_id);
    }

    /// The webhooks that nobody has taken yet, the oldest first.
    pub fn webhooks(&self) -> Vec<Webhook> {
        self.handler.state().webhooks.iter().filter(|webhook| !webhook.is_delivered).cloned().collect()
    }

    /// All webhooks about an order, taken or not, the oldest first.
    pub fn webhooks_of(&self, order_id: &str) -> Vec<Webhook> {
        self.handler.state().webhooks.iter().filter(|webhook| webhook.order_id == order_id).cloned().collect()
    }

    /// The signature's header for a body that is sent now.
    pub fn sign(&self, body: &str) -> String {
        self.handler.sign(body)
    }

    /// Lets the customer prove on the bank's page to be the card's owner, or fail to. Decides what was `processing`, too,
    /// and what `pm_never_answers` has left open.
    ///
    /// # Errors
    /// Where the intent waits for nothing like that.
    pub fn settle(&self, intent: &str, succeeds: bool) -> Result<(), StripeError> {
        self.handler.change(|state| state.settle(intent, succeeds)).map_err(refused)
    }

    /// Has a card pay an order, or hold the money where `capture` is `manual`, without a request; gives the intent's id.
    ///
    /// # Errors
    /// Where the card does not pay.
    pub(crate) fn pay(
        &self,
        order_id: &str,
        cents: i64,
        capture: &str,
        payment_method: &str,
    ) -> Result<String, StripeError> {
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

    /// Lets an authorization lapse, as after a week.
    ///
    /// # Errors
    /// Where the intent holds no money.
    pub fn lapse(&self, intent: &str) -> Result<(), StripeError> {
        self.handler.change(|state| state.lapse(intent)).map_err(refused)
    }

    /// Lets the bank decide a dispute.
    ///
    /// # Errors
    /// Where there is none that is open.
    pub fn close_dispute(&self, intent: &str, is_won: bool) -> Result<(), StripeError> {
        self.handler.change(|state| state.close_dispute(intent, is_won)).map_err(refused)
    }
}

fn refused(refusal: ApiError) -> StripeError {
    StripeError::Refused(refusal.message().to_owned())
}

/// The ledger in the file of a Stripe.
///
/// # Errors
/// Where the file can't be read.
pub fn read_ledger(path: &Path) -> Result<Ledger, StripeError> {
    Ok(load(path)?.ledger)
}

fn load(path: &Path) -> Result<State, StripeError> {
    match fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text).map_err(|error| StripeError::Damaged(path.to_owned(), error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(State::default()),
        Err(error) => Err(StripeError::File(path.to_owned(), error)),
    }
}

/// An id as Stripe makes them.
fn new_id(kind: &str) -> String {
    format!("{kind}_{}", &server::uuid().replace('-', "")[..24])
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
