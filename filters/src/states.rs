//! What outlives a change of configuration.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};

type Key = (TypeId, String);

/// Values that are found again by name as long as someone holds them: a configuration that is
/// compiled again finds the tokens that the last one had left.
#[derive(Default)]
pub struct States {
    values: Mutex<HashMap<Key, Weak<dyn Any + Send + Sync>>>,
}

impl States {
    /// The value of that name and type, or a new one.
    pub fn keep<T: Any + Send + Sync>(&self, name: &str, make: impl FnOnce() -> T) -> Arc<T> {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (TypeId::of::<T>(), name.to_owned());
        let known = values.get(&key).and_then(Weak::upgrade);
        if let Some(known) = known.and_then(|known| known.downcast().ok()) {
            return known;
        }
        values.retain(|_, value| value.strong_count() > 0);
        let value = Arc::new(make());
        let weak: Weak<dyn Any + Send + Sync> = Arc::<T>::downgrade(&value);
        values.insert(key, weak);
        value
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_set().entries(values.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lasts_as_long_as_it_is_held() {
        let states = States::default();
        let held = states.keep("a", || 1);
        assert_eq!(*states.keep("a", || 2), 1);
        assert_eq!(*states.keep("b", || 3), 3);
        assert_eq!(*states.keep::<u8>("a", || 4), 4);
        drop(held);
        assert_eq!(*states.keep("a", || 5), 5);
        // What nobody holds any more is forgotten.
        assert_eq!(states.values.lock().expect("one thread").len(), 1);
    }
}
