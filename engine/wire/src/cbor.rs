//! CBOR (RFC 8949): validation, lazy reading, writing, and the way out of it into other serializers
//! and into its own definite form.

mod elements;
mod head;
mod read;
mod scan;
mod tag;
mod transcode;
mod write;

pub(crate) use elements::CborElements;
pub(crate) use read::{CborEntries, CborItems, is_empty, opaque, text};
pub(crate) use transcode::transcode;
pub(crate) use write::CborWriter;
