//! What was met lately, bounded. Neutral of the engine.

use std::collections::HashMap;
use std::hash::Hash;

/// A bounded map in two generations: once the young one is full it becomes the old one, and what was old and was not
/// asked for meanwhile is gone. No order is kept, so a look costs one or two probes.
pub(crate) struct Lately<K, V> {
    young: HashMap<K, (V, usize)>,
    old: HashMap<K, (V, usize)>,
    /// Of the young.
    bytes: usize,
    half: usize,
}

impl<K: Eq + Hash, V> Lately<K, V> {
    pub(crate) fn new(half: usize) -> Lately<K, V> {
        Lately { young: HashMap::new(), old: HashMap::new(), bytes: 0, half }
    }

    pub(crate) fn get<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if !self.young.contains_key(key) {
            let (key, (value, bytes)) = self.old.remove_entry(key)?;
            self.put(key, bytes, value);
        }
        self.young.get_mut(key).map(|(value, _)| value)
    }

    pub(crate) fn put(&mut self, key: K, bytes: usize, value: V) {
        if self.bytes >= self.half {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.old.remove(&key);
        self.bytes += bytes;
        if let Some((_, replaced)) = self.young.insert(key, (value, bytes)) {
            self.bytes -= replaced;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_goes() {
        let mut lately = Lately::new(100);
        lately.put("busy", 10, 0);
        for number in 0..1000 {
            lately.put(["a", "b", "c", "d", "e", "f", "g", "h"][number % 8], 10 + number % 3, number);
            assert!(lately.get("busy").is_some(), "asked for at {number}");
            assert!(lately.bytes <= lately.half + 12, "{} bytes are held at {number}", lately.bytes);
            let held: usize = lately.young.values().map(|(_, bytes)| bytes).sum();
            assert_eq!(held, lately.bytes, "what is held is counted, at {number}");
        }
        let mut lately = Lately::new(100);
        lately.put("idle".to_owned(), 10, 0);
        for number in 0..40 {
            lately.put(number.to_string(), 10, number);
        }
        assert!(lately.get("idle").is_none(), "nobody asked for it");
        assert!(lately.old.len() + lately.young.len() <= 22);
    }
}
