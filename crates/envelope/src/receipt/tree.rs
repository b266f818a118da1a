//! The Merkle tree over a batch's events (RFC 9162, 2.1): its root, the path of each leaf, and the check of a path.
//!
//! Leaves and inner nodes are hashed with different first octets, so that neither can stand for the other.

use viereck_routing::Digest;

/// The position of a leaf in its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// From 0.
    pub index: u64,
    /// The number of leaves of the tree.
    pub tree_size: u64,
}

/// The hash of one leaf.
pub(super) fn leaf_hash(octets: &[u8]) -> Digest {
    Digest::of_parts(&[&[0], octets])
}

fn node_hash(left: &Digest, right: &Digest) -> Digest {
    Digest::of_parts(&[&[1], left.octets(), right.octets()])
}

/// The largest power of two smaller than `n`, for `n` of at least 2.
fn split(n: usize) -> usize {
    1 << (usize::BITS - 1 - (n - 1).leading_zeros())
}

/// The root over leaf hashes; the root of no leaves is the hash of nothing.
pub(super) fn root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of(&[]),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(&root(left), &root(right))
        }
    }
}
