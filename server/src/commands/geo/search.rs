//! GEOSEARCH and its older forms. A request is read while the sorted set lies open, since a member that it names is
//! looked up, and may be missed, before the words behind it are read.

use super::area::{Region, Shape};
use super::hash::Point;
use super::nearest::sort_first;
use super::{no_such_place, place, unit, write_coordinates, write_distance};
use crate::commands::sorted_set::propagate_result;
use crate::commands::{integer, store_result, write_element};
use crate::context::Cx;
use crate::events::Event;
use common::command::{Args, CommandError, CommandResult, Outcome};
use common::number::{parse_f64, parse_i64};
use common::resp::Reply;
use store::{Element, Side, SortedSet, SortedSetLimits};

/// Which command it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// GEORADIUS, or its form that only reads.
    Radius { reads: bool },
    /// GEORADIUSBYMEMBER, or its form that only reads.
    ByMember { reads: bool },
    /// GEOSEARCH.
    Search,
    /// GEOSEARCHSTORE.
    Store,
}

impl Form {
    fn is_search(self) -> bool {
        matches!(self, Form::Search | Form::Store)
    }

    fn may_store(self) -> bool {
        matches!(self, Form::Radius { reads: false } | Form::ByMember { reads: false })
    }
}

/// The order in which members are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sorting {
    Nearest,
    Farthest,
}

/// What a request asks for.
#[derive(Default)]
struct Request<'a> {
    centre: Option<Point>,
    /// FROMMEMBER or FROMLONLAT, which exclude each other.
    from_member: bool,
    from_place: bool,
    shape: Option<Shape>,
    /// Metres in the unit of distances.
    unit: f64,
    with_distance: bool,
    with_hash: bool,
    with_coordinates: bool,
    /// The most members that are wanted.
    count: Option<usize>,
    /// Any of them will do.
    any: bool,
    sorting: Option<Sorting>,
    /// Where the result goes; with distances as scores or not.
    target: Option<&'a [u8]>,
    stores_distances: bool,
}

/// A member that was found.
struct Found<'s> {
    member: Element<'s>,
    score: f64,
    place: Point,
    /// Metres from the centre.
    distance: f64,
}

fn number(word: &[u8], otherwise: &'static str) -> Result<f64, CommandError> {
    parse_f64(word).ok_or(CommandError::Text(otherwise))
}

/// A radius and its unit.
fn circle(args: &mut Args<'_>) -> Result<(Shape, f64), CommandError> {
    let radius = number(args.next(), "ERR need numeric radius")?;
    if radius < 0.0 {
        return Err("ERR radius cannot be negative".into());
    }
    let unit = unit(args.next())?;
    Ok((Shape::Circle { radius: radius * unit }, unit))
}

/// A width, a height and their unit.
fn rectangle(args: &mut Args<'_>) -> Result<(Shape, f64), CommandError> {
    let width = number(args.next(), "ERR need numeric width")?;
    let height = number(args.next(), "ERR need numeric height")?;
    if height < 0.0 || width < 0.0 {
        return Err("ERR height or width cannot be negative".into());
    }
    let unit = unit(args.next())?;
    Ok((Shape::Rectangle { width: width * unit, height: height * unit }, unit))
}

/// The number of corners and the corners.
fn polygon(args: &mut Args<'_>) -> Result<Shape, CommandError> {
    let number = parse_i64(args.next()).and_then(|number| i32::try_from(number).ok());
    let number = number.ok_or(CommandError::Text("ERR invalid number of vertices"))?;
    let number = usize::try_from(number).ok().filter(|number| (3..=args.left() / 2).contains(number));
    let number = number.ok_or(CommandError::Text("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices"))?;
    Ok(Shape::Polygon((0..number).map(|_| place(args)).collect::<Result<_, _>>()?))
}

impl<'a> Request<'a> {
    fn parse(args: &mut Args<'a>, form: Form, set: Option<&SortedSet>) -> Result<Self, CommandError> {
        let mut request = Self { unit: 1.0, ..Self::default() };
        match form {
            Form::Search | Form::Store => {}
            Form::Radius { .. } => {
                request.centre = Some(place(args)?);
                request.set_shape(circle(args)?);
            }
            Form::ByMember { .. } => match set {
                Some(set) => {
                    request.centre = Some(place_of(set, args.next())?);
                    request.set_shape(circle(args)?);
                }
                // Whatever they are, nothing is near a member that is not there.
                None => args.skip(3),
            },
        }
        while let Some(word) = args.try_next() {
            let is_known = request.take_common(word, args)?
                || form.is_search() && request.take_region(word, args, set)?
                || request.take_target(word, args, form);
            if !is_known {
                return Err(CommandError::Syntax);
            }
        }
        Ok(request)
    }

    fn set_shape(&mut self, (shape, unit): (Shape, f64)) {
        (self.shape, self.unit) = (Some(shape), unit);
    }

    /// Options of all forms; whether `word` is one.
    fn take_common(&mut self, word: &[u8], args: &mut Args<'_>) -> Result<bool, CommandError> {
        match word.to_ascii_lowercase().as_slice() {
            b"withdist" => self.with_distance = true,
            b"withhash" => self.with_hash = true,
            b"withcoord" => self.with_coordinates = true,
            b"any" => self.any = true,
            b"asc" => self.sorting = Some(Sorting::Nearest),
            b"desc" => self.sorting = Some(Sorting::Farthest),
            b"count" if args.left() > 0 => {
                let count = usize::try_from(integer(args.next())?).ok().filter(|count| *count > 0);
                self.count = Some(count.ok_or(CommandError::Text("ERR COUNT must be > 0"))?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Where to search; whether `word` begins that and goes with what came before.
    fn take_region(
        &mut self,
        word: &[u8],
        args: &mut Args<'_>,
        set: Option<&SortedSet>,
    ) -> Result<bool, CommandError> {
        let is_polygon = matches!(self.shape, Some(Shape::Polygon(_)));
        let is_circle = matches!(self.shape, None | Some(Shape::Circle { .. }));
        let is_rectangle = matches!(self.shape, None | Some(Shape::Rectangle { .. }));
        match word.to_ascii_lowercase().as_slice() {
            b"frommember" if args.left() > 0 && !self.from_place && !is_polygon => {
                let member = args.next();
                self.centre = set.map(|set| place_of(set, member)).transpose()?;
                self.from_member = true;
            }
            b"fromlonlat" if args.left() > 1 && !self.from_member && !is_polygon => {
                self.centre = Some(place(args)?);
                self.from_place = true;
            }
            b"byradius" if args.left() > 1 && is_circle => self.set_shape(circle(args)?),
            b"bybox" if args.left() > 2 && is_rectangle => self.set_shape(rectangle(args)?),
            b"bypolygon"
                if args.left() > 1 && self.shape.is_none() && !self.from_member && !self.from_place =>
            {
                self.set_shape((polygon(args)?, 1.0));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Where the result goes; whether `word` says so.
    fn take_target(&mut self, word: &[u8], args: &mut Args<'a>, form: Form) -> bool {
        let distances = word.eq_ignore_ascii_case(b"storedist");
        if form == Form::Store {
            self.stores_distances |= distances;
            return distances;
        }
        let names_target = form.may_store() && (distances || word.eq_ignore_ascii_case(b"store"));
        if names_target && let Some(target) = args.try_next() {
            (self.target, self.stores_distances) = (Some(target), distances);
            return true;
        }
        false
    }

    /// Refuses options that do not go together.
    fn check(&self, form: Form, name: &[u8]) -> Result<(), CommandError> {
        let has_options = self.with_distance || self.with_hash || self.with_coordinates;
        if has_options && (form == Form::Store || self.target.is_some()) {
            let name = if form == Form::Store { "GEOSEARCHSTORE" } else { "STORE option in GEORADIUS" };
            return Err(CommandError::Message(format!(
                "ERR {name} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            )));
        }
        let is_polygon = matches!(self.shape, Some(Shape::Polygon(_)));
        if form.is_search() && !self.from_member && !self.from_place && !is_polygon {
            let before = "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for ";
            return Err(CommandError::quoting(before, name, ""));
        }
        if form.is_search() && self.shape.is_none() {
            let before = "ERR exactly one of BYRADIUS and BYBOX can be specified for ";
            return Err(CommandError::quoting(before, name, ""));
        }
        if self.any && self.count.is_none() {
            return Err("ERR the ANY argument requires COUNT argument".into());
        }
        Ok(())
    }

    /// What is searched; of a set that is there.
    fn region(&mut self) -> Region {
        match (self.shape.take(), self.centre) {
            (Some(Shape::Polygon(corners)), _) => Region::polygon(corners),
            (Some(shape), Some(centre)) => Region { centre, shape },
            _ => unreachable!("a request that was checked has a shape and a centre"),
        }
    }

    /// The members that are wanted, in order.
    fn find<'s>(&mut self, set: &'s SortedSet) -> Vec<Found<'s>> {
        let region = self.region();
        let wanted = self.count.unwrap_or(usize::MAX);
        let mut found = members_in(set, &region, if self.any { wanted } else { usize::MAX });
        // The nearest, unless it is said which; any are any.
        let by_default = (self.count.is_some() && !self.any).then_some(Sorting::Nearest);
        let farthest = match self.sorting.or(by_default) {
            None => {
                found.truncate(wanted);
                return found;
            }
            Some(sorting) => sorting == Sorting::Farthest,
        };
        let nearer = |a: &Found<'_>, b: &Found<'_>| a.distance.total_cmp(&b.distance);
        let compare = |a: &Found<'_>, b: &Found<'_>| if farthest { nearer(b, a) } else { nearer(a, b) };
        if found.len() <= wanted {
            found.sort_by(compare);
        } else {
            sort_first(&mut found, wanted, compare);
            found.truncate(wanted);
        }
        found
    }
}

/// Where a member is.
fn place_of(set: &SortedSet, member: &[u8]) -> Result<Point, CommandError> {
    set.score(member).map(Point::of_score).ok_or_else(no_such_place)
}

/// The members in a region, at most `limit`, cell by cell.
fn members_in<'s>(set: &'s SortedSet, region: &Region, limit: usize) -> Vec<Found<'s>> {
    let mut found = Vec::new();
    let mut last = None;
    for (index, cell) in region.cells().into_iter().enumerate() {
        let Some(cell) = cell.filter(|cell| Some(*cell) != last) else { continue };
        // In a grid of four, one cell may lie on both sides. It takes another neighbour to notice: the first is not kept.
        last = (index > 0).then_some(cell);
        let (min, max) = cell.scores();
        let rank = set.rank_of_score(min, Side::Before);
        for (member, score) in set.iter(rank, false).take_while(|(_, score)| *score < max) {
            if found.len() >= limit {
                return found;
            }
            let place = Point::of_score(score);
            if let Some(distance) = region.distance_within(place) {
                found.push(Found { member, score, place, distance });
            }
        }
    }
    found
}

pub(super) fn search(cx: &mut Cx<'_>, args: &mut Args<'_>, form: Form) -> CommandResult {
    let target = (form == Form::Store).then(|| args.next());
    let key = cx.key(args.next());
    let limits = cx.server.limits().sorted_set;
    let set = cx.server.read_typed::<SortedSet>(cx.db, key)?;
    let mut request = Request::parse(args, form, set)?;
    request.check(form, args.get(0))?;
    let is_polygon = matches!(request.shape, Some(Shape::Polygon(_)));
    let found = set.map(|set| request.find(set)).unwrap_or_default();
    let Some(target) = target.or(request.target) else {
        request.write(&mut cx.reply, &found);
        return Ok(Outcome::Done);
    };
    let result = request.collect(&found, &limits);
    let target = cx.key(target);
    if is_polygon {
        propagate_result(cx, target, &result); // Redis 7.0 knows no polygons
    }
    let event = if form == Form::Store { Event::GEOSEARCHSTORE } else { Event::GEORADIUSSTORE };
    store_result(cx, target, result, event);
    Ok(Outcome::Done)
}

impl Request<'_> {
    fn write(&self, reply: &mut Reply, found: &[Found<'_>]) {
        let options = [self.with_distance, self.with_hash, self.with_coordinates];
        let options = options.into_iter().filter(|wanted| *wanted).count();
        reply.array(found.len());
        for item in found {
            if options > 0 {
                reply.array(1 + options);
            }
            write_element(reply, &item.member);
            if self.with_distance {
                write_distance(reply, item.distance / self.unit);
            }
            if self.with_hash {
                reply.integer(item.score as i64);
            }
            if self.with_coordinates {
                write_coordinates(reply, item.place);
            }
        }
    }

    fn collect(&self, found: &[Found<'_>], limits: &SortedSetLimits) -> SortedSet {
        let mut result = SortedSet::default();
        let mut buffer = itoa::Buffer::new();
        for item in found {
            let score = if self.stores_distances { item.distance / self.unit } else { item.score };
            result.insert(item.member.as_bytes(&mut buffer), score, limits);
        }
        result
    }
}
