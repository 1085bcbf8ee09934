//! What the bench is asked for.

use std::path::PathBuf;

use replink_bench::{Failure, Placement};

use super::sections::Section;

/// The sections to measure, where the ends run meanwhile, and where to write what comes out.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) sections: Vec<Section>,
    /// One after the other; a machine may not have all of them.
    pub(crate) placements: Vec<Placement>,
    pub(crate) out: Option<PathBuf>,
}

impl Arguments {
    /// Names of sections, `pinned` or `unpinned`, and `--out DIR`; by default all of them, and both. Cargo adds
    /// `--bench`.
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut words = words;
        let (mut sections, mut placements, mut out) = (Vec::new(), Vec::new(), None);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--bench" => {}
                "--out" => out = Some(PathBuf::from(words.next().ok_or("--out needs a directory")?)),
                "pinned" => placements.push(Placement::Pinned),
                "unpinned" => placements.push(Placement::Floating),
                name => sections.push(Section::named(name)?),
            }
        }
        if sections.is_empty() {
            sections = Section::ALL.to_vec();
        }
        if placements.is_empty() {
            placements = vec![Placement::Pinned, Placement::Floating];
        }
        Ok(Self { sections, placements, out })
    }
}
