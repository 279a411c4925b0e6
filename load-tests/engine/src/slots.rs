//! Things under tokens, which are never given twice: an event that is late for its socket finds nothing. Pure.

/// Things under tokens.
#[derive(Debug)]
pub struct Slots<T> {
    slots: Vec<Option<(u64, T)>>,
    free: Vec<usize>,
    /// Things so far.
    count: u64,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), count: 0 }
    }
}

/// Bits of a token that say where; the others say which.
const WHERE: u32 = 24;

impl<T> Slots<T> {
    /// Keeps a thing and says its token.
    pub fn insert(&mut self, thing: T) -> u64 {
        let place = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.count += 1;
        let token = (self.count << WHERE) | u64::try_from(place).unwrap_or_default();
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = Some((token, thing));
        }
        token
    }

    /// The thing of a token, if it is still there.
    pub fn get_mut(&mut self, token: u64) -> Option<&mut T> {
        let slot = self.slots.get_mut(place(token)?)?.as_mut()?;
        (slot.0 == token).then_some(&mut slot.1)
    }

    /// Takes the thing of a token out.
    pub fn remove(&mut self, token: u64) -> Option<T> {
        self.get_mut(token)?;
        let place = place(token)?;
        self.free.push(place);
        self.slots.get_mut(place)?.take().map(|(_, thing)| thing)
    }

    /// Tokens of the things that are there and of which this is true.
    pub fn tokens(&self, mut wanted: impl FnMut(&T) -> bool) -> Vec<u64> {
        self.slots.iter().flatten().filter(|(_, thing)| wanted(thing)).map(|(token, _)| *token).collect()
    }
}

fn place(token: u64) -> Option<usize> {
    usize::try_from(token & ((1 << WHERE) - 1)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_outlives_nothing() {
        let mut slots = Slots::default();
        let (a, b) = (slots.insert('a'), slots.insert('b'));
        assert_eq!(slots.remove(a), Some('a'));
        let c = slots.insert('c');
        // In the same place, under another token.
        assert_eq!(place(a), place(c));
        assert_eq!((slots.get_mut(a).copied(), slots.remove(a)), (None, None));
        assert_eq!((slots.get_mut(b).copied(), slots.get_mut(c).copied()), (Some('b'), Some('c')));
        assert_eq!(slots.tokens(|letter| *letter > 'b'), [c]);
    }
}
