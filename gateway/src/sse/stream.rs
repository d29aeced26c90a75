//! The rhythm of a stream.
//!
//! ```text
//! batch:  backlog -> [nothing yet: wait] -> something -> linger -> stream.timeout, close
//! live:   backlog -> events as they come, a heartbeat when there are none -> terminal event, close
//! ```
//!
//! Four of the official clients see nothing before the body ends: hence a batch closes soon after
//! it has something to show.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{Stream as ByteStream, unfold};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::feed::{Feed, Next};
use super::frame;
use super::since::Position;
use crate::limits::Permit;

/// When a stream sends, waits and ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rhythm {
    /// With `wait_seconds`.
    Batch {
        wait: Duration,
        linger: Duration,
        /// Answer what is there and close: some clients start with such a request to skip old
        /// work, and would skip new work as well if it were held open.
        at_once: bool,
    },
    /// Without it.
    Live { heartbeat: Duration },
}

#[derive(Debug)]
pub(crate) struct Stream {
    feed: Feed,
    position: Position,
    rhythm: Rhythm,
    /// When waiting ends: the next heartbeat, or the end of a batch.
    until: Instant,
    caught_up: bool,
    sent: bool,
    done: bool,
    stop: CancellationToken,
    _permits: (Permit, Permit),
}

impl Stream {
    pub(crate) fn new(
        feed: Feed,
        position: Position,
        rhythm: Rhythm,
        stop: CancellationToken,
        permits: (Permit, Permit),
    ) -> Self {
        let patience = match rhythm {
            Rhythm::Batch { wait, .. } => wait,
            Rhythm::Live { heartbeat } => heartbeat,
        };
        Self {
            feed,
            position,
            rhythm,
            until: Instant::now() + patience,
            caught_up: false,
            sent: false,
            done: false,
            stop,
            _permits: permits,
        }
    }

    /// The body of the response.
    pub(crate) fn into_body(self) -> impl ByteStream<Item = Result<Bytes, Infallible>> {
        unfold(self, |mut stream| async move { Some((Ok(stream.chunk().await?), stream)) })
    }

    async fn chunk(&mut self) -> Option<Bytes> {
        loop {
            if self.done {
                return None;
            }
            let stop = self.stop.clone();
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => return Some(self.interrupt()),
                next = timeout_at(self.until, self.feed.next()) => next,
            };
            match next {
                Err(_) => return Some(self.pause()),
                Ok(Err(error)) => {
                    // Refused in the middle; the client hears why when it comes back.
                    tracing::debug!(%error, "a stream ends");
                    return Some(self.interrupt());
                }
                Ok(Ok(Next::CaughtUp)) => {
                    self.caught_up = true;
                    if let Some(last) = self.settle(false) {
                        return Some(last);
                    }
                }
                Ok(Ok(Next::Complete)) => return self.finish(Vec::new()),
                Ok(Ok(Next::Frames { bytes, position, ended })) => {
                    self.position.advance(position);
                    if ended {
                        return self.finish(bytes);
                    }
                    if !bytes.is_empty() {
                        self.settle(true);
                        return Some(bytes.into());
                    }
                }
            }
        }
    }

    /// After something was sent, or everything stored was: sets when this stream ends or beats.
    /// Returns the last chunk when it ends now.
    fn settle(&mut self, sent: bool) -> Option<Bytes> {
        let now = Instant::now();
        match self.rhythm {
            Rhythm::Live { heartbeat } => {
                self.until = now + heartbeat;
                None
            }
            Rhythm::Batch { linger, at_once, .. } => {
                let first = sent && !self.sent;
                self.sent |= sent;
                if self.caught_up && at_once {
                    return Some(self.pause());
                }
                // From the first thing on that was sent after, or with, all that was stored.
                if self.caught_up && self.sent && (first || !sent) {
                    self.until = self.until.min(now + linger);
                }
                None
            }
        }
    }

    /// Waiting is over.
    fn pause(&mut self) -> Bytes {
        match self.rhythm {
            Rhythm::Live { heartbeat } => {
                self.until = Instant::now() + heartbeat;
                frame::HEARTBEAT
            }
            Rhythm::Batch { .. } => self.last_words(Vec::new()),
        }
    }

    /// The gateway stops, or the shard refuses to go on.
    fn interrupt(&mut self) -> Bytes {
        match self.rhythm {
            Rhythm::Live { .. } => {
                self.done = true;
                frame::COME_BACK
            }
            Rhythm::Batch { .. } => self.last_words(Vec::new()),
        }
    }

    /// The intent has ended: nothing lingers.
    fn finish(&mut self, bytes: Vec<u8>) -> Option<Bytes> {
        match self.rhythm {
            Rhythm::Live { .. } => {
                self.done = true;
                (!bytes.is_empty()).then(|| bytes.into())
            }
            Rhythm::Batch { .. } => Some(self.last_words(bytes)),
        }
    }

    fn last_words(&mut self, mut bytes: Vec<u8>) -> Bytes {
        self.done = true;
        frame::timeout(&mut bytes, self.position.next());
        bytes.into()
    }
}
