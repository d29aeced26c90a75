//! Time as people say it.

use crate::clock;

/// `3m ago`, `in 2h`, `now`; what is no instant is shown as it is.
pub(crate) fn instant(wire: &str, now_ms: i64) -> String {
    let Some(at) = clock::parse_rfc3339(wire) else { return wire.to_owned() };
    match now_ms - at {
        -999..1000 => "now".to_owned(),
        past @ 1000.. => format!("{} ago", duration(past)),
        ahead => format!("in {}", duration(-ahead)),
    }
}

/// The two largest units: `1d 4h`, `2m 5s`, `12s`, `340ms`.
pub(crate) fn duration(ms: i64) -> String {
    let ms = ms.max(0);
    let seconds = ms / 1000;
    let two = |large: i64, large_unit, small: i64, small_unit| match small {
        0 => format!("{large}{large_unit}"),
        small => format!("{large}{large_unit} {small}{small_unit}"),
    };
    match seconds {
        0 => format!("{ms}ms"),
        1..60 => format!("{seconds}s"),
        60..3600 => two(seconds / 60, 'm', seconds % 60, 's'),
        3600..86_400 => two(seconds / 3600, 'h', seconds % 3600 / 60, 'm'),
        _ => two(seconds / 86_400, 'd', seconds % 86_400 / 3600, 'h'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_largest_units_are_shown() {
        let shown = [340, 12_000, 125_000, 7_260_000, 100_800_000, 172_800_000].map(duration);
        assert_eq!(shown, ["340ms", "12s", "2m 5s", "2h 1m", "1d 4h", "2d"]);
    }

    #[test]
    fn past_and_future_are_told_apart() {
        let now = clock::parse_rfc3339("2026-01-01T12:00:00Z").unwrap();
        assert_eq!(instant("2026-01-01T11:57:00Z", now), "3m ago");
        assert_eq!(instant("2026-01-01T14:00:00Z", now), "in 2h");
        assert_eq!(instant("2026-01-01T12:00:00.200Z", now), "now");
        assert_eq!(instant("later", now), "later");
    }
}
