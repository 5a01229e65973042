-- What scripts see of Lua, on top of stock 5.1: run once, with the host's functions as arguments.
-- Returns the environment of scripts, and a table of what the host needs. With `host.register_function` the machine is
-- one for libraries of functions.
local host = ...

local error, type, tostring, tonumber, select = error, type, tostring, tonumber, select
local rawset, rawget, setmetatable, getmetatable = rawset, rawget, setmetatable, getmetatable
local raw_pcall, raw_xpcall, raw_unpack = pcall, xpcall, unpack
local locked = setmetatable({}, { __mode = "k" })

local function readonly()
  error("Attempt to modify a readonly table", 2)
end

-- An empty table in front of `contents`: reads go through, writes fail. 5.1 has no read-only tables.
-- The second result decides which contents that are.
local function lock(contents)
  local backing = { __index = contents, __newindex = readonly, __metatable = false }
  local front = setmetatable({}, backing)
  locked[front] = true
  return front, backing
end

-- unpack(t, 0, 2^31-1) crashes stock 5.1.5 (CVE-2025-46817): the number of results is checked first.
-- Results and arguments share what a C function has of the stack.
local safe_unpack = host.unpack(raw_unpack, 8000)

-- Patterns recurse on the C stack by their length: it is bounded.
local LONGEST_PATTERN = 10000
for _, name in ipairs({ "find", "match", "gmatch", "gfind", "gsub" }) do
  string[name] = string[name] and host.bounded(string[name], LONGEST_PATTERN)
end

-- A failed redis.call reads as its text, as in Redis 7.
local function settle(ok, ...)
  if not ok then
    local failure = ...
    local text = type(failure) == "table" and rawget(failure, "err")
    if type(text) == "string" or type(text) == "number" then
      return false, text
    end
  end
  return ok, ...
end

-- xpcall's handler runs when everything has unwound. Lua would run it while the hook that raised an error still rests:
-- a killed script whose handler has no end would have none either.
local function handle(handler, ok, ...)
  if ok then
    return true, ...
  end
  local handled, result = raw_pcall(handler, (...))
  if not handled then
    return false, "error in error handling"
  end
  return false, result
end
local function safe_xpcall(...)
  if select("#", ...) < 2 then
    error("bad argument #2 to 'xpcall' (value expected)", 2)
  end
  local body, handler = ...
  return handle(handler, raw_pcall(body))
end

-- Makes a function that raises of one that replies (failed, value…).
local raising = host.raising

-- What writes into a table without asking its metatable refuses locked ones.
local function refuse_locked(change)
  return host.guarded(change, locked)
end
table.insert = refuse_locked(table.insert)

-- What reads a table without asking its metatable sees what lies behind a locked one.
local seeing_next = host.seeing(next, locked)

-- A script that is killed ends in all its coroutines.
coroutine.resume, coroutine.wrap = host.resumers(coroutine.create, coroutine.resume)

local redis = {}
for name, value in pairs(host.constants) do
  redis[name] = value
end
redis.call, redis.pcall = host.call, host.pcall
redis.sha1hex = raising(host.sha1hex)
redis.log = raising(host.log)
redis.setresp = raising(host.setresp)
redis.set_repl = raising(host.set_repl)
redis.acl_check_cmd = raising(host.acl_check_cmd)
redis.error_reply = host.error_reply
redis.status_reply = host.status_reply
if not host.register_function then
  function redis.replicate_commands()
    return true
  end
  -- There is no debugger that could stop or show something.
  function redis.breakpoint()
    return false
  end
  function redis.debug() end
end

local environment
local visible
-- `lua-enable-deprecated-api`: what 5.1 has deprecated, without a way around the locks. What belongs to the machine
-- itself has the environment of scripts and keeps it.
local proxies = setmetatable({}, { __mode = "k" })
local function deprecated()
  local raw_getfenv, raw_setfenv, raw_newproxy, globals = getfenv, setfenv, newproxy, getfenv(0)
  local function above(target)
    return type(target) == "number" and target > 0 and target + 1 or target
  end
  function visible.getfenv(target)
    local found = raw_getfenv(above(target or 1))
    return found == globals and environment or found
  end
  function visible.setfenv(target, contents)
    target = above(target)
    if target == 0 or raw_getfenv(target) == globals then
      error("'setfenv' cannot change environment of given object", 2)
    end
    return raw_setfenv(target, contents)
  end
  -- The debug hooks rest while a finalizer runs, so one without an end could not be killed: none is ever run.
  function visible.newproxy(like)
    local proxy = raw_newproxy(like)
    local real, front = getmetatable(proxy), proxies[like]
    if real and not front then
      local kept = {}
      front = setmetatable({}, {
        __index = function(_, key) if key == "__gc" then return kept.gc end return real[key] end,
        __newindex = function(_, key, value) if key == "__gc" then kept.gc = value else real[key] = value end end,
        __metatable = false,
      })
      locked[front] = true
    end
    if front then
      proxies[proxy] = front
    end
    return proxy
  end
  local base = visible.getmetatable
  function visible.getmetatable(...)
    local front = proxies[(...)]
    if front then
      return front
    end
    return base(...)
  end
end

visible = {
  _VERSION = _VERSION, assert = assert, collectgarbage = collectgarbage, error = error, gcinfo = gcinfo,
  ipairs = ipairs, next = seeing_next, pairs = host.pairs(next, locked, seeing_next), rawequal = rawequal,
  rawget = host.seeing(rawget, locked),
  select = select, setmetatable = refuse_locked(setmetatable), tonumber = tonumber, tostring = tostring, type = type,
  xpcall = safe_xpcall, coroutine = lock(coroutine), unpack = safe_unpack, rawset = refuse_locked(rawset),
  string = lock(string), table = lock(table), math = lock(math), os = lock({ clock = host.clock }),
  redis = lock(redis),
  pcall = function(...) return settle(raw_pcall(...)) end,
  -- What makes a table read-only is nobody's business. Redis's globals have a metatable; its other tables have none.
  getmetatable = host.expecting(function(...)
    if locked[(...)] then
      return ... == environment and lock({}) or nil
    end
    return getmetatable(...)
  end, "any"),
}
visible.server = visible.redis
if host.has_deprecated then
  deprecated()
end
for name, library in pairs(host.libraries) do
  visible[name] = lock(library)
end
-- Reading a name that is not there fails.
local function strict(contents)
  return setmetatable(contents, { __index = function(_, name)
    error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
  end })
end
strict(visible)
-- Methods of strings work, but nobody reaches the table behind them.
local strings = getmetatable("")
strings.__index = string
strings.__metatable = (lock({}))

local backing
environment, backing = lock(visible)
rawset(visible, "_G", environment)

visible.loadstring = host.expecting(function(text, name)
  return host.compile(text, name or text, environment)
end, "string")
visible.load = host.expecting(function(reader, name)
  local parts = {}
  while true do
    local fine, part = raw_pcall(reader)
    if not fine then
      return nil, part
    end
    if part == nil or part == "" then
      break
    end
    if type(part) ~= "string" and type(part) ~= "number" then
      return nil, "reader function must return a string"
    end
    parts[#parts + 1] = part
  end
  return host.compile(table.concat(parts), name or "=(load)", environment)
end, "function")

-- Turns what a script raised into a table that says where.
local function explain(failure)
  if type(failure) ~= "table" then
    -- What a proxy says of itself may have no end, and the hook may rest here.
    failure = { err = "ERR " .. (proxies[failure] and "userdata" or tostring(failure)) }
  end
  if type(rawget(failure, "err")) == "number" then
    rawset(failure, "err", tostring(failure.err))
  end
  host.locate(failure)
  return failure
end

-- What a library sees while it registers its functions.
local registration
if host.register_function then
  local api = { register_function = raising(host.register_function), log = redis.log }
  for name, value in pairs(host.constants) do
    if not name:find("^REPL_") then
      api[name] = value
    end
  end
  registration = strict({ redis = (lock(strict(api))) })
  registration.server = registration.redis
end

return environment, {
  globals = visible,
  backing = backing,
  registration = registration,
  explain = explain,
  load = function(library)
    return raw_pcall(library)
  end,
}
