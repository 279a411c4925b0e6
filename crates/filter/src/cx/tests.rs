//! What filters say is bounded and typed.

use super::*;

#[test]
fn annotations_are_bounded() {
    let mut notes = Notes::default();
    let taken = (0..MAX_ANNOTATIONS + 4).filter(|n| notes.annotate("n", n.to_string())).count();
    assert_eq!((taken, notes.annotations().len()), (MAX_ANNOTATIONS, MAX_ANNOTATIONS));
    assert_eq!(notes.take_annotations().len(), MAX_ANNOTATIONS);
    assert!(notes.annotate("n", "again"));
}

#[test]
fn filters_share_typed_values() {
    let mut notes = Notes::default();
    assert_eq!(notes.get::<u32>(), None);
    notes.extensions_mut().insert(7u32);
    assert_eq!((notes.get::<u32>(), notes.get::<u64>()), (Some(&7), None));
}
