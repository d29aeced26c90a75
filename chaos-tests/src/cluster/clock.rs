//! Wall clocks that can be set for one process, with libfaketime: it answers the process's questions
//! for the time with what a file says. Monotonic clocks stay as they are, as on a real machine.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Where Debian's package `libfaketime` puts it.
const LIBRARIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
];
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
const ANSWER_BYTES_MAX: u64 = 16 * 1024;

/// Why wall clocks cannot be set here, if they cannot.
#[must_use]
pub fn unavailable() -> Option<&'static str> {
    match library() {
        Some(_) => None,
        None => Some("there is no libfaketime: install faketime"),
    }
}

fn library() -> Option<&'static str> {
    LIBRARIES.into_iter().find(|path| Path::new(path).exists())
}

pub(super) fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.clock"))
}

/// Has `command` start its program with a clock that `file` sets.
pub(super) fn equip(command: &mut Command, file: &Path) -> anyhow::Result<()> {
    let Some(library) = library() else {
        bail!("{}", unavailable().unwrap_or_default());
    };
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", file)
        // Looked at once a second.
        .env("FAKETIME_CACHE_DURATION", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    Ok(())
}

/// Removes what the library keeps for a process that was killed.
pub(super) fn tidy(process: u32) {
    for name in [format!("faketime_shm_{process}"), format!("sem.faketime_sem_{process}")] {
        // Mostly there is none.
        drop(std::fs::remove_file(Path::new("/dev/shm").join(name)));
    }
}

pub(super) fn set(file: &Path, offset_seconds: i64, speed: f64) -> io::Result<()> {
    // Renamed, so that nobody reads half of it.
    let new = file.with_extension("new");
    std::fs::write(&new, format!("{offset_seconds:+} x{speed}\n"))?;
    std::fs::rename(new, file)
}

/// How many seconds the wall clock of a process is ahead of ours, as its answers are dated.
pub async fn ahead(address: &str) -> Option<i64> {
    let shown = tokio::time::timeout(ANSWER_WITHIN, dated(address)).await.ok()?.ok()?;
    let ours = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    Some(shown - i64::try_from(ours).ok()?)
}

/// The `date` of its answer.
async fn dated(address: &str) -> anyhow::Result<i64> {
    let mut stream = TcpStream::connect(address).await?;
    let request = "GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer).to_lowercase();
    let date = answer.lines().find_map(|line| line.strip_prefix("date:")).context("no date")?;
    seconds_of(date).with_context(|| format!("cannot read the date {date:?}"))
}

/// Seconds since 1970 of `thu, 26 nov 2026 16:02:06 gmt`.
fn seconds_of(date: &str) -> Option<i64> {
    const MONTHS: &str = "janfebmaraprmayjunjulaugsepoctnovdec";
    let words: Vec<&str> = date.split_whitespace().collect();
    let &[_, day, month, year, time, _] = words.as_slice() else { return None };
    let month = i64::try_from(MONTHS.find(month)? / 3).ok()? + 1;
    let (day, year): (i64, i64) = (day.parse().ok()?, year.parse().ok()?);
    let clock: Vec<i64> = time.split(':').map_while(|part| part.parse().ok()).collect();
    let &[hours, minutes, seconds] = clock.as_slice() else { return None };
    // Years begin in March here, so that the leap day is the last of one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    Some((days - 719_468) * 86_400 + hours * 3600 + minutes * 60 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read() {
        assert_eq!(seconds_of(" thu, 01 jan 1970 00:00:07 gmt"), Some(7));
        assert_eq!(seconds_of("sun, 06 nov 1994 08:49:37 gmt"), Some(784_111_777));
        assert_eq!(seconds_of("thu, 29 feb 2024 12:00:00 gmt"), Some(1_709_208_000));
        assert_eq!(seconds_of("yesterday"), None);
    }
}
