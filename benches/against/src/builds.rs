//! The commands that are compared.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Failure, progress};

/// A command that was built.
#[derive(Debug)]
pub(crate) struct Build {
    pub(crate) name: String,
    pub(crate) command: PathBuf,
    /// Whether it pins ends unless it is told not to.
    pub(crate) can_unpin: bool,
}

impl Build {
    /// What the repository had at `revision`. What it is built from goes away; what was built stays, and is quick the
    /// next time.
    pub(crate) fn of_revision(revision: &str) -> Result<Self, Failure> {
        let root = root()?;
        let commit = git(&root, &["rev-parse", "--short=12", "--verify", &format!("{revision}^{{commit}}")])?;
        let target = target(&root).join("against").join(&commit);
        let worktree = Worktree::add(&root, target.join("source"), &commit)?;
        let command = build(&worktree.path, &target)?;
        Self::new(commit, command)
    }

    /// What the working tree is now, with what is not committed.
    pub(crate) fn of_working_tree() -> Result<Self, Failure> {
        let root = root()?;
        let name = git(&root, &["describe", "--always", "--abbrev=12", "--exclude=*", "--dirty"])?;
        Self::new(name, build(&root, &target(&root))?)
    }

    fn new(name: String, command: PathBuf) -> Result<Self, Failure> {
        let help = Command::new(&command).args(["bench", "--help"]).output()?;
        let can_unpin = String::from_utf8_lossy(&help.stdout).contains("--unpinned");
        Ok(Self { name, command, can_unpin })
    }
}

fn build(source: &Path, target: &Path) -> Result<PathBuf, Failure> {
    progress(&format!("building {}", source.display()));
    let built = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release", "--locked", "--quiet", "-p", "replink", "--bin", "replink"])
        .arg("--target-dir")
        .arg(target)
        .current_dir(source)
        .stdout(Stdio::null())
        .status()?;
    if built.success() {
        Ok(target.join("release/replink"))
    } else {
        Err(format!("{} can't be built", source.display()).into())
    }
}

/// A worktree that is removed when it is not needed any more.
struct Worktree {
    root: PathBuf,
    path: PathBuf,
}

impl Worktree {
    fn add(root: &Path, path: PathBuf, commit: &str) -> Result<Self, Failure> {
        let text = path.to_str().ok_or("the target directory's name is not text")?;
        // One that was left there by a run that was ended; there is none as a rule.
        let _ = git(root, &["worktree", "remove", "--force", text]);
        git(root, &["worktree", "add", "--detach", "--force", text, commit])?;
        Ok(Self { root: root.to_owned(), path })
    }
}

impl Drop for Worktree {
    fn drop(&mut self) {
        if let Some(path) = self.path.to_str() {
            let _ = git(&self.root, &["worktree", "remove", "--force", path]);
        }
    }
}

fn root() -> Result<PathBuf, Failure> {
    Ok(PathBuf::from(git(Path::new("."), &["rev-parse", "--show-toplevel"])?))
}

fn target(root: &Path) -> PathBuf {
    // Where it is relative, cargo takes it from where it was called.
    let chosen = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let chosen = chosen.and_then(|path| std::path::absolute(path).ok());
    chosen.unwrap_or_else(|| root.join("target"))
}

fn git(directory: &Path, arguments: &[&str]) -> Result<String, Failure> {
    let ended = Command::new("git").arg("-C").arg(directory).args(arguments).output()?;
    if ended.status.success() {
        Ok(String::from_utf8(ended.stdout)?.trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&ended.stderr).trim().to_owned().into())
    }
}
