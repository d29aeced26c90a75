//! What an operator sets: one struct per section, one TOML file, overridden by the environment.
//!
//! Unknown keys are refused, and `validate` names the key that is wrong and what to set instead.
//! `gateway/config/example.toml` documents every key with its default and is tested against it.

mod cluster;
mod environment;
mod limits;
mod listen;
mod media;
mod retention;
mod schemas;
mod seed;
mod streams;
mod telemetry;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use cluster::ClusterConfig;
pub use limits::{LimitsConfig, RateLimitConfig};
pub use listen::{AdminConfig, GrpcConfig, HttpConfig, ServerConfig};
pub use media::{MediaConfig, MediaS3Config, MediaStorage};
pub use retention::RetentionConfig;
pub use schemas::{SchemaMode, SchemasConfig};
pub use seed::SeedConfig;
pub use streams::StreamsConfig;
pub use telemetry::{LogFormat, TelemetryConfig};

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the configuration file {path} cannot be read")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the configuration does not parse: {0}")]
    Parse(String),
    #[error("the environment variable {name} does not name a key: {problem}")]
    Environment { name: String, problem: String },
    #[error("{key} {problem}: {fix}")]
    Invalid { key: &'static str, problem: String, fix: &'static str },
}

/// The whole configuration of a gateway.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    pub server: ServerConfig,
    pub http: HttpConfig,
    pub grpc: GrpcConfig,
    pub admin: AdminConfig,
    pub cluster: ClusterConfig,
    pub limits: LimitsConfig,
    pub rate_limit: RateLimitConfig,
    pub streams: StreamsConfig,
    pub media: MediaConfig,
    pub media_s3: MediaS3Config,
    pub schemas: SchemasConfig,
    pub retention: RetentionConfig,
    pub seed: SeedConfig,
    pub telemetry: TelemetryConfig,
}

impl Config {
    /// Reads a file, puts the environment over it and validates the outcome.
    ///
    /// # Errors
    /// When the file cannot be read, a key is unknown, or a value makes no sense.
    pub fn load(path: Option<&Path>) -> Result<Self, Error> {
        let text = match path {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|source| Error::Read { path: path.to_owned(), source })?,
        };
        let config = environment::merge(&text, std::env::vars())?;
        config.validate()?;
        Ok(config)
    }

    /// # Errors
    /// The first key whose value makes no sense, and what to set instead.
    pub fn validate(&self) -> Result<(), Error> {
        self.server.validate()?;
        self.http.validate()?;
        self.grpc.validate()?;
        self.admin.validate()?;
        self.cluster.validate()?;
        self.limits.validate()?;
        self.rate_limit.validate()?;
        self.streams.validate()?;
        self.media.validate()?;
        if self.media.storage == MediaStorage::S3 {
            self.media_s3.validate()?;
        }
        self.schemas.validate()?;
        self.retention.validate()?;
        self.seed.validate()?;
        self.telemetry.validate()
    }
}

/// Refuses a number outside `1..=most`.
fn require_range(key: &'static str, value: u64, most: u64, fix: &'static str) -> Result<(), Error> {
    if (1..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::Invalid { key, problem: format!("is {value}"), fix })
}

/// Refuses what is not `host:port`.
fn require_host_port(key: &'static str, address: &str) -> Result<(), Error> {
    let valid = address
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if valid {
        return Ok(());
    }
    Err(Error::Invalid { key, problem: format!("is {address:?}"), fix: "set host:port" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../config/example.toml");

    #[test]
    fn the_example_is_the_default() {
        let example: Config = toml::from_str(EXAMPLE).unwrap();
        assert_eq!(example, Config::default());
        example.validate().unwrap();
    }

    #[test]
    fn the_example_names_every_key() {
        let defaults = toml::Table::try_from(Config::default()).unwrap();
        let example: toml::Table = toml::from_str(EXAMPLE).unwrap();
        assert_eq!(defaults, example);
    }

    #[test]
    fn unknown_keys_are_refused() {
        let error = toml::from_str::<Config>("[http]\nlisten-on = \"x\"\n").unwrap_err();
        assert!(error.to_string().contains("listen-on"), "{error}");
    }

    #[test]
    fn a_bad_value_names_its_key() {
        let mut config = Config::default();
        config.http.listen = "nowhere".to_owned();
        let error = config.validate().unwrap_err().to_string();
        assert_eq!(error, "http.listen is \"nowhere\": set host:port");
    }

    #[test]
    fn a_bucket_is_described_when_it_is_used() {
        let mut config = Config::default();
        config.media.storage = MediaStorage::S3;
        let problem = |config: &Config| config.validate().unwrap_err().to_string();
        assert!(problem(&config).starts_with("media-s3.bucket is empty"));
        config.media_s3.bucket = "media".to_owned();
        config.validate().unwrap();
        config.media_s3.access_key_id = "id".to_owned();
        assert!(problem(&config).starts_with("media-s3.secret-access-key"));
        config.media_s3.secret_access_key = "secret".to_owned();
        config.media_s3.prefix = "/a".to_owned();
        assert!(problem(&config).starts_with("media-s3.prefix"));
        config.media_s3.prefix = "a/b".to_owned();
        config.media_s3.endpoint = "minio:9000".to_owned();
        assert!(problem(&config).starts_with("media-s3.endpoint"));
    }

    #[test]
    fn the_environment_wins() {
        let variables = [
            ("AXP_GATEWAY__CLUSTER__NODES", "[\"a:1\", \"b:2\"]"),
            ("AXP_GATEWAY__RATE_LIMIT__ENABLED", "false"),
            ("AXP_GATEWAY__HTTP__LISTEN", "0.0.0.0:1"),
            ("AXP_GATEWAY__MEDIA__STORAGE", "s3"),
            ("AXP_GATEWAY__MEDIA_S3__SECRET_ACCESS_KEY", "secret-of-s3"),
            ("AXP_API_KEY", "secret-of-the-seed"),
            ("HOME", "/"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config =
            environment::merge("[http]\nlisten = \"x:2\"\n", variables.into_iter()).unwrap();
        assert_eq!(config.cluster.nodes, ["a:1", "b:2"]);
        assert!(!config.rate_limit.enabled);
        assert_eq!(config.http.listen, "0.0.0.0:1");
        assert_eq!(config.seed.api_key, "secret-of-the-seed");
        assert_eq!(config.media.storage, MediaStorage::S3);
        assert_eq!(config.media_s3.secret_access_key, "secret-of-s3");
        assert!(!format!("{config:?}").contains("secret-of-"));
    }

    #[test]
    fn a_misspelt_variable_is_refused() {
        let variable = ("AXP_GATEWAY__HTTP__LISTN".to_owned(), "x".to_owned());
        let error = environment::merge("", [variable].into_iter()).unwrap_err().to_string();
        assert!(error.contains("there is no http.listn"), "{error}");
    }
}
