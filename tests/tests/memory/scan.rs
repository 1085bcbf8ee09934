//! A search through all memory of this process that can be written.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// As many bytes in a row as count as a find: either half of a key.
const HALF: usize = 16;

/// Bytes to look for, masked.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    pub(crate) name: String,
    pub(crate) masked: [u8; 2 * HALF],
}

/// What a pattern is masked with: nothing that is in memory anyway.
pub(crate) fn mask(index: usize) -> u8 {
    u8::try_from((index * 89 + 57) % 251).unwrap()
}

/// Where something was found.
#[derive(Debug)]
#[allow(dead_code, reason = "they are shown")]
pub(crate) struct Found {
    pub(crate) name: String,
    /// Which half.
    half: usize,
    address: String,
    /// The line of `/proc/self/maps`.
    map: String,
}

/// A thread that searches, so that the stack of the one that asks stays as it was left.
pub(crate) struct Scanner {
    ask: Sender<Vec<Pattern>>,
    answers: Receiver<Vec<Found>>,
}

impl Scanner {
    pub(crate) fn start() -> Self {
        let (ask, asked) = channel::<Vec<Pattern>>();
        let (answer, answers) = channel();
        thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            for patterns in asked {
                let _ = answer.send(scan(&patterns, &mut buffer));
                buffer.fill(0);
            }
        });
        Self { ask, answers }
    }

    pub(crate) fn find(&self, patterns: &[Pattern]) -> Vec<Found> {
        self.ask.send(patterns.to_vec()).unwrap();
        self.answers.recv().unwrap()
    }
}

fn scan(patterns: &[Pattern], buffer: &mut [u8]) -> Vec<Found> {
    // The buffer holds what was read last: a copy of ours, and no find.
    let start = buffer.as_ptr() as usize;
    let own = start..start + buffer.len();
    let mut first = [const { Vec::new() }; 256];
    for (index, pattern) in patterns.iter().enumerate() {
        for half in [0, 1] {
            let byte = pattern.masked[half * HALF] ^ mask(half * HALF);
            first[usize::from(byte)].push((index, half));
        }
    }
    let memory = File::open("/proc/self/mem").unwrap();
    let mut found = Vec::new();
    let mut searched = 0;
    for line in fs::read_to_string("/proc/self/maps").unwrap().lines() {
        let Some(range) = private_and_writable(line) else { continue };
        // What is read overlaps, so that nothing is cut in two.
        let mut address = range.start;
        while address < range.end {
            let len = buffer.len().min(range.end - address);
            if memory.read_exact_at(&mut buffer[..len], address as u64).is_err() {
                // A thread that has just ended takes memory of its own along.
                let now = fs::read_to_string("/proc/self/maps").unwrap();
                assert!(!now.lines().any(|now| now == line), "can't be read: {line}");
                break;
            }
            searched += len;
            for offset in 0..len.saturating_sub(HALF - 1) {
                if own.contains(&(address + offset)) {
                    continue;
                }
                for &(index, half) in &first[usize::from(buffer[offset])] {
                    let masked = &patterns[index].masked[half * HALF..][..HALF];
                    let bytes = &buffer[offset..offset + HALF];
                    let is_it = (0..HALF).all(|at| bytes[at] ^ mask(half * HALF + at) == masked[at]);
                    if is_it {
                        let (name, map) = (patterns[index].name.clone(), line.to_owned());
                        found.push(Found { name, half, address: format!("{:x}", address + offset), map });
                    }
                }
            }
            if len < buffer.len() {
                break;
            }
            address += len - HALF;
        }
    }
    assert!(searched > 1 << 20, "searched {searched} bytes only");
    found
}

fn private_and_writable(line: &str) -> Option<Range<usize>> {
    let mut words = line.split_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let address = |text| usize::from_str_radix(text, 16).unwrap();
    (words.next()? == "rw-p").then(|| address(start)..address(end))
}
