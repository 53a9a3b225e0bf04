//! Whether a client takes its answer. hyper asks for the next piece of a body when the client has taken the last one
//! or there is room for one more; a client that takes none would keep the application's request open for ever.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use crate::pace::Pace;

tokio::task_local! {
    /// The delivery of the task's answers. A connection of HTTP/1 is a task, and so is each request of HTTP/2.
    static CURRENT: Arc<Delivery>;
}

/// The body that is given to a client at present, if there is one.
#[derive(Default)]
pub(crate) struct Delivery(Mutex<Option<Pace>>);

impl Delivery {
    /// Runs what answers requests. `None`: a client took its answer too slowly and the work was given up.
    pub(crate) async fn watch<F: Future>(patience: Duration, work: F) -> Option<F::Output> {
        let delivery = Arc::new(Self::default());
        CURRENT.scope(delivery.clone(), delivery.watched(patience, work)).await
    }

    /// A body begins; nothing of it was given yet. `None` outside of [`Delivery::watch`].
    pub(crate) fn begin() -> Option<Arc<Self>> {
        let delivery = CURRENT.try_with(Arc::clone).ok()?;
        *delivery.pace() = Some(Pace::default());
        Some(delivery)
    }

    /// A piece of so many bytes is handed out.
    pub(crate) fn given(&self, bytes: usize) {
        if let Some(pace) = &mut *self.pace() {
            let now = Instant::now();
            pace.moved(now, bytes);
            pace.waits(now);
        }
    }

    /// The next piece is asked for.
    pub(crate) fn asked(&self) {
        if let Some(pace) = &mut *self.pace() {
            pace.moved(Instant::now(), 0);
        }
    }

    /// The body is gone.
    pub(crate) fn end(&self) {
        *self.pace() = None;
    }

    fn pace(&self) -> std::sync::MutexGuard<'_, Option<Pace>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ends(&self, patience: Duration) -> Option<Instant> {
        self.pace().as_ref().and_then(|pace| pace.ends(patience))
    }

    /// The timer is set only when a client is waited for, and looks again when it is over.
    async fn watched<F: Future>(&self, patience: Duration, work: F) -> Option<F::Output> {
        let mut work = std::pin::pin!(work);
        let mut timer: Option<Pin<Box<Sleep>>> = None;
        poll_fn(|cx| {
            if let Poll::Ready(output) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            while let Some(ends) = self.ends(patience) {
                if ends <= Instant::now() {
                    return Poll::Ready(None);
                }
                let sleep = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(ends.into())));
                if sleep.deadline() > ends.into() {
                    sleep.as_mut().reset(ends.into());
                }
                if sleep.as_mut().poll(cx).is_pending() {
                    break;
                }
                timer = None;
            }
            Poll::Pending
        })
        .await
    }
}
