//! A socket in two halves: the connection task reads, and task and actor both write.
//!
//! Where both live on one thread, the actor writes a reply to the socket itself when nothing is queued before it: the
//! task need not be woken and run for that. One TLS record layer cannot be shared so; such streams stay whole.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream, tcp, unix};

/// The writing half of a plain socket; its calls never wait.
pub(super) trait WriteHalf: Send + Sync {
    /// Waits for room in the socket's buffer.
    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// Writes what fits; `WouldBlock` when nothing does.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Likewise, from several buffers.
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Ends the stream towards the peer.
    fn shut_down(&self) -> io::Result<()>;
}

macro_rules! write_half {
    ($half:ty) => {
        impl WriteHalf for $half {
            fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.as_ref().poll_write_ready(cx)
            }

            fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
                self.as_ref().try_write(bytes)
            }

            fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
                self.as_ref().try_write_vectored(slices)
            }

            fn shut_down(&self) -> io::Result<()> {
                socket2::SockRef::from(self.as_ref()).shutdown(std::net::Shutdown::Write)
            }
        }
    };
}

write_half!(tcp::OwnedWriteHalf);
write_half!(unix::OwnedWriteHalf);

/// A writing half that a connection and its link hold.
#[derive(Clone)]
pub(super) struct Writer(Arc<dyn WriteHalf>);

impl Writer {
    /// Writes what fits now; 0 when nothing does or the socket is broken, which its task then finds out.
    pub fn write_now(&self, bytes: &[u8]) -> usize {
        self.0.try_write(bytes).unwrap_or(0)
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

/// A plain socket whose writing half is shared.
pub(super) struct Duplex<R> {
    reader: R,
    writer: Writer,
}

impl Duplex<tcp::OwnedReadHalf> {
    pub fn tcp(stream: TcpStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self { reader, writer: Writer(Arc::new(writer)) }
    }
}

impl Duplex<unix::OwnedReadHalf> {
    pub fn unix(stream: UnixStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self { reader, writer: Writer(Arc::new(writer)) }
    }
}

impl<R> Duplex<R> {
    /// The half to lend to the link.
    pub fn writer(&self) -> Writer {
        self.writer.clone()
    }

    /// Tries to write until the socket takes something or has to be waited for.
    fn poll_with(
        &self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&dyn WriteHalf) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.writer.0.poll_write_ready(cx))?;
            match write(&*self.writer.0) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Duplex<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(cx, buf)
    }
}

impl<R: Unpin> AsyncWrite for Duplex<R> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_with(cx, |half| half.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_with(cx, |half| half.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.writer.0.shut_down())
    }
}
