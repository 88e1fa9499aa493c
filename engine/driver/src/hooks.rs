//! Asking programs outside over HTTP: the hooks of the configuration. A question is a POST of JSON; the body of a 2xx response is
//! the answer, which goes to the shard that asked by way of its desk and its bell, as everything from other threads does.
//!
//! Each hook has threads of its own, as many as it may have connections, so that one that is slow or dead keeps no other
//! waiting, and no shard ever. What waits for a thread is bounded, and every question has its answer, or a failure, by its
//! deadline (a name that resolves slowly included; it may take a moment longer to notice). The threads are plain ones because
//! both drivers need them, and because name resolution blocks whatever one does.
//!
//! A connection that the hook has closed while it was kept for another question cannot be told from one that it is about to
//! use, so a question that meets one is asked again, once: a hook may be asked the same thing twice.
//!
//! Does not: follow redirects (who is asked is for the configuration to say), use proxies, read what the answer means.

mod client;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wampline_shard::{HookFailure, HookQuestion};
use zeroize::Zeroizing;

pub use client::{Hook, HookError, HookSettings};

/// Failures of a hook are logged this often at most.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// Takes answers to their shards.
pub(crate) trait Deliver: Send + Sync {
    /// Called on a thread of the hook.
    fn deliver(&self, shard: usize, answer: HookAnswer);
}

/// What became of a question.
#[derive(Debug)]
pub(crate) struct HookAnswer {
    pub(crate) id: u64,
    pub(crate) result: Result<Vec<u8>, HookFailure>,
}

/// The hooks of a router. Dropping it ends their threads, each when its question in flight has ended; nobody waits for them.
pub(crate) struct Hooks {
    /// In the order of the configuration.
    askers: Vec<Arc<Asker>>,
}

/// A hook, and the questions that wait for it.
struct Asker {
    hook: Hook,
    queue: Mutex<Queue>,
    /// Something has come in, or no more will.
    arrival: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Request>,
    is_closed: bool,
    next_log: Option<Instant>,
}

struct Request {
    shard: usize,
    id: u64,
    /// There may be a ticket in it.
    body: Zeroizing<Vec<u8>>,
    deadline: Instant,
}

impl Hooks {
    /// Starts the threads of these hooks.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub(crate) fn start(hooks: &[Hook], deliver: &Arc<dyn Deliver>) -> io::Result<Hooks> {
        let asker = |hook: &Hook| {
            Arc::new(Asker { hook: hook.clone(), queue: Mutex::default(), arrival: Condvar::new() })
        };
        let hooks = Hooks { askers: hooks.iter().map(asker).collect() };
        for (number, asker) in hooks.askers.iter().enumerate() {
            for _ in 0..asker.hook.connections_max() {
                let (asker, deliver) = (Arc::clone(asker), Arc::clone(deliver));
                let thread = std::thread::Builder::new().name(format!("hook-{number}"));
                thread.spawn(move || asker.serve(&*deliver))?;
            }
        }
        Ok(hooks)
    }

    /// Puts a question. Without a failure here, the answer is delivered later, exactly once.
    pub(crate) fn ask(&self, shard: usize, question: HookQuestion) -> Result<(), HookFailure> {
        let HookQuestion { id, hook, body } = question;
        let asker = self.askers.get(hook as usize).ok_or(HookFailure::Unreachable)?;
        let body = Zeroizing::new(body);
        let deadline = Instant::now() + asker.hook.timeout();
        let mut queue = asker.lock();
        if queue.waiting.len() >= asker.hook.waiting_max() {
            asker.log(&mut queue, "too many questions wait for it");
            return Err(HookFailure::Busy);
        }
        queue.waiting.push_back(Request { shard, id, body, deadline });
        drop(queue);
        asker.arrival.notify_one();
        Ok(())
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        for asker in &self.askers {
            let mut queue = asker.lock();
            queue.is_closed = true;
            queue.waiting.clear();
            drop(queue);
            asker.arrival.notify_all();
        }
    }
}

impl Asker {
    /// The life of one of the hook's threads.
    fn serve(&self, deliver: &dyn Deliver) {
        while let Some(request) = self.next() {
            let result = self.hook.post(&request.body, request.deadline);
            let result = result.map_err(|(failure, why)| {
                self.log(&mut self.lock(), &why);
                failure
            });
            deliver.deliver(request.shard, HookAnswer { id: request.id, result });
        }
    }

    /// Waits for a question; `None` when none will come any more.
    fn next(&self) -> Option<Request> {
        let mut queue = self.lock();
        loop {
            if let Some(request) = queue.waiting.pop_front() {
                return Some(request);
            }
            if queue.is_closed {
                return None;
            }
            queue = self.arrival.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn log(&self, queue: &mut Queue, why: &str) {
        let now = Instant::now();
        if queue.next_log.is_none_or(|next| next <= now) {
            queue.next_log = Some(now + LOG_EVERY);
            tracing::warn!(hook = self.hook.shown(), why, "a hook gives no answer");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing is done under the lock that could leave it half done.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
