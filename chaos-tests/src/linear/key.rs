//! One idempotency key: the first body wins, every later answer is the same intent, another body is
//! refused.

use std::marker::PhantomData;

use super::Model;

/// The register behind one key, over the texts of one history.
#[derive(Debug, Default)]
pub(crate) struct KeyRegister<'a>(PhantomData<&'a str>);

/// An attempt to submit a body under the key, and what came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyOp<'a> {
    /// The intent.
    Done { body: &'a str, intent: &'a str },
    /// Refused because the key has another body.
    Conflict { body: &'a str },
    /// Refused with what no valid body is ever refused with.
    Refused,
    /// May have taken the key.
    Unknown { body: &'a str },
}

/// Whose the key is; the intent is not known while only unknown attempts can have made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Taken<'a> {
    body: &'a str,
    intent: Option<&'a str>,
}

impl<'a> Model for KeyRegister<'a> {
    type State = Option<Taken<'a>>;
    type Op = KeyOp<'a>;

    fn initial(&self) -> Self::State {
        None
    }

    fn step(&self, state: &Self::State, op: &Self::Op) -> Option<Self::State> {
        match op {
            KeyOp::Done { body, intent } => submit(*state, body, Some(intent)).map(Some),
            KeyOp::Unknown { body } => submit(*state, body, None).map(Some),
            KeyOp::Conflict { body } => state.filter(|taken| taken.body != *body).map(|_| *state),
            KeyOp::Refused => None,
        }
    }
}

fn submit<'a>(
    state: Option<Taken<'a>>,
    body: &'a str,
    intent: Option<&'a str>,
) -> Option<Taken<'a>> {
    let Some(taken) = state else { return Some(Taken { body, intent }) };
    let same_intent = match (taken.intent, intent) {
        (Some(known), Some(told)) => known == told,
        (None, _) | (_, None) => true,
    };
    let fits = taken.body == body && same_intent;
    fits.then(|| Taken { body, intent: taken.intent.or(intent) })
}
