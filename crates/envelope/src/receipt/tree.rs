//! The Merkle tree over a batch's events (RFC 9162, 2.1): its root, the path of each leaf, and the check of a path.
//!
//! Leaves and inner nodes are hashed with different first octets, so that neither can stand for the other. A node
//! without a sibling moves up unchanged, which gives the tree that the RFC defines by splitting.

use viereck_routing::Digest;

/// The hash of one leaf.
pub(super) fn leaf_hash(octets: &[u8]) -> Digest {
    Digest::of_parts(&[&[0], octets])
}

fn node_hash(left: &Digest, right: &Digest) -> Digest {
    Digest::of_parts(&[&[1], left.octets(), right.octets()])
}

/// A tree over at least one leaf.
pub(super) struct Tree {
    /// From the leaves up.
    levels: Vec<Vec<Digest>>,
    root: Digest,
}

impl Tree {
    /// Over the hashes of leaves; `None` without any.
    pub(super) fn over(leaves: Vec<Digest>) -> Option<Self> {
        let mut levels = vec![leaves];
        loop {
            match levels.last()?.as_slice() {
                [] => return None,
                [root] => {
                    let root = *root;
                    return Some(Self { levels, root });
                }
                below => {
                    let above = below.chunks(2).map(|pair| match pair {
                        [left, right] => node_hash(left, right),
                        _ => pair[0],
                    });
                    levels.push(above.collect());
                }
            }
        }
    }

    pub(super) fn root(&self) -> Digest {
        self.root
    }

    /// The audit path of a leaf: the siblings on its way to the root.
    pub(super) fn path(&self, index: usize) -> impl Iterator<Item = &Digest> {
        let levels = self.levels.iter().enumerate();
        levels.filter_map(move |(height, level)| level.get((index >> height) ^ 1))
    }
}

/// Whether `leaf` stands at `index` in a tree of `size` leaves with this root.
pub(super) fn path_leads_to(root: &Digest, leaf: Digest, index: u64, size: u64, path: &[Digest]) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last) = (index, size - 1);
    let mut hash = leaf;
    let mut path = path.iter();
    while last > 0 {
        if at & 1 == 1 || at < last {
            let Some(sibling) = path.next() else { return false };
            hash = if at & 1 == 1 {
                node_hash(sibling, &hash)
            } else {
                node_hash(&hash, sibling)
            };
        }
        at >>= 1;
        last >>= 1;
    }
    path.next().is_none() && hash == *root
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of RFC 9162, 2.1.1, word for word.
    fn defined_root(leaves: &[Digest]) -> Digest {
        match leaves {
            [leaf] => *leaf,
            _ => {
                let half = leaves.len().next_power_of_two() / 2;
                let (left, right) = leaves.split_at(half);
                node_hash(&defined_root(left), &defined_root(right))
            }
        }
    }

    fn leaves(count: usize) -> Vec<Digest> {
        (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
    }

    #[test]
    fn each_leaf_has_a_path_to_the_root_and_to_no_other_place() {
        assert!(Tree::over(vec![]).is_none());
        for size in 1..40 {
            let leaves = leaves(size);
            let tree = Tree::over(leaves.clone()).unwrap();
            let root = tree.root();
            assert_eq!(root, defined_root(&leaves));
            for (index, leaf) in leaves.iter().enumerate() {
                let path: Vec<Digest> = tree.path(index).copied().collect();
                let leads = |leaf, index: usize, size: usize, path: &[Digest]| {
                    path_leads_to(&root, leaf, index as u64, size as u64, path)
                };
                assert!(leads(*leaf, index, size, &path));
                assert!(!leads(leaf_hash(b"other"), index, size, &path));
                assert!(!leads(*leaf, size, size, &path));
                let other = (index + 1) % size;
                assert!(size == 1 || !leads(*leaf, other, size, &path));
                let longer: Vec<Digest> = path.iter().copied().chain([Digest::ZERO]).collect();
                assert!(!leads(*leaf, index, size, &longer));
                assert!(path.is_empty() || !leads(*leaf, index, size, &path[1..]));
            }
        }
    }

    #[test]
    fn a_node_is_no_leaf() {
        let tree = Tree::over(leaves(2)).unwrap();
        let [left, right] = [leaf_hash(&0_usize.to_be_bytes()), leaf_hash(&1_usize.to_be_bytes())];
        let node: Vec<u8> = left.octets().iter().chain(right.octets()).copied().collect();
        assert_ne!(leaf_hash(&node), tree.root());
    }
}
