//! A client's place in the lines of who waits for some keys.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::{Answer, Refusal, Take, Wait};
use crate::engine::format::batch::BatchBuilder;
use crate::engine::format::metadata::Kind;
use crate::engine::format::resp::Reply;
use crate::engine::generation::{Generation, Store};
use crate::engine::instance::CommitGuard;
use crate::engine::namespace::Namespace;
use crate::engine::types::reading::Reading;
use crate::engine::types::writing::Writing;
use crate::engine::waiters::{Tried, Waiter};

/// A place in the lines of who waits for some keys. It holds no dataset open.
pub struct Line {
    waiter: Arc<Waiter>,
    taker: Arc<Taker>,
    /// Where it stands, and for which keys as they are on disk.
    joined: Option<(Weak<Store>, Vec<Vec<u8>>)>,
}

/// What is needed to give a waiter what it waits for on the thread of whoever brings it.
struct Taker {
    keys: Vec<Vec<u8>>,
    kind: Kind,
    take: Take,
    writes: bool,
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
        let Wait { keys, kind, take, writes, .. } = wait;
        let (keys, take, place) = (keys.clone(), Arc::clone(take), Mutex::new(Place::Out));
        let taker = Arc::new(Taker { keys, kind: *kind, take, writes: *writes, place });
        let serving = Arc::clone(&taker);
        let waiter = Waiter::new(Box::new(move |guard, key| serving.serve(guard, key)))?;
        Ok(Line { waiter: Arc::new(waiter), taker, joined: None })
    }

    pub fn waiter(&self) -> Arc<Waiter> {
        Arc::clone(&self.waiter)
    }

    /// Tries the command once more; where it still has to wait it is in line for all that changes behind the look.
    pub fn attempt(&mut self, namespace: &Namespace) -> Result<Option<Reply>, Refusal> {
        let instance = namespace.instance();
        let found = if self.taker.writes {
            instance.write(None, |generation, batch| self.look(namespace, generation, batch))
        } else {
            let guard = instance.lock()?;
            self.look(namespace, &guard.generation, &mut BatchBuilder::new())
        };
        match self.given(namespace) {
            Some(given) => given.map(Some),
            None => found,
        }
    }

    /// Looks, and gets in line where there is nothing. Under the commit lock the two are one: nothing comes between that it
    /// would miss, or be given twice.
    fn look(
        &mut self,
        namespace: &Namespace,
        generation: &Generation,
        batch: &mut BatchBuilder,
    ) -> Result<Option<Reply>, Refusal> {
        namespace.admit(generation)?;
        let taker = Arc::clone(&self.taker);
        let mut place = taker.place.lock();
        if matches!(*place, Place::Given(_)) {
            return Ok(None);
        }
        let mut writing = Writing::new(&generation.store, namespace.prefix(), batch);
        *place = Place::Out;
        if let Some(reply) = (taker.take)(&mut writing, &taker.keys)? {
            return Ok(Some(reply));
        }
        let keys = self.join(&writing.reading()).into_iter().zip(taker.keys.iter().cloned()).collect();
        *place = Place::In { stamp: generation.stamp, prefix: namespace.prefix().to_vec(), keys };
        Ok(None)
    }

    /// What another's thread has given it meanwhile; durable as what it takes itself.
    pub fn given(&self, namespace: &Namespace) -> Option<Answer> {
        let answer = {
            let mut place = self.taker.place.lock();
            if !matches!(*place, Place::Given(_)) {
                return None;
            }
            let Place::Given(answer) = std::mem::replace(&mut *place, Place::Out) else { return None };
            answer
        };
        // Not with the place locked: a sync takes the commit lock, with which whoever serves locks it.
        let instance = namespace.instance();
        let synced = if self.taker.writes && instance.options().sync { instance.flush() } else { Ok(()) };
        Some(answer.and_then(|reply| synced.map(|()| reply).map_err(Refusal::from)))
    }

    /// Leaves all lines; what it was given before that.
    pub fn leave(&mut self, namespace: &Namespace) -> Option<Answer> {
        self.quit();
        let mut place = self.taker.place.lock();
        if matches!(*place, Place::In { .. }) {
            *place = Place::Out;
        }
        drop(place);
        self.given(namespace)
    }

    /// Stands in line in the dataset that is read; gives its keys as they are there.
    fn join(&mut self, reading: &Reading<'_>) -> Vec<Vec<u8>> {
        let current =
            self.joined.as_ref().is_some_and(|(store, _)| std::ptr::eq(store.as_ptr(), Arc::as_ptr(reading.store)));
        if !current {
            self.quit();
            let keys: Vec<Vec<u8>> = self.taker.keys.iter().map(|key| reading.full_key(key)).collect();
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
        *self.taker.place.lock() = Place::Out;
    }
}

impl Taker {
    /// Takes what a key has that was just changed, as an entry of its own right behind that change; reads it where that is all.
    fn serve(&self, guard: &mut CommitGuard<'_>, full: &[u8]) -> Tried {
        if self.writes && guard.check_writable().is_err() {
            return Tried::Nothing;
        }
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
            Ok(Some(_)) => (self.take)(&mut writing, std::slice::from_ref(key)),
            Err(e) => Err(e.into()),
        };
        let answer = match found {
            Ok(None) => return Tried::Nothing,
            // What is only read, or an element that was moved to where it was.
            Ok(Some(reply)) if batch.count() == 0 => Ok(reply),
            Ok(Some(reply)) => guard.append(batch).map(|_| reply).map_err(Refusal::from),
            Err(refusal) => Err(refusal),
        };
        *place = Place::Given(answer);
        Tried::Ring
    }
}
