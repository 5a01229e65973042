//! `redis.register_function`: what a library's text does while FUNCTION LOAD runs it.

use super::ScriptFlags;
use super::api::refusal;
use super::functions::{BAD_NAME, is_name};
use mlua::{Function, Lua, MultiValue, RegistryKey, Table, Value};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A function that a library has registered.
pub(super) struct Registered {
    pub(super) name: Vec<u8>,
    pub(super) description: Option<Vec<u8>>,
    pub(super) flags: ScriptFlags,
    pub(super) callback: RegistryKey,
}

/// A library that is being loaded.
pub(super) struct Draft {
    pub(super) functions: Vec<Registered>,
    started: Instant,
    limit: Option<Duration>,
    /// It took longer than it may.
    pub(super) is_overdue: bool,
}

/// The library that is being loaded, if one is.
pub(super) type Loading = Rc<RefCell<Option<Draft>>>;

impl Draft {
    pub(super) fn new(limit: Option<Duration>) -> Self {
        Self { functions: Vec::new(), started: Instant::now(), limit, is_overdue: false }
    }

    /// The time hook: true when loading must end.
    pub(super) fn tick(&mut self) -> bool {
        self.is_overdue |= self.limit.is_some_and(|limit| self.started.elapsed() > limit);
        self.is_overdue
    }
}

/// What a call asks for.
struct Wish {
    name: Vec<u8>,
    description: Option<Vec<u8>>,
    flags: ScriptFlags,
    callback: Function,
}

/// The function that libraries call, as one that replies `(failed, value)`.
pub(super) fn register_function(lua: &Lua, loading: &Loading) -> mlua::Result<Function> {
    let loading = loading.clone();
    lua.create_function(move |lua, args: MultiValue| {
        if loading.borrow().is_none() {
            return refusal(lua, "ERR redis.register_function can only be called on FUNCTION LOAD command");
        }
        match read(lua, &args)?.and_then(|wish| admit(lua, &loading, wish)) {
            Ok(()) => Ok((false, Value::Nil)),
            Err(text) => refusal(lua, &format!("ERR {text}")),
        }
    })
}

fn admit(lua: &Lua, loading: &Loading, wish: Wish) -> Result<(), &'static str> {
    let mut loading = loading.borrow_mut();
    let draft = loading.as_mut().expect("its caller has seen it");
    let Wish { name, description, flags, callback } = wish;
    if !is_name(&name) {
        return Err(BAD_NAME);
    }
    // FCALL does not tell cases apart, so that no two names may differ in that only.
    if draft.functions.iter().any(|known| known.name.eq_ignore_ascii_case(&name)) {
        return Err("Function already exists in the library");
    }
    let callback = lua.create_registry_value(callback).map_err(|_| "not enough memory")?;
    draft.functions.push(Registered { name, description, flags, callback });
    Ok(())
}

type Read = mlua::Result<Result<Wish, &'static str>>;

fn read(lua: &Lua, args: &MultiValue) -> Read {
    match args.iter().collect::<Vec<_>>()[..] {
        [Value::Table(named)] => read_named(lua, named),
        [_] => Ok(Err(
            "calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).",
        )),
        [name, callback] => {
            let Some(name) = text(lua, name)? else {
                return Ok(Err("first argument to redis.register_function must be a string"));
            };
            let Value::Function(callback) = callback else {
                return Ok(Err("second argument to redis.register_function must be a function"));
            };
            let callback = callback.clone();
            Ok(Ok(Wish { name, description: None, flags: ScriptFlags::default(), callback }))
        }
        _ => Ok(Err("wrong number of arguments to redis.register_function")),
    }
}

fn read_named(lua: &Lua, named: &Table) -> Read {
    let (mut name, mut description, mut callback) = (None, None, None);
    let mut flags = ScriptFlags::default();
    for pair in named.pairs::<Value, Value>() {
        let (key, value) = pair?;
        let Some(key) = text(lua, &key)? else {
            return Ok(Err("named argument key given to redis.register_function is not a string"));
        };
        match key.to_ascii_lowercase().as_slice() {
            b"function_name" => {
                let Some(value) = text(lua, &value)? else {
                    let text = "function_name argument given to redis.register_function must be a string";
                    return Ok(Err(text));
                };
                name = Some(value);
            }
            b"description" => {
                let Some(value) = text(lua, &value)? else {
                    let text = "description argument given to redis.register_function must be a string";
                    return Ok(Err(text));
                };
                description = Some(value);
            }
            b"callback" => {
                let Value::Function(value) = value else {
                    let text = "callback argument given to redis.register_function must be a function";
                    return Ok(Err(text));
                };
                callback = Some(value);
            }
            b"flags" => {
                let Value::Table(value) = value else {
                    let text = "flags argument to redis.register_function must be a table representing function flags";
                    return Ok(Err(text));
                };
                let Some(value) = read_flags(lua, &value)? else { return Ok(Err("unknown flag given")) };
                flags = value;
            }
            _ => return Ok(Err("unknown argument given to redis.register_function")),
        }
    }
    let Some(name) = name else {
        return Ok(Err("redis.register_function must get a function name argument"));
    };
    let Some(callback) = callback else {
        return Ok(Err("redis.register_function must get a callback argument"));
    };
    Ok(Ok(Wish { name, description, flags, callback }))
}

/// The flags that a list names; `None` when it names something else.
fn read_flags(lua: &Lua, list: &Table) -> mlua::Result<Option<ScriptFlags>> {
    let mut flags = ScriptFlags::default();
    for value in list.sequence_values::<Value>() {
        let Some(flag) = text(lua, &value?)?.and_then(|name| ScriptFlags::named(&name)) else {
            return Ok(None);
        };
        flags = flags | flag;
    }
    Ok(Some(flags))
}

/// A string, or a number's text.
fn text(lua: &Lua, value: &Value) -> mlua::Result<Option<Vec<u8>>> {
    if !matches!(value, Value::String(_) | Value::Number(_) | Value::Integer(_)) {
        return Ok(None);
    }
    Ok(lua.coerce_string(value.clone())?.map(|text| text.as_bytes().to_vec()))
}
