//! Of the target `inbound`.

/// Frames of every size, control frames, and every violation, arriving in every way.
pub fn seeds() -> Vec<Vec<u8>> {
    // Command, and two bytes for the length of the body.
    let frame = |fine: u8, kind: u8| vec![0, 6, fine, kind];
    let changed = |fine: u8, kind: u8, change: &[u8]| [&[2, 6, fine, kind, 1], change].concat();
    let frames: Vec<u8> = (0..9).filter(|&kind| kind != 5).flat_map(|kind| frame(100, kind)).collect();
    let controls = [&[3, 0][..], &[3, 1, 7, 0, 0, 0, 0, 0, 0, 0], &[3, 2, 1]].concat();
    let by_hand: Vec<u8> = (0..3).flat_map(|command| [4, command, 1, 0, 0]).collect();
    let again = |times: u8| [7, times];
    let write = |len: u16| [&[8, 7][..], &len.to_le_bytes()].concat();
    // Lent for as long as the write takes, and until the next one; after memory was let go.
    let lend = |way: u8, len: u16| [&[8, 70 * way + 8][..], &len.to_le_bytes()].concat();
    let scripts = [
        frames.clone(),
        [&frames[..], &controls, &frames].concat(),
        [&controls[..], &by_hand].concat(),
        [&frame(0, 0)[..], &again(255), &write(1000), &frame(9, 1)].concat(),
        [&frame(200, 2)[..], &again(20), &write(60_000), &controls].concat(),
        [&frame(0, 3)[..], &again(40), &write(777)].concat(),
        [&frame(128, 3)[..], &frame(127, 3), &frame(1, 1), &again(3)].concat(),
        [&frame(10, 7)[..], &frame(1, 1), &frame(200, 7), &again(1)].concat(),
        [&frame(0, 4)[..], &frame(1, 4), &frame(0, 5), &frame(1, 5)].concat(),
        [&frame(128, 6)[..], &again(9), &frame(128, 8), &again(30)].concat(),
        // A wrong size, cluster, command, reserved byte; before and after the signature.
        [&frame(5, 1)[..], &changed(5, 1, &[3, 1, 1, 255]), &frame(5, 1)].concat(),
        [&frame(5, 1)[..], &changed(5, 1, &[2, 1, 0, 1])].concat(),
        [&frame(5, 1)[..], &changed(5, 1, &[6, 2, 249])].concat(),
        [&frame(5, 1)[..], &changed(5, 1, &[8, 2, 1])].concat(),
        [&controls[..], &[4, 0, 1, 1, 12, 1, 9, 1, 0]].concat(),
        [&controls[..], &[4, 0, 1, 1, 7, 2, 9, 0]].concat(),
        [&controls[..], &[4, 0, 1, 0, 1, 12, 1, 9, 1]].concat(),
        [&controls[..], &[4, 0, 0, 0, 0]].concat(),
        // A late reject, first and not; a handshake frame.
        vec![5, 0, 9, 250, 0, 0, 0, 0],
        vec![5, 0, 11, 0, 0, 0, 0, 1, 12, 1, 9, 1],
        [&frame(5, 1)[..], &[5, 0, 11, 0, 0, 0, 0, 0]].concat(),
        [&frame(5, 1)[..], &[5, 3, 0]].concat(),
        // Garbage, and an end within a frame.
        [&frame(5, 1)[..], &[6, 4, 1, 2, 3, 4], &frame(5, 1)].concat(),
        [&frame(5, 3)[..], &[9, 77]].concat(),
        [&frame(5, 1)[..], &[9, 77]].concat(),
        // What is queued while other frames are lent.
        [&frame(5, 1)[..], &lend(1, 77), &lend(2, 0), &frames, &controls, &lend(0, 900), &frame(0, 3)]
            .concat(),
        [
            &frame(5, 1)[..],
            &again(9),
            &lend(2, 0),
            &frame(3, 4),
            &lend(3, 60_000),
            &lend(3, 60_000),
            &frame(1, 8),
        ]
        .concat(),
        // More than may wait.
        [&frame(5, 1)[..], &[73, 0], &again(20), &[73, 1, 0, 0, 0, 0, 0, 0, 0, 0], &write(500), &[73, 2, 3]]
            .concat(),
    ];
    // Chunks: everything, small, large, around a large body, around the read-ahead, about a header.
    let chunks: [[u8; 6]; 6] = [
        [0, 0, 0, 0, 0, 0],
        [1, 0, 1, 30, 1, 255],
        [2, 15, 2, 63, 2, 255],
        [3, 126, 3, 128, 1, 0],
        [4, 128, 4, 127, 1, 3],
        [5, 128, 5, 127, 5, 129],
    ];
    let choices = [0b0000_0000, 0b0011_0010, 0b0010_0111, 0b0001_1000, 0b1110_1000, 0b1100_0101];
    let limits = [(4, 0), (7, 0), (4, 0b01010), (6, 0b11100), (2, 0b10001), (3, 0b00110)];
    let mut seeds = Vec::new();
    for (index, script) in scripts.iter().enumerate() {
        for (turn, (limit, queue)) in limits.into_iter().enumerate() {
            // Every way of giving, with everything that is done besides.
            let ways = |at: usize| {
                let mut chunks = chunks[at % 6];
                for (place, kind) in chunks.iter_mut().step_by(2).enumerate() {
                    *kind += 6 * (((at + 3 * index + place * turn) % 7 + 7 * (index % 6)) % 42) as u8;
                }
                chunks
            };
            let style = |at: usize| [&ways(at)[..], &[choices[(at + index) % 6]]].concat();
            let ends = ((index + turn) % 4) as u8;
            let pair = [&[ends][..], &style(turn), &style(turn + index + 1), &[limit, queue]].concat();
            seeds.push([&pair[..], script].concat());
        }
    }
    seeds
}
