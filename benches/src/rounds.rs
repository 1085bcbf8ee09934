//! Windows of all contenders in turn.

use replink_bench::{Contender, Failure, Placement, Ratio, Window};

use super::field::Entrant;
use super::report::{Kind, Measure, Row, progress};

/// How long and how often is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) window: Window,
}

impl Plan {
    /// The same with ends that run there.
    pub(crate) fn placed(self, placement: Placement) -> Self {
        Self { window: Window { placement, ..self.window }, ..self }
    }
}

type Attempt<'a, T> = Box<dyn Fn(Window) -> Result<T, Failure> + 'a>;

/// Something that is measured beside others.
pub(crate) struct Entry<'a, T> {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Which entry its ratios are to; that entry's is itself.
    pub(crate) base: usize,
    pub(crate) measure: Attempt<'a, T>,
}

impl<'a, T> Entry<'a, T> {
    /// The same of each entrant.
    pub(crate) fn of_all<'e: 'a>(
        entrants: &[&'e Entrant],
        measure: impl Fn(&dyn Contender, Window) -> Result<T, Failure> + Copy + 'a,
    ) -> Vec<Self> {
        let entry = |&entrant: &&'e Entrant| Self {
            name: entrant.name(),
            kind: entrant.kind,
            base: entrant.base_in(entrants),
            measure: Box::new(move |window| measure(entrant.contender.as_ref(), window)),
        };
        entrants.iter().map(entry).collect()
    }
}

/// Every entry has one window in each round. Another one begins each round, so that nobody always comes
/// behind the same.
pub(crate) fn in_rounds<T>(what: &str, entries: &[Entry<'_, T>], plan: Plan) -> Result<Vec<Vec<T>>, Failure> {
    let mut found: Vec<Vec<T>> = entries.iter().map(|_| Vec::new()).collect();
    for round in 0..plan.rounds {
        progress(format_args!("  {what}: round {} of {}", round + 1, plan.rounds));
        for turn in 0..entries.len() {
            let index = (turn + round) % entries.len();
            let entry = &entries[index];
            let figure = (entry.measure)(plan.window)
                .map_err(|failure| format!("{what}, {}: {failure}", entry.name))?;
            found[index].push(figure);
        }
    }
    Ok(found)
}

/// A row for each entry: its figures of each measure beside those of its base in the same rounds.
pub(crate) fn rows<T>(
    entries: &[Entry<'_, T>],
    found: &[Vec<T>],
    measures: &[Measure<T>],
    further: impl Fn(&[T]) -> Vec<String>,
) -> Vec<Row> {
    let figures = |index: usize, measure: &Measure<T>| -> Vec<f64> {
        found[index].iter().map(measure.figure).collect()
    };
    let row = |(index, entry): (usize, &Entry<'_, T>)| Row {
        name: entry.name.clone(),
        kind: entry.kind,
        base: entries[entry.base].name.clone(),
        ratios: measures
            .iter()
            .map(|measure| Ratio::of(&figures(index, measure), &figures(entry.base, measure)))
            .collect(),
        further: further(&found[index]),
    };
    entries.iter().enumerate().map(row).collect()
}
