//! JSON (RFC 8259): validation, lazy reading, writing, and the way out of it into other serializers.
//!
//! A message is checked once as UTF-8 and then scanned once; everything after that reads spans that
//! the scan has accepted. Binary values travel as strings of U+0000 and base64 (advanced profile,
//! "Binary support in JSON").

mod block;
mod elements;
mod number;
mod read;
mod scan;
mod special;
mod string;
mod transcode;
mod write;

pub(crate) use elements::JsonElements;
pub(crate) use read::{JsonEntries, JsonItems, is_empty, opaque};
pub(crate) use transcode::transcode;
pub(crate) use write::JsonWriter;
