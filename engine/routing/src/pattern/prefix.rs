//! Prefix patterns: a path-compressed tree over octets.
//!
//! Owns the patterns of policy `prefix` and finds all that are prefixes of a URI, longest first.
//!
//! Invariants: a node stands for a string, which it holds. Its children's strings extend it and differ from each
//! other in the octet at its depth. Every node but the root is an entry or has at least two children, so there are
//! at most two nodes per entry, and at most twice the octets of the entries.
//!
//! Descending looks at one octet per node and skips what lies between. The strings of the nodes passed are prefixes
//! of the last one's, so comparing that one with the URI tells how far all of them match: cost is bounded by the
//! length of the URI, and no entry's string is touched unless it was reached.

use slab::Slab;
use smallvec::SmallVec;

type NodeId = u32;
const NONE: NodeId = NodeId::MAX;

/// See the module.
#[derive(Debug)]
pub(super) struct PrefixTree<T> {
    nodes: Slab<Node<T>>,
    root: NodeId,
    entries: usize,
}

#[derive(Debug)]
struct Node<T> {
    /// Length in octets of the node's string.
    depth: usize,
    parent: NodeId,
    /// By the octet at `depth`, ascending.
    children: SmallVec<[(u8, NodeId); 3]>,
    content: Content<T>,
}

#[derive(Debug)]
enum Content<T> {
    /// Where strings part; not always between characters.
    Branch(Box<[u8]>),
    Entry(Box<str>, T),
}

/// The prefixes of one URI, longest first.
#[derive(Debug)]
pub(super) struct Prefixes<'a, T> {
    tree: &'a PrefixTree<T>,
    next: NodeId,
    /// No longer entry matches.
    matched: usize,
}

/// Where a string would be in the tree.
struct Position {
    /// The last node whose string is a prefix of the string that is sought.
    above: NodeId,
    /// The child of `above` in whose direction the sought string goes on, and how many octets their strings have
    /// in common: more than the depth of `above`, fewer than the depth of this child.
    below: Option<(NodeId, usize)>,
}

impl<T> PrefixTree<T> {
    pub(super) fn new() -> PrefixTree<T> {
        PrefixTree { nodes: Slab::new(), root: NONE, entries: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.entries
    }

    pub(super) fn get(&self, key: &str) -> Option<&T> {
        self.find(key).and_then(|id| self.node(id).entry()).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut T> {
        let id = self.find(key)?;
        match &mut self.node_mut(id).content {
            Content::Entry(_, value) => Some(value),
            Content::Branch(_) => None,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.nodes.iter().filter_map(|(_, node)| node.entry())
    }

    /// The entries that are prefixes of `uri`, longest first.
    pub(super) fn prefixes_of(&self, uri: &str) -> Prefixes<'_, T> {
        let next = self.descend(uri.as_bytes());
        let matched = if next == NONE { 0 } else { common(self.node(next).octets(), uri.as_bytes()) };
        Prefixes { tree: self, next, matched }
    }

    pub(super) fn insert(&mut self, key: &str, value: T) -> Option<T> {
        if self.root == NONE {
            self.root = self.add(NONE, Content::Branch(Box::default()));
        }
        let octets = key.as_bytes();
        let Position { above, below } = self.position(octets);
        let parent = match below {
            Some((child, shared)) => self.split(above, child, shared),
            None => above,
        };
        if self.node(parent).depth < octets.len() {
            self.add_leaf(parent, key, value);
            return None;
        }
        match &mut self.node_mut(parent).content {
            Content::Entry(_, held) => Some(std::mem::replace(held, value)),
            branch => {
                *branch = Content::Entry(key.into(), value);
                self.entries += 1;
                None
            }
        }
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<T> {
        let id = self.find(key)?;
        let content = &mut self.node_mut(id).content;
        match std::mem::replace(content, Content::Branch(Box::default())) {
            Content::Entry(key, value) => {
                *content = Content::Branch(key.into_boxed_bytes());
                self.entries -= 1;
                self.collapse(id);
                Some(value)
            }
            branch => {
                *content = branch;
                None
            }
        }
    }

    /// The number of nodes: none when there are no entries.
    #[cfg(test)]
    pub(super) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Asserts the invariants of the module.
    #[cfg(test)]
    pub(super) fn assert_invariants(&self) {
        let mut entries = 0;
        for (id, node) in &self.nodes {
            let is_root = id as NodeId == self.root;
            entries += usize::from(node.entry().is_some());
            assert_eq!(node.depth, node.octets().len());
            assert_eq!(node.parent == NONE, is_root);
            assert!(is_root && self.entries > 0 || node.entry().is_some() || node.children.len() > 1);
            assert!(node.children.is_sorted_by(|(a, _), (b, _)| a < b));
            for &(octet, child) in &node.children {
                let child = self.node(child);
                assert_eq!(child.parent, id as NodeId);
                assert!(child.octets().starts_with(node.octets()) && child.octets()[node.depth] == octet);
            }
        }
        assert_eq!(entries, self.entries);
    }

    fn node(&self, id: NodeId) -> &Node<T> {
        &self.nodes[id as usize]
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node<T> {
        &mut self.nodes[id as usize]
    }

    /// The node with exactly this string.
    fn find(&self, key: &str) -> Option<NodeId> {
        let id = self.descend(key.as_bytes());
        (id != NONE && self.node(id).octets() == key.as_bytes()).then_some(id)
    }

    /// The deepest node that octets at branching positions lead to; what lies between is not compared.
    fn descend(&self, octets: &[u8]) -> NodeId {
        let mut id = self.root;
        while id != NONE {
            match self.node(id).toward(octets).filter(|&child| self.node(child).depth <= octets.len()) {
                Some(child) => id = child,
                None => break,
            }
        }
        id
    }

    /// Where a string is or belongs; the tree must have a root.
    fn position(&self, octets: &[u8]) -> Position {
        let matched = common(self.node(self.descend(octets)).octets(), octets);
        let mut above = self.root;
        loop {
            let Some(child) = self.node(above).toward(octets) else { return Position { above, below: None } };
            if self.node(child).depth > matched {
                let shared = common(self.node(child).octets(), octets);
                return Position { above, below: Some((child, shared)) };
            }
            above = child;
        }
    }

    fn add(&mut self, parent: NodeId, content: Content<T>) -> NodeId {
        let mut node = Node { depth: 0, parent, children: SmallVec::new(), content };
        node.depth = node.octets().len();
        NodeId::try_from(self.nodes.insert(node)).expect("invariant: fewer than 2^32 nodes fit into memory")
    }

    fn add_leaf(&mut self, parent: NodeId, key: &str, value: T) {
        let leaf = self.add(parent, Content::Entry(key.into(), value));
        self.entries += 1;
        let node = self.node_mut(parent);
        let octet = key.as_bytes()[node.depth];
        let index = node.children.partition_point(|&(other, _)| other < octet);
        node.children.insert(index, (octet, leaf));
    }

    /// Puts a node of this depth, which lies between theirs, between a node and its child.
    fn split(&mut self, above: NodeId, child: NodeId, depth: usize) -> NodeId {
        let octets = self.node(child).octets();
        let (octet, shared) = (octets[depth], octets[..depth].into());
        let middle = self.add(above, Content::Branch(shared));
        self.node_mut(middle).children.push((octet, child));
        self.node_mut(child).parent = middle;
        self.node_mut(above).replace_child(child, middle);
        middle
    }

    /// Restores the invariant at a node that is no entry any more.
    fn collapse(&mut self, id: NodeId) {
        let node = self.node(id);
        let (parent, children) = (node.parent, node.children.len());
        if parent == NONE {
            if children == 0 {
                self.nodes = Slab::new();
                self.root = NONE;
            }
            return;
        }
        if children > 1 {
            return;
        }
        if let Some(&(_, child)) = node.children.first() {
            self.node_mut(child).parent = parent;
            self.node_mut(parent).replace_child(id, child);
        } else {
            self.node_mut(parent).remove_child(id);
        }
        self.nodes.remove(id as usize);
        // The parent may have become superfluous in turn; its own parent does not change then, unless it is the
        // root that lost its last child.
        if self.node(parent).entry().is_none() {
            self.collapse(parent);
        }
    }
}

impl<T> Node<T> {
    fn octets(&self) -> &[u8] {
        match &self.content {
            Content::Branch(octets) => octets,
            Content::Entry(key, _) => key.as_bytes(),
        }
    }

    fn entry(&self) -> Option<(&str, &T)> {
        match &self.content {
            Content::Branch(_) => None,
            Content::Entry(key, value) => Some((key, value)),
        }
    }

    /// The child in whose direction a string goes on that has this node's string as its prefix.
    fn toward(&self, octets: &[u8]) -> Option<NodeId> {
        let octet = *octets.get(self.depth)?;
        let index = self.children.binary_search_by_key(&octet, |&(octet, _)| octet).ok()?;
        Some(self.children[index].1)
    }

    fn remove_child(&mut self, old: NodeId) {
        self.children.retain(|&mut (_, child)| child != old);
        if self.children.len() * 4 <= self.children.capacity() {
            self.children.shrink_to_fit();
        }
    }

    fn replace_child(&mut self, old: NodeId, new: NodeId) {
        for (_, child) in &mut self.children {
            if *child == old {
                *child = new;
            }
        }
    }
}

impl<'a, T> Iterator for Prefixes<'a, T> {
    type Item = (&'a str, &'a T);

    fn next(&mut self) -> Option<(&'a str, &'a T)> {
        while self.next != NONE {
            let node = self.tree.node(self.next);
            self.next = node.parent;
            if node.depth <= self.matched
                && let Some(entry) = node.entry()
            {
                return Some(entry);
            }
        }
        None
    }
}

/// How many octets the two have in common from the start.
fn common(a: &[u8], b: &[u8]) -> usize {
    let length = a.len().min(b.len());
    let words = a.chunks_exact(8).zip(b.chunks_exact(8)).take_while(|(a, b)| a == b).count();
    let rest = (words * 8..length).take_while(|&at| a[at] == b[at]).count();
    words * 8 + rest
}
