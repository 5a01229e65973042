//! What a search covers: a circle, a rectangle or a polygon, how far places are from its centre, and which cells of the
//! grid together hold all of it.

use super::hash::{Cell, Point, Span};

/// Mean radius of the earth, metres (WGS 84, quadratic mean).
const EARTH_RADIUS: f64 = 6_372_797.560856;
/// Half the width of the map, metres.
const MERCATOR_MAX: f64 = 20_037_726.37;

const RADIANS: f64 = std::f64::consts::PI / 180.0;

fn radians(degrees: f64) -> f64 {
    degrees * RADIANS
}

fn degrees(radians: f64) -> f64 {
    radians / RADIANS
}

/// Metres along a meridian.
fn latitude_distance(from: f64, to: f64) -> f64 {
    EARTH_RADIUS * (radians(to) - radians(from)).abs()
}

/// Metres between two places, by the haversine formula.
pub(super) fn distance(a: Point, b: Point) -> f64 {
    let v = ((radians(b.longitude) - radians(a.longitude)) / 2.0).sin();
    if v == 0.0 {
        return latitude_distance(a.latitude, b.latitude);
    }
    let (from, to) = (radians(a.latitude), radians(b.latitude));
    let u = ((to - from) / 2.0).sin();
    let half_chord = u * u + from.cos() * to.cos() * v * v;
    // Rounding may lift it over 1 for places opposite each other, where Redis has no number.
    2.0 * EARTH_RADIUS * half_chord.min(1.0).sqrt().asin()
}

/// The outline of an area. Lengths are in metres.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    Circle { radius: f64 },
    Rectangle { width: f64, height: f64 },
    Polygon(Vec<Point>),
}

/// What a search covers.
#[derive(Clone, Debug)]
pub(super) struct Region {
    /// Distances count from here.
    pub(super) centre: Point,
    pub(super) shape: Shape,
}

/// Longitudes and latitudes that a region may reach.
struct Bounds {
    longitude: Span,
    latitude: Span,
}

impl Region {
    /// The polygon of these corners around the mean of them, taken in space.
    pub(super) fn polygon(corners: Vec<Point>) -> Self {
        let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
        for corner in &corners {
            let (longitude, latitude) = (radians(corner.longitude), radians(corner.latitude));
            x += EARTH_RADIUS * latitude.cos() * longitude.cos();
            y += EARTH_RADIUS * latitude.cos() * longitude.sin();
            z += EARTH_RADIUS * latitude.sin();
        }
        let number = corners.len() as f64;
        let (x, y, z) = (x / number, y / number, z / number);
        let latitude = degrees(z.atan2((x * x + y * y).sqrt()));
        // A mean near a pole may lie beyond the map's edge.
        let latitude = latitude.clamp(Span::LATITUDES.min, Span::LATITUDES.max);
        let centre = Point { longitude: degrees(y.atan2(x)), latitude };
        Self { centre, shape: Shape::Polygon(corners) }
    }

    /// How far from the centre a place is, if the region has it, in metres.
    pub(super) fn distance_within(&self, point: Point) -> Option<f64> {
        let is_inside = match &self.shape {
            Shape::Circle { radius } => {
                let distance = distance(self.centre, point);
                return (distance <= *radius).then_some(distance);
            }
            Shape::Rectangle { width, height } => {
                let abreast = Point { longitude: self.centre.longitude, ..point };
                latitude_distance(point.latitude, self.centre.latitude) <= height / 2.0
                    && distance(point, abreast) <= width / 2.0
            }
            Shape::Polygon(corners) => is_in_polygon(corners, point),
        };
        is_inside.then(|| distance(self.centre, point))
    }

    /// Cells that together hold the region: the one around its centre, then, where they are needed, those to the north,
    /// south, east and west and those between, in the order in which members are found in them.
    pub(super) fn cells(&self) -> [Option<Cell>; 9] {
        let bounds = self.bounds();
        let mut step = step_for(self.reach(&bounds), self.centre.latitude);
        let mut cell = Cell::around(self.centre, step);
        // A centre close to its cell's border may look beyond the next cell.
        let north = cell.neighbour(0, 1).area().latitude.max < bounds.latitude.max;
        let south = cell.neighbour(0, -1).area().latitude.min > bounds.latitude.min;
        let east = cell.neighbour(1, 0).area().longitude.max < bounds.longitude.max;
        let west = cell.neighbour(-1, 0).area().longitude.min > bounds.longitude.min;
        if step > 1 && (north || south || east || west) {
            step -= 1;
            cell = Cell::around(self.centre, step);
        }
        // With four cells in the world each borders on all others twice; nothing is left out there.
        let area = cell.area();
        let no_south = step >= 2 && area.latitude.min < bounds.latitude.min;
        let no_north = step >= 2 && area.latitude.max > bounds.latitude.max;
        let no_west = step >= 2 && area.longitude.min < bounds.longitude.min;
        let no_east = step >= 2 && area.longitude.max > bounds.longitude.max;
        [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)].map(|(east, north)| {
            let left_out =
                north < 0 && no_south || north > 0 && no_north || east < 0 && no_west || east > 0 && no_east;
            (!left_out).then(|| cell.neighbour(east, north))
        })
    }

    fn bounds(&self) -> Bounds {
        let (width, height) = match &self.shape {
            Shape::Circle { radius } => (*radius, *radius),
            Shape::Rectangle { width, height } => (width / 2.0, height / 2.0),
            Shape::Polygon(corners) => {
                let span = |all: Span, at: fn(&Point) -> f64| {
                    corners.iter().map(at).fold(Span { min: all.max, max: all.min }, |span, at| Span {
                        min: span.min.min(at),
                        max: span.max.max(at),
                    })
                };
                return Bounds {
                    longitude: span(Span::LONGITUDES, |corner| corner.longitude),
                    latitude: span(Span::LATITUDES, |corner| corner.latitude),
                };
            }
        };
        let Point { longitude, latitude } = self.centre;
        let up = degrees(height / EARTH_RADIUS);
        // Meridians come together towards the poles: the side nearer to one spans the most degrees.
        let widest = if latitude < 0.0 { latitude - up } else { latitude + up };
        let aside = degrees(width / EARTH_RADIUS / radians(widest).cos());
        Bounds {
            longitude: Span { min: longitude - aside, max: longitude + aside },
            latitude: Span { min: latitude - up, max: latitude + up },
        }
    }

    /// Metres from the centre to the farthest place.
    fn reach(&self, bounds: &Bounds) -> f64 {
        match &self.shape {
            Shape::Circle { radius } => *radius,
            Shape::Rectangle { width, height } => {
                ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt()
            }
            Shape::Polygon(_) => [bounds.longitude.min, bounds.longitude.max]
                .into_iter()
                .flat_map(|longitude| {
                    [bounds.latitude.min, bounds.latitude.max].map(|latitude| Point { longitude, latitude })
                })
                .map(|corner| distance(self.centre, corner))
                .fold(0.0, f64::max),
        }
    }
}

/// Steps of a grid whose cells are about as large as what is looked for.
fn step_for(mut reach: f64, latitude: f64) -> u32 {
    if reach == 0.0 {
        return super::hash::STEP_MAX;
    }
    let mut step = 1_i32;
    while reach < MERCATOR_MAX {
        reach *= 2.0;
        step += 1;
    }
    // Two larger than that, so that the neighbours hold the rest, and larger still where degrees are short.
    step -= 2;
    if latitude.abs() > 66.0 {
        step -= 1;
    }
    if latitude.abs() > 80.0 {
        step -= 1;
    }
    step.clamp(1, super::hash::STEP_MAX as i32) as u32
}

/// Whether a ray to the east crosses the outline an odd number of times; the last corner is joined to the first.
fn is_in_polygon(corners: &[Point], point: Point) -> bool {
    let crosses = |a: Point, b: Point| {
        let slope = (b.longitude - a.longitude) * (point.latitude - a.latitude) / (b.latitude - a.latitude);
        (a.latitude > point.latitude) != (b.latitude > point.latitude)
            && point.longitude < slope + a.longitude
    };
    let before = corners.iter().cycle().skip(corners.len() - 1);
    corners.iter().zip(before).filter(|(a, b)| crosses(**a, **b)).count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn point(longitude: f64, latitude: f64) -> Point {
        Point { longitude, latitude }
    }

    fn is_covered(region: &Region, place: Point) -> bool {
        let score = place.score_bits() as f64;
        let covers = |cell: Cell| {
            let (min, max) = cell.scores();
            (min..max).contains(&score)
        };
        region.cells().into_iter().flatten().any(covers)
    }

    proptest! {
        // Away from the poles and from where the map is cut, which Redis's cells do not join.
        #[test]
        fn cells_hold_what_the_region_has(
            longitude in -150.0..150.0,
            latitude in -60.0..60.0,
            radius in 0.0_f64..1_000_000.0,
            aside in -1.0..1.0,
            up in -1.0..1.0,
        ) {
            let centre = point(longitude, latitude);
            let reach = degrees(radius / EARTH_RADIUS);
            let place = point(longitude + aside * 2.0 * reach, latitude + up * reach);
            let circle = Region { centre, shape: Shape::Circle { radius } };
            let square = Region { centre, shape: Shape::Rectangle { width: radius, height: radius } };
            for region in [circle, square] {
                if region.distance_within(place).is_some() {
                    prop_assert!(is_covered(&region, place), "{region:?} {place:?}");
                }
            }
        }

        #[test]
        fn cells_hold_polygons(
            corners in prop::collection::vec((-150.0..150.0, -60.0..60.0), 3..8),
            size in 0.0..1.0,
            longitude in -150.0..150.0,
            latitude in -60.0..60.0,
        ) {
            let place = point(longitude * size, latitude * size);
            let corners = corners.into_iter().map(|(x, y)| point(x * size, y * size)).collect();
            let region = Region::polygon(corners);
            if region.distance_within(place).is_some() {
                prop_assert!(is_covered(&region, place), "{region:?} {place:?}");
            }
        }
    }

    #[test]
    fn places_in_polygons() {
        let square = [(0.0, 0.0), (0.0, 10.0), (10.0, 10.0), (10.0, 0.0)].map(|(x, y)| point(x, y));
        assert!(is_in_polygon(&square, point(5.0, 5.0)));
        assert!(!is_in_polygon(&square, point(11.0, 5.0)));
        assert!(!is_in_polygon(&square, point(5.0, -1.0)));
        let arrow = [(0.0, 0.0), (5.0, 10.0), (10.0, 0.0), (5.0, 5.0)].map(|(x, y)| point(x, y));
        assert!(!is_in_polygon(&arrow, point(5.0, 2.0)));
        assert!(is_in_polygon(&arrow, point(5.0, 7.0)));
    }

    #[test]
    fn distances() {
        let far = distance(point(0.0, 0.0), point(180.0, 0.0));
        assert!((far - std::f64::consts::PI * EARTH_RADIUS).abs() < 1.0);
        assert_eq!(distance(point(7.0, 8.0), point(7.0, 8.0)), 0.0);
    }

    #[test]
    fn endless_regions_have_cells() {
        for shape in [
            Shape::Circle { radius: f64::INFINITY },
            Shape::Rectangle { width: f64::INFINITY, height: 0.0 },
            Shape::Circle { radius: f64::MIN_POSITIVE },
        ] {
            let region = Region { centre: point(180.0, 85.0), shape };
            assert!(region.cells()[0].is_some());
        }
    }
}
