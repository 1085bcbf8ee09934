//! What is asked for.

use crate::Failure;

/// One run of one build: its windows are short, and there are many runs.
const SECONDS: f64 = 4.0;

const DRIVERS: [&str; 3] = ["blocking", "poll", "io_uring"];

/// What to compare with, and how.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) revision: String,
    /// About how long each run of a command takes.
    pub(crate) seconds: f64,
    pub(crate) drivers: Vec<String>,
}

impl Arguments {
    /// `REV [--seconds S] [--drivers A,B]`.
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut words = words;
        let (mut revision, mut seconds) = (None, SECONDS);
        let mut drivers: Vec<String> = DRIVERS.map(str::to_owned).to_vec();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--seconds" => {
                    let text = words.next().ok_or("--seconds needs a number")?;
                    let found = text.parse().ok().filter(|seconds| (0.01..=600.0).contains(seconds));
                    seconds = found.ok_or("--seconds must be a number from 0.01 to 600")?;
                }
                "--drivers" => {
                    let text = words.next().ok_or("--drivers needs names")?;
                    drivers = text.split(',').map(str::to_owned).collect();
                }
                option if option.starts_with('-') => return Err(format!("there is no {option}").into()),
                _ if revision.is_some() => return Err("one revision is compared with".into()),
                _ => revision = Some(word),
            }
        }
        let revision = revision.ok_or("which revision is to be compared with?")?;
        Ok(Self { revision, seconds, drivers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_needed_and_nothing_unknown_is_taken() {
        let parsed = |text: &str| Arguments::parse(text.split_whitespace().map(str::to_owned));
        let arguments = parsed("HEAD~1 --seconds 2 --drivers poll,auto").unwrap();
        assert_eq!((arguments.revision.as_str(), arguments.drivers.len()), ("HEAD~1", 2));
        for wrong in ["", "--seconds 2", "a b", "a --seconds x", "a --rounds 3"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
