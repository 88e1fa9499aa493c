//! The lists and dicts that are open while octets with counted or marked ends are walked: the stack
//! that takes the place of recursion for MessagePack and CBOR.

use smallvec::SmallVec;

/// One open list, dict or tag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// Values still to come, the keys of a dict counted as values. Of a dict with an odd number to come
    /// after this one, this one is a key. In a frame without a count it only keeps that parity.
    left: u64,
    pub(crate) kind: FrameKind,
    /// Whether a break ends it rather than a count.
    pub(crate) until_break: bool,
    /// Whether nothing has been taken from it.
    first: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// Around the one value that is walked, and around the content of a tag.
    Wrapper,
    List,
    Dict,
}

/// What [`Frame::take`] says about the value that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) key: bool,
    pub(crate) first: bool,
}

/// Open frames, outermost first. The inline part covers what real payloads nest.
pub(crate) type Frames = SmallVec<[Frame; 12]>;

impl Frame {
    pub(crate) const WRAPPER: Frame =
        Frame { left: 1, kind: FrameKind::Wrapper, until_break: false, first: true };

    #[inline]
    pub(crate) fn list(count: u64) -> Frame {
        Frame { left: count, kind: FrameKind::List, until_break: false, first: true }
    }

    /// A dict of `count` entries; `count` is at most 2^62.
    #[inline]
    pub(crate) fn dict(count: u64) -> Frame {
        Frame { left: count * 2, kind: FrameKind::Dict, until_break: false, first: true }
    }

    /// A list or dict that a break ends.
    #[inline]
    pub(crate) fn until_break(kind: FrameKind) -> Frame {
        Frame { left: u64::MAX - 1, kind, until_break: true, first: true }
    }

    /// Values still to come, the keys of a dict counted as values.
    #[inline]
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// Whether nothing is left in it. Never true of one that a break ends.
    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.left == 0
    }

    /// Whether a break may come here: not between a key and its value.
    #[inline]
    pub(crate) fn may_break(&self) -> bool {
        self.until_break && (self.kind == FrameKind::List || self.left.is_multiple_of(2))
    }

    /// Takes the next value out. The frame must not be done.
    #[inline]
    pub(crate) fn take(&mut self) -> Step {
        self.left -= 1;
        let step = Step { key: self.kind == FrameKind::Dict && self.left % 2 == 1, first: self.first };
        self.first = false;
        step
    }
}
