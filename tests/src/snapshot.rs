//! Text that is compared with a committed file.

use std::fmt::Write as _;
use std::path::Path;

/// Compares `actual` with the file `tests/snapshots/name`, and panics with the lines that
/// differ. With `UPDATE_SNAPSHOTS=1` in the environment it writes the file instead.
pub fn check(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots").join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some_and(|value| value == "1") {
        std::fs::write(&path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    if let Some(difference) = diff(&expected, actual) {
        let path = path.display();
        panic!("{path} has changed; UPDATE_SNAPSHOTS=1 accepts what is new:\n{difference}");
    }
}

/// The lines that differ, `-` for expected and `+` for actual, each block under the last
/// `[section]` line before it; `None` if the texts are the same.
pub fn diff(expected: &str, actual: &str) -> Option<String> {
    if expected == actual {
        return None;
    }
    let (old, new): (Vec<_>, Vec<_>) = (expected.lines().collect(), actual.lines().collect());
    let common = common_suffixes(&old, &new);
    let (mut i, mut j, mut section, mut shown) = (0, 0, "", "");
    let mut text = String::new();
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            if old[i].starts_with('[') {
                section = old[i];
            }
            (i, j) = (i + 1, j + 1);
            continue;
        }
        if section != shown {
            shown = section;
            writeln!(text, "  {section}").unwrap();
        }
        if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            writeln!(text, "- {}", old[i]).unwrap();
            i += 1;
        } else {
            writeln!(text, "+ {}", new[j]).unwrap();
            j += 1;
        }
    }
    if text.is_empty() {
        text.push_str("  the line ends differ\n");
    }
    Some(text)
}

/// Length of the longest common subsequence of `old[i..]` and `new[j..]`, at `[i][j]`.
fn common_suffixes(old: &[&str], new: &[&str]) -> Vec<Vec<usize>> {
    let mut common = vec![vec![0; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = if old[i] == new[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    common
}

#[cfg(test)]
mod tests {
    use super::diff;

    #[test]
    fn shows_the_lines_that_differ_and_their_section() {
        let old = "[a]\n1\n2\n[b]\n3\n4\n";
        let new = "[a]\n1\n2\n[b]\n3\nfour\n5\n";
        assert_eq!(diff(old, old), None);
        assert_eq!(diff(old, new).unwrap(), "  [b]\n- 4\n+ four\n+ 5\n");
        assert_eq!(diff("a\r\n", "a\n").unwrap(), "  the line ends differ\n");
    }
}
