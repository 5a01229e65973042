//! Vectors that grow to the allocator's next size. They double by themselves, and in a tree of small nodes a quarter of all
//! room would be empty.

use crate::raw::entry::class_size;

/// Makes room for `more` elements.
#[inline]
pub(crate) fn reserve<T>(vec: &mut Vec<T>, more: usize) {
    let needed = vec.len() + more;
    if needed > vec.capacity() {
        vec.reserve_exact(class_size(needed * size_of::<T>()) / size_of::<T>() - vec.len());
    }
}

/// Gives room back of which less than half is in use.
#[inline]
pub(crate) fn relieve<T>(vec: &mut Vec<T>) {
    if vec.len() < vec.capacity() / 2 {
        vec.shrink_to(class_size((vec.len() + 1) * size_of::<T>()) / size_of::<T>());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_what_the_allocator_has() {
        let mut vec: Vec<u64> = Vec::new();
        for len in 1..200 {
            reserve(&mut vec, 1);
            vec.push(len);
            assert_eq!(vec.capacity() * 8, class_size(len as usize * 8), "{len}");
        }
        let mut threes: Vec<[u8; 12]> = vec![[0; 12]; 5];
        reserve(&mut threes, 1);
        assert_eq!(threes.capacity(), 80 / 12);
        vec.truncate(90);
        relieve(&mut vec);
        assert_eq!((vec.len(), vec.capacity() * 8), (90, class_size(91 * 8)));
        let before = vec.capacity();
        vec.truncate(60);
        relieve(&mut vec);
        assert_eq!(vec.capacity(), before);
    }
}
