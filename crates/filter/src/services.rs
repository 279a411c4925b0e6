//! What filters share with the gateway and with one another, by type: the state of caps, who may call, calls upstream.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Shared values by their type, at most one of each. What a generation was given does not change.
#[derive(Clone, Default)]
pub struct Services(HashMap<TypeId, Arc<dyn Any + Send + Sync>>);

impl Services {
    /// Adds a value, in the place of one of its type.
    #[must_use]
    pub fn with<T: Any + Send + Sync>(mut self, value: Arc<T>) -> Self {
        self.0.insert(TypeId::of::<T>(), value);
        self
    }

    /// The value of a type, if the gateway has one.
    #[must_use]
    pub fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.0.get(&TypeId::of::<T>())?.clone().downcast().ok()
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services").field("len", &self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_of_a_type() {
        let services = Services::default().with(Arc::new(1_u8)).with(Arc::new("a")).with(Arc::new(2_u8));
        assert_eq!((services.get::<u8>().as_deref(), services.get::<&str>().as_deref()), (Some(&2), Some(&"a")));
        assert_eq!(services.get::<u16>(), None);
    }
}
