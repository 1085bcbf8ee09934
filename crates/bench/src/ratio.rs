//! Figures beside each other.

/// A figure beside that of a base, both measured several times in turn.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Ratio {
    /// The figure, of the round whose ratio is the median.
    pub figure: f64,
    /// The base's figure in that round.
    pub base: f64,
    /// The median of the rounds' ratios, figure to base.
    pub median: f64,
    /// The lowest of them.
    pub lowest: f64,
    /// The highest of them.
    pub highest: f64,
}

impl Ratio {
    /// Of figures and those of the base in the same rounds. Without a round all is NaN.
    pub fn of(figures: &[f64], bases: &[f64]) -> Self {
        let mut rounds: Vec<_> = figures.iter().copied().zip(bases.iter().copied()).collect();
        let ratio = |(figure, base): (f64, f64)| figure / base;
        rounds.sort_by(|&a, &b| ratio(a).total_cmp(&ratio(b)));
        let nothing = (f64::NAN, f64::NAN);
        let (figure, base) = rounds.get(rounds.len() / 2).copied().unwrap_or(nothing);
        Self {
            figure,
            base,
            median: figure / base,
            lowest: ratio(rounds.first().copied().unwrap_or(nothing)),
            highest: ratio(rounds.last().copied().unwrap_or(nothing)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_of_the_ratios() {
        let ratio = Ratio::of(&[10.0, 1.0, 6.0], &[10.0, 4.0, 2.0]);
        let expected = Ratio { figure: 10.0, base: 10.0, median: 1.0, lowest: 0.25, highest: 3.0 };
        assert_eq!(ratio, expected);
        assert!(Ratio::of(&[], &[]).median.is_nan());
    }
}
