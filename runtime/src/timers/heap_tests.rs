//! Tests of the timer heap: against a model, and of what only shows after a long life.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

impl<A> Heap<A> {
    /// Checks the invariants that the file states.
    fn check(&self) {
        assert_eq!(self.places.len(), self.slots.len());
        let at = |place: usize| self.families[place / ARITY].0[place % ARITY];
        for place in ROOT..ROOT + self.len {
            let entry = at(place);
            assert!(place == ROOT || at(parent(place)) < entry, "I1 at {place}");
            assert_eq!(self.places[entry.slot() as usize] as usize, place, "I2 at {place}");
            assert!(self.slots[entry.slot() as usize].action.is_some(), "I2 at {place}");
        }
        let unused = (0..ROOT).chain(ROOT + self.len..self.families.len() * ARITY);
        assert!(self.len == 0 || unused.clone().all(|place| at(place) == Entry::NONE), "I5");
        assert_eq!(self.families.len(), if self.len == 0 { 0 } else { (ROOT + self.len).div_ceil(ARITY) }, "I5");
        let (mut free_len, mut free) = (0, self.free);
        while free != NO_SLOT {
            assert!(self.slots[free as usize].action.is_none(), "I3 at {free}");
            free = self.places[free as usize];
            free_len += 1;
        }
        assert_eq!(free_len + self.len, self.slots.len(), "I3: a slot is lost");
    }

    /// How many timers fit in the memory that is held.
    fn room(&self) -> usize {
        (self.families.capacity() * ARITY).max(self.places.capacity()).max(self.slots.capacity())
    }
}

/// The heap next to a model that is too simple to be wrong.
struct Pair {
    heap: Heap<u64>,
    model: BTreeMap<(u64, u64), Key>,
    /// Every key there has been, with what it named.
    keys: Vec<(Key, (u64, u64))>,
}

#[derive(Clone, Debug)]
enum Op {
    Insert(u64),
    Cancel(prop::sample::Index),
    PopDue(u64),
    PopAll(u64),
}

impl Pair {
    fn starting_at(order: u32) -> Pair {
        let mut heap = Heap::new();
        heap.order = order;
        Pair { heap, model: BTreeMap::new(), keys: Vec::new() }
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Insert(when_ns) => {
                let name = (*when_ns, self.keys.len() as u64);
                let key = self.heap.insert(*when_ns, name.1);
                assert_ne!(key.to_bits(), 0);
                self.model.insert(name, key);
                self.keys.push((key, name));
            }
            Op::Cancel(index) => {
                if !self.keys.is_empty() {
                    let (key, name) = self.keys[index.index(self.keys.len())];
                    let expected = self.model.remove(&name).map(|_| name.1);
                    assert_eq!(self.heap.cancel(key), expected);
                }
            }
            Op::PopDue(now_ns) => {
                self.pop(*now_ns);
            }
            Op::PopAll(now_ns) => while self.pop(*now_ns) {},
        }
        self.heap.check();
        assert_eq!(self.heap.len(), self.model.len());
        assert_eq!(self.heap.earliest_ns(), self.model.keys().next().map_or(u64::MAX, |name| name.0));
    }

    fn pop(&mut self, now_ns: u64) -> bool {
        let expected = self.model.keys().next().copied().filter(|name| name.0 <= now_ns);
        assert_eq!(self.heap.pop_due(now_ns), expected);
        expected.is_some_and(|name| self.model.remove(&name).is_some())
    }
}

fn op() -> impl Strategy<Value = Op> {
    // Few different deadlines, so that equal ones are common; the extremes too.
    let when = prop_oneof![8 => 0_u64..40, 1 => Just(u64::MAX), 1 => any::<u64>()];
    prop_oneof![
        6 => when.clone().prop_map(Op::Insert),
        3 => any::<prop::sample::Index>().prop_map(Op::Cancel),
        2 => when.clone().prop_map(Op::PopDue),
        1 => (0_u64..40).prop_map(Op::PopAll),
    ]
}

proptest! {
    #[test]
    fn agrees_with_a_model(ops in prop::collection::vec(op(), 0..400)) {
        let mut pair = Pair::starting_at(0);
        ops.iter().for_each(|op| pair.apply(op));
        pair.apply(&Op::PopAll(u64::MAX));
        prop_assert_eq!(pair.heap.len(), 0);
    }

    #[test]
    fn agrees_with_a_model_when_the_orders_start_again(left in 0_u32..60, ops in prop::collection::vec(op(), 0..200)) {
        let mut pair = Pair::starting_at(u32::MAX - left);
        ops.iter().for_each(|op| pair.apply(op));
        pair.apply(&Op::PopAll(u64::MAX));
        prop_assert_eq!(pair.heap.len(), 0);
    }

    #[test]
    fn a_key_survives_packing(slot: u32, generation: u32) {
        let key = Key { slot, generation };
        prop_assert_eq!(Key::from_bits(key.to_bits()), key);
    }

    #[test]
    fn a_made_up_key_is_harmless(bits: u64) {
        let mut heap = Heap::new();
        heap.insert(1, ());
        let taken = heap.cancel(Key::from_bits(bits)).is_some();
        prop_assert_eq!(heap.len(), usize::from(!taken));
    }
}

/// A repeatable stream of numbers.
fn numbers(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

#[test]
fn an_empty_heap_has_nothing() {
    let mut heap = Heap::<()>::new();
    assert_eq!((heap.len(), heap.earliest_ns(), heap.room()), (0, u64::MAX, 0));
    assert_eq!(heap.pop_due(u64::MAX), None);
    assert_eq!(heap.cancel(Key::from_bits(0)), None);
}

#[test]
fn a_timer_is_due_at_its_deadline_and_not_before() {
    let mut heap = Heap::new();
    heap.insert(10, 'a');
    assert_eq!(heap.pop_due(9), None);
    assert_eq!(heap.pop_due(10), Some((10, 'a')));
    heap.insert(10, 'b');
    assert_eq!(heap.pop_due(11), Some((10, 'b')));
}

#[test]
fn equal_deadlines_pop_in_order_of_insertion() {
    let mut heap = Heap::new();
    for nth in 0..1000 {
        heap.insert(nth % 3, nth);
    }
    let mut before = (0, 0);
    while let Some(next) = heap.pop_due(u64::MAX) {
        assert!(before <= next, "{before:?} came before {next:?}");
        before = next;
    }
}

#[test]
fn a_stale_key_does_not_cancel_the_next_owner_of_its_slot() {
    let mut heap = Heap::new();
    let fired = heap.insert(1, 'a');
    assert_eq!(heap.pop_due(1), Some((1, 'a')));
    let cancelled = heap.insert(2, 'b');
    assert_eq!((fired.slot, heap.cancel(cancelled)), (cancelled.slot, Some('b')));
    let owner = heap.insert(3, 'c');
    assert_eq!(owner.slot, fired.slot);
    assert_eq!((heap.cancel(fired), heap.cancel(cancelled), heap.cancel(owner)), (None, None, Some('c')));
    assert_eq!(heap.cancel(owner), None);
}

#[test]
fn keys_and_the_order_of_insertion_survive_the_wrap_of_generations() {
    let mut heap = Heap::new();
    heap.order = u32::MAX - 3;
    let keys: Vec<Key> = (0..8).map(|nth| heap.insert(5, nth)).collect();
    heap.check();
    assert!(keys.iter().any(|key| key.generation == u32::MAX));
    assert!(keys.iter().all(|key| key.generation != 0 && key.to_bits() != 0));
    assert_eq!(heap.cancel(keys[2]), Some(2));
    assert_eq!(heap.cancel(keys[5]), Some(5));
    assert_eq!((heap.cancel(keys[2]), heap.cancel(keys[5])), (None, None));
    let popped: Vec<i32> = std::iter::from_fn(|| heap.pop_due(5)).map(|(_, nth)| nth).collect();
    assert_eq!(popped, [0, 1, 3, 4, 6, 7]);
}

#[test]
fn memory_is_given_back_when_the_timers_have_fired() {
    let mut heap = Heap::new();
    let mut number = numbers(7);
    for nth in 0..100_000 {
        heap.insert(number() % 1_000_000, nth);
    }
    assert!(heap.room() >= 100_000);
    while heap.pop_due(u64::MAX).is_some() {}
    heap.check();
    assert!(heap.room() <= 2 * SLOTS_KEPT, "room for {} timers is left", heap.room());
}

#[test]
fn memory_is_given_back_while_a_few_timers_stay() {
    let mut heap = Heap::new();
    let keys: Vec<Key> = (0..100_000).map(|nth| heap.insert(nth, nth)).collect();
    for key in keys[100..].iter().rev() {
        assert!(heap.cancel(*key).is_some());
    }
    heap.check();
    // The last look came when up to an eighth was still there; with some traffic comes the next one.
    for nth in 0..12_500 {
        let key = heap.insert(nth, nth);
        assert!(heap.cancel(key).is_some());
    }
    heap.check();
    assert_eq!(heap.len(), 100);
    assert!(heap.room() <= 1000, "room for {} timers is left", heap.room());
    for (nth, key) in keys.iter().enumerate().take(100) {
        assert_eq!(heap.cancel(*key), Some(nth as u64));
    }
    assert!(keys.iter().all(|key| heap.cancel(*key).is_none()));
}

#[test]
fn a_key_from_before_memory_was_given_back_stays_stale() {
    let mut heap = Heap::new();
    let old: Vec<Key> = (0..10_000).map(|nth| heap.insert(nth, nth)).collect();
    while heap.pop_due(u64::MAX).is_some() {}
    for nth in 0..10_000 {
        heap.insert(nth, nth);
    }
    assert!(old.iter().all(|key| heap.cancel(*key).is_none()));
    assert_eq!(heap.len(), 10_000);
}

#[test]
fn a_heap_with_one_survivor_in_the_last_slot_is_not_walked_at_every_removal() {
    let mut heap = Heap::new();
    let keys: Vec<Key> = (0..200_000).map(|nth| heap.insert(nth, nth)).collect();
    // Nothing can be dropped while the last slot is occupied, and a walk at every removal would take minutes.
    for key in &keys[..keys.len() - 1] {
        assert!(heap.cancel(*key).is_some());
    }
    for nth in 0..100_000 {
        assert_eq!(heap.insert(nth, nth).slot != 199_999, heap.pop_due(nth).is_some());
    }
    heap.check();
    assert_eq!((heap.len(), heap.slots.len()), (1, 200_000));
    // New timers take low slots, so that the rest can go once the last one has gone.
    let low = heap.insert(0, 0);
    assert!(low.slot < 1000, "slot {}", low.slot);
    assert!(heap.cancel(keys[keys.len() - 1]).is_some());
    for nth in 0..25_000 {
        let key = heap.insert(nth, nth);
        assert!(heap.cancel(key).is_some());
    }
    heap.check();
    assert!(heap.room() <= 1000, "room for {} timers is left", heap.room());
    assert!(heap.cancel(low).is_some());
}

#[test]
fn actions_are_dropped_once() {
    let action = std::rc::Rc::new(());
    let mut heap = Heap::new();
    let key = heap.insert(1, action.clone());
    heap.insert(2, action.clone());
    heap.insert(3, action.clone());
    drop(heap.cancel(key));
    drop(heap.pop_due(2));
    assert_eq!(std::rc::Rc::strong_count(&action), 2);
    drop(heap);
    assert_eq!(std::rc::Rc::strong_count(&action), 1);
}
