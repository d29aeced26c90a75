//! Reads server-sent events out of body pieces of any size.
//!
//! Fields that this protocol does not use (`retry`) and comments are skipped. A line without end
//! is refused instead of buffered for ever.

use bytes::{Bytes, BytesMut};

/// The contract keeps data lines under 64 KiB; this leaves room for servers that do not.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Ends a response of a stream that is not live; carries no event of an intent.
pub(crate) const STREAM_TIMEOUT: &[u8] = b"stream.timeout";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: Bytes,
    pub(crate) data: Bytes,
}

impl Event {
    /// Whether this is something that happened to an intent, and not a word about the stream.
    pub(crate) fn is_intent(&self) -> bool {
        self.name.starts_with(b"intent.")
    }

    pub(crate) fn is_terminal(&self) -> bool {
        matches!(
            &self.name[..],
            b"intent.completed" | b"intent.failed" | b"intent.canceled" | b"intent.timed_out"
        )
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a line of the event stream is longer than {LINE_BYTES_MAX} bytes")]
pub(crate) struct LineTooLong;

#[derive(Debug, Default)]
pub(crate) struct Parser {
    buffer: BytesMut,
    /// How much of `buffer` is known to hold no line end.
    searched: usize,
    name: Bytes,
    data: Bytes,
}

impl Parser {
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole event that has been pushed. An event counts when its empty line is there:
    /// what a broken connection leaves half is never acted on.
    pub(crate) fn next_event(&mut self) -> Result<Option<Event>, LineTooLong> {
        while let Some(line) = self.next_line()? {
            if line.is_empty() {
                let name = std::mem::take(&mut self.name);
                let data = std::mem::take(&mut self.data);
                if !name.is_empty() || !data.is_empty() {
                    return Ok(Some(Event { name, data }));
                }
            } else if let Some(name) = field(&line, b"event") {
                self.name = name;
            } else if let Some(data) = field(&line, b"data") {
                self.data = if self.data.is_empty() { data } else { joined(&self.data, &data) };
            }
        }
        Ok(None)
    }

    fn next_line(&mut self) -> Result<Option<Bytes>, LineTooLong> {
        let Some(end) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') else {
            self.searched = self.buffer.len();
            return if self.searched > LINE_BYTES_MAX { Err(LineTooLong) } else { Ok(None) };
        };
        let end = self.searched + end;
        let mut line = self.buffer.split_to(end + 1).freeze();
        self.searched = 0;
        line.truncate(if line[..end].ends_with(b"\r") { end - 1 } else { end });
        Ok(Some(line))
    }
}

/// The value of a line that sets this field; one space after the colon is not part of it.
fn field(line: &Bytes, name: &[u8]) -> Option<Bytes> {
    let rest = line.strip_prefix(name)?.strip_prefix(b":")?;
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    Some(line.slice_ref(rest))
}

fn joined(first: &[u8], second: &[u8]) -> Bytes {
    [first, b"\n", second].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = ": hello\n\nid: 4\nevent: intent.delivered\ndata: {\"seq\":4}\n\n\
        event: stream.timeout\r\ndata: {\"ok\":true,\ndata: \"next_seq\":4}\r\n\r\n\
        event: intent.completed\ndata: {}\n";

    fn read(pieces: impl Iterator<Item = Vec<u8>>) -> Vec<(String, String)> {
        let mut parser = Parser::default();
        let mut seen = Vec::new();
        for piece in pieces {
            parser.push(&piece);
            while let Some(event) = parser.next_event().unwrap() {
                let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
                seen.push((text(&event.name), text(&event.data)));
            }
        }
        seen
    }

    #[test]
    fn the_size_of_pieces_does_not_matter() {
        let whole = read(std::iter::once(BODY.as_bytes().to_vec()));
        let bytewise = read(BODY.bytes().map(|byte| vec![byte]));
        let expected = [
            ("intent.delivered", "{\"seq\":4}"),
            ("stream.timeout", "{\"ok\":true,\n\"next_seq\":4}"),
        ];
        assert_eq!(whole, expected.map(|(name, data)| (name.to_owned(), data.to_owned())));
        assert_eq!(whole, bytewise);
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut parser = Parser::default();
        parser.push(&vec![b'x'; LINE_BYTES_MAX + 1]);
        assert!(parser.next_event().is_err());
    }
}
