//! Where a reader continues.

/// How a client means `since` on the intent stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Events after `since`: every SDK, the documents and the conformance suite.
    Exclusive,
    /// Events from `since` on: the official Go CLI.
    Inclusive,
}

impl Reading {
    /// The official Go CLI asks for `last + 1` and passes `next_seq` straight back, which under the
    /// exclusive reading would lose events. It is the only Go program that calls the intent stream
    /// (the Go SDK polls), and its raw requests name no client of another kind. A hand-written Go
    /// client that means "exclusive" sees its last event once more at worst, which at-least-once
    /// delivery allows. For the intent stream only: agent cursors go in steps of two instead.
    pub(crate) fn of(user_agent: Option<&str>, client: Option<&str>) -> Self {
        let is_go = user_agent.is_some_and(|agent| agent.starts_with("Go-http-client"));
        let is_cli = client.is_none_or(|client| client.starts_with("axme-cli"));
        if is_go && is_cli { Self::Inclusive } else { Self::Exclusive }
    }
}

/// The position of one stream: what was asked for, and what has been handed out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Position {
    reading: Reading,
    received: u32,
    last: Option<u32>,
}

impl Position {
    pub(crate) fn new(reading: Reading, received: u32) -> Self {
        Self { reading, received, last: None }
    }

    /// The last event that the client has.
    pub(crate) fn after(self) -> u32 {
        match self.reading {
            Reading::Exclusive => self.received,
            Reading::Inclusive => self.received.saturating_sub(1),
        }
    }

    pub(super) fn advance(&mut self, last: u32) {
        self.last = Some(last);
    }

    /// What the client is to ask for next, in its own reading.
    pub(super) fn next(self) -> u32 {
        match (self.last, self.reading) {
            (None, _) => self.received,
            (Some(last), Reading::Exclusive) => last,
            (Some(last), Reading::Inclusive) => last.saturating_add(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_go_cli_is_inclusive() {
        let cases = [
            (Some("Go-http-client/1.1"), None, Reading::Inclusive),
            (Some("Go-http-client/2.0"), Some("axme-cli/1.2"), Reading::Inclusive),
            (Some("Go-http-client/1.1"), Some("axme-sdk-go/0.2"), Reading::Exclusive),
            (Some("python-httpx/0.28"), None, Reading::Exclusive),
            (None, None, Reading::Exclusive),
            (None, Some("axme-cli/1.2"), Reading::Exclusive),
        ];
        for (agent, client, reading) in cases {
            assert_eq!(Reading::of(agent, client), reading, "{agent:?} {client:?}");
        }
    }

    #[test]
    fn positions_follow_the_reading() {
        let mut exclusive = Position::new(Reading::Exclusive, 3);
        assert_eq!((exclusive.after(), exclusive.next()), (3, 3));
        exclusive.advance(5);
        assert_eq!(exclusive.next(), 5);

        let mut inclusive = Position::new(Reading::Inclusive, 4);
        assert_eq!((inclusive.after(), inclusive.next()), (3, 4));
        inclusive.advance(5);
        assert_eq!(inclusive.next(), 6);

        let start = Position::new(Reading::Inclusive, 0);
        assert_eq!((start.after(), start.next()), (0, 0));
    }
}
