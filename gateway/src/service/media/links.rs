//! Links that stand for a key: whoever has one may use exactly one file in exactly one way, until it
//! ends. A browser needs no more to send a file or to show one.
//!
//! ```text
//! <public URL>/v1/media/<use>/<upload id>?workspace=<id>&expires=<unix seconds>&signature=<hex>
//! ```
//!
//! Signed with a secret of the cluster, so any gateway takes what another one has made.

use std::fmt;

use axp_proto::control;
use axp_proto::error_code::ErrorCode;
use axp_proto::node::{Media, Scope, SigningSecret};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::upload_id;
use crate::clock::{self, Deadline};
use crate::cluster::{Plan, Tables, transact};
use crate::error::ApiError;
use crate::service::credential::hex;
use crate::service::{Call, Service, put};

const SECRET: &str = "media-links";

/// What a link is for, as its path names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkUse {
    Upload,
    Download,
    Preview,
}

impl LinkUse {
    fn path_word(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Download => "download",
            Self::Preview => "preview",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Upload, Self::Download, Self::Preview].into_iter().find(|it| it.path_word() == word)
    }
}

/// Who may use the bytes of uploads: a caller with a key those of its workspace, a link those of one
/// upload.
#[derive(Debug, Clone)]
pub(crate) struct MediaAccess {
    pub(super) scope: Scope,
    pub(super) deadline: Deadline,
}

impl MediaAccess {
    pub(crate) fn of(call: &Call) -> Self {
        Self { scope: call.caller.scope(call.caller.address()), deadline: call.deadline }
    }

    pub(crate) fn org_id(&self) -> &str {
        &self.scope.org_id
    }

    pub(super) fn workspace_id(&self) -> &str {
        &self.scope.workspace_id
    }
}

/// What a link says of itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkClaim<'a> {
    pub(crate) workspace_id: &'a str,
    pub(crate) expires: &'a str,
    pub(crate) signature: &'a str,
}

/// Makes links and recognises them.
#[derive(Clone)]
pub(crate) struct Links {
    secret: SigningSecret,
    pub(super) public_url: String,
    /// How long links to bytes that are there live.
    pub(super) ttl_seconds: i64,
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links").field("public_url", &self.public_url).finish_non_exhaustive()
    }
}

impl Links {
    pub(crate) fn to(&self, what: LinkUse, workspace_id: &str, media: &Media) -> String {
        let expires = match what {
            LinkUse::Upload => media.expires_at_ms / 1000,
            LinkUse::Download | LinkUse::Preview => clock::now_ms() / 1000 + self.ttl_seconds,
        };
        let expires = expires.to_string();
        let text = signed_text(what, workspace_id, &media.upload_id, &expires);
        format!(
            "{}/v1/media/{}/{}?workspace={workspace_id}&expires={expires}&signature={}",
            self.public_url,
            what.path_word(),
            media.upload_id,
            signature(&self.secret.current, &text),
        )
    }

    fn is_valid(&self, what: LinkUse, upload_id: &str, claim: LinkClaim<'_>, now_ms: i64) -> bool {
        let text = signed_text(what, claim.workspace_id, upload_id, claim.expires);
        let signed_by = |secret: &str| {
            let expected = signature(secret, &text);
            bool::from(expected.as_bytes().ct_eq(claim.signature.as_bytes()))
        };
        let previous = (self.secret.previous_until_ms > now_ms).then_some(&self.secret.previous);
        let secrets = previous.into_iter().chain([&self.secret.current]);
        let signed = secrets.filter(|it| !it.is_empty()).fold(false, |ok, it| signed_by(it) | ok);
        signed && claim.expires.parse().is_ok_and(|end: i64| end > now_ms / 1000)
    }
}

/// None of the parts has a line end in it, so no two links have one text.
fn signed_text(what: LinkUse, workspace_id: &str, upload_id: &str, expires: &str) -> String {
    format!("media-link.v1\n{}\n{workspace_id}\n{upload_id}\n{expires}", what.path_word())
}

fn signature(secret: &str, text: &str) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    hex(&mac.finalize().into_bytes())
}

impl Service {
    /// The cluster's links. Whoever needs the secret first makes it.
    pub(super) async fn links(&self, deadline: Deadline) -> Result<Links, ApiError> {
        let known = |tables: &Tables| Some(tables.cluster_secrets.get(SECRET)?.value.clone());
        let tables = self.cluster.cache.ready(deadline).await?;
        let secret = match known(&tables) {
            Some(secret) => secret,
            None => {
                let random: [u8; 32] = rand::random();
                let made = SigningSecret {
                    current: hex(&random),
                    changed_at_ms: clock::now_ms(),
                    ..SigningSecret::default()
                };
                transact(&self.cluster, deadline, |tables| {
                    if let Some(secret) = known(tables) {
                        return Ok(Plan::Done(secret));
                    }
                    let changes = vec![put(control::cluster_secret(SECRET), 0, &made)];
                    Ok(Plan::Commit { changes, then: made.clone() })
                })
                .await?
            }
        };
        Ok(Links {
            secret,
            public_url: self.public_url.clone(),
            ttl_seconds: i64::from(self.config.media.link_ttl_seconds),
        })
    }

    /// What a link lets its holder do.
    ///
    /// # Errors
    /// 403 when it was not made here for this use of this upload, was altered, or is over.
    pub(crate) async fn open_link(
        &self,
        use_word: &str,
        id: &str,
        claim: LinkClaim<'_>,
        deadline: Deadline,
    ) -> Result<MediaAccess, ApiError> {
        let refused = || {
            let message = "the link is not valid, or not any more";
            ApiError::new(ErrorCode::PolicyDenied, message)
        };
        let what = LinkUse::parse(use_word).ok_or_else(refused)?;
        let id = upload_id(id).map_err(|_| refused())?;
        if !self.links(deadline).await?.is_valid(what, &id, claim, clock::now_ms()) {
            return Err(refused());
        }
        let tables = self.cluster.cache.ready(deadline).await?;
        let workspace = tables.workspaces.get(claim.workspace_id).ok_or_else(refused)?;
        let scope = Scope {
            org_id: workspace.value.org_id.clone(),
            workspace_id: workspace.value.workspace_id.clone(),
            identity: SECRET.to_owned(),
            ..Scope::default()
        };
        Ok(MediaAccess { scope, deadline })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0192f0c1-0000-7000-8000-000000000001";

    fn links() -> Links {
        let secret = SigningSecret { current: "secret".to_owned(), ..SigningSecret::default() };
        Links { secret, public_url: "http://here".to_owned(), ttl_seconds: 60 }
    }

    fn made(what: LinkUse) -> (String, String) {
        let media = Media { upload_id: ID.to_owned(), expires_at_ms: 50_000, ..Media::default() };
        let url = links().to(what, "w", &media);
        let part = |name: &str| {
            let value = url.split_once(&format!("{name}=")).unwrap().1;
            value.split('&').next().unwrap().to_owned()
        };
        (part("expires"), part("signature"))
    }

    #[test]
    fn a_link_is_good_for_one_use_of_one_upload_until_it_ends() {
        let (expires, signature) = made(LinkUse::Upload);
        assert_eq!(expires, "50");
        let claim = LinkClaim { workspace_id: "w", expires: &expires, signature: &signature };
        let valid = |what, id, claim, now| links().is_valid(what, id, claim, now);
        assert!(valid(LinkUse::Upload, ID, claim, 49_999));
        assert!(!valid(LinkUse::Upload, ID, claim, 50_000), "it is over");
        assert!(!valid(LinkUse::Download, ID, claim, 1));
        let other = ID.replace('1', "2");
        assert!(!valid(LinkUse::Upload, &other, claim, 1));
        assert!(!valid(LinkUse::Upload, ID, LinkClaim { workspace_id: "v", ..claim }, 1));
        assert!(!valid(LinkUse::Upload, ID, LinkClaim { expires: "51", ..claim }, 1));
        let upper = signature.to_uppercase();
        for altered in ["", "x", &signature[1..], &upper, &"0".repeat(64)] {
            let claim = LinkClaim { signature: altered, ..claim };
            assert!(!links().is_valid(LinkUse::Upload, ID, claim, 1), "{altered}");
        }
    }

    #[test]
    fn a_replaced_secret_is_good_for_a_while_and_no_secret_for_nothing() {
        let (expires, signature) = made(LinkUse::Upload);
        let claim = LinkClaim { workspace_id: "w", expires: &expires, signature: &signature };
        let mut rotated = links();
        rotated.secret.previous = std::mem::replace(&mut rotated.secret.current, "new".to_owned());
        rotated.secret.previous_until_ms = 10_000;
        assert!(rotated.is_valid(LinkUse::Upload, ID, claim, 9_999));
        assert!(!rotated.is_valid(LinkUse::Upload, ID, claim, 10_000));
        let none = Links { secret: SigningSecret::default(), ..links() };
        let text = signed_text(LinkUse::Upload, "w", ID, "50");
        let forged = super::signature("", &text);
        assert!(!none.is_valid(LinkUse::Upload, ID, LinkClaim { signature: &forged, ..claim }, 1));
    }
}
