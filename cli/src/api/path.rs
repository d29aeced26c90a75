//! How paths and queries are written.

/// For a path segment or a query value.
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// `?a=b&c=d` of those that are set; empty when none is.
pub(crate) fn query(parameters: &[(&str, Option<String>)]) -> String {
    let set = parameters.iter().filter_map(|(name, value)| {
        value.as_deref().map(|value| format!("{name}={}", percent_encoded(value)))
    });
    let text = set.collect::<Vec<_>>().join("&");
    if text.is_empty() { text } else { format!("?{text}") }
}

/// The path of an agent, whose address may come with or without its scheme.
pub(crate) fn agent_path(address: &str) -> String {
    let address = address.strip_prefix("agent://").unwrap_or(address);
    let segments: Vec<_> = address.split('/').map(percent_encoded).collect();
    format!("/v1/agents/{}", segments.join("/"))
}

pub(crate) fn intent_path(intent_id: &str) -> String {
    format!("/v1/intents/{}", percent_encoded(intent_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_bytes_are_encoded() {
        assert_eq!(percent_encoded("a/b c?~"), "a%2Fb%20c%3F~");
        assert_eq!(agent_path("agent://acme/prod/x y"), "/v1/agents/acme/prod/x%20y");
    }

    #[test]
    fn only_set_parameters_are_sent() {
        let parameters = [("since", None), ("status", Some("A,B".to_owned()))];
        assert_eq!(query(&parameters), "?status=A%2CB");
        assert_eq!(query(&parameters[..1]), "");
    }
}
