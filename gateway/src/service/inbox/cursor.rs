//! Cursors of `/v1/inbox/changes`: a number in one inbox's order, and a check that it is that inbox.
//!
//! The check keeps mistakes away and is no secret: whoever makes one up reads on in an inbox that
//! is theirs to read.

use axp_proto::hash::stable_hash;
use axp_proto::log::MailboxKey;

pub(super) fn format(mailbox: &MailboxKey, number: u32) -> String {
    format!("{number:x}.{:016x}", check(mailbox, number))
}

/// Absent for what is no cursor of this inbox.
pub(super) fn parse(mailbox: &MailboxKey, text: &str) -> Option<u32> {
    let (number, _) = text.split_once('.')?;
    let number = u32::from_str_radix(number, 16).ok()?;
    (text == format(mailbox, number)).then_some(number)
}

fn check(mailbox: &MailboxKey, number: u32) -> u64 {
    let (workspace, address) = (mailbox.workspace_id.as_bytes(), mailbox.address.as_bytes());
    stable_hash(&[b"inbox cursor", workspace, address, &number.to_be_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_inboxs_own_cursor_is_one() {
        let inbox = |workspace: &str, address: &str| MailboxKey {
            workspace_id: workspace.to_owned(),
            address: address.to_owned(),
        };
        let own = inbox("w", "agent://a");
        let cursor = format(&own, 4660);
        assert_eq!(parse(&own, &cursor), Some(4660));
        assert!((3..=128).contains(&cursor.len()));
        for foreign in [inbox("v", "agent://a"), inbox("w", "agent://b")] {
            assert_eq!(parse(&foreign, &cursor), None);
        }
        for garbage in ["", ".", "1234", "1.2", "zz", "0001234.", &cursor.to_uppercase()[1..]] {
            assert_eq!(parse(&own, garbage), None, "{garbage}");
        }
    }
}
