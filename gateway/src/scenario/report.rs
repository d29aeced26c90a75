//! What is wrong with a bundle, in words that name the place and the fix.

/// Problems that one answer tells; a bundle with more is told of these first.
const PROBLEMS_MAX: usize = 100;

#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) errors: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

impl Report {
    /// It cannot be carried out.
    pub(crate) fn error(&mut self, path: &str, problem: impl AsRef<str>) {
        push(&mut self.errors, path, problem.as_ref());
    }

    /// It can, but perhaps not as it was meant.
    pub(crate) fn warn(&mut self, path: &str, problem: impl AsRef<str>) {
        push(&mut self.warnings, path, problem.as_ref());
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }
}

fn push(list: &mut Vec<String>, path: &str, problem: &str) {
    if list.len() < PROBLEMS_MAX {
        list.push(format!("{path}: {problem}"));
    }
}
