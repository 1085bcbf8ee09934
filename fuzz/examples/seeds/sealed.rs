//! Of the target `sealed`.

/// Frames of all sizes, sealed by the codec and written in each way, or cut anywhere; arriving in each way; and each
/// thing that someone does on the way, at each kind of place.
pub fn seeds() -> Vec<Vec<u8>> {
    // Length, shift, whether near the size from which on a body has memory of its own, how often.
    let send = |len: u8, shift: u8, near: u8, times: u8| vec![0, len, shift, near, times];
    let write = |most: u8, shift: u8, slots: u8| vec![6, most, shift, slots];
    let all = write(255, 11, 64);
    // Lent, until it is written and until the next write; and after memory was let go.
    let lend = |way: u8, most: u8, shift: u8| write(most, shift, 65 * way + 20);
    let scripts = [
        [send(0, 0, 1, 0), all.clone(), send(9, 0, 1, 4), all.clone(), send(1, 0, 1, 0), all.clone()]
            .concat(),
        [send(7, 1, 1, 6), vec![3], send(127, 0, 0, 4), vec![4, 9], all.clone(), send(128, 0, 0, 4)].concat(),
        // Several large ones, written in small parts.
        [send(0, 0, 1, 5), write(100, 0, 3), send(200, 10, 1, 1), write(200, 9, 5), vec![5, 0]].concat(),
        [send(255, 10, 1, 1), write(33, 3, 1), vec![3, 3, 4, 0], send(1, 0, 1, 1)].concat(),
        [
            send(7, 1, 1, 6),
            lend(1, 50, 3),
            lend(2, 0, 0),
            send(200, 10, 1, 0),
            lend(2, 77, 7),
            lend(3, 99, 9),
        ]
        .concat(),
        // More than a record of them at once.
        [send(250, 4, 1, 5), vec![3], all.clone(), send(3, 0, 1, 7)].concat(),
    ];
    // Three lengths of records.
    let cuts: [[u8; 6]; 4] =
        [[255, 8, 255, 9, 99, 9], [99, 0, 3, 7, 0, 0], [0, 0, 0, 0, 0, 0], [128, 9, 200, 6, 255, 0]];
    let mut seeds = Vec::new();
    for (index, script) in scripts.iter().enumerate() {
        for choice in 0..4_u8 {
            let cut =
                if choice & 2 == 0 { &[][..] } else { &cuts[(index + usize::from(choice)) % cuts.len()] };
            let head = |chunks: [u8; 6]| [&[choice][..], &chunks, cut].concat();
            let plain = head([255, 11, 100, 3, 17, 0]);
            let stop = [8];
            let done = |edits: &[u8]| [&plain[..], script, &stop, edits].concat();
            seeds.push(done(&[0]));
            // Every way of giving, with everything that is done besides.
            for way in (0..21).filter(|way| way % 4 == choice) {
                let chunks = [0, 7, 14].map(|more| 12 * ((way + more) % 21));
                let head = head([255, 11 + chunks[0], 100, 3 + chunks[1], 17, chunks[2]]);
                seeds.push([&head[..], script, &stop, &[0]].concat());
            }
            // Kind, which record, fine, where in it.
            for (kind, which) in (0..9).flat_map(|kind| [(kind, 0), (kind, 1), (kind, 2)]) {
                let fine = [0, 1, 6][usize::from(which)];
                let edit = [kind + 9 * which * 7, which, 0, fine, 9 * which, 3];
                seeds.push(done(&[&[1][..], &edit, &[0]].concat()));
            }
        }
    }
    // Every cut, with a step to the next secret among them.
    for cut in cuts {
        let script = [send(200, 3, 1, 1), vec![3], all.clone(), send(9, 0, 1, 4)].concat();
        seeds.push([&[2, 255, 11, 100, 3, 17, 0], &cut[..], &script, &[8, 0]].concat());
        seeds.push([&[3, 255, 11, 100, 3, 17, 0], &cut[..], &script, &[8, 1, 1, 2, 0, 0]].concat());
    }
    // What no honest end sends in a record: handshake frames and a refusal, first and not; headers with a change.
    for base in 0..5 {
        for change in [&[0][..], &[1, 3, 2, 1], &[1, 8, 2, 1], &[1, 6, 2, 248], &[1, 2, 1, 0, 1]] {
            let stray = [&[7, base], change].concat();
            for first in [Vec::new(), send(9, 0, 1, 0)] {
                let script = [&first[..], &stray, &send(1, 0, 1, 0)].concat();
                seeds.push([&[3, 255, 11, 0, 0, 0, 0], &cuts[0][..], &script, &[8, 0]].concat());
            }
        }
    }
    // A refusal in clear: genuine, changed in each of its fields, of another kind, and in another place; and only the
    // beginning of one.
    for fields in
        [&[0][..]].into_iter().map(<[u8]>::to_vec).chain((0..26).map(|field| vec![1, field, 1, 2, 1]))
    {
        for (fine, which) in [(0, 0), (2, 0), (3, 0), (4, 1)] {
            for choice in [0, 1] {
                let head = [choice, 255, 11, 100, 3, 17, 0];
                let edit = [&[1, 8, which, 0, fine], &fields[..]].concat();
                seeds.push([&head[..], &scripts[0], &[8], &edit].concat());
            }
        }
    }
    seeds.push([&[1, 20, 0, 0, 0, 0, 0], &scripts[0][..], &[8, 2, 8, 0, 0, 0, 0, 5, 0, 0, 0, 9, 9]].concat());
    seeds
}
