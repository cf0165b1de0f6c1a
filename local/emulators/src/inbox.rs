//! Messages that an emulator has accepted, and the faults that tests inject.

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::Mutex,
};

use serde::Serialize;

use crate::{
    files::{self, FileError},
    mutex::lock,
};

/// Accepted messages of type `M`, and queues of faults of type `F` by the subject that they hit.
pub(crate) struct Inbox<M, F> {
    /// Tells whether a message is about a subject.
    is_about: fn(&M, &str) -> bool,
    /// Keeps each message as a line of JSON.
    file: Option<PathBuf>,
    messages: Mutex<Vec<M>>,
    faults: Mutex<BTreeMap<String, VecDeque<F>>>,
}

impl<M: Clone + Serialize, F> Inbox<M, F> {
    pub fn new(file: Option<PathBuf>, is_about: fn(&M, &str) -> bool) -> Self {
        Self { is_about, file, messages: Mutex::default(), faults: Mutex::default() }
    }

    /// Returns the messages since the start, oldest first.
    pub fn all(&self) -> Vec<M> {
        lock(&self.messages).clone()
    }

    /// Returns the messages about a subject, oldest first.
    pub fn about(&self, subject: &str) -> Vec<M> {
        lock(&self.messages).iter().filter(|message| (self.is_about)(message, subject)).cloned().collect()
    }

    /// Queues faults for the next messages about a subject.
    pub fn fail(&self, subject: &str, faults: impl IntoIterator<Item = F>) {
        lock(&self.faults).entry(subject.to_owned()).or_default().extend(faults);
    }

    /// Takes the next fault for a message from the queue.
    pub fn fault(&self, message: &M) -> Option<F> {
        let mut faults = lock(&self.faults);
        let mut due = faults.iter_mut().filter(|(subject, _)| (self.is_about)(message, subject));
        due.find_map(|(_, faults)| faults.pop_front())
    }

    /// Accepts a message, in the file first.
    pub fn accept(&self, message: M) -> Result<(), FileError> {
        let mut messages = lock(&self.messages);
        if let Some(path) = &self.file {
            files::append(path, &message)?;
        }
        messages.push(message);
        Ok(())
    }
}
