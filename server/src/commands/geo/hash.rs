//! Places as numbers: the world is cut in half by turns, between east and west, between north and south, and each cut is
//! one bit. Whatever lies in one cell of the grid shares its leading bits, so that it is one range of scores.
//!
//! ```text
//!  one step   1 │ 3      bits of a cell   … lon₁ lat₁ lon₀ lat₀
//!            ───┼───
//!             0 │ 2      a score          a cell of 26 steps: 52 bits, which a double holds exactly
//! ```
//!
//! Every operation rounds as Redis's does, since scores, coordinates and distances are compared digit by digit. The
//! latitudes end where the Mercator projection becomes a square; the textbook's geohash, whose letters GEOHASH shows,
//! goes to the poles.

/// Steps of a score: the cell of a single place, less than a metre wide.
pub(super) const STEP_MAX: u32 = 26;

/// What lies between two coordinates, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Span {
    /// Longitudes on earth.
    pub(super) const LONGITUDES: Self = Self { min: -180.0, max: 180.0 };
    /// Latitudes that have a place on the map.
    pub(super) const LATITUDES: Self = Self { min: -85.05112878, max: 85.05112878 };
    /// Latitudes of the textbook.
    const ALL_LATITUDES: Self = Self { min: -90.0, max: 90.0 };

    pub(super) fn has(self, at: f64) -> bool {
        at >= self.min && at <= self.max
    }

    /// Which of 2^`step` equal parts holds a coordinate; the far end is a part of its own.
    fn part(self, at: f64, step: u32) -> u32 {
        let offset = (at - self.min) / (self.max - self.min);
        (offset * (1_u64 << step) as f64) as u32
    }

    /// The span of a part.
    fn of_part(self, part: u32, step: u32) -> Self {
        let scale = self.max - self.min;
        let end = |part: u32| self.min + (f64::from(part) / (1_u64 << step) as f64) * scale;
        Self { min: end(part), max: end(part.wrapping_add(1)) }
    }

    fn middle(self) -> f64 {
        (self.min + self.max) / 2.0
    }
}

/// A place, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) longitude: f64,
    pub(super) latitude: f64,
}

impl Point {
    /// The place that a member's score stands for. Any score stands for one, also of members that ZADD gave it.
    pub(super) fn of_score(score: f64) -> Self {
        let area = Cell { bits: bits_of(score), step: STEP_MAX }.area();
        Self {
            longitude: area.longitude.middle().clamp(Span::LONGITUDES.min, Span::LONGITUDES.max),
            latitude: area.latitude.middle().clamp(Span::LATITUDES.min, Span::LATITUDES.max),
        }
    }

    /// The score of a member at this place.
    pub(super) fn score_bits(self) -> u64 {
        Cell::around(self, STEP_MAX).bits
    }

    /// The textbook's geohash. Its eleventh letter would need 55 bits; it is always 0.
    pub(super) fn letters(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let latitude = Span::ALL_LATITUDES.part(self.latitude, STEP_MAX);
        let bits = interleave(latitude, Span::LONGITUDES.part(self.longitude, STEP_MAX));
        std::array::from_fn(|i| match i {
            0..10 => ALPHABET[(bits >> (47 - 5 * i)) as usize & 31],
            _ => b'0',
        })
    }
}

/// The integer in a score, as x86-64 converts what does not fit: scores that are no places have to come from somewhere.
fn bits_of(score: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    if score < HALF {
        return score as i64 as u64;
    }
    let rest = score - HALF;
    (if rest < HALF { rest as i64 } else { i64::MIN }) as u64 ^ 1 << 63
}

/// A cell of the grid that so many steps make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    bits: u64,
    step: u32,
}

/// What a cell covers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    pub(super) longitude: Span,
    pub(super) latitude: Span,
}

impl Cell {
    /// The cell that holds a place on the map.
    pub(super) fn around(point: Point, step: u32) -> Self {
        let latitude = Span::LATITUDES.part(point.latitude, step);
        Self { bits: interleave(latitude, Span::LONGITUDES.part(point.longitude, step)), step }
    }

    pub(super) fn area(self) -> Area {
        let (latitude, longitude) = deinterleave(self.bits);
        Area {
            longitude: Span::LONGITUDES.of_part(longitude, self.step),
            latitude: Span::LATITUDES.of_part(latitude, self.step),
        }
    }

    /// The cell so many to the east and to the north, each 1, 0 or -1. Behind the last comes the first.
    pub(super) fn neighbour(self, east: i32, north: i32) -> Self {
        let mask = (1_u32 << self.step) - 1;
        let step = |part: u32, by: i32| if by == 0 { part } else { part.wrapping_add_signed(by) & mask };
        let (latitude, longitude) = deinterleave(self.bits);
        Self { bits: interleave(step(latitude, north), step(longitude, east)), ..self }
    }

    /// The scores of places in the cell: from the first up to, but without, the second.
    pub(super) fn scores(self) -> (f64, f64) {
        let align = 2 * (STEP_MAX - self.step);
        ((self.bits << align) as f64, ((self.bits + 1) << align) as f64)
    }
}

const LANES: [u64; 5] = [
    0x5555_5555_5555_5555,
    0x3333_3333_3333_3333,
    0x0F0F_0F0F_0F0F_0F0F,
    0x00FF_00FF_00FF_00FF,
    0x0000_FFFF_0000_FFFF,
];

/// Bits of `even` and `odd` by turns, the lowest of `even` first.
fn interleave(even: u32, odd: u32) -> u64 {
    let spread =
        |word: u32| (0..5).rev().fold(u64::from(word), |bits, i| (bits | bits << (1 << i)) & LANES[i]);
    spread(even) | spread(odd) << 1
}

fn deinterleave(bits: u64) -> (u32, u32) {
    let gather = |bits: u64| {
        let gathered = (0..5).fold(bits & LANES[0], |bits, i| {
            let lanes = LANES.get(i + 1).copied().unwrap_or(u64::from(u32::MAX));
            (bits | bits >> (1 << i)) & lanes
        });
        gathered as u32
    };
    (gather(bits), gather(bits >> 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn places() -> impl Strategy<Value = Point> {
        let latitudes = Span::LATITUDES.min..=Span::LATITUDES.max;
        (-180.0..=180.0, latitudes).prop_map(|(longitude, latitude)| Point { longitude, latitude })
    }

    proptest! {
        #[test]
        fn interleaving_can_be_undone(even: u32, odd: u32) {
            prop_assert_eq!(deinterleave(interleave(even, odd)), (even, odd));
        }

        #[test]
        fn a_cell_holds_its_places(point in places(), step in 1..=STEP_MAX) {
            let cell = Cell::around(point, step);
            let area = cell.area();
            prop_assert!(area.longitude.min <= point.longitude && point.longitude <= area.longitude.max + 1e-9);
            prop_assert!(area.latitude.min <= point.latitude && point.latitude <= area.latitude.max + 1e-9);
            let (min, max) = cell.scores();
            let score = point.score_bits() as f64;
            prop_assert!((min..max).contains(&score));
        }

        #[test]
        fn a_score_keeps_its_place(point in places()) {
            let score = point.score_bits() as f64;
            let kept = Point::of_score(score);
            prop_assert!((kept.longitude - point.longitude).abs() < 6e-6);
            prop_assert!((kept.latitude - point.latitude).abs() < 3e-6);
            // Redis's clamp moves what lies on the very edge by a cell.
            if point.longitude < 179.9999 && point.latitude < 85.0511 {
                prop_assert_eq!(kept.score_bits() as f64, score);
            }
        }

        #[test]
        fn neighbours_touch(point in places(), step in 2..=STEP_MAX, east in -1..=1, north in -1..=1) {
            let (cell, next) = (Cell::around(point, step), Cell::around(point, step).neighbour(east, north));
            prop_assert_eq!(next.neighbour(-east, -north).scores().0.rem_euclid(2_f64.powi(52)),
                            cell.scores().0.rem_euclid(2_f64.powi(52)));
            let (here, there) = (cell.area().longitude, next.area().longitude);
            let distance = there.min - here.min;
            let width = here.max - here.min;
            prop_assert!((distance - f64::from(east) * width).abs() < 1e-6 || distance.abs() > 180.0);
        }
    }

    #[test]
    fn known_places() {
        let check = |longitude, latitude, score, letters: &[u8; 11]| {
            let point = Point { longitude, latitude };
            assert_eq!(point.score_bits(), score);
            assert_eq!(&Point::of_score(score as f64).letters(), letters);
        };
        check(13.361389, 38.115556, 3_479_099_956_230_698, b"sqc8b49rny0");
        check(15.087269, 37.502669, 3_479_447_370_796_909, b"sqdtr74hyu0");
    }

    #[test]
    fn scores_that_are_no_places() {
        let check = |score, bits| assert_eq!(bits_of(score), bits, "{score}");
        check(-1.0, u64::MAX);
        check(1e19, 10_000_000_000_000_000_000);
        check(f64::INFINITY, 0);
        check(f64::NEG_INFINITY, 1 << 63);
        check(1.9, 1);
    }
}
