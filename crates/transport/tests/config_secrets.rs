//! No secret is ever shown: not by a configuration that holds one, and not by an error about it.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod config_support;

use config_support::{Fake, FakeFile, SECRET, text};
use replink_transport::config::{Config, ConfigErrors, SecretSource};

/// Shorter than what can't be told from any other text, and far shorter than a secret.
const TELLING_LEN: usize = 6;

fn assert_silent(shown: &str, secret: &str, context: &str) {
    for part in secret.as_bytes().windows(TELLING_LEN) {
        let found = shown.as_bytes().windows(TELLING_LEN).any(|window| window == part);
        assert!(!found, "{} of the secret in\n{shown}\nfrom\n{context}", part.escape_ascii());
    }
}

#[track_caller]
fn assert_result_silent(result: &Result<Config, ConfigErrors>, secret: &str, context: &str) {
    match result {
        Ok(config) => {
            assert_silent(&format!("{config:?}\n{config:#?}"), secret, context);
            let source = config.auth.secret_source.as_ref().map(SecretSource::to_string);
            assert_silent(&source.unwrap_or_default(), secret, context);
        }
        Err(errors) => {
            assert_silent(&format!("{errors}\n{errors:?}\n{errors:#?}"), secret, context);
            for error in errors {
                assert_silent(&format!("{error}\n{error:?}"), secret, context);
            }
        }
    }
}

#[test]
fn a_configuration_shows_no_secret() {
    let fake = Fake::default().file("/etc/orders/k", SECRET.as_bytes());
    for auth in [
        format!("shared_secret = \"{SECRET}\""),
        format!("shared_secret = '''\n{SECRET}'''"),
        format!("shared_secret = \"\\u0041{SECRET}\""),
        "shared_secret_file = \"k\"".to_owned(),
        format!(
            "shared_secret = \"{SECRET}\"\naccept_secrets = [\"x{SECRET}\"]\naccept_secret_files = [\"k\"]"
        ),
        format!("enabled = false\nshared_secret = \"{SECRET}\""),
    ] {
        let text = text("", &auth, "", "");
        let result = fake.parse(&text);
        assert!(result.is_ok(), "{result:?}");
        assert_result_silent(&result, SECRET, &text);
    }
    let fake = Fake::default().variable(SECRET.as_bytes());
    let text = text("", "", "", "");
    let result = fake.parse(&text);
    assert!(result.is_ok(), "{result:?}");
    assert_result_silent(&result, SECRET, &text);
}

/// Every line that may hold a secret, wrong in every way: its syntax, its type, its place.
#[test]
fn no_error_shows_a_secret() {
    let digits = "31415926535897932384626433832795028841971";
    let base64 = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";
    for secret in [SECRET, digits, base64, &SECRET[..31], &SECRET[..8]] {
        for key in
            ["shared_secret", "accept_secrets", "shared_secret_file", "accept_secret_files", "pairwise"]
        {
            for line in [
                format!("{key} = {secret}"),
                format!("{key} = \"{secret}"),
                format!("{key} = {secret}\""),
                format!("{key} = '{secret}"),
                format!("{key} = \"\"\"{secret}"),
                format!("{key} = \"{secret}\"\""),
                format!("{key} = \"{secret}\" {secret}"),
                format!("{key} = \"{secret}\\q{secret}\""),
                format!("{key} = \"\\u{secret}\""),
                format!("{key} = \"{secret}\u{1}\""),
                format!("{key} = [\"{secret}\""),
                format!("{key} = [\"{secret}\", {secret}]"),
                format!("{key} = [\"{secret}\", 7, [\"{secret}\"], {{ a = \"{secret}\" }}]"),
                format!("{key} = {{ \"{secret}\" = \"{secret}\" }}"),
                format!("{key} = {{ a = \"{secret}\" "),
                format!("{key}.a = \"{secret}\""),
                format!("{key}.\"{secret}\" = 1"),
                format!("{key} = 1{secret}"),
                format!("{key} = 0x{secret}"),
                format!("{key} = 1.{secret}"),
                format!("{key} = 1979-05-27T{secret}"),
                format!("{key} = t{secret}"),
                format!("{key} \"{secret}\""),
                format!("{key}: \"{secret}\""),
                format!("{key} == \"{secret}\""),
                format!("{key} = \"{secret}\"\n{key} = \"{secret}\""),
                format!("{key} = \"{secret}\"\n{key}.a = \"{secret}\""),
                format!("{key} = \"{secret}\"\n[cluster.auth.{key}]\na = \"{secret}\""),
                format!("[cluster.auth.{key}]\na = \"{secret}\""),
                format!("[[cluster.auth.{key}]]\na = \"{secret}\""),
                format!("{key} = \"{secret}\""),
                format!("{key} = [\"{secret}\"]"),
                format!("{key}x = \"{secret}\""),
                format!(
                    "shared_secret = \"{secret}\"\nshared_secret_file = \"{secret}\"\npairwise = \"{secret}\""
                ),
                format!("{key} = \"{secret}\"\nmin_version = 3"),
                format!("{key} = \"{secret}\"\nmin_version = "),
            ] {
                for fake in [Fake::default(), Fake::default().variable(secret.as_bytes())] {
                    let text = text("", &line, "", "");
                    assert_result_silent(&fake.parse(&text), secret, &text);
                }
            }
        }
    }
}

/// A whole secret is not shown wherever it was put by mistake.
#[test]
fn no_error_shows_a_misplaced_secret() {
    let digits = "31415926535897932384626433832795028841971";
    let fake = Fake::default().variable(SECRET.as_bytes());
    let refused = |text: &str, secret: &str| {
        let result = fake.parse(text);
        assert!(result.is_err(), "{text}");
        assert_result_silent(&result, secret, text);
    };
    for secret in [SECRET, digits] {
        for key in ["enabled", "min_version", "version", "allow", "handshake_timeout", "max_pending"] {
            for value in [format!("\"{secret}\""), format!("[\"{secret}\"]"), secret.to_owned()] {
                refused(&text("", &format!("{key} = {value}"), "", ""), secret);
            }
        }
        for key in [
            "sealed",
            "encryption",
            "driver",
            "lanes",
            "busy_poll",
            "max_frame_size",
            "send_queue_frames",
            "x",
        ] {
            for value in [format!("\"{secret}\""), format!("[\"{secret}\"]"), secret.to_owned()] {
                refused(&text("", "", &format!("{key} = {value}"), ""), secret);
            }
        }
        refused(&text(&format!("listen = \"{secret}\""), "", "", ""), secret);
        refused(&text(&format!("\"{secret}\" = 1"), "", "", ""), secret);
        refused(&text(&format!("{secret} = 1\n{secret} = 1"), "", "", ""), secret);
        refused(&text("", "", "", &format!("role = \"{secret}\"")), secret);
        refused(&text("", "", "", &format!("{secret} = \"{secret}\"")), secret);
        refused(&format!("[{secret}]\n{}", text("", "", "", "")), secret);
        refused(&format!("[cluster]\nname = \"orders\"\nnodes = [\"{secret}\"]"), secret);
        refused(&format!("[cluster]\nname = \"orders\"\nnodes = \"{secret}\""), secret);
        refused(&format!("cluster = \"{secret}\""), secret);
    }
    refused(&text(&format!("replica_id = {digits}"), "", "", ""), digits);
}

#[test]
fn no_error_about_a_file_or_the_environment_shows_its_secret() {
    let file = text("", "shared_secret_file = \"k\"", "", "");
    let short = &SECRET[..31];
    let mut fakes = vec![
        (Fake::default().file("/etc/orders/k", short.as_bytes()), short),
        (Fake::default().file("/etc/orders/k", SECRET.as_bytes()).variable(SECRET.as_bytes()), SECRET),
        (Fake::default().variable(short.as_bytes()), short),
    ];
    for file in [FakeFile::OpenToAll, FakeFile::TooLong] {
        let mut fake = Fake::default().variable(SECRET.as_bytes());
        fake.files.insert("/etc/orders/k".into(), file);
        fakes.push((fake, SECRET));
    }
    for (fake, secret) in fakes {
        let result = fake.parse(&file);
        assert!(result.is_err(), "{result:?}");
        assert_result_silent(&result, secret, &file);
    }
}

/// Random damage to a good file: nothing panics, and no whole secret comes out.
#[test]
fn damage_neither_panics_nor_shows_a_secret() {
    let auth = format!(
        "shared_secret = \"{SECRET}\"\naccept_secrets = [\"{SECRET}\"]\nallow = [\"10.0.0.0/8\"]\n\
         handshake_timeout = \"5s\"\nmin_version = 1"
    );
    let link = "sealed = \"off\"\nmax_frame_size = \"1MiB\"\nheartbeat_interval = \"1s\"";
    let whole = text("replica_id = 0\nlisten = \"[::]:7400\"", &auth, link, "role = \"voter\"");
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).expect("below a usize")
    };
    let pieces = [
        "\"", "'", "\n", "=", ".", "[", "]", "{", "}", ",", "#", "\\", "\"\"\"", "0", "-", "é", "\u{0}", "[[",
    ];
    for round in 0..4000 {
        let mut damaged: Vec<char> = whole.chars().collect();
        for _ in 0..=random(3) {
            let at = random(damaged.len().max(1)).min(damaged.len());
            match random(4) {
                0 | 1 => drop(damaged.drain(at..(at + 1 + random(40)).min(damaged.len()))),
                2 => damaged.truncate(at + 1),
                _ => drop(damaged.splice(at..at, pieces[random(pieces.len())].chars())),
            }
        }
        let damaged: String = damaged.into_iter().collect();
        let shown = match Fake::default().parse(&damaged) {
            Ok(config) => format!("{config:?}"),
            Err(errors) => format!("{errors}\n{errors:?}"),
        };
        assert!(!shown.contains(SECRET), "round {round}:\n{damaged}\n{shown}");
    }
}

/// Every source, and every odd byte: taken as it is, and named.
#[test]
fn an_odd_byte_of_a_secret_is_named_with_its_source() {
    let odd = [
        ("\n", "ends with a newline (byte 0x0A)"),
        (" ", "ends with a space (byte 0x20)"),
        ("\t", "ends with a tab (byte 0x09)"),
        ("\r", "ends with a carriage return (byte 0x0D)"),
    ];
    let remarks = |config: Config, expected: &str| {
        let shown: Vec<String> = config.auth.secret_remarks.iter().map(ToString::to_string).collect();
        assert!(shown.len() == 1 && shown[0].starts_with(expected), "{expected}: {shown:?}");
        for shown in &shown {
            assert_silent(shown, SECRET, "a remark");
        }
        let status = replink_transport::security::SecurityStatus::of(&config, None);
        assert!(status.warnings().iter().any(|warning| warning.to_string() == shown[0]));
    };
    for (end, what) in odd {
        let secret = format!("{SECRET}{end}");
        let variable = Fake::default().variable(secret.as_bytes());
        let source = "the secret of environment variable REPLINK_CLUSTER_AUTH_SHARED_SECRET";
        remarks(variable.parse(&text("", "", "", "")).unwrap(), &format!("{source} {what}, which counts: "));
        let inline = text("", &format!("shared_secret = \"\"\"{secret}\"\"\""), "", "");
        if end != "\r" {
            let parsed = Fake::default().parse(&inline).unwrap();
            remarks(parsed, &format!("the secret of cluster.auth.shared_secret {what}"));
        }
        // One newline at the end of a file is the editor's.
        for (file, newline) in [(format!("{secret}\n"), "\n"), (format!("{secret}\r\n"), "\r\n")] {
            if end == "\r" && newline == "\n" {
                continue; // one newline, of two bytes
            }
            let fake = Fake::default().file("/etc/orders/k", file.as_bytes());
            let parsed = fake.parse(&text("", "shared_secret_file = \"k\"", "", "")).unwrap();
            remarks(parsed, &format!("the secret of file /etc/orders/k {what}"));
        }
    }
    let fake = Fake::default().file("/etc/orders/k", format!("\u{FEFF}{SECRET}\n").as_bytes());
    let accepted =
        text("", &format!("shared_secret = \"other {SECRET}\"\naccept_secret_files = [\"k\"]"), "", "");
    remarks(
        fake.parse(&accepted).unwrap(),
        "the secret of file /etc/orders/k begins with a byte order mark (byte 0xEF)",
    );
    let accepted =
        text("", &format!("shared_secret = \"other {SECRET}\"\naccept_secrets = [\" {SECRET}\"]"), "", "");
    let expected = "the secret of cluster.auth.accept_secrets[0] begins with a space (byte 0x20)";
    remarks(Fake::default().parse(&accepted).unwrap(), expected);
}

/// A pair file is text, and a byte order mark is no part of it.
#[test]
fn a_byte_order_mark_in_a_pair_file_is_named() {
    let file = "\u{FEFF}pair secrets of replica 0, app replink\n1 00\n";
    let fake = Fake::default().file("/etc/orders/k", file.as_bytes());
    let errors = fake.parse(&text("", "pairwise = \"k\"", "", "")).unwrap_err();
    let expected = "/etc/orders/k:1: begins with a byte order mark (BOM); must be saved as UTF-8 without one";
    assert!(errors.to_string().contains(expected), "{errors}");
}

#[test]
fn a_credential_of_systemd_is_found_by_its_name() {
    let auth = "shared_secret_file = \"$CREDENTIALS_DIRECTORY/cluster.key\"";
    let path = "/run/credentials/replink.service/cluster.key";
    let mut fake = Fake::default().file(path, SECRET.as_bytes());
    let shown = fake.parse(&text("", auth, "", "")).unwrap_err().to_string();
    let expected =
        "cluster.auth.shared_secret_file: begins with $CREDENTIALS_DIRECTORY, which is not set to a path; ";
    assert!(shown.contains(expected), "{shown}");
    fake.credentials = Some("/run/credentials/replink.service");
    let config = fake.parse(&text("", auth, "", "")).unwrap();
    assert_eq!(config.auth.secret_source, Some(SecretSource::File(path.into())));
    // That variable, and nothing that looks like it.
    for other in
        ["$HOME/k", "x$CREDENTIALS_DIRECTORY/k", "${CREDENTIALS_DIRECTORY}/k", "$CREDENTIALS_DIRECTORY"]
    {
        let shown = fake.parse(&text("", &format!("shared_secret_file = \"{other}\""), "", "")).unwrap_err();
        assert!(shown.to_string().contains("names a file that can't be read: no such file"), "{shown}");
    }
}
