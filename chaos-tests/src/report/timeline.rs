//! The picture of a run: what was broken, who led, what was acknowledged, over one axis of time.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::availability;
use crate::history::History;
use crate::runner::Sample;

const LEFT: f64 = 150.0;
const WIDTH: f64 = 1450.0;
const ROW: f64 = 18.0;
const GAP: f64 = 14.0;
const CHART: f64 = 140.0;
const SECOND: u64 = 1_000_000;
/// A shard that acknowledges nothing for longer than this is shown as away.
const AWAY_MICROS: u64 = 300_000;
/// Of nodes, in their order.
const COLOURS: [&str; 5] = ["#4c78a8", "#f2a541", "#59a14f", "#b07aa1", "#76b7b2"];
const FAULT: &str = "#c4c4c4";
const AWAY: &str = "#d62728";
const GOOD: &str = "#2ca02c";

/// A picture that grows downwards.
struct Picture {
    body: String,
    bottom: f64,
    micros: u64,
}

/// Draws a run of `micros` as an SVG document.
#[must_use]
pub fn draw(history: &History, samples: &[Sample], micros: u64) -> String {
    let mut picture = Picture { body: String::new(), bottom: 30.0, micros: micros.max(1) };
    picture.faults(history);
    picture.shards(history, samples);
    picture.rates(history);
    picture.axis();
    let (width, height) = (LEFT + WIDTH + 20.0, picture.bottom + 10.0);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{}</svg>\n",
        picture.body
    )
}

impl Picture {
    fn x(&self, at: u64) -> f64 {
        LEFT + WIDTH * (at.min(self.micros) as f64 / self.micros as f64)
    }

    fn text(&mut self, x: f64, y: f64, text: &str) {
        let text = escaped(text);
        writeln!(self.body, "<text x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>").expect(STRING);
    }

    fn bar(&mut self, (from, to): (u64, u64), y: f64, height: f64, fill: &str, title: &str) {
        let (x, width) = (self.x(from), (self.x(to) - self.x(from)).max(1.0));
        let title = escaped(title);
        writeln!(
            self.body,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             fill=\"{fill}\"><title>{title}</title></rect>"
        )
        .expect(STRING);
    }

    /// Strikes, those that overlap below each other.
    fn faults(&mut self, history: &History) {
        self.text(4.0, self.bottom + 12.0, "faults");
        let mut rows: Vec<u64> = Vec::new();
        for (name, from, to, what) in history.strikes(self.micros) {
            let row = rows.iter().position(|ends| *ends <= from).unwrap_or(rows.len());
            if row == rows.len() {
                rows.push(0);
            }
            rows[row] = to;
            let y = self.bottom + ROW * row as f64;
            self.bar((from, to), y, ROW - 3.0, FAULT, &what);
            self.text(self.x(from) + 2.0, y + 11.0, name);
        }
        self.bottom += ROW * rows.len().max(1) as f64 + GAP;
    }

    /// Who led each shard, and in red when it acknowledged nothing.
    fn shards(&mut self, history: &History, samples: &[Sample]) {
        let writes = availability::acknowledged_writes(history);
        for shard in 1..=history.shard_groups {
            self.text(4.0, self.bottom + 12.0, &format!("shard {shard}: leader, away"));
            for pair in samples.windows(2) {
                if let Some(leader) = pair[0].leaders.get(&shard) {
                    let index = usize::try_from(leader.saturating_sub(1)).unwrap_or_default();
                    let colour = COLOURS[index % COLOURS.len()];
                    let title = format!("node {leader}");
                    self.bar((pair[0].at, pair[1].at), self.bottom, ROW * 0.6, colour, &title);
                }
            }
            let mut ends: Vec<u64> =
                writes.get(&shard).into_iter().flatten().map(|span| span.end).collect();
            ends.sort_unstable();
            for pair in ends.windows(2).filter(|pair| pair[1] - pair[0] > AWAY_MICROS) {
                let title = format!("{} ms", (pair[1] - pair[0]) / 1000);
                self.bar((pair[0], pair[1]), self.bottom + ROW * 0.6, ROW * 0.2, AWAY, &title);
            }
            self.bottom += ROW;
        }
        self.bottom += GAP;
    }

    /// Answers per second: acknowledged, and everything else.
    fn rates(&mut self, history: &History) {
        let mut by_second: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        let submits = history.submits.iter().map(|s| (s.span.end, s.told.is_unknown()));
        let finishes = history.finishes.iter().map(|f| (f.span.end, f.told.is_unknown()));
        for (end, failed) in submits.chain(finishes) {
            let (good, bad) = by_second.entry(end / SECOND).or_default();
            if failed {
                *bad += 1
            } else {
                *good += 1
            };
        }
        let most = by_second.values().map(|(good, bad)| *good.max(bad)).max().unwrap_or(1).max(1);
        self.text(4.0, self.bottom + 12.0, &format!("answers/s, to {most}"));
        self.text(4.0, self.bottom + 28.0, "green known, red not");
        for (second, (good, bad)) in by_second {
            let (from, half) = (second * SECOND, SECOND / 2);
            for (value, fill, at) in [(good, GOOD, from), (bad, AWAY, from + half)] {
                let height = CHART * (value as f64 / most as f64);
                let y = self.bottom + CHART - height;
                let title = format!("{value} in second {second}");
                self.bar((at, at + half), y, height, fill, &title);
            }
        }
        self.bottom += CHART + GAP;
    }

    fn axis(&mut self) {
        let seconds = self.micros / SECOND;
        let step = (seconds / 20).max(1);
        for second in (0..=seconds).step_by(usize::try_from(step).unwrap_or(1)) {
            let x = self.x(second * SECOND);
            let bottom = self.bottom;
            writeln!(
                self.body,
                "<line x1=\"{x:.1}\" y1=\"24\" x2=\"{x:.1}\" y2=\"{bottom:.1}\" stroke=\"#00000018\"/>"
            )
            .expect(STRING);
            self.text(x - 6.0, 18.0, &format!("{second} s"));
        }
    }
}

const STRING: &str = "a string takes everything";

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{FaultRecord, Heal, fixture};

    #[test]
    fn overlapping_faults_stand_below_each_other() {
        let mut history = fixture::good();
        let fault = |strike, at, what: &str| FaultRecord {
            at,
            nemesis: "pause".to_owned(),
            what: what.to_owned(),
            groups: Vec::new(),
            forgotten_bytes: 0,
            strike,
            damage_found: false,
        };
        history.faults = vec![fault(1, 10, "one <&>"), fault(2, 20, "two")];
        history.heals = vec![Heal { at: 30, nemesis: "pause".to_owned(), strike: 1 }];
        let samples = [
            Sample { at: 0, leaders: BTreeMap::from([(1, 2)]), ..Sample::default() },
            Sample { at: 50, ..Sample::default() },
        ];
        let svg = draw(&history, &samples, 100);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("one &lt;&amp;&gt;") && svg.contains("node 2"), "{svg}");
        let rows: Vec<_> = history.strikes(100).map(|(_, from, to, _)| (from, to)).collect();
        // The second one was never healed.
        assert_eq!(rows, [(10, 30), (20, 100)]);
    }
}
