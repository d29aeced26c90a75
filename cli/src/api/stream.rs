//! An open event stream of a user command.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::Error;
use crate::sse::{Event, Parser, STREAM_TIMEOUT};

/// A live stream carries a heartbeat every 15 s; three missing ones mean that nobody is there.
const SILENCE_MAX: Duration = Duration::from_secs(50);

pub(crate) struct Stream {
    body: Incoming,
    parser: Parser,
}

#[derive(Debug)]
pub(crate) enum Next {
    Event(Event),
    /// The response is over; ask again with the last position.
    Ended,
}

impl Stream {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, parser: Parser::default() }
    }

    pub(crate) async fn next(&mut self) -> Result<Next, Error> {
        loop {
            let event = self.parser.next_event().map_err(|error| Error::Broken(error.into()))?;
            match event {
                Some(event) if event.is_intent() => return Ok(Next::Event(event)),
                Some(event) if event.name == STREAM_TIMEOUT => return Ok(Next::Ended),
                Some(_) => continue,
                None => {}
            }
            let frame = tokio::time::timeout(SILENCE_MAX, self.body.frame()).await;
            match frame.map_err(|_| Error::Timeout(SILENCE_MAX))? {
                None => return Ok(Next::Ended),
                Some(Err(error)) => return Err(Error::Broken(error.into())),
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.parser.push(data);
                    }
                }
            }
        }
    }
}
