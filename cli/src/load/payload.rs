//! Payloads of a given size whose bytes do not compress and do not repeat.

use rand::RngExt as _;
use rand::distr::Alphanumeric;

const NOISE_BYTES: usize = 256 << 10;
/// `{"data":""}` around the noise.
const FRAME: usize = 11;

#[derive(Debug)]
pub(crate) struct Payloads {
    noise: String,
    size: usize,
}

impl Payloads {
    /// Each payload is a JSON object of `size` bytes, or the smallest one if that is less.
    pub(crate) fn new(size: usize) -> Self {
        let noise = rand::rng().sample_iter(Alphanumeric).take(NOISE_BYTES + size).map(char::from);
        Self { noise: noise.collect(), size }
    }

    /// Appends `"payload":{...}`.
    pub(crate) fn write(&self, body: &mut Vec<u8>) {
        let from = rand::rng().random_range(0..NOISE_BYTES);
        body.extend_from_slice(b"\"payload\":{\"data\":\"");
        let length = self.size.saturating_sub(FRAME);
        body.extend_from_slice(&self.noise.as_bytes()[from..from + length]);
        body.extend_from_slice(b"\"}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_its_size() {
        for size in [0, FRAME, 256, 100_000] {
            let mut body = b"{".to_vec();
            Payloads::new(size).write(&mut body);
            body.push(b'}');
            let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(value["payload"].to_string().len(), size.max(FRAME));
        }
    }
}
