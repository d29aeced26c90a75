//! Columns as wide as their widest cell; the last one is not padded.
//!
//! In a terminal a table is cut to its width: first the columns that are marked as elastic, the
//! widest first. What has to be copied, such as an id, is never cut.

use serde_json::Value;

use super::{Style, Ui, status_style};

const ELASTIC_MIN: usize = 8;
const GAP: usize = 2;

pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    elastic: Vec<usize>,
    /// The column that holds a status, which has a colour.
    status: Option<usize>,
}

impl Table {
    pub(crate) fn new(header: &[&str]) -> Self {
        let header = header.iter().map(|cell| (*cell).to_owned()).collect();
        Self { rows: vec![header], elastic: Vec::new(), status: None }
    }

    /// A document's members, whatever they are: one that this command has never heard of is shown too.
    pub(crate) fn of_fields(document: &Value, ui: Ui) -> Self {
        let mut table = Self::new(&["FIELD", "VALUE"]).elastic(&[1]);
        let fields = document.as_object().into_iter().flatten();
        for (name, value) in fields.filter(|(_, value)| !value.is_null()) {
            let value = match value.as_str() {
                Some(text) if name.ends_with("_at") => ui.when(text),
                Some(text) => text.to_owned(),
                None => value.to_string(),
            };
            table.row(vec![name.clone(), value]);
        }
        table
    }

    /// These columns may lose their ends.
    pub(crate) fn elastic(mut self, columns: &[usize]) -> Self {
        self.elastic = columns.to_vec();
        self
    }

    pub(crate) fn status(mut self, column: usize) -> Self {
        self.status = Some(column);
        self
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        // A line break in what others wrote must not look like a row, nor an escape like a colour.
        self.rows.push(cells.into_iter().map(one_line).collect());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    pub(crate) fn render(&self) -> String {
        self.fit(None, false)
    }

    pub(crate) fn fit(&self, width: Option<usize>, color: bool) -> String {
        let mut widths = self.widths();
        if let Some(width) = width {
            self.shrink(&mut widths, width);
        }
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let room = widths.get(column).copied().unwrap_or(0);
                let shown = cut(cell, room);
                let padding = room - shown.chars().count();
                line.push_str(&self.painted(number, column, &shown, color));
                line.push_str(&" ".repeat(padding + GAP));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text.truncate(text.trim_end().len());
        text
    }

    fn painted(&self, row: usize, column: usize, cell: &str, color: bool) -> String {
        let style = match row {
            _ if !color => Style::Plain,
            0 => Style::Faint,
            _ if self.status == Some(column) => status_style(cell),
            _ => Style::Plain,
        };
        style.paint(cell)
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        (0..columns).map(width).collect()
    }

    fn shrink(&self, widths: &mut [usize], width: usize) {
        let total =
            |widths: &[usize]| widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
        let mut excess = total(widths).saturating_sub(width);
        while excess > 0 {
            let fits = |column: &usize| widths.get(*column).is_some_and(|w| *w > ELASTIC_MIN);
            let candidates = self.elastic.iter().copied().filter(fits);
            let Some(widest) = candidates.max_by_key(|column| widths[*column]) else { return };
            widths[widest] -= 1;
            excess -= 1;
        }
    }
}

/// At most `width` characters, with `…` for what is left out.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut shown: String = text.chars().take(width.saturating_sub(1)).collect();
    shown.push('…');
    shown
}

fn one_line(text: String) -> String {
    if text.contains(char::is_control) { text.replace(char::is_control, " ") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["ID", "STATUS", "TO"]).elastic(&[2]).status(1);
        table.row(vec!["1".into(), "WAITING".into(), "agent://acme/prod/checker".into()]);
        table.row(vec!["200".into(), "COMPLETED".into(), String::new()]);
        table
    }

    #[test]
    fn columns_line_up_and_lines_have_no_tail() {
        assert_eq!(
            table().render(),
            "ID   STATUS     TO\n1    WAITING    agent://acme/prod/checker\n200  COMPLETED"
        );
    }

    #[test]
    fn a_narrow_terminal_cuts_what_may_be_cut() {
        let text = table().fit(Some(30), false);
        assert_eq!(text, "ID   STATUS     TO\n1    WAITING    agent://acme/…\n200  COMPLETED");
        assert!(text.lines().all(|line| line.chars().count() <= 30));
        // No narrower than can be read.
        assert!(table().fit(Some(5), false).contains("agent:/…"));
    }

    #[test]
    fn colours_take_no_room() {
        let plain = table().fit(Some(60), false);
        let painted = table().fit(Some(60), true);
        assert!(painted.contains("\x1b[33mWAITING\x1b[0m    agent"));
        let stripped = painted.split('\x1b').map(|part| part.split_once('m').map_or(part, |p| p.1));
        assert_eq!(stripped.collect::<String>(), plain);
    }

    #[test]
    fn what_others_wrote_stays_in_its_cell() {
        let mut table = Table::new(&["A"]);
        table.row(vec!["x\n\x1b[31my".into()]);
        assert_eq!(table.render(), "A\nx  [31my");
    }
}
