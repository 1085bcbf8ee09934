//! The committed counts: one table for each kind of machine, one line for each operation.

use std::collections::BTreeMap;
use std::fmt;

use toml::de::{DeTable, DeValue};

/// How far from its budget a count may be, in percent of the budget.
const TOLERANCE_PERCENT: u64 = 5;

/// What is counted on one kind of machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Budget {
    pub(crate) machine: String,
    /// The compiler that the counts are of.
    pub(crate) rustc: String,
    /// Instructions of each operation.
    pub(crate) counts: BTreeMap<String, u64>,
}

/// All kinds.
#[derive(Default, PartialEq, Eq, Debug)]
pub(crate) struct Budgets(BTreeMap<String, Budget>);

/// What a count is beside its budget.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Within,
    /// More than the tolerance above.
    Over,
    /// More than the tolerance below.
    Under,
    /// The operation has no budget, though others of this machine have one.
    Missing,
}

pub(crate) fn judge(budget: Option<u64>, found: u64) -> Verdict {
    let Some(budget) = budget else { return Verdict::Missing };
    if found * 100 > budget * (100 + TOLERANCE_PERCENT) {
        Verdict::Over
    } else if found * 100 < budget * (100 - TOLERANCE_PERCENT) {
        Verdict::Under
    } else {
        Verdict::Within
    }
}

impl Budgets {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let document = DeTable::parse(text).map_err(|error| error.to_string())?;
        let mut budgets = Self::default();
        for (machine, table) in document.get_ref() {
            let machine = machine.get_ref().to_string();
            let table = table.get_ref().as_table().ok_or_else(|| format!("{machine} is no table"))?;
            let mut budget = Budget { machine, rustc: String::new(), counts: BTreeMap::new() };
            for (name, value) in table {
                let name = name.get_ref().to_string();
                match value.get_ref() {
                    DeValue::String(text) if name == "rustc" => budget.rustc = text.to_string(),
                    DeValue::Integer(count) => {
                        let count = count.as_str().parse().map_err(|error| format!("{name}: {error}"))?;
                        budget.counts.insert(name, count);
                    }
                    _ => return Err(format!("{name} of {} is no count", budget.machine)),
                }
            }
            budgets.set(budget);
        }
        Ok(budgets)
    }

    pub(crate) fn get(&self, machine: &str) -> Option<&Budget> {
        self.0.get(machine)
    }

    pub(crate) fn set(&mut self, budget: Budget) {
        self.0.insert(budget.machine.clone(), budget);
    }
}

/// The file's text.
impl fmt::Display for Budgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Instructions per operation, written by `just instructions-update`.")?;
        writeln!(f, "# See docs/performance.md, \"Instructions, counted\".")?;
        for budget in self.0.values() {
            writeln!(f, "\n[\"{}\"]\nrustc = \"{}\"", budget.machine, budget.rustc)?;
            for (name, count) in &budget.counts {
                writeln!(f, "{name} = {count}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_five_percent_above_is_over() {
        assert_eq!(judge(Some(1000), 1050), Verdict::Within);
        assert_eq!(judge(Some(1000), 1051), Verdict::Over);
        assert_eq!(judge(Some(0), 1), Verdict::Over);
    }

    #[test]
    fn more_than_five_percent_below_is_under() {
        assert_eq!(judge(Some(1000), 950), Verdict::Within);
        assert_eq!(judge(Some(1000), 949), Verdict::Under);
    }

    #[test]
    fn an_operation_without_a_budget_is_missing() {
        assert_eq!(judge(None, 1), Verdict::Missing);
    }

    #[test]
    fn what_is_written_can_be_read() {
        let mut budgets = Budgets::default();
        for machine in ["x86_64 linux avx2", "aarch64 linux"] {
            let counts = BTreeMap::from([("queue".to_owned(), 100), ("send".to_owned(), 200)]);
            budgets.set(Budget { machine: machine.to_owned(), rustc: "1.95.0".to_owned(), counts });
        }
        assert_eq!(Budgets::parse(&budgets.to_string()), Ok(budgets));
    }

    #[test]
    fn a_file_that_is_none_is_refused() {
        for text in ["queue = 1", "[machine]\nqueue = \"many\"", "[machine]\nqueue = -1", "[machine"] {
            assert!(Budgets::parse(text).is_err(), "{text}");
        }
    }
}
