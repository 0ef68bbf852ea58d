//! A client's place in the lines of who waits for some keys.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::table::Command;
use super::transaction::{self, Transaction};
use super::{Answer, Attempt, Context, Next, Refusal, Take, Wait};
use crate::engine::format::batch::BatchBuilder;
use crate::engine::format::metadata::Kind;
use crate::engine::format::resp::Reply;
use crate::engine::generation::Store;
use crate::engine::instance::CommitGuard;
use crate::engine::namespace::Namespace;
use crate::engine::types::reading::Reading;
use crate::engine::types::writing::Writing;
use crate::engine::waiters::{Tried, Waiter};

/// A place in the lines of who waits for some keys. It holds no dataset open.
pub struct Line {
    keys: Vec<Vec<u8>>,
    waiter: Arc<Waiter>,
    taker: Option<Arc<Taker>>,
    /// Where it stands, and for which keys as they are on disk.
    joined: Option<(Weak<Store>, Vec<Vec<u8>>)>,
}

/// What is needed to give a waiter its element on the thread of whoever brings it.
struct Taker {
    kind: Kind,
    take: Take,
    place: Mutex<Place>,
}

enum Place {
    /// In no line.
    Out,
    /// In line under one value of the registry: with another, whether it may have something is asked anew.
    In { stamp: u64, prefix: Vec<u8>, keys: Vec<(Vec<u8>, Vec<u8>)> },
    /// It was given this.
    Given(Answer),
}

impl Line {
    /// A place in no line yet.
    pub fn new(wait: &Wait) -> Result<Line, Refusal> {
        let (taker, waiter) = match &wait.next {
            Next::Again(_) => (None, Waiter::new(None)?),
            Next::Take(kind, take) => {
                let taker = Arc::new(Taker { kind: *kind, take: Arc::clone(take), place: Mutex::new(Place::Out) });
                let serving = Arc::clone(&taker);
                (Some(taker), Waiter::new(Some(Box::new(move |guard, key| serving.serve(guard, key))))?)
            }
        };
        Ok(Line { keys: wait.keys.clone(), waiter: Arc::new(waiter), taker, joined: None })
    }

    pub fn waiter(&self) -> Arc<Waiter> {
        Arc::clone(&self.waiter)
    }

    /// Tries the command once more; where it still has to wait it is in line for all that changes behind the look.
    pub fn attempt(
        &mut self,
        command: &'static Command,
        context: &Context<'_>,
        args: &[Vec<u8>],
    ) -> Result<Option<Reply>, Refusal> {
        let Some(taker) = self.taker.clone() else {
            context.namespace.read(|reading| {
                self.join(reading);
                Ok::<_, Refusal>(())
            })?;
            let mut nothing = Transaction::default();
            return Ok(match transaction::run(command, &mut nothing, context, args)? {
                Attempt::Done(reply) => Some(reply),
                Attempt::Wait(_) => None,
            });
        };
        // The look and the place in line are one: nothing comes between that it would miss, or be given twice.
        let namespace = context.namespace;
        let found = namespace.instance().write(None, |generation, batch| {
            namespace.admit(generation)?;
            let mut place = taker.place.lock();
            if matches!(*place, Place::Given(_)) {
                return Ok(None);
            }
            let mut writing = Writing::new(&generation.store, namespace.prefix(), batch);
            *place = Place::Out;
            for key in &self.keys {
                if let Some(reply) = (taker.take)(&mut writing, key)? {
                    return Ok(Some(reply));
                }
            }
            let keys = self.join(&writing.reading()).into_iter().zip(self.keys.iter().cloned()).collect();
            *place = Place::In { stamp: generation.stamp, prefix: namespace.prefix().to_vec(), keys };
            Ok(None)
        });
        match self.given(namespace) {
            Some(given) => given.map(Some),
            None => found,
        }
    }

    /// What another's thread has given it meanwhile; durable as what it takes itself.
    pub fn given(&self, namespace: &Namespace) -> Option<Answer> {
        let answer = {
            let mut place = self.taker.as_ref()?.place.lock();
            if !matches!(*place, Place::Given(_)) {
                return None;
            }
            let Place::Given(answer) = std::mem::replace(&mut *place, Place::Out) else { return None };
            answer
        };
        // Not with the place locked: a sync takes the commit lock, with which whoever serves locks it.
        let instance = namespace.instance();
        let synced = if instance.options().sync { instance.flush() } else { Ok(()) };
        Some(answer.and_then(|reply| synced.map(|()| reply).map_err(Refusal::from)))
    }

    /// Leaves all lines; what it was given before that.
    pub fn leave(&mut self, namespace: &Namespace) -> Option<Answer> {
        self.quit();
        if let Some(taker) = &self.taker {
            let mut place = taker.place.lock();
            if matches!(*place, Place::In { .. }) {
                *place = Place::Out;
            }
        }
        self.given(namespace)
    }

    /// Stands in line in the dataset that is read; gives its keys as they are there.
    fn join(&mut self, reading: &Reading<'_>) -> Vec<Vec<u8>> {
        let current =
            self.joined.as_ref().is_some_and(|(store, _)| std::ptr::eq(store.as_ptr(), Arc::as_ptr(reading.store)));
        if !current {
            self.quit();
            let keys: Vec<Vec<u8>> = self.keys.iter().map(|key| reading.full_key(key)).collect();
            reading.store.begin_waiting(&keys, &self.waiter);
            self.joined = Some((Arc::downgrade(reading.store), keys));
        }
        self.joined.as_ref().map(|(_, keys)| keys.clone()).unwrap_or_default()
    }

    fn quit(&mut self) {
        if let Some((store, keys)) = self.joined.take()
            && let Some(store) = store.upgrade()
        {
            store.end_waiting(&keys, &self.waiter);
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.quit();
        // Whoever is just about to serve it passes on to the next in line.
        if let Some(taker) = &self.taker {
            *taker.place.lock() = Place::Out;
        }
    }
}

impl Taker {
    /// Takes what a key has that was just changed, as an entry of its own right behind that change.
    fn serve(&self, guard: &mut CommitGuard<'_>, full: &[u8]) -> Tried {
        let mut place = self.place.lock();
        let (prefix, key) = match &*place {
            Place::In { stamp, .. } if *stamp != guard.generation.stamp => return Tried::Ring,
            Place::In { prefix, keys, .. } => match keys.iter().find(|(known, _)| known == full) {
                Some((_, key)) => (prefix, key),
                None => return Tried::Nothing,
            },
            _ => return Tried::Nothing,
        };
        let store = Arc::clone(&guard.generation.store);
        let mut batch = BatchBuilder::new();
        let mut writing = Writing::new(&store, prefix, &mut batch);
        let found = match writing.reading().metadata(key) {
            Ok(None) => return Tried::Gone,
            // It waits for another kind of key.
            Ok(Some(metadata)) if metadata.kind != self.kind => return Tried::Nothing,
            Ok(Some(_)) => (self.take)(&mut writing, key),
            Err(e) => Err(e.into()),
        };
        let answer = match found {
            Ok(None) => return Tried::Nothing,
            // An element that was moved to where it was.
            Ok(Some(reply)) if batch.count() == 0 => Ok(reply),
            Ok(Some(reply)) => guard.append(batch).map(|_| reply).map_err(Refusal::from),
            Err(refusal) => Err(refusal),
        };
        *place = Place::Given(answer);
        Tried::Ring
    }
}
