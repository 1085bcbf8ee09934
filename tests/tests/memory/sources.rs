//! Configurations with one secret in each place that there is for it. Another process writes them.

use std::path::Path;
use std::process::Command;

/// Those that are right.
pub(crate) const GOOD: [&str; 6] = [
    "file.toml",
    "inline.toml",
    "inline-escapes.toml",
    "inline-lines.toml",
    "inline-list.toml",
    "pairwise.toml",
];

/// Those that are not, and what is said of them.
pub(crate) const BAD: [(&str, &str); 9] = [
    ("bad-line.toml", "is not valid TOML"),
    ("bad-unquoted.toml", "is not valid TOML"),
    ("bad-unclosed.toml", "is not valid TOML"),
    ("bad-escape.toml", "is not valid TOML"),
    ("bad-twice.toml", "is there a second time"),
    ("bad-comment.toml", "is there a second time"),
    ("bad-key.toml", "is not a known key"),
    ("bad-type.toml", "must be an array of secrets"),
    ("bad-place.toml", "is not valid"),
];

/// Draws a secret, and writes all of them.
pub(crate) fn write(folder: &Path) {
    run("head -c 36 /dev/urandom | base64 > cluster.key; chmod 600 cluster.key", folder);
    write_others(folder);
}

/// Writes them with the secret that is there.
pub(crate) fn write_others(folder: &Path) {
    // A shell, which nobody searches.
    let script = r#"
        umask 077
        secret=$(cat cluster.key)
        digits=$(od -An -v -tx1 -N32 cluster.key | tr -d ' \n')
        toml() {
            printf '[cluster]\nname = "orders"\n[cluster.auth]\n'
            cat
            printf '[[cluster.nodes]]\nid = 0\naddress = "127.0.0.1:7400"\n'
            printf '[[cluster.nodes]]\nid = 1\naddress = "127.0.0.1:7401"\n'
        }
        auth() {
            file=$1
            shift
            printf "$@" | toml > $file.toml
        }
        auth file 'shared_secret_file = "cluster.key"\n'
        auth inline 'shared_secret = "%s"\n' "$secret"
        auth inline-escapes 'shared_secret = "\\t\\u00e9%s\\n%s\\\\"\n' "$secret" "$secret"
        auth inline-lines "shared_secret = '''\n%s'''\n" "$secret"
        auth inline-list 'shared_secret_file = "cluster.key"\naccept_secrets = ["x%s", "%s\\n"]\n' "$secret" "$secret"
        printf 'pair secrets of replica 0, app replink\n1 %s\n' "$digits" > replica-0.keys
        auth pairwise 'pairwise = "replica-0.keys"\n'
        auth environment '\n'
        auth bad-line 'shared_secret = "%s"\nmin_version =\n' "$secret"
        auth bad-unquoted 'shared_secret = %s\n' "$secret"
        auth bad-unclosed 'shared_secret = "%s\n' "$secret"
        auth bad-escape 'shared_secret = "%s\\q"\n' "$secret"
        auth bad-twice 'shared_secret = "%s"\nversion = 2\nversion = 2\n' "$secret"
        auth bad-comment '# shared_secret = "%s"\nversion = 2\nversion = 2\n' "$secret"
        auth bad-key 'shared_secret = "%s"\nshared_secrets = "%s"\n' "$secret" "$secret"
        auth bad-type 'shared_secret = "%s"\naccept_secrets = "%s"\n' "$secret" "$secret"
        auth bad-place 'shared_secret = "%s"\nhandshake_timeout = "%s"\n' "$secret" "$secret"
    "#;
    run(script, folder);
}

fn run(script: &str, folder: &Path) {
    assert!(Command::new("/bin/sh").args(["-ec", script]).current_dir(folder).status().unwrap().success());
}
