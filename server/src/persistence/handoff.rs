//! Bounded queues between the actor and a helper thread that does slow work for it.
//!
//! The actor never waits: where a queue is full or empty it goes on with its clients and is woken by a message once
//! there is something to do. The helper thread waits, which is its purpose: a slow disk or a slow replica slows down
//! whoever feeds it, and nobody else. A message is sent only when the actor has said that it waits for one.

use crate::server::Internal;
use common::net::Mailbox;
use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError, bounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// The actor's wish to be woken, and the way to do it.
#[derive(Clone, Debug)]
struct Wish {
    wanted: Arc<AtomicBool>,
    mailbox: Mailbox<Internal>,
}

impl Wish {
    fn new(mailbox: &Mailbox<Internal>) -> Self {
        Self { wanted: Arc::default(), mailbox: mailbox.clone() }
    }

    /// The actor: wake me. It looks at the queue once more after this.
    fn make(&self) {
        self.wanted.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The thread, after it changed the queue.
    fn fulfil(&self) {
        fence(Ordering::SeqCst);
        if self.wanted.load(Ordering::Relaxed) && self.wanted.swap(false, Ordering::Relaxed) {
            self.mailbox.push(Internal::Wake);
        }
    }
}

/// The actor's end of a queue towards a thread.
#[derive(Debug)]
pub struct ToThread<T>(Sender<T>, Wish);

/// The thread's end.
#[derive(Debug)]
pub struct FromActor<T>(Receiver<T>, Wish);

/// A queue of at most `len` pieces towards a thread.
pub fn to_thread<T>(len: usize, mailbox: &Mailbox<Internal>) -> (ToThread<T>, FromActor<T>) {
    let (sender, receiver) = bounded(len);
    let wish = Wish::new(mailbox);
    (ToThread(sender, wish.clone()), FromActor(receiver, wish))
}

impl<T> ToThread<T> {
    /// Gives a piece to the thread. `Err` returns it: the queue is full, [`Internal::Wake`] will come when it is not.
    /// A piece for a thread that is gone is dropped; its report tells why.
    pub fn offer(&self, piece: T) -> Result<(), T> {
        let piece = match self.0.try_send(piece) {
            Err(TrySendError::Full(piece)) => piece,
            _ => return Ok(()),
        };
        self.1.make();
        match self.0.try_send(piece) {
            Err(TrySendError::Full(piece)) => Err(piece),
            _ => Ok(()),
        }
    }
}

impl<T> FromActor<T> {
    /// Waits for the next piece; `None` when the actor has dropped its end.
    pub fn next(&self) -> Option<T> {
        let piece = self.0.recv().ok();
        self.1.fulfil();
        piece
    }
}

/// The thread's end of a queue towards the actor.
#[derive(Debug)]
pub struct ToActor<T>(Option<Sender<T>>, Wish);

/// The actor's end.
#[derive(Debug)]
pub struct FromThread<T>(Receiver<T>, Wish);

/// A queue of at most `len` pieces towards the actor.
pub fn to_actor<T>(len: usize, mailbox: &Mailbox<Internal>) -> (ToActor<T>, FromThread<T>) {
    let (sender, receiver) = bounded(len);
    let wish = Wish::new(mailbox);
    (ToActor(Some(sender), wish.clone()), FromThread(receiver, wish))
}

/// The actor has lost interest.
#[derive(Debug)]
pub struct Gone;

impl<T> ToActor<T> {
    /// Gives a piece to the actor; waits while the queue is full.
    ///
    /// # Errors
    /// When the actor has dropped its end.
    pub fn give(&self, piece: T) -> Result<(), Gone> {
        let sent = self.0.as_ref().ok_or(Gone)?.send(piece);
        self.1.fulfil();
        sent.map_err(|_| Gone)
    }
}

impl<T> Drop for ToActor<T> {
    fn drop(&mut self) {
        // The end of the queue is news as well; it must be visible before the wish is looked at.
        self.0 = None;
        self.1.fulfil();
    }
}

/// What [`FromThread::take`] found.
#[derive(Debug)]
pub enum Taken<T> {
    /// The next piece.
    Piece(T),
    /// Nothing yet: [`Internal::Wake`] will come.
    Nothing,
    /// The thread has ended and everything was taken.
    End,
}

impl<T> FromThread<T> {
    /// The next piece, if it is there.
    pub fn take(&self) -> Taken<T> {
        match self.0.try_recv() {
            Ok(piece) => return Taken::Piece(piece),
            Err(TryRecvError::Disconnected) => return Taken::End,
            Err(TryRecvError::Empty) => self.1.make(),
        }
        match self.0.try_recv() {
            Ok(piece) => Taken::Piece(piece),
            Err(TryRecvError::Disconnected) => Taken::End,
            Err(TryRecvError::Empty) => Taken::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_actor_is_woken_for_what_it_waits_for() {
        let mailbox = Mailbox::default();
        let woken = |expected: usize| {
            let mut messages = Vec::new();
            mailbox.drain(&mut messages);
            assert_eq!(messages.len(), expected);
        };
        let (ours, theirs) = to_thread(1, &mailbox);
        assert_eq!(ours.offer(1), Ok(()));
        woken(0);
        assert_eq!(ours.offer(2), Err(2));
        assert_eq!(theirs.next(), Some(1));
        woken(1);
        assert_eq!(ours.offer(2), Ok(()));
        drop(ours);
        assert_eq!((theirs.next(), theirs.next()), (Some(2), None));
        woken(0);

        let (theirs, ours) = to_actor(1, &mailbox);
        theirs.give('a').expect("there is room");
        woken(0);
        assert!(matches!(ours.take(), Taken::Piece('a')));
        assert!(matches!(ours.take(), Taken::Nothing));
        drop(theirs);
        woken(1);
        assert!(matches!(ours.take(), Taken::End));
    }
}
