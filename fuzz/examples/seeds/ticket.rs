//! Of the target `ticket`.

/// Every kind of link with every amount of use; each field changed in every way, signed anew and not; and everything
/// that can be otherwise where it is redeemed.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for kind in 0..8_u8 {
        // Sent, received, sealed, opened, and which ticket of the transfer.
        for uses in [[0, 0, 0, 0, 0], [1, 2, 1, 2, 1], [2, 1, 3, 4, 2], [0, 0, 4, 5, 0], [1, 1, 5, 3, 0]] {
            let head = [&[kind][..], &uses].concat();
            seeds.push([&head[..], &[0, 0, 0]].concat());
            // What is otherwise where it is redeemed, and who redeems.
            for bit in 0..if uses[4] == 0 { 0 } else { 8 } {
                seeds.push([&head[..], &[0, 1 << bit, 0]].concat());
                seeds.push([&head[..], &[0, 0, 1 << bit]].concat());
                seeds.push([&head[..], &[0, 1, 1 << bit]].concat());
            }
            seeds.push([&head[..], &[0, 6 << 5, 100, 0]].concat());
            seeds.push([&head[..], &[0, 7 << 5, 100, 0]].concat());
        }
        for field in (0..23).filter(|field| kind < 4 || (field + kind) % 3 == 0) {
            for (value, way) in [(0, 1), (1, 2), (1, 0), (0x90, 3), (0, 4), (1, 4), (2, 4), (3, 4), (9, 5)] {
                for signed in [0, 1] {
                    let edit = [1, field, value, way];
                    seeds.push([&[kind, 1, 1, 1, 1, 0][..], &edit, &[signed, 0]].concat());
                }
            }
        }
    }
    seeds
}
