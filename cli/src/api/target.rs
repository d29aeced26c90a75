//! A base URL, taken apart once.

use hyper::Uri;

use super::Error;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) tls: bool,
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
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong("it must start with http:// or https://")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("it must not carry a user or a password"));
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self {
            tls,
            address: format!("{}:{port}", authority.host()),
            authority: authority.to_string(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// For the load generator, whose own connections know no TLS.
    pub(crate) fn parse_plain(url: &str) -> Result<Self, Error> {
        let target = Self::parse(url)?;
        if target.tls {
            let why = "the load generator speaks plain http only; use the address behind TLS";
            return Err(Error::Target(format!("`{url}`: {why}")));
        }
        Ok(target)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}{}{path}", self.authority, self.prefix)
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
        let target = Target::parse("https://gateway").unwrap();
        assert_eq!((target.address.as_str(), target.tls), ("gateway:443", true));
        assert_eq!(target.url("/health"), "https://gateway/health");
        let error = Target::parse_plain("https://gateway").unwrap_err().to_string();
        assert!(error.contains("plain http only"), "{error}");
        assert!(Target::parse("127.0.0.1:8100").is_err());
        assert!(Target::parse("http://me:secret@gateway").is_err());
    }
}
