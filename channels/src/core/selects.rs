//! What selects do to a channel: choose now, complete later; stand in its lines; watch.

use super::{Choice, Locked, Seldom, Taken, tell};
use crate::loom::Unparker;
use crate::waiter::{Line, Outcome, Ticket, Token, Waiter};
use std::ptr;

impl<T> Locked<'_, T> {
    /// Chooses to send, if it can be done now; the value comes later ([`complete_send`](Self::complete_send)).
    pub(crate) fn choose_send(&self) -> Option<Token> {
        if self.is_closed.get() {
            return Some(Token::Closed);
        }
        if self.room.get() > 0 {
            self.room.add(-1);
            return Some(Token::Room);
        }
        // Also if all room is reserved: a receiver need not wait for those.
        self.receivers.claim_first().map(|receiver| self.promise_to(receiver))
    }

    /// Chooses to receive, if it can be done now; the value is taken later
    /// ([`complete_receive`](Self::complete_receive)).
    pub(crate) fn choose_receive(&self) -> Choice {
        if self.values.get() > 0 {
            self.values.add(-1);
            return Choice::Chosen(Token::Value, None);
        }
        match self.take() {
            Taken::Value(value, told) => Choice::Chosen(self.stage(value), told),
            Taken::Claimed(sender) => Choice::Claimed(sender),
            Taken::Closed => Choice::Chosen(Token::Closed, None),
            Taken::Empty => Choice::NotReady,
        }
    }

    /// Has the select whose send has been claimed give its value to `receiver`, who waits until it is told.
    pub(crate) fn promise(&self, sender: *const Waiter, receiver: *const Waiter) -> Unparker {
        let token = self.promise_to(receiver);
        // SAFETY: `take` has claimed it, and this is what it was claimed for.
        unsafe { tell(sender, Outcome::Retry, token) }
    }

    fn promise_to(&self, receiver: *const Waiter) -> Token {
        let number = self.with_seldom(|seldom| seldom.promises.insert(receiver));
        // SAFETY: it waits until it is told, or says that it has gone (`abandon`).
        unsafe { &*receiver }.promise.set(number + 1);
        Token::Promise(number)
    }

    /// A receiver that was promised a value goes away without being told.
    pub(crate) fn abandon(&self, receiver: &Waiter) {
        let number = receiver.promise.get() - 1;
        self.with_seldom(|seldom| seldom.promises[number] = ptr::null());
    }

    /// Sends the value that a select has chosen to send. It comes back if the channel is closed.
    pub(crate) fn complete_send(&self, token: Token, value: T) -> Result<Option<Unparker>, T> {
        let receiver = match token {
            Token::Room => {
                self.room.add(1);
                ptr::null()
            }
            Token::Promise(number) => self.with_seldom(|seldom| seldom.promises.remove(number)),
            _ => return Err(value),
        };
        // It was claimed for this select, and waits until it is told.
        if !receiver.is_null() {
            return Ok(Some(self.hand_over(receiver, value)));
        }
        if self.is_closed.get() {
            return Err(value);
        }
        // Also the one that the receiver was to have that has gone: it is sent, and the next one's.
        match self.receivers.claim_first() {
            Some(receiver) => Ok(Some(self.hand_over(receiver, value))),
            None => {
                self.put(value);
                Ok(None)
            }
        }
    }

    /// Takes the value that a select has chosen to receive. None: the channel is closed.
    pub(crate) fn complete_receive(&self, token: Token) -> Option<(T, Option<Unparker>)> {
        match token {
            Token::Staged(number) => Some((self.unstage(number), None)),
            Token::Value => Some((self.pull_chosen(), self.refill())),
            _ => None,
        }
    }

    /// Undoes what a select has chosen and not completed.
    pub(crate) fn release(&self, token: Token) -> Option<Unparker> {
        match token {
            Token::Room => {
                self.room.add(1);
                self.refill()
            }
            Token::Staged(number) => {
                let value = self.unstage(number);
                self.give_back(value)
            }
            Token::Value => {
                let value = self.pull_chosen();
                self.give_back(value)
            }
            Token::Promise(number) => {
                let receiver = self.with_seldom(|seldom| seldom.promises.remove(number));
                // SAFETY: it was claimed for this select, and waits until it is told, or is null.
                let ticket = unsafe { receiver.as_ref() }?.ticket();
                // SAFETY: this select is the only one that tells it.
                Some(unsafe { Ticket::tell(ticket, Outcome::Retry) })
            }
            _ => None,
        }
    }

    /// A select stands in the line of senders, or in that of who watches for it.
    ///
    /// # Safety
    /// The waiter stays where it is until it is out of the line again.
    pub(crate) unsafe fn queue_sender(&self, waiter: *const Waiter) {
        // SAFETY: as the caller promises.
        unsafe { self.queue(waiter, &self.senders, |seldom| &seldom.room_watchers) };
    }

    /// A select stands in the line of receivers, or in that of who watches for it.
    ///
    /// # Safety
    /// As above.
    pub(crate) unsafe fn queue_receiver(&self, waiter: *const Waiter) {
        // SAFETY: as the caller promises.
        unsafe { self.queue(waiter, &self.receivers, |seldom| &seldom.value_watchers) };
    }

    /// # Safety
    /// As above.
    unsafe fn queue(&self, waiter: *const Waiter, takers: &Line, watchers: fn(&Seldom<T>) -> &Line) {
        // SAFETY: as the caller promises.
        if !unsafe { &*waiter }.watches {
            // SAFETY: as above.
            return unsafe { takers.push(waiter) };
        }
        self.is_watched.set(true);
        // SAFETY: as above.
        self.with_seldom(|seldom| unsafe { watchers(seldom).push(waiter) });
    }

    /// A select leaves the line of senders, or its watchers'.
    pub(crate) fn leave_senders(&self, waiter: &Waiter) {
        self.leave(waiter, &self.senders, |seldom| &seldom.room_watchers);
    }

    /// A select leaves the line of receivers, or its watchers'.
    pub(crate) fn leave_receivers(&self, waiter: &Waiter) {
        self.leave(waiter, &self.receivers, |seldom| &seldom.value_watchers);
    }

    fn leave(&self, waiter: &Waiter, takers: &Line, watchers: fn(&Seldom<T>) -> &Line) {
        if waiter.watches {
            self.with_seldom(|seldom| watchers(seldom).remove(waiter));
        } else {
            takers.remove(waiter);
        }
    }

    /// Tells those who watch for what can be done now. They are blocking operations of Gs and threads, so nothing of the
    /// user's runs when they are unparked.
    #[cold]
    pub(super) fn tell_watchers(&self) {
        let (can_give, can_take) = (self.can_give(), self.can_take());
        self.with_seldom(|seldom| {
            let lines = [(can_give, &seldom.room_watchers), (can_take, &seldom.value_watchers)];
            for (_, line) in lines.iter().filter(|(can, _)| *can) {
                while let Some(waiter) = line.claim_first() {
                    // SAFETY: it has just been claimed. It may be gone afterwards.
                    unsafe { tell(waiter, Outcome::Done, Token::Watched) }.unpark();
                }
            }
            self.is_watched.set(lines.iter().any(|(_, line)| !line.is_empty()));
        });
    }
}
