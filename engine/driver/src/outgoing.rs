//! What is sent: [`Outgoing`], the promise that octets stay where they are while the kernel reads them.
#![allow(unsafe_code)]

use std::io::IoSlice;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};
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

/// Sends what the kernel takes without waiting, in one call: how many octets were taken, and how many were offered.
pub(crate) fn send_now(socket: BorrowedFd<'_>, output: &impl Outgoing) -> Result<(usize, usize), Errno> {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let mut slices = output.slices().filter(|slice| !slice.is_empty());
    let first = slices.next().unwrap_or_default();
    let Some(second) = slices.next() else {
        return retried(|| send(socket, first, flags)).map(|taken| (taken, first.len()));
    };
    let mut vector = [IoSlice::new(&[]); SLICES_MAX];
    let (mut count, mut offered) = (0, 0);
    for (place, slice) in vector.iter_mut().zip([first, second].into_iter().chain(slices)) {
        *place = IoSlice::new(slice);
        count += 1;
        offered += slice.len();
    }
    let vector = &vector[..count];
    let taken = retried(|| sendmsg(socket, vector, &mut SendAncillaryBuffer::default(), flags))?;
    Ok((taken, offered))
}

fn retried<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}
