//! The deadlines of a worker's streams and connections, on the worker's wheel.

use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::Rc,
};

use crate::{
    time::Moment,
    wheel::TimerId,
    worker::{Expire, TimerTarget, Worker},
};

/// What is told that its time is up.
pub trait Expires {
    /// The time is up.
    fn expire(self: Rc<Self>);
}

/// An armed timer.
#[derive(Clone, Copy, Debug)]
pub struct TimerKey {
    slot: usize,
    timer: TimerId,
}

/// Who waits for which timer.
pub struct Timers {
    worker: Worker,
    target: Cell<Option<TimerTarget>>,
    waiting: RefCell<Vec<Option<Rc<dyn Expires>>>>,
    free: RefCell<Vec<usize>>,
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers").finish_non_exhaustive()
    }
}

impl Timers {
    /// The worker's timers.
    pub fn of(worker: &Worker) -> Rc<Self> {
        worker.part(|| {
            let timers = Rc::new(Self {
                worker: worker.clone(),
                target: Cell::new(None),
                waiting: RefCell::default(),
                free: RefCell::default(),
            });
            timers.target.set(Some(
                worker.timer_target(Rc::clone(&timers) as Rc<dyn Expire>),
            ));
            timers
        })
    }

    /// Tells `who` at `at`, unless disarmed before.
    pub fn arm(&self, at: Moment, who: Rc<dyn Expires>) -> TimerKey {
        let mut waiting = self.waiting.borrow_mut();
        let slot = self.free.borrow_mut().pop().unwrap_or_else(|| {
            waiting.push(None);
            waiting.len() - 1
        });
        if let Some(place) = waiting.get_mut(slot) {
            *place = Some(who);
        }
        let target = self.target.get().expect("set when it was made");
        TimerKey {
            slot,
            timer: self.worker.arm(at, target, slot as u64),
        }
    }

    /// Takes a timer back. Only for one that has not expired.
    pub fn disarm(&self, key: TimerKey) {
        self.worker.disarm(key.timer);
        drop(self.take(key.slot));
    }

    fn take(&self, slot: usize) -> Option<Rc<dyn Expires>> {
        let who = self.waiting.borrow_mut().get_mut(slot)?.take()?;
        self.free.borrow_mut().push(slot);
        Some(who)
    }
}

impl Expire for Timers {
    fn expire(&self, key: u64) {
        if let Some(who) = self.take(key as usize) {
            who.expire();
        }
    }
}
