//! A subscription rendered as frames.

use axp_proto::ids::IntentId;
use axp_proto::log::{Event, MailboxEntry, Status};
use serde::Serialize;
use serde_json::json;
use tokio::time::timeout_at;

use super::frame;
use crate::clock::Deadline;
use crate::cluster::{Item, Subscription};
use crate::error::ApiError;
use crate::model::{DeliveryBody, EventBody, RawJson};
use crate::service::Listening;

/// What a stream shows.
#[derive(Debug)]
pub(crate) struct Feed {
    subscription: Subscription,
    kind: Kind,
    /// Read ahead to learn whether there is anything to stream.
    first: Option<Item>,
}

#[derive(Debug)]
enum Kind {
    Intent(IntentId),
    Agent(Vec<Status>),
}

/// What came next.
#[derive(Debug)]
pub(super) enum Next {
    /// Frames, maybe none when all was filtered out, and the position after them.
    Frames {
        bytes: Vec<u8>,
        position: u32,
        ended: bool,
    },
    CaughtUp,
    /// Nothing follows.
    Complete,
}

impl Feed {
    pub(crate) fn of_intent(id: IntentId, subscription: Subscription) -> Self {
        Self { subscription, kind: Kind::Intent(id), first: None }
    }

    pub(crate) fn of_agent(listening: Listening) -> Self {
        let Listening { subscription, statuses } = listening;
        Self { subscription, kind: Kind::Agent(statuses), first: None }
    }

    /// Waits for a sign of life, so that a refusal can still be answered as one.
    ///
    /// # Errors
    /// 404 for an intent that is unknown or another's, 503 when no leader answers in time.
    pub(crate) async fn open(mut self, deadline: Deadline) -> Result<Self, ApiError> {
        let first = timeout_at(deadline.instant(), self.subscription.next()).await;
        let first =
            first.map_err(|_| ApiError::unavailable("no leader of the shard answered in time"))?;
        self.first = Some(first?);
        Ok(self)
    }

    /// Waits for what comes next. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Result<Next, ApiError> {
        let item = match self.first.take() {
            Some(item) => item,
            None => self.subscription.next().await?,
        };
        Ok(match (item, &self.kind) {
            (Item::Events(events), Kind::Intent(id)) => render_events(*id, &events),
            (Item::Deliveries(entries), Kind::Agent(statuses)) => {
                render_deliveries(statuses, &entries)
            }
            (Item::CaughtUp, _) => Next::CaughtUp,
            (Item::Complete, _) => Next::Complete,
            // A node that mixes the two up has a bug; nothing of it can be shown.
            (Item::Events(_) | Item::Deliveries(_), _) => return Err(ApiError::internal()),
        })
    }
}

fn render_events(id: IntentId, events: &[Event]) -> Next {
    let mut bytes = Vec::with_capacity(256 * events.len());
    for event in events {
        let mut body = EventBody::new(id, event);
        let mut data = to_json(&body);
        if data.len() > frame::DATA_BYTES_MAX {
            // The whole of it is in the event list.
            let note = json!({ "truncated": true, "bytes": event.details_json.len() });
            body.details = RawJson::new(note.to_string().as_bytes());
            body.human_task = None;
            data = to_json(&body);
        }
        frame::event(&mut bytes, event.seq, body.event_type, &data);
    }
    let last = events.last();
    Next::Frames {
        bytes,
        position: last.map_or(0, |event| event.seq),
        ended: last.is_some_and(|event| event.status().is_terminal()),
    }
}

fn render_deliveries(statuses: &[Status], entries: &[MailboxEntry]) -> Next {
    let mut bytes = Vec::with_capacity(384 * entries.len());
    for entry in entries {
        let status = entry.delivery.as_ref().map_or(Status::Unspecified, |it| it.status());
        if Listening::shows(statuses, status)
            && let Some(body) = DeliveryBody::new(entry)
        {
            frame::event(&mut bytes, entry.cursor, body.event_type, &to_json(&body));
        }
    }
    let position = entries.last().map_or(0, |entry| entry.cursor);
    Next::Frames { bytes, position, ended: false }
}

fn to_json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("a struct of strings, numbers and valid JSON serializes")
}

#[cfg(test)]
mod tests {
    use axp_proto::ids::Slot;
    use axp_proto::log::{Delivery, EventType};
    use bytes::Bytes;

    use super::*;

    fn id() -> IntentId {
        IntentId::new(1, Slot::new(1).unwrap(), 1)
    }

    fn text(next: Next) -> (String, u32, bool) {
        let Next::Frames { bytes, position, ended } = next else { panic!("{next:?}") };
        (String::from_utf8(bytes).unwrap(), position, ended)
    }

    #[test]
    fn events_keep_their_status_and_end_with_a_terminal_one() {
        let event = |seq, kind: EventType, status: Status| Event {
            seq,
            r#type: kind.into(),
            status: status.into(),
            ..Event::default()
        };
        let events = [
            event(3, EventType::Delivered, Status::Delivered),
            event(4, EventType::Completed, Status::Completed),
        ];
        let (text, position, ended) = text(render_events(id(), &events));
        assert!(
            text.starts_with("id: 3\nevent: intent.delivered\ndata: {\"intent_id\":\""),
            "{text}"
        );
        assert!(
            text.contains("\"seq\":4,\"event_type\":\"intent.completed\",\"status\":\"COMPLETED\"")
        );
        assert!(text.ends_with("\n\n"));
        assert_eq!((position, ended), (4, true));
    }

    #[test]
    fn no_data_line_is_too_long() {
        let details = format!("{{\"result\":\"{}\"}}", "x".repeat(100_000));
        let event = Event { seq: 1, details_json: Bytes::from(details), ..Event::default() };
        let (text, ..) = text(render_events(id(), &[event]));
        assert!(text.lines().all(|line| line.len() < 65_536));
        assert!(text.contains("\"details\":{\"bytes\":100013,\"truncated\":true}"), "{text}");
    }

    #[test]
    fn ended_intents_are_not_shown_to_agents_unless_asked_for() {
        let entry = |cursor, status: Status| MailboxEntry {
            cursor,
            delivery: Some(Delivery {
                intent_id: id().to_bytes(),
                status: status.into(),
                ..Delivery::default()
            }),
        };
        let entries = [entry(2, Status::Delivered), entry(4, Status::Completed)];
        let (open, position, ended) = text(render_deliveries(&[], &entries));
        assert!(open.starts_with("id: 2\nevent: intent.delivered\n") && !open.contains("id: 4"));
        assert_eq!((position, ended), (4, false));
        let (done, ..) = text(render_deliveries(&[Status::Completed], &entries));
        assert!(!done.contains("id: 2\n") && done.starts_with("id: 4\n"));
    }
}
