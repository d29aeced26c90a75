//! Members of JSON objects that commands patch one by one: controls, and the envelope of a policy.
//! Values are kept as they were sent; only bounds are read.

use axp_proto::error_code::ErrorCode;
use axp_proto::log::Member;

use super::rejection::Rejection;

/// What the members of one object may take together.
const MEMBERS_MAX: usize = 64;
const BYTES_MAX: usize = 16 << 10;

/// Which bound of the envelope holds for which control.
const BOUNDS: [(&str, &str); 3] = [
    ("max_retry_count", "max_retry_count"),
    ("retry_backoff_seconds", "retry_backoff_seconds"),
    ("timeout_seconds", "execution_timeout_seconds"),
];

/// The members after a patch, by name: an empty value takes a member away.
pub(super) fn patched(members: &[Member], patch: &[Member]) -> Result<Vec<Member>, Rejection> {
    let mut after = members.to_vec();
    for member in patch {
        after.retain(|known| known.name != member.name);
        if !member.json.is_empty() {
            after.push(member.clone());
        }
    }
    after.sort_by(|a, b| a.name.cmp(&b.name));
    let bytes: usize = after.iter().map(|member| member.name.len() + member.json.len()).sum();
    if after.len() > MEMBERS_MAX || bytes > BYTES_MAX {
        let message = format!("more than {MEMBERS_MAX} members or {BYTES_MAX} bytes");
        return Err(Rejection::new(ErrorCode::ValidationError, message));
    }
    Ok(after)
}

/// A member's value, if it is a number that fits.
pub(super) fn number(members: &[Member], name: &str) -> Option<u32> {
    let member = members.iter().find(|member| member.name == name)?;
    std::str::from_utf8(&member.json).ok()?.trim().parse().ok()
}

/// # Errors
/// When a control is beyond its bound.
pub(super) fn check_bounds(controls: &[Member], envelope: &[Member]) -> Result<(), Rejection> {
    for (control, bound) in BOUNDS {
        if let (Some(value), Some(most)) = (number(controls, control), number(envelope, bound))
            && value > most
        {
            let message = format!("{control} is {value}, and the envelope allows {most}");
            return Err(Rejection::new(ErrorCode::ValidationError, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn members(list: &[(&str, &'static str)]) -> Vec<Member> {
        let member = |&(name, json): &(&str, &'static str)| Member {
            name: name.to_owned(),
            json: Bytes::from_static(json.as_bytes()),
        };
        list.iter().map(member).collect()
    }

    #[test]
    fn a_patch_sets_replaces_and_takes_away() {
        let before = members(&[("b", "1"), ("c", "{}")]);
        let after = patched(&before, &members(&[("c", ""), ("a", "\"x\""), ("b", "2")])).unwrap();
        assert_eq!(after, members(&[("a", "\"x\""), ("b", "2")]));
        assert_eq!(number(&after, "b"), Some(2));
        assert_eq!(number(&after, "a"), None);
        let large = [Member { name: "x".to_owned(), json: vec![b'1'; BYTES_MAX].into() }];
        assert!(patched(&before, &large).is_err());
    }

    #[test]
    fn bounds_hold_for_the_controls_they_name() {
        let envelope = members(&[("execution_timeout_seconds", "60"), ("max_retry_count", "2")]);
        assert_eq!(check_bounds(&members(&[("timeout_seconds", "60")]), &envelope), Ok(()));
        assert!(check_bounds(&members(&[("timeout_seconds", "61")]), &envelope).is_err());
        assert!(check_bounds(&members(&[("max_retry_count", "3")]), &envelope).is_err());
        assert_eq!(check_bounds(&members(&[("retry_backoff_seconds", "9")]), &envelope), Ok(()));
    }
}
