//! The connection task: owns a socket, reads and parses requests, submits them as batches, writes output.
//!
//! One batch is under way at a time, so replies need no numbering. Meanwhile the socket is still read (up to
//! [`READ_AHEAD`] bytes, or the query buffer's limit while the client is blocked), which is how a disconnect is seen.
//! An idle connection holds no buffer: batches come from and return to its thread's pool.

use super::link::Delivery;
use super::threads::Local;
use super::{Batch, Close, CloseReason, Link, NetEvent, Session};
use crate::resp::{Limits, Parser, Segment, Status};
use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes read ahead while a batch is under way.
const READ_AHEAD: usize = 1 << 20;
/// Room for one read, bytes: sixteen requests with values of a kilobyte come in one, where Redis's 16 KB take two.
pub(super) const READ_SIZE: usize = 32 * 1024;
/// Most requests of a batch: a turn's other clients wait that long.
const BATCH_REQUESTS: usize = 1024;
/// Largest step by which a buffer grows towards an announced bulk: a header alone allocates no more than this.
const GROWTH_STEP: usize = 4 << 20;
/// Segments of one vectored write.
const WRITE_SEGMENTS: usize = 32;

/// One connection, as a future that ends with it.
pub struct Connection<S> {
    stream: S,
    link: Arc<Link>,
    local: Rc<Local>,
    session: Option<Session>,
    parser: Parser,
    /// Bytes read and requests parsed that are not submitted.
    current: Option<Box<Batch>>,
    /// A batch is with the actor.
    under_way: bool,
    /// The last parse ended with more to parse (full batch, or waiting for authentication).
    parse_again: bool,
    /// The request stream broke or ended; no more is read.
    ended: bool,
    /// `NetEvent::Closed` is sent.
    reported: bool,
    output: VecDeque<Segment>,
    /// Bytes of the first segment that are written.
    written: usize,
    /// Written bytes may still sit in the stream (TLS records).
    needs_flush: bool,
    /// A used output vector for the next batch to take along.
    spare: Vec<u8>,
    close: Close,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// A connection over `stream`; announces itself to the actor.
    pub fn new(stream: S, link: Arc<Link>, local: Rc<Local>) -> Self {
        local.mailbox.push(NetEvent::Opened(link.clone()));
        Self {
            stream,
            link,
            local,
            session: None,
            parser: Parser::default(),
            current: None,
            under_way: false,
            parse_again: false,
            ended: false,
            reported: false,
            output: VecDeque::new(),
            written: 0,
            needs_flush: false,
            spare: Vec::new(),
            close: Close::No,
        }
    }

    fn take_delivery(&mut self, cx: &Context<'_>) {
        if self.link.take_returned() {
            self.under_way = false;
        }
        let Some(Delivery { segments, tail, batch, session, close }) = self.link.poll_take(cx) else {
            return;
        };
        self.output.extend(segments);
        if !tail.is_empty() {
            self.output.push_back(Segment::Own(tail));
        }
        if let Some(batch) = batch {
            self.under_way = false;
            self.local.home.recycle(batch);
        }
        self.session = session.or(self.session);
        self.close = self.close.max(close);
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(first) = self.output.front() {
            let wrote = if self.output.len() == 1 {
                Pin::new(&mut self.stream).poll_write(cx, &first.as_slice()[self.written..])
            } else {
                let mut slices = [IoSlice::new(&[]); WRITE_SEGMENTS];
                let count = self.output.len().min(WRITE_SEGMENTS);
                for (slice, segment) in slices.iter_mut().zip(&self.output) {
                    *slice = IoSlice::new(segment.as_slice());
                }
                slices[0] = IoSlice::new(&first.as_slice()[self.written..]);
                Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[..count])
            };
            let n = ready!(wrote)?;
            if n == 0 && self.output.iter().any(|s| s.as_slice().len() > self.written) {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.link.written(n);
            self.link.note_write(n);
            self.advance(n);
            self.needs_flush = true;
        }
        if self.needs_flush {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.needs_flush = false;
            if self.link.take_drain_wish() {
                self.local.mailbox.push(NetEvent::Drained);
            }
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, n: usize) {
        self.written += n;
        while let Some(first) = self.output.front()
            && self.written >= first.as_slice().len()
        {
            self.written -= first.as_slice().len();
            if let Some(Segment::Own(buffer)) = self.output.pop_front()
                && self.spare.capacity() == 0
            {
                self.spare = buffer;
            }
        }
    }

    /// Reads once; `Ready(true)` when bytes came.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let batch = self.current.get_or_insert_with(|| self.local.batch());
        let missing = self.parser.missing_bytes(batch.buf.len());
        let free = batch.buf.capacity() - batch.buf.len();
        if missing > READ_SIZE && free < READ_SIZE && free < missing {
            // Twice as much at most, and no more than the request needs: it counts as the client's memory.
            batch.buf.reserve_exact(missing.min(GROWTH_STEP.max(batch.buf.len())));
        } else if free < READ_SIZE / 4 && (missing == 0 || free < missing) {
            batch.buf.reserve(READ_SIZE);
        }
        let read = tokio_util::io::poll_read_buf(Pin::new(&mut self.stream), cx, &mut batch.buf);
        if read.is_pending() && batch.buf.is_empty() {
            let batch = self.current.take().expect("it was just put there");
            self.local.give_back(batch);
        }
        let bytes = ready!(read)?;
        self.local.home.traffic().note_read(bytes);
        Poll::Ready(Ok(bytes > 0))
    }

    fn parse(&mut self) {
        let Some(batch) = &mut self.current else { return };
        if batch.error.is_some() {
            return;
        }
        let limits = Limits {
            authenticated: self.session.is_some_and(|session| session.authenticated),
            max_bulk: self.local.limits.max_bulk(),
            max_requests: BATCH_REQUESTS,
        };
        self.parse_again = false;
        match self.parser.parse(&mut batch.buf, &limits, &mut batch.requests) {
            Status::NeedsBytes => {}
            Status::Full => self.parse_again = true,
            // Only the actor knows whether the session is open, and whether the requests before this one open it.
            Status::NeedsAuth(error)
                if batch.requests.is_empty() && !self.under_way && self.session.is_some() =>
            {
                batch.error = Some(error);
                self.ended = true;
            }
            Status::NeedsAuth(_) => self.parse_again = true,
            Status::Broken(error) => {
                batch.error = Some(error);
                self.ended = true;
            }
        }
    }

    /// Submits what is complete; the unfinished rest goes to a buffer of its own.
    fn submit(&mut self) {
        let Some(Session { slot, id, .. }) = self.session else { return };
        let Some(batch) = self.take_complete(slot.0, id) else { return };
        self.under_way = true;
        self.local.mailbox.push(NetEvent::Batch(batch));
    }

    fn take_complete(&mut self, slot: u32, id: u64) -> Option<Box<Batch>> {
        let mut batch = self.current.take_if(|b| !b.requests.is_empty() || b.error.is_some())?;
        let used = self.parser.consumed();
        if used < batch.buf.len() && batch.error.is_none() {
            let mut rest = self.local.home.batch();
            rest.buf.extend_from_slice(&batch.buf[used..]);
            self.current = Some(rest);
        }
        self.parser.rebase();
        batch.slot = slot;
        batch.id = id;
        if self.spare.capacity() > 0 {
            batch.spare = std::mem::take(&mut self.spare);
        }
        Some(batch)
    }

    /// Tells the actor that no more requests come.
    fn report_end(&mut self, reason: Option<CloseReason>) {
        self.ended = true;
        let Some(Session { slot, id, .. }) = self.session else { return };
        if !self.reported {
            self.reported = true;
            let last = if reason.is_none() { self.take_complete(slot.0, id) } else { None };
            self.local.mailbox.push(NetEvent::Closed { slot, id, last, reason });
        }
    }

    fn has_complete(&self) -> bool {
        self.current.as_ref().is_some_and(|batch| !batch.requests.is_empty() || batch.error.is_some())
    }

    fn may_read(&self) -> bool {
        let held = self.current.as_ref().map_or(0, |batch| batch.buf.len());
        !self.ended && !self.parse_again && (!self.under_way || held < READ_AHEAD || self.link.is_parked())
    }

    /// Whether nothing but bytes from the peer would make the connection act, should its batch come back now.
    fn rests(&self) -> bool {
        self.output.is_empty() && !self.needs_flush && self.may_read() && !self.has_complete()
    }

    /// Reads, parses and submits until the socket is dry or the actor has to answer first.
    fn poll_requests(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.ended && !self.under_way && self.current.as_ref().is_none_or(|batch| batch.error.is_none()) {
            // The peer left before the session was known. Its requests go with the news: were they submitted alone,
            // one that blocks would wait for ever, as nothing is read any more.
            self.report_end(None);
        }
        loop {
            if self.parse_again && !self.under_way {
                self.parse();
            }
            if !self.under_way {
                self.submit();
            }
            if self.parse_again && !self.under_way && self.session.is_some() {
                continue; // the submitted part made room
            }
            if !self.may_read() {
                return Ok(());
            }
            match self.poll_read(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Ready(Ok(false)) => {
                    self.ended = true;
                    self.report_end(None);
                    return Ok(());
                }
                Poll::Ready(Ok(true)) => self.parse(),
            }
            let held = self.current.as_ref().map_or(0, |batch| batch.buf.len());
            if held > self.local.limits.query_buffer() {
                self.report_end(Some(CloseReason::QueryBuffer));
                return Ok(());
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Connection<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.take_delivery(cx);
        this.link.set_resting(false);
        if this.close == Close::Now {
            return Poll::Ready(());
        }
        let mut lost = matches!(this.poll_write(cx), Poll::Ready(Err(_)));
        if this.close == Close::AfterFlush && !lost {
            if !this.output.is_empty() || this.needs_flush {
                return Poll::Pending;
            }
            // The peer may still be sending: a plain close would reset the connection under our last reply.
            let _ = Pin::new(&mut this.stream).poll_shutdown(cx);
            return Poll::Ready(());
        }
        lost = lost || this.poll_requests(cx).is_err();
        if lost {
            this.current = None;
            this.report_end(None);
            return if this.session.is_some() { Poll::Ready(()) } else { Poll::Pending };
        }
        if this.ended && !this.reported && !this.under_way && !this.has_complete() {
            this.report_end(None); // the end came while a batch was under way, or before the session was known
        }
        let held = this.current.as_ref().map_or((0, 0), |b| (b.buf.len(), b.buf.capacity() - b.buf.len()));
        this.link.note_query_buffer(held.0, held.1);
        this.link.set_resting(this.rests());
        Poll::Pending
    }
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        // Output that is dropped unwritten counts no longer.
        let left: usize = self.output.iter().map(|s| s.as_slice().len()).sum::<usize>() - self.written;
        self.link.written(left);
        self.link.hang_up();
    }
}
