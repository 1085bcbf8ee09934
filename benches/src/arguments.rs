//! What the bench is asked for.

use std::path::PathBuf;

use replink_bench::Failure;

use super::sections::Section;

/// The sections to measure, and where to write what comes out.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) sections: Vec<Section>,
    pub(crate) out: Option<PathBuf>,
}

impl Arguments {
    /// Names of sections and `--out DIR`. Cargo adds `--bench`.
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut words = words;
        let (mut sections, mut out) = (Vec::new(), None);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--bench" => {}
                "--out" => out = Some(PathBuf::from(words.next().ok_or("--out needs a directory")?)),
                name => sections.push(Section::named(name)?),
            }
        }
        if sections.is_empty() {
            sections = Section::ALL.to_vec();
        }
        Ok(Self { sections, out })
    }
}
