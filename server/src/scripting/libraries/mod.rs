//! The libraries that scripts find beside Lua's own: `bit`, `cjson`, `cmsgpack` and `struct`. They do what the C
//! libraries of these names do that Redis brings along, down to the texts of their errors.
//!
//! None of them recurses or allocates without a bound of its own: memory that Rust holds is not counted by Lua.

mod bit;
mod cjson;
mod cmsgpack;
mod structs;

use mlua::{Function, Lua, LuaString, MultiValue, Table, Value};

/// Bytes that one call may produce: what Lua could hold of them is not much more.
const MOST_BYTES: usize = 512 << 20;
/// Values that one call may give back: Lua's stack holds no more.
const MOST_VALUES: usize = 7999;

/// A number, whichever way the crate represents it.
pub(super) fn number_of(value: &Value) -> Option<f64> {
    value.as_number().or_else(|| value.as_integer().map(|n| n as f64))
}

/// Why a function failed.
pub(super) enum Failure {
    /// Raised with the line of the script before it.
    Text(String),
    /// An argument, counted from 1, is not as it should be.
    Argument(usize, String),
    /// Lua's own, for lack of memory.
    Lua(mlua::Error),
}

impl From<mlua::Error> for Failure {
    fn from(error: mlua::Error) -> Self {
        Failure::Lua(error)
    }
}

type Outcome = Result<MultiValue, Failure>;

/// Puts all libraries into a table, by name.
pub(super) fn all(lua: &Lua) -> mlua::Result<Table> {
    let libraries = lua.create_table()?;
    libraries.raw_set("bit", bit::library(lua)?)?;
    libraries.raw_set("cjson", cjson::library(lua)?)?;
    libraries.raw_set("cmsgpack", cmsgpack::library(lua)?)?;
    libraries.raw_set("struct", structs::library(lua)?)?;
    Ok(libraries)
}

/// A Lua function, whose failures are raised as Lua errors.
fn export(lua: &Lua, function: impl Fn(&Lua, &Arguments) -> Outcome + 'static) -> mlua::Result<Function> {
    let replies = lua.create_function(move |lua, args: MultiValue| {
        let (failed, mut values) = match function(lua, &Arguments(args)) {
            Ok(values) => (false, values),
            Err(Failure::Lua(error)) => return Err(error),
            Err(Failure::Text(text)) => (true, raised(lua, &text)?),
            Err(Failure::Argument(number, text)) => {
                let name = lua.inspect_stack(1, |debug| debug.names().name.map(|name| name.into_owned()));
                let name = name.flatten().unwrap_or_else(|| "?".to_owned());
                (true, raised(lua, &format!("bad argument #{number} to '{name}' ({text})"))?)
            }
        };
        values.push_front(Value::Boolean(failed));
        Ok(values)
    })?;
    crate::sys::lua::raising(lua, replies)
}

/// What is raised: the text behind the line that called the library, if that was Lua's.
fn raised(lua: &Lua, text: &str) -> mlua::Result<MultiValue> {
    /// Above this function and the one that raises.
    const CALLER: usize = 2;
    let place = lua.inspect_stack(CALLER, |debug| {
        let source = debug.source().short_src.map(|source| source.into_owned());
        source.zip(debug.current_line())
    });
    let place = place.flatten().map_or_else(String::new, |(source, line)| format!("{source}:{line}: "));
    Ok(MultiValue::from_iter([Value::String(lua.create_string(format!("{place}{text}"))?)]))
}

fn one(value: Value) -> Outcome {
    Ok(MultiValue::from_iter([value]))
}

fn number(value: f64) -> Outcome {
    one(Value::Number(value))
}

fn string(lua: &Lua, bytes: &[u8]) -> Outcome {
    one(Value::String(lua.create_string(bytes)?))
}

/// What a function was called with. Numbers count from 1, as scripts count them.
struct Arguments(MultiValue);

impl Arguments {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn get(&self, at: usize) -> Option<&Value> {
        self.0.get(at - 1)
    }

    /// An argument that is not of the type that is wanted.
    fn mistyped(&self, at: usize, wanted: &str) -> Failure {
        let found = self.get(at).map_or("no value", type_name);
        Failure::Argument(at, format!("{wanted} expected, got {found}"))
    }

    /// A number, or a string that spells one.
    fn number(&self, lua: &Lua, at: usize) -> Result<f64, Failure> {
        match self.get(at) {
            Some(Value::Integer(number)) => Ok(*number as f64),
            Some(Value::Number(number)) => Ok(*number),
            Some(value @ Value::String(_)) => {
                lua.coerce_number(value.clone())?.ok_or_else(|| self.mistyped(at, "number"))
            }
            _ => Err(self.mistyped(at, "number")),
        }
    }

    /// A number without its fraction.
    fn integer(&self, lua: &Lua, at: usize) -> Result<i64, Failure> {
        self.number(lua, at).map(|number| number as i64)
    }

    /// As [`Self::integer`], or `default` where there is none.
    fn integer_or(&self, lua: &Lua, at: usize, default: i64) -> Result<i64, Failure> {
        match self.get(at) {
            None | Some(Value::Nil) => Ok(default),
            Some(_) => self.integer(lua, at),
        }
    }

    /// A string, or a number's text.
    fn string(&self, lua: &Lua, at: usize) -> Result<LuaString, Failure> {
        let value = match self.get(at) {
            Some(value @ (Value::String(_) | Value::Integer(_) | Value::Number(_))) => value.clone(),
            _ => return Err(self.mistyped(at, "string")),
        };
        lua.coerce_string(value)?.ok_or_else(|| self.mistyped(at, "string"))
    }
}

/// Lua's name for a value's type.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) => "number",
        Value::LightUserData(_) => "userdata",
        other => other.type_name(),
    }
}
