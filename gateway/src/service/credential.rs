//! API keys: how they are made, how they are stored, and what may be shown of them.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// A random id with a type prefix, such as `sa_` or `sak_`.
pub(crate) fn new_id(prefix: &str) -> String {
    format!("{prefix}{}", Uuid::now_v7().simple())
}

/// A new token. The account is part of it for people; it is found by the hash of the whole.
pub(crate) fn new_token(account_id: &str) -> String {
    let secret: [u8; 24] = rand::random();
    let account = account_id.strip_prefix("sa_").unwrap_or(account_id);
    format!("axme_sa_{account}_{}", hex(&secret))
}

/// What is stored instead of a token. Tokens are long random secrets, so a plain hash suffices.
pub(crate) fn hash(token: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// The hash as a row key holds it.
pub(crate) fn hash_hex(token: impl AsRef<[u8]>) -> String {
    hex(&hash(token))
}

/// Enough of a token to tell it from others, too little to use it.
pub(crate) fn hint(token: &str) -> String {
    let tail: String = token.chars().skip(token.chars().count().saturating_sub(4)).collect();
    format!("****{tail}")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String does not fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_and_hints_are_short() {
        let account = new_id("sa_");
        let token = new_token(&account);
        assert!(token.starts_with("axme_sa_") && token.len() >= 60, "{token}");
        assert_ne!(token, new_token(&account));
        assert_eq!(hint(&token).len(), 8);
        assert_eq!(
            hash_hex("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
