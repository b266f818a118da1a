//! A request's body that is counted before anything parses it.
//!
//! A parser of forms keeps the heads of parts in memory whatever the parts' own limits are; so it is given no more octets
//! than the request may have. What comes after that is read and forgotten, for a while, so that a client that is still
//! sending gets to read its answer.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};

/// The body; a parser and whoever answers share it.
#[derive(Clone)]
pub(crate) struct CountedBody(Arc<Mutex<Counted>>);

struct Counted {
    stream: BodyDataStream,
    left: usize,
    exceeded: bool,
}

impl CountedBody {
    /// Gives out at most `most` octets of `body`.
    pub(crate) fn new(body: Body, most: usize) -> Self {
        Self(Arc::new(Mutex::new(Counted {
            stream: body.into_data_stream(),
            left: most,
            exceeded: false,
        })))
    }

    /// What a parser reads: it breaks off where the octets are used up.
    pub(crate) fn to_body(&self) -> Body {
        let shared = self.clone();
        Body::from_stream(stream::poll_fn(move |context| shared.counted().poll(context)))
    }

    /// Whether there were more octets than allowed.
    pub(crate) fn exceeded(&self) -> bool {
        self.counted().exceeded
    }

    /// Reads what follows the last part, to the end of the request, counted like the rest; a body that is cut off shows
    /// here.
    pub(crate) async fn to_end(&self) -> Result<(), io::Error> {
        let shared = self.clone();
        let mut rest = stream::poll_fn(move |context| shared.counted().poll(context));
        while let Some(chunk) = rest.next().await {
            chunk?;
        }
        Ok(())
    }

    /// Reads up to `most` further octets and keeps none.
    pub(crate) async fn forget(&self, most: usize) {
        let shared = self.clone();
        let mut rest = stream::poll_fn(move |context| shared.counted().stream.poll_next_unpin(context));
        let mut heard = 0;
        while let Some(Ok(chunk)) = rest.next().await {
            heard += chunk.len();
            if heard > most {
                return;
            }
        }
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        // held for one poll, never across a wait
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, io::Error>>> {
        let chunk = std::task::ready!(std::pin::Pin::new(&mut self.stream).poll_next(context));
        Poll::Ready(match chunk {
            Some(Ok(chunk)) if chunk.len() > self.left => {
                self.exceeded = true;
                Some(Err(io::ErrorKind::FileTooLarge.into()))
            }
            Some(Ok(chunk)) => {
                self.left -= chunk.len();
                Some(Ok(chunk))
            }
            Some(Err(error)) => Some(Err(io::Error::other(error))),
            None => None,
        })
    }
}
