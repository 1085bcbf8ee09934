//! Figures of both builds beside each other.

use std::fmt::Write as _;

/// The row of what a command used as a whole: raw TCP, round trips and handshakes are in it.
pub(crate) const WHOLE: &str = "whole command";

/// One figure of one run.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) value: f64,
}

/// What both builds showed, round after round.
#[derive(Default, Debug)]
pub(crate) struct Rounds {
    old: Vec<Vec<Figure>>,
    new: Vec<Vec<Figure>>,
}

impl Rounds {
    pub(crate) fn add(&mut self, old: Vec<Figure>, new: Vec<Figure>) {
        self.old.push(old);
        self.new.push(new);
    }

    /// A row for each figure that both builds have: the medians, and the median of the rounds' ratios with the lowest
    /// and the highest.
    pub(crate) fn table(&self) -> String {
        let mut text = format!("{:<18} {:<9} {:>9} {:>9} {:>8}   spread\n", "", "", "old", "new", "new/old");
        for row in self.new.first().into_iter().flatten() {
            let (old, new) = (of(&self.old, row), of(&self.new, row));
            if old.len() < self.old.len() || new.len() < self.new.len() {
                continue;
            }
            let mut ratios: Vec<_> = new.iter().zip(&old).map(|(new, old)| new / old).collect();
            let [old, new, ratio] = [old, new, ratios.clone()].map(median);
            ratios.sort_by(f64::total_cmp);
            let (lowest, highest) = (ratios[0], ratios[ratios.len() - 1]);
            let [old, new] = [old, new].map(|value| format!("{value:.*}", digits(value)));
            let _ = writeln!(
                text,
                "{:<18} {:<9} {old:>9} {new:>9} {ratio:>8.2}   {lowest:.2} to {highest:.2}",
                row.name, row.unit
            );
        }
        text
    }
}

/// The figure of this name and unit in each round that has it.
fn of(rounds: &[Vec<Figure>], row: &Figure) -> Vec<f64> {
    let named = |round: &Vec<Figure>| {
        let found = round.iter().find(|one| one.name == row.name && one.unit == row.unit);
        found.map(|one| one.value)
    };
    rounds.iter().filter_map(named).collect()
}

fn median(values: Vec<f64>) -> f64 {
    let mut sorted = values;
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn digits(value: f64) -> usize {
    match value {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        value if value >= 0.1 => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(name: &str, unit: &str, value: f64) -> Figure {
        Figure { name: name.to_owned(), unit: unit.to_owned(), value }
    }

    #[test]
    fn a_row_has_what_both_builds_have() {
        let mut rounds = Rounds::default();
        for (old, new) in [(1.0, 2.0), (4.0, 4.0), (2.0, 6.0)] {
            rounds.add(
                vec![figure("a", "GB/s", old)],
                vec![figure("a", "GB/s", new), figure("a", "CPU s/GB", 1.0), figure("b", "us", 1.0)],
            );
        }
        let table = rounds.table();
        let rows: Vec<Vec<_>> = table.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows, [["a", "GB/s", "2.00", "4.00", "2.00", "1.00", "to", "3.00"]]);
    }
}
