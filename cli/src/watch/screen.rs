//! Some lines of a terminal that are written again and again.

use std::io::{self, Write as _};

#[derive(Debug, Default)]
pub(super) struct Screen {
    /// Lines that were written last, and that the next ones replace.
    height: usize,
}

impl Screen {
    /// No line may be wider than the terminal: what wraps takes more rows than are counted here.
    pub(super) fn show(&mut self, lines: &[String]) -> io::Result<()> {
        let mut text = String::new();
        if self.height > 0 {
            text.push_str(&format!("\x1b[{}A", self.height));
        }
        for line in lines {
            text.push_str(&format!("\r{line}\x1b[K\n"));
        }
        // What the last picture had more of.
        text.push_str("\x1b[J");
        self.height = lines.len();
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }
}
