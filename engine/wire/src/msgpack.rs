//! MessagePack: validation, lazy reading, writing, and the way out of it into other serializers.

mod elements;
mod head;
mod read;
mod scan;
mod transcode;
mod write;

pub(crate) use elements::MsgPackElements;
pub(crate) use read::{MsgPackEntries, MsgPackItems, is_empty, opaque};
pub(crate) use transcode::transcode;
pub(crate) use write::MsgPackWriter;
