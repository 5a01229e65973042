//! LOLWUT: layers of ochre, different each time, and the version below them.

use super::doc;
use crate::context::Cx;
use crate::lifecycle::fill_random;
use crate::server::Ochre;
use common::command::{Args, Arity, Command, CommandError, CommandResult, Flags, Outcome};

/// Size of the picture when the client names none, and the largest, characters.
const SIZE: (usize, usize) = (66, 12);
const MOST: (usize, usize) = (1000, 1000);

/// From air to deep rock.
const GRAINS: [char; 6] = [' ', '.', ':', 'o', '%', '#'];

/// The entry.
pub(super) const COMMAND: Command<Ochre> = Command {
    name: "lolwut",
    arity: Arity::AtLeast(1),
    flags: Flags::READONLY.and(Flags::FAST),
    acl: &[],
    keys: &[],
    tips: &[],
    doc: doc(
        "server",
        "5.0.0",
        "O(N), N characters",
        "[VERSION version]",
        "Draws a picture and tells the version.",
    ),
    subcommands: &[],
    run: lolwut,
};

/// `LOLWUT [VERSION n] [columns [rows]]`: there is one picture for all versions.
fn lolwut(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    if args.left() > 1 && args.take("VERSION") {
        args.integer()?;
    }
    let columns = size(args, SIZE.0, MOST.0)?;
    let rows = size(args, SIZE.1, MOST.1)?;
    let picture = paint(columns, rows);
    let version = format!(
        "{picture}\nOchre ver. {}, Redis ver. {}\n",
        env!("CARGO_PKG_VERSION"),
        common::REDIS_VERSION
    );
    cx.reply.verbatim(version.as_bytes());
    Ok(Outcome::Done)
}

fn size(args: &mut Args<'_>, default: usize, most: usize) -> Result<usize, CommandError> {
    if args.left() == 0 {
        return Ok(default);
    }
    Ok(args.integer()?.clamp(1, most as i64) as usize)
}

/// Hills that lie over each other: each layer's border wanders up and down by chance.
fn paint(columns: usize, rows: usize) -> String {
    let mut random = vec![0; columns * (GRAINS.len() - 1)];
    fill_random(&mut random);
    let mut steps = random.iter().map(|byte| byte % 3);
    // How many grains deep each place is: one for each border above it.
    let mut depth = vec![vec![0; columns]; rows];
    for layer in 1..GRAINS.len() {
        let mut border = rows * layer / GRAINS.len();
        for column in 0..columns {
            border = (border + usize::from(steps.next().unwrap_or(1))).saturating_sub(1).min(rows);
            depth.iter_mut().skip(border).for_each(|row| row[column] += 1);
        }
    }
    let line = |row: &Vec<usize>| -> String { row.iter().map(|depth| GRAINS[*depth]).collect() };
    depth.iter().map(|row| line(row).trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_have_their_size() {
        let picture = paint(40, 9);
        assert_eq!(picture.lines().count(), 9);
        assert!(picture.lines().all(|line| line.len() <= 40));
        assert!(picture.contains(GRAINS[1]));
    }
}
