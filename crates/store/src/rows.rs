//! How quotas and usage are named in the store's tables: length-prefixed fields, so that no name can pose as another.

use std::sync::Arc;

use portcullis_caps::{Period, SavedQuota, Scope};

/// The key of a quota.
pub(crate) fn quota_key(quota: &SavedQuota) -> Vec<u8> {
    let mut key = Vec::with_capacity(32 + quota.consumer.as_ref().map_or(0, |id| id.len()));
    key.push(scope_byte(quota.scope));
    key.push(match quota.period {
        Period::Day => b'd',
        Period::Month => b'm',
    });
    put(&mut key, &quota.set);
    put(&mut key, &quota.cap);
    if let Some(consumer) = &quota.consumer {
        put(&mut key, consumer);
    }
    key
}

/// The quota that a key and its value speak of; `None` for what this release did not write.
pub(crate) fn quota_of(key: &[u8], (window, spent): (u32, u64)) -> Option<SavedQuota> {
    let (&scope, rest) = key.split_first()?;
    let (&period, mut rest) = rest.split_first()?;
    let scope = Scope::ALL.into_iter().find(|known| scope_byte(*known) == scope)?;
    let period = match period {
        b'd' => Period::Day,
        b'm' => Period::Month,
        _ => return None,
    };
    let (set, cap) = (take(&mut rest)?, take(&mut rest)?);
    let consumer = if rest.is_empty() { None } else { Some(take(&mut rest)?) };
    Some(SavedQuota { consumer, scope, set, cap, period, window, spent })
}

/// The period of a key, without reading the rest.
pub(crate) fn is_by_day(key: &[u8]) -> bool {
    key.get(1) == Some(&b'd')
}

/// The key of a consumer's use of a method.
pub(crate) fn usage_key(consumer: &str, method: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(8 + consumer.len() + method.len());
    put(&mut key, consumer);
    put(&mut key, method);
    key
}

/// The consumer and the method of a key.
pub(crate) fn usage_of(mut key: &[u8]) -> Option<(Arc<str>, Arc<str>)> {
    Some((take(&mut key)?, take(&mut key)?))
}

const fn scope_byte(scope: Scope) -> u8 {
    match scope {
        Scope::Gateway => b'g',
        Scope::Route => b'r',
        Scope::Plan => b'p',
        Scope::Consumer => b'c',
    }
}

fn put(key: &mut Vec<u8>, field: &str) {
    let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
    key.extend_from_slice(&length.to_be_bytes());
    key.extend_from_slice(field.as_bytes());
}

fn take(key: &mut &[u8]) -> Option<Arc<str>> {
    let (length, rest) = key.split_first_chunk::<4>()?;
    let (field, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *key = rest;
    std::str::from_utf8(field).ok().map(Arc::from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_key_says_all_of_its_quota(
            consumer in prop::option::of(".{0,20}"), set in ".{0,9}", cap in ".{1,9}", scope in 0_usize..4, day in any::<bool>(),
        ) {
            let quota = SavedQuota {
                consumer: consumer.as_deref().map(Arc::from),
                scope: Scope::ALL[scope],
                set: set.as_str().into(),
                cap: cap.as_str().into(),
                period: if day { Period::Day } else { Period::Month },
                window: 20_513,
                spent: u64::MAX,
            };
            let key = quota_key(&quota);
            prop_assert_eq!(is_by_day(&key), day);
            prop_assert_eq!(quota_of(&key, (20_513, u64::MAX)), Some(quota));
        }

        #[test]
        fn bytes_that_are_no_key_are_none(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = (quota_of(&bytes, (0, 0)), usage_of(&bytes));
        }

        #[test]
        fn two_users_never_share_a_key(a in ".{0,6}", b in ".{0,6}", c in ".{0,6}", d in ".{0,6}") {
            prop_assert_eq!(usage_key(&a, &b) == usage_key(&c, &d), (&a, &b) == (&c, &d));
            prop_assert_eq!(usage_of(&usage_key(&a, &b)), Some((a.as_str().into(), b.as_str().into())));
        }
    }
}
