//! Everything that happened, in order: each packet with its instant, what the programs logged, what
//! was broken. Kept as a checksum, and as text where somebody wants to read it.
//!
//! Two runs of one seed must come to the same journal; that is what the gate of determinism compares.

use std::fs::File;
use std::io::{self, LineWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// The journal of this run. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Journal(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    digest: (u32, u32),
    lines: u64,
    packets: u64,
    file: Option<LineWriter<File>>,
}

impl Inner {
    fn add(&mut self, bytes: &[u8]) {
        // Two sums: one bit in four thousand million is too likely over a million runs.
        let low = crc32c::crc32c_append(self.digest.0, bytes);
        let high = crc32c::crc32c_append(self.digest.1 ^ low, &low.to_be_bytes());
        self.digest = (low, high);
    }
}

impl Journal {
    pub(crate) fn new(path: Option<&Path>) -> io::Result<Self> {
        let file = path.map(File::create).transpose()?.map(LineWriter::new);
        Ok(Self(Arc::new(Mutex::new(Inner { file, ..Inner::default() }))))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line of our own.
    pub(crate) fn note(&self, at: Duration, text: &str) {
        self.line(format!("{:>10} {text}\n", at.as_micros()).as_bytes());
    }

    fn line(&self, line: &[u8]) {
        let mut inner = self.lock();
        inner.lines += 1;
        inner.add(line);
        if let Some(file) = &mut inner.file {
            // A journal that cannot be written is noticed when it is read.
            file.write_all(line).ok();
        }
    }

    /// Bytes that left for somewhere.
    pub(crate) fn packet(&self, to: &str, bytes: &[u8]) {
        let now = now().as_micros();
        let mut inner = self.lock();
        inner.packets += 1;
        inner.add(&now.to_be_bytes());
        inner.add(to.as_bytes());
        inner.add(bytes);
        if let Some(file) = &mut inner.file {
            let sum = crc32c::crc32c(bytes);
            writeln!(file, "{now:>10} {} bytes to {to} {sum:08x}", bytes.len()).ok();
        }
    }

    /// The checksum of everything so far, and how many packets it covers.
    pub(crate) fn end(&self) -> (String, u64) {
        let mut inner = self.lock();
        if let Some(file) = &mut inner.file {
            file.flush().ok();
        }
        let (low, high) = inner.digest;
        (format!("{high:08x}{low:08x}"), inner.packets)
    }
}

/// Simulated time, on a host.
pub(crate) fn now() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}

/// Writes what the programs log into the journal.
impl<'a> MakeWriter<'a> for Journal {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(self.clone())
    }
}

/// One event; the subscriber writes it at once.
#[derive(Debug)]
pub(crate) struct Line(Journal);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.line(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Stamps events with simulated time.
#[derive(Debug)]
pub(crate) struct SimulatedTime;

impl FormatTime for SimulatedTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        write!(writer, "{:>10}", now().as_micros())
    }
}
