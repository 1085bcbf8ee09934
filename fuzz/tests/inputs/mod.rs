//! What the tests give to the targets.

use std::fs;
use std::path::Path;

#[path = "../../examples/seeds.rs"]
#[allow(dead_code, reason = "as an example it also writes them")]
mod seeds;

/// The committed corpus, then the seeds.
pub fn inputs(target: &str) -> [Vec<Vec<u8>>; 2] {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let files = fs::read_dir(folder).expect("a corpus");
    let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    let corpus = files.into_iter().map(|file| fs::read(file).expect("an input")).collect();
    let (_, seeds) = seeds::seeds().into_iter().find(|(name, _)| *name == target).expect("seeds");
    [corpus, seeds]
}
