//! Files of an operator's, as they are on a real system: what they are, whose they are, and who may get at them.
#![cfg(unix)]
#![allow(clippy::print_stderr, reason = "what a system does not let be tested is said")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[allow(dead_code, reason = "other tests use the rest")]
mod config_support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use config_support::{SECRET, text};
use replink_transport::config::{Config, Outline, SecretRemark, open_file};
use replink_transport::security::SecurityStatus;

/// When something waits that must not. Only a broken build gets there.
const DEADLINE: Duration = Duration::from_secs(20);

/// What comes of `work`, which must not wait for anybody.
fn at_once<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = channel();
    thread::spawn(move || done.send(work()));
    result.recv_timeout(DEADLINE).expect("it waits without end")
}

fn load(path: &Path) -> String {
    let path = path.to_owned();
    at_once(move || Config::load(path).err().map(|errors| errors.to_string()).unwrap_or_default())
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A folder with a `cluster.toml` that has `auth`, and with a secret in `cluster.key`.
fn folder(auth: &str) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let [toml, key] = ["cluster.toml", "cluster.key"].map(|name| folder.path().join(name));
    fs::write(&toml, text("", auth, "", "")).unwrap();
    fs::write(&key, SECRET).unwrap();
    set_mode(&toml, 0o600);
    set_mode(&key, 0o600);
    (folder, toml, key)
}

fn make_pipe(path: &Path) {
    fs::remove_file(path).unwrap();
    assert!(Command::new("mkfifo").arg("-m").arg("600").arg(path).status().unwrap().success());
}

#[test]
fn a_pipe_is_an_error_wherever_a_file_is_read_and_never_waited_for() {
    for (auth, key) in [
        ("shared_secret_file = \"cluster.key\"", "shared_secret_file"),
        ("pairwise = \"cluster.key\"", "pairwise"),
        (
            &format!("shared_secret = \"{SECRET}\"\naccept_secret_files = [\"cluster.key\"]"),
            "accept_secret_files[0]",
        ),
    ] {
        let (_folder, toml, pipe) = folder(auth);
        make_pipe(&pipe);
        let shown = load(&toml);
        let expected = format!(
            "cluster.auth.{key}: names a file that can't be read: it is a pipe, and no regular file; "
        );
        assert!(shown.contains(&expected), "{shown}");
    }
    let (folder, toml, _) = folder("");
    make_pipe(&toml);
    assert!(load(&toml).contains(": can't be read: it is a pipe, and no regular file; "), "{}", load(&toml));
    assert!(at_once(move || Outline::load(toml).is_err()));
    for (path, what) in [("/dev/null", "a device"), ("/dev/zero", "a device"), ("/", "a directory")] {
        let error = at_once(move || open_file(path).unwrap_err());
        assert_eq!(error.to_string(), format!("it is {what}, and no regular file"));
        // Over links as well.
        let link = folder.path().join("link");
        symlink(path, &link).unwrap();
        assert!(open_file(&link).is_err());
        fs::remove_file(link).unwrap();
    }
}

/// Kubernetes has a Secret as a link to a file of root's that the group may read, below a sticky directory.
#[test]
fn links_to_a_file_that_only_the_group_may_read_are_fine() {
    let (folder, toml, key) = folder("shared_secret_file = \"secret/cluster.key\"");
    let [secret, data] = ["secret", "secret/..2026_11_27"].map(|name| folder.path().join(name));
    fs::create_dir(&secret).unwrap();
    fs::create_dir(&data).unwrap();
    set_mode(&secret, 0o1777);
    fs::rename(&key, data.join("cluster.key")).unwrap();
    set_mode(&data.join("cluster.key"), 0o440);
    symlink("..2026_11_27", secret.join("..data")).unwrap();
    symlink("..data/cluster.key", secret.join("cluster.key")).unwrap();
    let config = Config::load(&toml).unwrap();
    assert_eq!(config.auth.secret_remarks, []);
}

#[test]
fn a_configuration_that_holds_a_secret_is_a_secret_file_itself() {
    let both = format!("shared_secret_file = \"cluster.key\"\naccept_secrets = [\"another {SECRET}\"]");
    for (auth, key, line) in
        [(&format!("shared_secret = \"{SECRET}\""), "shared_secret", 4), (&both, "accept_secrets", 5)]
    {
        let (_folder, toml, _) = folder(auth);
        for (mode, what) in [
            (0o644, "is open to every user of this machine (mode 0644)"),
            (0o666, "is open to every user of this machine (mode 0666)"),
            (0o660, "can be written by its group (mode 0660)"),
        ] {
            set_mode(&toml, mode);
            let expected = format!(
                "{}:{}: cluster.auth.{key}: stands in a file that {what}; must be its owner's alone: chmod 600 {}; or \
                 use shared_secret_file",
                toml.display(),
                line + 1,
                toml.display()
            );
            assert_eq!(load(&toml), expected);
        }
        for mode in [0o400, 0o440, 0o600, 0o640] {
            set_mode(&toml, mode);
            assert_eq!(load(&toml), "");
        }
    }
    // One that holds none may be read by anybody.
    let (_folder, toml, _) = folder("shared_secret_file = \"cluster.key\"");
    set_mode(&toml, 0o644);
    assert_eq!(load(&toml), "");
}

#[test]
fn a_file_of_another_user_is_an_error() {
    let (_folder, toml, key) = folder("shared_secret_file = \"cluster.key\"");
    if chown(&key, Some(12_345), None).is_err() {
        eprintln!("skipped: only root can give a file to somebody");
        return;
    }
    let shown = load(&toml);
    let expected = format!(
        "names a file that belongs to user 12345, who is neither the user that reads it nor root; must belong to the \
         user that reads it, or to root: chown {}",
        key.display()
    );
    assert!(shown.ends_with(&expected), "{shown}");
    let (_folder, toml, _) = folder(&format!("shared_secret = \"{SECRET}\""));
    chown(&toml, Some(12_345), None).unwrap();
    assert!(load(&toml).contains("cluster.auth.shared_secret: stands in a file that belongs to user 12345"));
}

#[test]
fn a_directory_that_every_user_may_write_to_is_told_of() {
    for auth in
        ["shared_secret_file = \"below/cluster.key\"".to_owned(), format!("shared_secret = \"{SECRET}\"")]
    {
        let (folder, toml, key) = folder(&auth);
        fs::create_dir(folder.path().join("below")).unwrap();
        fs::rename(&key, folder.path().join("below/cluster.key")).unwrap();
        for (mode, told) in [(0o755, false), (0o1777, false), (0o777, true), (0o702, true)] {
            set_mode(folder.path(), mode);
            let config = Config::load(&toml).unwrap();
            let directories: Vec<&Path> = config
                .auth
                .secret_remarks
                .iter()
                .map(|remark| match remark {
                    SecretRemark::OpenDirectory { directory, .. } => &**directory,
                    other => panic!("{other}"),
                })
                .collect();
            let expected = if told { vec![fs::canonicalize(folder.path()).unwrap()] } else { Vec::new() };
            assert_eq!(directories, expected, "{mode:o}");
            let warned = SecurityStatus::of(&config, None)
                .warnings()
                .iter()
                .any(|warning| warning.to_string().starts_with("every user of this machine may write to "));
            assert_eq!(warned, told);
        }
    }
}
