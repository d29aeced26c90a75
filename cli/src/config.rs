//! Which server a command talks to, and with which key.
//!
//! A flag beats the environment, and that beats the current context. A context's key goes to that
//! context's URL and nowhere else: `--url` alone does not carry a stored key to another server.

mod file;
mod folder;
mod keys;

use std::fmt;

use clap::Args;

pub(crate) use self::file::{Context, Contexts, choose};
pub(crate) use self::folder::Folder;
use self::keys::Keys;
use crate::exit::Usage;

pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:8100";

/// How user commands are told which server to talk to.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct ServerArgs {
    /// A stored server: see `axp context` [env: AXP_CONTEXT].
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Base URL of the gateway, in place of a context's [env: AXME_BASE_URL].
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// API key, in place of a context's [env: AXME_API_KEY].
    #[arg(long, value_name = "KEY")]
    pub(crate) api_key: Option<String>,
}

/// Where a setting was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Flag(&'static str),
    Environment(&'static str),
    Context(String),
    Default,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) value: String,
    pub(crate) source: Source,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) url: Setting,
    pub(crate) key: Option<Setting>,
    /// The context that was chosen, also when neither its URL nor its key is used.
    pub(crate) context: Option<String>,
}

impl Server {
    pub(crate) fn resolve(args: &ServerArgs) -> anyhow::Result<Self> {
        let environment = |name: &'static str| std::env::var(name).ok();
        Self::resolve_in(args, &environment, Folder::find().as_ref())
    }

    fn resolve_in(
        args: &ServerArgs,
        environment: &dyn Fn(&'static str) -> Option<String>,
        folder: Option<&Folder>,
    ) -> anyhow::Result<Self> {
        let given = |flag: &Option<String>, name: &'static str, variable: &'static str| {
            let flag = flag.clone().map(|value| Setting { value, source: Source::Flag(name) });
            // Whoever names a context on the command line means that one, whatever is exported.
            if flag.is_some() || args.context.is_some() {
                return flag;
            }
            let value = environment(variable).filter(|value| !value.is_empty())?;
            Some(Setting { value, source: Source::Environment(variable) })
        };
        let url = given(&args.url, "--url", "AXME_BASE_URL");
        let key = given(&args.api_key, "--api-key", "AXME_API_KEY");
        let wanted = given(&args.context, "--context", "AXP_CONTEXT");
        // Settings that are complete without files do not need them to be in order.
        if url.is_some() && key.is_some() && args.context.is_none() {
            return Ok(Self { url: url.unwrap_or_else(default_url), key, context: None });
        }
        let contexts = folder.map(Contexts::read).transpose()?.unwrap_or_default();
        let Some((name, context)) = chosen(&contexts, wanted.as_ref())? else {
            return Ok(Self { url: url.unwrap_or_else(default_url), key, context: None });
        };
        let of_context = |value: String| Setting { value, source: Source::Context(name.into()) };
        let url = url.unwrap_or_else(|| of_context(context.url.clone()));
        let key = match key {
            None if same_server(&url.value, &context.url) => {
                let keys = folder.map(Keys::read).transpose()?.unwrap_or_default();
                keys.get(name).map(|key| of_context(key.to_owned()))
            }
            key => key,
        };
        Ok(Self { url, key, context: Some(name.to_owned()) })
    }
}

fn chosen<'a>(
    contexts: &'a Contexts,
    wanted: Option<&'a Setting>,
) -> Result<Option<(&'a str, &'a Context)>, Usage> {
    let Some(name) = wanted.map(|setting| setting.value.as_str()).or(contexts.current()) else {
        return Ok(None);
    };
    match contexts.get(name) {
        Some(context) => Ok(Some((name, context))),
        None => Err(Usage(format!(
            "there is no context `{name}`: `axp context list` shows them, `axp context set {name} \
             --url URL` makes it"
        ))),
    }
}

fn same_server(one: &str, other: &str) -> bool {
    one.trim().trim_end_matches('/') == other.trim().trim_end_matches('/')
}

fn default_url() -> Setting {
    Setting { value: DEFAULT_URL.to_owned(), source: Source::Default }
}

/// Stores a server and its key; with no current context it becomes that.
pub(crate) fn store(
    folder: &Folder,
    name: &str,
    context: Context,
    key: Option<&str>,
    make_current: bool,
) -> anyhow::Result<Contexts> {
    let _lock = folder.lock()?;
    let mut contexts = Contexts::read(folder)?;
    if let Some(key) = key {
        let mut keys = Keys::read(folder)?;
        keys.set(name, key);
        // The key first: a context without one asks for it, a key without a context does no harm.
        keys.write(folder)?;
    }
    contexts.set(name, context)?;
    if make_current || contexts.current().is_none() {
        contexts.choose(name);
    }
    contexts.write(folder)?;
    Ok(contexts)
}

/// Forgets a server and its key; `false` when there was none of this name.
pub(crate) fn delete(folder: &Folder, name: &str) -> anyhow::Result<bool> {
    let _lock = folder.lock()?;
    let mut contexts = Contexts::read(folder)?;
    let known = contexts.remove(name);
    contexts.write(folder)?;
    let mut keys = Keys::read(folder)?;
    if keys.remove(name) {
        keys.write(folder)?;
    }
    Ok(known)
}

/// The stored key of a context.
pub(crate) fn key_of(folder: &Folder, name: &str) -> anyhow::Result<Option<String>> {
    Ok(Keys::read(folder)?.get(name).map(str::to_owned))
}

/// Enough of a key to tell it from others, and not enough to use it.
pub(crate) fn hint(key: &str) -> String {
    let tail: Vec<char> = key.chars().rev().take(4).collect();
    if key.chars().count() < 12 {
        return "****".to_owned();
    }
    format!("...{}", tail.into_iter().rev().collect::<String>())
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(formatter, "{name}"),
            Self::Environment(name) => write!(formatter, "environment {name}"),
            Self::Context(name) => write!(formatter, "context {name}"),
            Self::Default => formatter.write_str("default"),
        }
    }
}

#[cfg(test)]
mod tests;
