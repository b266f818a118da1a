//! The Merkle tree of RFC 9162, section 2.1.1, with SHA-256: one digest that stands for an ordered list.

use crate::digest::Digest;

/// The hash of a leaf whose octets are the concatenation of `parts`.
pub(crate) fn leaf(parts: &[&[u8]]) -> Digest {
    let mut all: Vec<&[u8]> = vec![&[0]];
    all.extend_from_slice(parts);
    Digest::of_parts(&all)
}

/// The root over hashed leaves. Of an empty list it is the digest of nothing.
pub(crate) fn root(mut level: Vec<Digest>) -> Digest {
    if level.is_empty() {
        return Digest::of(&[]);
    }
    // The RFC splits at the largest power of two below n. Pairing neighbours level by level and carrying an odd last
    // node upwards builds the same tree.
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => Digest::of_parts(&[&[1], left.octets(), right.octets()]),
                single => single[0],
            })
            .collect();
    }
    level[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition in the RFC, word by word.
    fn by_definition(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => Digest::of(&[]),
            [leaf] => *leaf,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                let (left, right) = leaves.split_at(split);
                Digest::of_parts(&[&[1], by_definition(left).octets(), by_definition(right).octets()])
            }
        }
    }

    #[test]
    fn the_root_is_the_one_the_rfc_defines() {
        for length in 0..70u32 {
            let leaves: Vec<_> = (0..length).map(|n| leaf(&[&n.to_be_bytes()])).collect();
            assert_eq!(root(leaves.clone()), by_definition(&leaves), "{length}");
        }
        // Known answer: the tree of one empty leaf, SHA-256 of a single zero octet.
        assert_eq!(
            root(vec![leaf(&[])]).to_string(),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
    }
}
