//! What was found, beside the budget.

use std::fmt;

use crate::budget::{Budget, Verdict, judge};

/// Printed, it is a table with advice below.
pub(crate) struct Report {
    lines: Vec<Line>,
    /// Budgets of operations that there are no more.
    stale: Vec<String>,
    notes: Vec<String>,
}

struct Line {
    name: String,
    budget: Option<u64>,
    found: u64,
    /// `None` where nothing of this machine has a budget.
    verdict: Option<Verdict>,
}

/// `budget` is the one of this kind of machine, if there is one.
pub(crate) fn of(budget: Option<&Budget>, found: &Budget) -> Report {
    let lines: Vec<Line> = found
        .counts
        .iter()
        .map(|(name, &found)| {
            let allowed = budget.and_then(|budget| budget.counts.get(name).copied());
            let verdict = budget.map(|_| judge(allowed, found));
            Line { name: name.clone(), budget: allowed, found, verdict }
        })
        .collect();
    let has = |verdict| lines.iter().any(|line| line.verdict == Some(verdict));
    let mut notes = Vec::new();
    match budget {
        None => notes.push(format!("there is no budget for this kind of machine, {}", found.machine)),
        Some(budget) if budget.rustc != found.rustc => {
            notes.push(format!("the budget is of rustc {}, this is {}", budget.rustc, found.rustc));
        }
        Some(_) => {}
    }
    if has(Verdict::Over) {
        notes.push(
            "OVER: make it cheaper; or run `just instructions-update`, and say why in the commit".into(),
        );
    }
    if has(Verdict::Under) {
        notes.push("under: well done; lower the budget with `just instructions-update`".into());
    }
    if has(Verdict::Missing) {
        notes.push("MISSING: there is no budget for it yet; run `just instructions-update`".into());
    }
    let counted = budget.into_iter().flat_map(|budget| budget.counts.keys());
    let stale: Vec<String> = counted.filter(|name| !found.counts.contains_key(*name)).cloned().collect();
    if !stale.is_empty() {
        let stale = stale.join(", ");
        notes
            .push(format!("there is a budget for {stale}, but no operation; run `just instructions-update`"));
    }
    Report { lines, stale, notes }
}

impl Report {
    pub(crate) fn fails(&self) -> bool {
        let fails = |line: &Line| matches!(line.verdict, Some(Verdict::Over | Verdict::Missing));
        self.lines.iter().any(fails) || !self.stale.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<20} {:>9} {:>9} {:>8}", "instructions", "budget", "found", "change")?;
        for line in &self.lines {
            let word = match line.verdict {
                Some(Verdict::Over) => "OVER",
                Some(Verdict::Under) => "under",
                Some(Verdict::Missing) => "MISSING",
                Some(Verdict::Within) | None => "",
            };
            let (budget, change) = match line.budget {
                Some(budget) => (budget.to_string(), change(budget, line.found)),
                None => ("-".to_owned(), "-".to_owned()),
            };
            let text = format!("{:<20} {budget:>9} {:>9} {change:>8} {word}", line.name, line.found);
            writeln!(f, "{}", text.trim_end())?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}

#[allow(clippy::cast_precision_loss, reason = "for people")]
fn change(budget: u64, found: u64) -> String {
    format!("{:+.1} %", (found as f64 / budget.max(1) as f64 - 1.0) * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(rustc: &str, counts: &[(&str, u64)]) -> Budget {
        let counts = counts.iter().map(|&(name, count)| (name.to_owned(), count)).collect();
        Budget { machine: "x86_64 linux avx2".to_owned(), rustc: rustc.to_owned(), counts }
    }

    fn report(budget: &[(&str, u64)], found: &[(&str, u64)]) -> (bool, String) {
        let report = of(Some(&counts("1.95.0", budget)), &counts("1.95.0", found));
        (report.fails(), report.to_string())
    }

    #[test]
    fn within_its_budget_nothing_is_said() {
        let (fails, text) = report(&[("queue", 100)], &[("queue", 103)]);
        assert!(!fails);
        assert_eq!(text.lines().last(), Some("queue                      100       103   +3.0 %"));
    }

    #[test]
    fn over_its_budget_it_fails() {
        let (fails, text) = report(&[("queue", 100), ("send", 100)], &[("queue", 100), ("send", 106)]);
        assert!(fails);
        assert!(text.contains("+6.0 % OVER") && text.contains("just instructions-update"), "{text}");
    }

    #[test]
    fn under_its_budget_it_passes_and_says_to_lower_it() {
        let (fails, text) = report(&[("queue", 100)], &[("queue", 90)]);
        assert!(!fails);
        assert!(text.contains("-10.0 % under") && text.contains("lower the budget"), "{text}");
    }

    #[test]
    fn an_operation_without_a_budget_fails_and_says_to_run_update() {
        let (fails, text) = report(&[("queue", 100)], &[("queue", 100), ("send", 100)]);
        assert!(fails);
        assert!(text.contains("MISSING") && text.contains("just instructions-update"), "{text}");
    }

    #[test]
    fn a_budget_without_an_operation_fails_and_says_to_run_update() {
        let (fails, text) = report(&[("queue", 100), ("gone", 100)], &[("queue", 100)]);
        assert!(fails);
        assert!(text.contains("a budget for gone") && text.contains("just instructions-update"), "{text}");
    }

    #[test]
    fn a_machine_without_a_budget_passes_and_says_so() {
        let report = of(None, &counts("1.95.0", &[("queue", 100)]));
        assert!(!report.fails());
        assert!(report.to_string().contains("no budget for this kind of machine, x86_64 linux avx2"));
    }

    #[test]
    fn another_compiler_is_mentioned_and_held_to_the_same() {
        let budget = counts("1.95.0", &[("queue", 100)]);
        let report = of(Some(&budget), &counts("1.96.0", &[("queue", 106)]));
        assert!(report.fails());
        assert!(report.to_string().contains("rustc 1.95.0, this is 1.96.0"));
    }
}
