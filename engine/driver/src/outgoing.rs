//! What is sent: [`Outgoing`], the promise that octets stay where they are while the kernel reads them.
#![allow(unsafe_code)]

use wampline_shard::Output;

/// The most slices that one send takes.
pub(crate) const SLICES_MAX: usize = 64;

/// Something to send.
///
/// # Safety
/// The octets that [`Outgoing::slices`] gives must stay valid and in place until they are advanced over or the value is
/// dropped, also when the value itself is moved: they may not be stored inside it.
pub(crate) unsafe trait Outgoing: 'static {
    /// What is still to be sent, in order, as at most 64 slices.
    fn slices(&self) -> impl Iterator<Item = &[u8]>;
    /// Marks the first `octets` as sent.
    fn advance(&mut self, octets: usize);
    /// Whether everything has been sent.
    fn is_empty(&self) -> bool;
}

// SAFETY: `Output` promises that its octets do not move while it exists; it holds owned chunks and counted frames.
unsafe impl Outgoing for Output {
    fn slices(&self) -> impl Iterator<Item = &[u8]> {
        Output::slices(self)
    }
    fn advance(&mut self, octets: usize) {
        Output::advance(self, octets);
    }
    fn is_empty(&self) -> bool {
        Output::is_empty(self)
    }
}
