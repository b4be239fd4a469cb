//! Collects the values of all runs and shows their medians, as a table or as JSON.

use serde_json::{Value, json};

use crate::figure::{Figure, Must, RATIOS};

/// Figures in the order in which they were first measured, with a value for each run.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<(Figure, Vec<f64>)>,
}

impl Report {
    /// Adds what one run gave.
    pub(crate) fn add(&mut self, figure: Figure, value: f64) {
        match self.rows.iter_mut().find(|(known, _)| *known == figure) {
            Some((_, values)) => values.push(value),
            None => self.rows.push((figure, vec![value])),
        }
    }

    /// Adds how many times better ours is, of whatever was measured on both.
    pub(crate) fn compare(&mut self) {
        for (ratio, ours, stock) in RATIOS {
            let of = |figure: Figure| {
                let row = self.rows.iter().find(|(known, _)| *known == figure);
                row.map(|(_, values)| median(values))
            };
            let (Some(ours_is), Some(stock_is)) = (of(ours), of(stock)) else { continue };
            let is_rate = matches!(ours.must, Must::AtLeast(_));
            self.add(ratio, if is_rate { ours_is / stock_is } else { stock_is / ours_is });
        }
    }

    /// The figures that are not what they must be, in words.
    pub(crate) fn missed(&self) -> Vec<String> {
        let missed = self.rows.iter().filter(|(figure, values)| !reached(figure, median(values)));
        let words = |(figure, values): &(Figure, Vec<f64>)| {
            let (median, must) = (number(median(values)), bound(figure.must));
            format!("{} ({}): {median} {} instead of {must}", figure.what, figure.who, figure.unit)
        };
        missed.map(words).collect()
    }

    /// For reading.
    pub(crate) fn table(&self) -> String {
        let titles = ["figure", "who", "median", "min", "max", "unit", "must be", ""];
        let mut lines = vec![titles.map(str::to_owned)];
        for (figure, values) in &self.rows {
            let (low, high) = ends(values);
            let verdict = match (figure.must, reached(figure, median(values))) {
                (Must::Nothing, _) => "",
                (_, true) => "ok",
                (_, false) => "MISSED",
            };
            lines.push([
                figure.what.to_owned(),
                figure.who.to_owned(),
                number(median(values)),
                number(low),
                number(high),
                figure.unit.to_owned(),
                bound(figure.must),
                verdict.to_owned(),
            ]);
        }
        layout(&lines)
    }

    /// For programs: every run's value beside the summary.
    pub(crate) fn json(&self) -> String {
        let figures: Vec<Value> = self.rows.iter().map(|(f, values)| object(f, values)).collect();
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        json!({
            "cores": cores,
            "os": std::env::consts::OS,
            "arch": std::env::consts::ARCH,
            "release": !cfg!(debug_assertions),
            "figures": figures,
        })
        .to_string()
    }
}

fn object(figure: &Figure, values: &[f64]) -> Value {
    let (low, high) = ends(values);
    let (at_most, at_least) = match figure.must {
        Must::Nothing => (None, None),
        Must::AtMost(bound) => (Some(bound), None),
        Must::AtLeast(bound) => (None, Some(bound)),
        Must::Exactly(value) => (Some(value), Some(value)),
    };
    json!({
        "figure": figure.what,
        "who": figure.who,
        "unit": figure.unit,
        "median": median(values),
        "min": low,
        "max": high,
        "runs": values,
        "at_most": at_most,
        "at_least": at_least,
        "reached": reached(figure, median(values)),
    })
}

/// The middle value, or the mean of the middle two; 0 of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle), middle.checked_sub(1).and_then(|below| sorted.get(below))) {
        (Some(upper), Some(lower)) if sorted.len().is_multiple_of(2) => {
            f64::midpoint(*lower, *upper)
        }
        (Some(upper), _) => *upper,
        (None, _) => 0.0,
    }
}

fn ends(values: &[f64]) -> (f64, f64) {
    let fold = |pick: fn(f64, f64) -> f64| values.iter().copied().reduce(pick).unwrap_or(0.0);
    (fold(f64::min), fold(f64::max))
}

fn reached(figure: &Figure, median: f64) -> bool {
    match figure.must {
        Must::Nothing => true,
        Must::AtMost(bound) => median <= bound,
        Must::AtLeast(bound) => median >= bound,
        Must::Exactly(value) => median == value,
    }
}

fn bound(must: Must) -> String {
    match must {
        Must::Nothing => String::new(),
        Must::AtMost(bound) => format!("<= {}", number(bound)),
        Must::AtLeast(bound) => format!(">= {}", number(bound)),
        Must::Exactly(value) => number(value),
    }
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value {
        v if v >= 100.0 || v == v.trunc() => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

fn layout(lines: &[[String; 8]]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    let mut text = String::new();
    for line in lines {
        for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
            // Numbers stand under each other.
            text.push_str(&if (2..5).contains(&column) {
                format!("{cell:>width$}  ")
            } else {
                format!("{cell:<width$}  ")
            });
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::{
        API, API_STOCK, BUS, DRAIN, MESSAGE_RATE, MESSAGE_RATE_STOCK, SILENT, SYNCS_SENDER,
    };

    #[test]
    fn the_median_is_the_middle_or_between_the_middle_two() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn what_lies_on_the_wrong_side_of_its_bound_is_named() {
        let mut report = Report::default();
        report.add(BUS, 1.9);
        report.add(DRAIN, 999.0);
        report.add(SYNCS_SENDER, 0.0);
        let missed = report.missed();
        assert_eq!(missed.len(), 2);
        assert!(missed[0].contains("10,000 lines") && missed[1].contains("sender"), "{missed:?}");
        assert!(report.table().contains("MISSED"));
        report.add(DRAIN, 2000.0);
        report.add(SYNCS_SENDER, 2.0);
        assert!(report.missed().is_empty());
    }

    #[test]
    fn ours_is_compared_with_what_was_measured_beside_it() {
        let mut report = Report::default();
        for (figure, value) in
            [(API, 1.0), (API_STOCK, 102.0), (MESSAGE_RATE, 40_000.0), (MESSAGE_RATE_STOCK, 4000.0)]
        {
            report.add(figure, value);
        }
        report.add(SILENT, 2.0); // nothing beside it
        report.compare();
        let ratios: Vec<_> = report.rows.iter().skip(5).map(|(_, values)| values[0]).collect();
        assert_eq!(ratios, [102.0, 10.0]);
        let missed = report.missed();
        assert!(missed.len() == 1 && missed[0].contains("times better"), "{missed:?}");
    }
}
