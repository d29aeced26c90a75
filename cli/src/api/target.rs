//! A base URL, taken apart once.

use hyper::Uri;

use super::Error;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// `host:port`, with the default port filled in.
    pub(crate) address: String,
    /// What the `Host` header says.
    pub(crate) authority: String,
    /// In front of every path; empty or `/something` without a final slash.
    pub(crate) prefix: String,
}

impl Target {
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Error::Target(format!("`{url}` is no base URL: {why}"));
        let uri: Uri = url.trim().parse().map_err(|_| wrong("it cannot be parsed"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(wrong(
                    "this command speaks plain http only; use the address behind TLS",
                ));
            }
            _ => return Err(wrong("it must start with http://")),
        }
        let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?;
        let port = authority.port_u16().unwrap_or(80);
        Ok(Self {
            address: format!("{}:{port}", authority.host()),
            authority: authority.to_string(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{}{path}", self.authority, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_keeps_its_prefix_and_loses_its_final_slash() {
        let target = Target::parse("http://gateway/axp/").unwrap();
        assert_eq!(target.address, "gateway:80");
        assert_eq!(target.url("/v1/health"), "http://gateway/axp/v1/health");
        let target = Target::parse("http://[::1]:8100").unwrap();
        assert_eq!(target.address, "[::1]:8100");
    }

    #[test]
    fn other_schemes_are_refused_with_the_reason() {
        let error = Target::parse("https://gateway").unwrap_err().to_string();
        assert!(error.contains("plain http only"), "{error}");
        assert!(Target::parse("127.0.0.1:8100").is_err());
    }
}
