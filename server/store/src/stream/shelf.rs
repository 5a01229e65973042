//! A sorted sequence in rows that are shared: what a stream's nodes and the blocks of a pending list are kept in.
//!
//! ```text
//!  Shelf ─▶ rows ─▶ Arc<row of up to 128 items> ─▶ items, each with a key, in ascending order
//! ```
//!
//! A clone copies one pointer per row; a change after that copies one row. With items that hold some hundred entries
//! each, a clone of ten million entries copies a thousand pointers.

use std::collections::VecDeque;

use triomphe::Arc;

use super::StreamId;
use crate::relocate::Mover;

/// Items in a row at most.
const ROW: usize = if cfg!(test) { 4 } else { 128 };

/// Something with a place in the order.
pub(super) trait Keyed: Clone {
    /// The least ID in it.
    fn key(&self) -> StreamId;
}

/// Row and place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    row: usize,
    at: usize,
}

#[derive(Clone)]
pub(super) struct Shelf<T> {
    /// None is empty.
    rows: VecDeque<Arc<Vec<T>>>,
    len: usize,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { rows: VecDeque::new(), len: 0 }
    }
}

impl<T: Keyed> Shelf<T> {
    /// Number of items.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The last item whose key is not above `key`.
    pub(super) fn floor(&self, key: StreamId) -> Option<Place> {
        let row = self.rows.partition_point(|row| row[0].key() <= key).checked_sub(1)?;
        let at = self.rows[row].partition_point(|item| item.key() <= key) - 1;
        Some(Place { row, at })
    }

    pub(super) fn first(&self) -> Option<Place> {
        (self.len > 0).then_some(Place { row: 0, at: 0 })
    }

    pub(super) fn last(&self) -> Option<Place> {
        let row = self.rows.len().checked_sub(1)?;
        Some(Place { row, at: self.rows[row].len() - 1 })
    }

    pub(super) fn next(&self, place: Place) -> Option<Place> {
        let Place { row, at } = place;
        if at + 1 < self.rows[row].len() {
            return Some(Place { row, at: at + 1 });
        }
        (row + 1 < self.rows.len()).then_some(Place { row: row + 1, at: 0 })
    }

    pub(super) fn previous(&self, place: Place) -> Option<Place> {
        let Place { row, at } = place;
        match at.checked_sub(1) {
            Some(at) => Some(Place { row, at }),
            None => row.checked_sub(1).map(|row| Place { row, at: self.rows[row].len() - 1 }),
        }
    }

    pub(super) fn get(&self, place: Place) -> &T {
        &self.rows[place.row][place.at]
    }

    /// An item for a change, its row copied if somebody else holds it.
    pub(super) fn get_mut(&mut self, place: Place) -> &mut T {
        &mut Arc::make_mut(&mut self.rows[place.row])[place.at]
    }

    /// Adds an item behind all others.
    pub(super) fn push(&mut self, item: T) {
        self.len += 1;
        match self.rows.back_mut() {
            Some(row) if row.len() < ROW => Arc::make_mut(row).push(item),
            _ => self.rows.push_back(Arc::new(vec![item])),
        }
    }

    /// Adds an item behind the one at `place`, or before all others.
    pub(super) fn insert_behind(&mut self, place: Option<Place>, item: T) {
        if place == self.last() {
            return self.push(item);
        }
        self.len += 1;
        let (row, at) = place.map_or((0, 0), |place| (place.row, place.at + 1));
        let items = Arc::make_mut(&mut self.rows[row]);
        items.insert(at, item);
        if items.len() > ROW {
            let rest = items.split_off(ROW / 2);
            self.rows.insert(row + 1, Arc::new(rest));
        }
    }

    /// Takes an item out.
    pub(super) fn remove(&mut self, place: Place) {
        self.len -= 1;
        let row = &mut self.rows[place.row];
        if row.len() > 1 {
            Arc::make_mut(row).remove(place.at);
        } else {
            self.rows.remove(place.row);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.rows.iter().flat_map(|row| row.iter())
    }

    /// Moves a row as the mover says, and lets its items be moved; where to go on.
    pub(super) fn relocate(
        &mut self,
        row: usize,
        mover: &mut Mover<'_>,
        mut relocate: impl FnMut(&mut T, &mut Mover<'_>),
    ) -> Option<usize> {
        if row == 0 {
            mover.deque(&mut self.rows);
        }
        if let Some(items) = mover.arc(self.rows.get_mut(row)?) {
            mover.vec(items);
            items.iter_mut().for_each(|item| relocate(item, mover));
        }
        (row + 1 < self.rows.len()).then_some(row + 1)
    }

    /// Bytes of the rows.
    pub(super) fn memory_usage(&self) -> usize {
        let rows: usize = self.rows.iter().map(|row| row.capacity() * size_of::<T>() + 32).sum();
        rows + self.rows.capacity() * size_of::<Arc<Vec<T>>>()
    }
}
