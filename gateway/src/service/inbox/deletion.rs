//! Deleting messages of a thread: named ones, or the last so many.

use axp_proto::node::ThreadDelete;
use axp_proto::node::inbox_request::Action;
use bytes::Bytes;
use uuid::Uuid;

use super::OwnThread;
use crate::error::ApiError;
use crate::json::Reader;
use crate::service::{Call, Service};

const DELETED_AT_ONCE: u32 = 100;

/// What a deletion led to.
#[derive(Debug)]
pub(crate) struct Deletion {
    pub(crate) thread: OwnThread,
    pub(crate) both: bool,
    /// The entry of the timeline that tells which messages went; absent when none did.
    pub(crate) event_id: Bytes,
}

impl Service {
    /// # Errors
    /// 404, 422.
    pub(crate) async fn delete_messages(
        &self,
        call: &Call,
        id: &str,
        body: &Bytes,
    ) -> Result<Deletion, ApiError> {
        let (delete, both) = parse(body)?;
        let action = Action::DeleteMessages(delete);
        let (thread, event_id) = self.act(call, id, "messages/delete", body, action).await?;
        Ok(Deletion { thread, both, event_id })
    }
}

fn parse(body: &Bytes) -> Result<(ThreadDelete, bool), ApiError> {
    let mut reader = Reader::new(body)?;
    let mode = reader.required_string("mode", 1, 16).unwrap_or_default();
    if !matches!(mode.as_str(), "" | "self" | "both") {
        reader.problem("mode", "must be self or both", "value_error");
    }
    let ids = reader.strings("message_ids", DELETED_AT_ONCE as usize, 128);
    let last = reader.integer("limit", 1);
    if last.is_some_and(|last| last > DELETED_AT_ONCE) {
        reader.problem("limit", "must be at most 100", "value_error");
    }
    reader.finish()?;
    let both = mode == "both";
    // With ids the limit counts for nothing; what cannot be an id names no message.
    let last = if ids.is_some() { 0 } else { last.unwrap_or_default() };
    let bytes =
        |text: &String| Uuid::try_parse(text).ok().map(|id| Bytes::copy_from_slice(id.as_bytes()));
    let message_ids = ids.iter().flatten().filter_map(bytes).collect();
    Ok((ThreadDelete { both, message_ids, last }, both))
}

#[cfg(test)]
mod tests {
    use axp_proto::error_code::ErrorCode;

    use super::*;

    fn delete(body: &'static str) -> Result<ThreadDelete, ErrorCode> {
        let parsed = parse(&Bytes::from_static(body.as_bytes()));
        parsed.map(|(delete, _)| delete).map_err(|error| error.code)
    }

    #[test]
    fn a_deletion_names_messages_or_counts_them() {
        let id = "6f0c2b1e-6c1c-4d6e-9d5e-0a2f3b4c5d6e";
        let named =
            Bytes::from(format!(r#"{{"mode":"both","message_ids":["{id}","x"],"limit":3}}"#));
        let (named, both) = parse(&named).unwrap();
        assert!(both && named.both);
        assert_eq!((named.message_ids.len(), named.last), (1, 0));
        assert_eq!(delete(r#"{"mode":"self","limit":7}"#).unwrap().last, 7);
        assert_eq!(delete(r#"{"mode":"self"}"#).unwrap(), ThreadDelete::default());
        for bad in [
            "{}",
            r#"{"mode":"all"}"#,
            r#"{"mode":"self","limit":0}"#,
            r#"{"mode":"self","limit":101}"#,
            r#"{"mode":"self","message_ids":[]}"#,
        ] {
            assert_eq!(delete(bad), Err(ErrorCode::ValidationError), "{bad}");
        }
    }
}
