//! The bytes of a frame. Clients match `id: `, `event: ` and `data: ` with their one space, read
//! one data line, and need an empty line after the last event.

use std::io::Write as _;

use bytes::Bytes;

/// The Go CLI reads lines of less than 64 KiB, `data: ` and the line feed included.
pub(super) const DATA_BYTES_MAX: usize = 65_000;

/// Keeps a live stream awake.
pub(super) const HEARTBEAT: Bytes = Bytes::from_static(b":\n\n");
/// The last words of a live stream at shutdown: come back in a second.
pub(super) const COME_BACK: Bytes = Bytes::from_static(b"retry: 1000\n\n");

/// Appends one event.
pub(super) fn event(out: &mut Vec<u8>, id: u32, name: &str, data: &[u8]) {
    write!(out, "id: {id}\nevent: {name}\ndata: ").expect("writing to a Vec does not fail");
    let start = out.len();
    out.extend_from_slice(data);
    // Valid JSON has line breaks between its tokens only, where a blank is as good.
    for byte in &mut out[start..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    out.extend_from_slice(b"\n\n");
}

/// What ends a stream with `wait_seconds`. It has no id: it is no place to resume from.
pub(super) fn timeout(out: &mut Vec<u8>, next_seq: u32) {
    write!(out, "event: stream.timeout\ndata: {{\"ok\":true,\"next_seq\":{next_seq}}}\n\n")
        .expect("writing to a Vec does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_exact() {
        let mut out = Vec::new();
        event(&mut out, 4, "intent.delivered", b"{\"a\":\r\n1}");
        timeout(&mut out, 4);
        let expected = "id: 4\nevent: intent.delivered\ndata: {\"a\":  1}\n\n\
                        event: stream.timeout\ndata: {\"ok\":true,\"next_seq\":4}\n\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
