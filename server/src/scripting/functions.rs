//! Libraries of functions: what FUNCTION LOAD keeps, and snapshots with it.
//!
//! A library is its text. Running it once registers its functions with Lua, which knows them by a [`FunctionId`]; what
//! is kept here can move between threads, Lua can't.

use super::{ScriptFlags, ScriptHost};
use common::config::syntax::split_args;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The one engine, as FUNCTION LIST names it.
pub const ENGINE: &str = "LUA";

/// What a library or function beyond its texts takes, bytes: an estimate.
const SHARE: usize = 128;

/// How the Lua side knows a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FunctionId(pub u64);

/// A function that a library registered.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Unique in all libraries, whatever the case.
    pub name: Vec<u8>,
    /// What it is for, if the library says so.
    pub description: Option<Vec<u8>>,
    /// What it declares.
    pub flags: ScriptFlags,
    /// How the Lua side knows it.
    pub id: FunctionId,
}

/// A library.
#[derive(Debug)]
pub struct Library {
    /// Its text, the line with its name included.
    pub code: Arc<[u8]>,
    /// At least one, in the order in which they were registered.
    pub functions: Vec<Arc<Function>>,
}

impl Library {
    fn ids(&self) -> impl Iterator<Item = FunctionId> {
        self.functions.iter().map(|function| function.id)
    }
}

/// All libraries.
#[derive(Debug, Default)]
pub struct Functions {
    libraries: BTreeMap<Vec<u8>, Library>,
    /// By names in lower case.
    by_name: HashMap<Vec<u8>, Arc<Function>>,
}

impl Functions {
    /// The libraries by their names, in order.
    pub fn libraries(&self) -> impl Iterator<Item = (&[u8], &Library)> {
        self.libraries.iter().map(|(name, library)| (name.as_slice(), library))
    }

    /// Number of libraries.
    pub fn library_count(&self) -> usize {
        self.libraries.len()
    }

    /// Number of functions in all libraries.
    pub fn function_count(&self) -> usize {
        self.by_name.len()
    }

    /// The function of a name, in upper or lower case. O(1).
    pub fn find(&self, name: &[u8]) -> Option<&Arc<Function>> {
        self.by_name.get(&name.to_ascii_lowercase())
    }

    /// Memory that all this takes outside of Lua, bytes.
    pub fn memory_bytes(&self) -> u64 {
        let of = |function: &Arc<Function>| {
            SHARE + function.name.len() + function.description.as_ref().map_or(0, Vec::len)
        };
        let libraries = self.libraries.iter().map(|(name, library)| {
            SHARE + name.len() + library.code.len() + library.functions.iter().map(of).sum::<usize>()
        });
        libraries.sum::<usize>() as u64
    }

    /// Takes a library in: its text is run, for no longer than `limit`. If that fails, nothing has changed. Gives its
    /// name.
    ///
    /// # Errors
    /// What is wrong with it, without a code.
    pub fn load(
        &mut self,
        host: &Rc<ScriptHost>,
        code: &[u8],
        replaces: bool,
        limit: Option<Duration>,
    ) -> Result<Vec<u8>, String> {
        let (name, body) = metadata(code)?;
        if self.libraries.contains_key(&name) && !replaces {
            return Err(format!("Library '{}' already exists", String::from_utf8_lossy(&name)));
        }
        let functions = host.load_library(body, limit)?;
        let library = Library { code: code.into(), functions: functions.into_iter().map(Arc::new).collect() };
        let refused = if library.functions.is_empty() {
            Some("No functions registered".to_owned())
        } else {
            let replaced = self.libraries.get(&name);
            self.collision(&library, |taken| replaced.is_some_and(|old| old.functions.contains(taken)))
        };
        if let Some(error) = refused {
            host.forget(library.ids());
            return Err(error);
        }
        self.remove(host, &name);
        self.link(name.clone(), library);
        Ok(name)
    }

    /// Removes a library; whether there was one.
    pub fn remove(&mut self, host: &ScriptHost, name: &[u8]) -> bool {
        let Some(library) = self.libraries.remove(name) else { return false };
        for function in &library.functions {
            self.by_name.remove(&function.name.to_ascii_lowercase());
        }
        host.forget(library.ids());
        true
    }

    /// Removes all libraries.
    pub fn clear(&mut self, host: &ScriptHost) {
        host.forget(self.libraries.values().flat_map(Library::ids));
        *self = Self::default();
    }

    /// Takes in the libraries of `others`, in place of those with the same names if `replaces`. If that fails, nothing
    /// has changed.
    ///
    /// # Errors
    /// Which name is there already, without a code.
    pub fn join(&mut self, host: &ScriptHost, mut others: Self, replaces: bool) -> Result<(), String> {
        let is_replaced = |name: &Vec<u8>| others.libraries.contains_key(name);
        let twice = self.libraries.keys().find(|name| !replaces && is_replaced(name));
        let taken_twice =
            twice.map(|name| format!("Library {} already exists", String::from_utf8_lossy(name)));
        let gone = |taken: &Arc<Function>| {
            let home = self.libraries.iter().find(|(_, library)| library.functions.contains(taken));
            home.is_some_and(|(name, _)| is_replaced(name))
        };
        let refused = taken_twice
            .or_else(|| others.libraries.values().find_map(|library| self.collision(library, gone)));
        if let Some(error) = refused {
            others.clear(host);
            return Err(error);
        }
        for (name, library) in others.libraries {
            self.remove(host, &name);
            self.link(name, library);
        }
        Ok(())
    }

    /// The complaint about a function whose name is taken by one that won't go.
    fn collision(&self, library: &Library, goes: impl Fn(&Arc<Function>) -> bool) -> Option<String> {
        let taken = |function: &&Arc<Function>| self.find(&function.name).is_some_and(|taken| !goes(taken));
        let function = library.functions.iter().find(taken)?;
        Some(format!("Function {} already exists", String::from_utf8_lossy(&function.name)))
    }

    fn link(&mut self, name: Vec<u8>, library: Library) {
        for function in &library.functions {
            self.by_name.insert(function.name.to_ascii_lowercase(), function.clone());
        }
        self.libraries.insert(name, library);
    }
}

/// Whether a library or function may have this name.
pub fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// What is said of other names.
pub const BAD_NAME: &str = "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";

/// The name in a library's first line, `#!lua name=…`, and the text from the end of that line on, so that line numbers
/// agree.
fn metadata(code: &[u8]) -> Result<(Vec<u8>, &[u8]), String> {
    let shown = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
    if !code.starts_with(b"#!") {
        return Err("Missing library metadata".to_owned());
    }
    let invalid = || "Invalid library metadata".to_owned();
    let end = code.iter().position(|byte| *byte == b'\n').ok_or_else(invalid)?;
    let mut words = split_args(&code[..end]).ok_or_else(invalid)?.into_iter();
    let engine = words.next().ok_or_else(invalid)?;
    let mut name = None;
    for word in words {
        match word.split_at_checked(5) {
            Some((key, value)) if key.eq_ignore_ascii_case(b"name=") => {
                if name.replace(value.to_vec()).is_some() {
                    return Err("Invalid metadata value, name argument was given multiple times".to_owned());
                }
            }
            _ => return Err(format!("Invalid metadata value given: {}", shown(&word))),
        }
    }
    let name = name.ok_or("Library name was not given")?;
    if !is_name(&name) {
        return Err(BAD_NAME.to_owned());
    }
    let engine = &engine[2..];
    if !engine.eq_ignore_ascii_case(ENGINE.as_bytes()) {
        return Err(format!("Engine '{}' not found", shown(engine)));
    }
    Ok((name, &code[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_names_engine_and_library() {
        let name = |code: &str| metadata(code.as_bytes()).map(|(name, body)| (name, body.to_vec()));
        assert_eq!(name("#!lua name=x\nreturn"), Ok((b"x".to_vec(), b"\nreturn".to_vec())));
        assert_eq!(name("#!LUA NAME=\"x\"\n"), Ok((b"x".to_vec(), b"\n".to_vec())));
        for (code, error) in [
            ("return 1", "Missing library metadata"),
            ("#!lua name=x", "Invalid library metadata"),
            ("#!lua name=\"x\n", "Invalid library metadata"),
            ("#!lua\n", "Library name was not given"),
            ("#!lua name=\n", BAD_NAME),
            ("#!lua name=a-b\n", BAD_NAME),
            ("#!js name=x\n", "Engine 'js' not found"),
            ("#! name=x\n", "Engine '' not found"),
            ("#!lua name=x name=y\n", "Invalid metadata value, name argument was given multiple times"),
            ("#!lua name=x a=b\n", "Invalid metadata value given: a=b"),
        ] {
            assert_eq!(name(code), Err(error.to_owned()), "{code}");
        }
    }
}
